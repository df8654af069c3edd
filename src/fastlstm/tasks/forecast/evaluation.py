"""Forecasts from rolling origins, judged beside naive and seasonal-naive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fastlstm.data.series.history import PAIRS
from fastlstm.data.series.schema import free_name
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import WindowIndex
from fastlstm.data.tables.frames import give_back
from fastlstm.model.baselines import naive, residual_spread, seasonal_naive
from fastlstm.runs.plots import error_by_horizon, forecast_against_truth
from fastlstm.tasks.forecast.adapting import forecast_adapted
from fastlstm.tasks.forecast.fallback import stand_in
from fastlstm.tasks.forecast.frames import forecast_frame
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.tasks.metric_table import metric_table
from fastlstm.training.metrics import METRICS, Array, forecast_metrics, metrics_by_group, seasonal_scale
from fastlstm.wording import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINES = ("naive", "seasonal_naive")
LABELS = {"model": "LSTM", "naive": "naive", "seasonal_naive": "seasonal-naive"}
TITLES = {
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "smape": "sMAPE %",
    "quantile_loss": "quantile loss",
    "coverage": "coverage",
}
# Times as large: no errors of forecasts differ so, but those of a rule that holds to rounding.
UNHEARD_OF = 1e3
FORMS = {"mase": ".3f", "smape": ".2f", "coverage": ".1%"}


@dataclass(frozen=True)
class Evaluation:
    """Forecasts of the model and the baselines, and their errors.

    W windows, L steps ahead, Q quantiles.

    Parameters
    ----------
    series : SeriesSet
        The series that were forecast.
    index : WindowIndex
        Where each of the W windows has its origin.
    quantiles : tuple of float
        Q levels.
    season : int
        Of seasonal-naive and MASE, in steps.
    truth : numpy.ndarray
        (W, L), NaN where missing.
    forecasts : dict
        ``model``, ``naive`` and ``seasonal_naive``: (W, L, Q) each.
    scale : numpy.ndarray
        (W,), the denominator of MASE.
    """

    series: SeriesSet
    index: WindowIndex
    quantiles: tuple[float, ...]
    season: int
    truth: Array
    forecasts: dict[str, Array]
    scale: Array

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """``model``, ``naive``, ``seasonal_naive`` → each of ``fastlstm.training.metrics.METRICS``."""
        return {
            name: forecast_metrics(self.truth, forecast, self.quantiles, self.scale)
            for name, forecast in self.forecasts.items()
        }

    @cached_property
    def error_by_step(self) -> dict[str, Array]:
        """Forecaster → (L,) the MAE of each step ahead, NaN where none was observed."""
        median = self.quantiles.index(0.5)
        known = ~np.isnan(self.truth)
        count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        return {
            name: np.sum(np.abs(self.truth - forecast[..., median]), axis=0, where=known) / count
            for name, forecast in self.forecasts.items()
        }

    @property
    def verdict(self) -> str:
        """How the model stands beside the better baseline, in a sentence; of several series each in its own scale."""
        errors = {name: metrics["mase"] for name, metrics in self.metrics.items()}
        measure = "MASE"
        if len(np.unique(self.index.series)) < 2 or not all(map(math.isfinite, errors.values())):
            errors, measure = {name: metrics["mae"] for name, metrics in self.metrics.items()}, "MAE"
        model, rival = errors["model"], min(BASELINES, key=errors.__getitem__)
        best = errors[rival]
        if not (math.isfinite(model) and math.isfinite(best)):
            return "Nothing could be compared: no target was observed."
        if best == model == 0:
            return f"Neither the LSTM nor {LABELS[rival]} makes an error here."
        if best * UNHEARD_OF < model:
            return f"The LSTM loses to {LABELS[rival]}, which makes next to no error here."
        share = model / best - 1
        if abs(share) < 5e-4:
            return f"The LSTM's {measure} is that of {LABELS[rival]}, within 0.1%."
        if share < 0:
            return f"The LSTM's {measure} is {-share:.1%} below that of {LABELS[rival]}."
        more = f"{share:.1%} above" if share < 1 else f"{model / best:,.1f} times as large"
        return f"The LSTM loses to {LABELS[rival]}: its {measure} is {more}. Use {LABELS[rival]} instead."

    def frame(self) -> object:
        """Give every forecast: series, origin, time, target, ``NAME_forecast`` and the quantiles.

        Returns
        -------
        DataFrame
            Of the kind of the table that was evaluated; one row a window and step ahead.
        """
        frame = forecast_frame(self.series, self.index, self.forecasts["model"], self.quantiles, self.truth)
        return self._given(frame)

    def by_series(self) -> object:
        """Return every metric of each series that was forecast, one row a series and forecaster.

        Returns
        -------
        DataFrame
            Of the kind of the table that was evaluated: the series' name under its column's own name (``series`` where
            there is none, with ``_`` behind it where one of the others is called so), ``forecaster``, ``windows``, and
            each of ``fastlstm.training.metrics.METRICS``.
        """
        codes, groups = np.unique(self.index.series, return_inverse=True)
        names = pl.Series([self.series.names[code] for code in codes])
        column = free_name(self.series.schema.columns.series or "series", ("windows", "forecaster", *METRICS))
        windows = pl.Series(np.bincount(groups))
        return self._given(self._by_group({column: names, "windows": windows}, groups[:, None]))

    def by_step(self) -> object:
        """Return every metric of each step ahead, one row a step and forecaster.

        Returns
        -------
        DataFrame
            Of the kind of the table that was evaluated: ``step_ahead`` (from 1), ``forecaster``, and each of
            ``fastlstm.training.metrics.METRICS``.
        """
        ahead = np.arange(self.truth.shape[1])
        return self._given(self._by_group({"step_ahead": pl.Series(ahead + 1)}, ahead[None]))

    def _given(self, frame: pl.DataFrame) -> object:
        """Give a frame as the kind of the table that was evaluated."""
        return give_back(frame, self.series.kind, whole=self.series.schema.whole_names)

    def _by_group(self, keys: dict[str, pl.Series], groups: Integers) -> pl.DataFrame:
        count = len(next(iter(keys.values())))
        frames = []
        for name, forecast in self.forecasts.items():
            metrics = metrics_by_group(self.truth, forecast, self.quantiles, self.scale, groups, count)
            label = pl.repeat(name, count, eager=True)
            frames.append(pl.DataFrame({**keys, "forecaster": label, **metrics}))
        side_by_side = np.arange(len(frames) * count).reshape(len(frames), count).T.ravel()
        return pl.concat(frames)[side_by_side].with_columns(pl.selectors.float().fill_nan(None))

    def plot_errors(self) -> Figure:
        """Draw the MAE of each step ahead, of the model and the baselines."""
        return error_by_horizon({LABELS[name]: error for name, error in self.error_by_step.items()})

    def plot_forecast(self, context: int) -> Figure:
        """Draw the last forecast of the first series over what came.

        Parameters
        ----------
        context : int
            How many steps before it to show.
        """
        series = self.series
        window = int(np.flatnonzero(self.index.series == self.index.series[0])[-1])
        code, L = int(self.index.series[window]), self.truth.shape[1]
        origin = int(self.index.origins[window] - series.offsets[code])
        start = max(0, origin - context)
        first = int(series.offsets[code])
        end = min(origin + L, int(series.lengths[code]))
        return forecast_against_truth(
            series.axis.stamps(code, start, end - start).to_numpy(),
            series.target[first + start : first + end, 0],
            series.axis.stamps(code, origin, L).to_numpy(),
            dict(zip(self.quantiles, self.forecasts["model"][window].T, strict=True)),
            target=series.schema.columns.target[0],
            title="Forecast and what came"
            + ("" if series.names[code] is None else f", {series.names[code]}"),
        )

    def table(self) -> pl.DataFrame:
        """Return the metrics, one row a forecaster."""
        rows = [{"forecaster": LABELS[name], **values} for name, values in self.metrics.items()]
        return pl.DataFrame(rows)

    def __str__(self) -> str:
        """Write the metrics as a table of text, and the verdict."""
        nominal = self.quantiles[-1] - self.quantiles[0]
        table = metric_table(self.metrics, LABELS, TITLES, FORMS)
        windows = f"{many(len(self.truth), 'forecast')} of {many(self.truth.shape[1], 'step')}"
        notes = f"{windows}; season {self.season:,} for seasonal-naive and MASE; intervals for {nominal:.0%}"
        return "\n".join([table, notes, self.verdict])


def evaluate_windows(
    model: ForecastModel, series: SeriesSet, index: WindowIndex, season: int, fresh: Integers | None = None
) -> Evaluation:
    """Forecast from each origin with what lies before it, and compare with what came.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins, rising within each series.
    season : int
        m, in steps.
    fresh : numpy.ndarray, optional
        As for :func:`forecast_origins`.

    Returns
    -------
    Evaluation
        The rows before a series' first origin scale its MASE and give its baselines their intervals.
    """
    forecasts = forecast_origins(model, series, index, fresh)
    return judge(series, index, forecasts, model.settings.quantiles, season)


def forecast_origins(
    model: ForecastModel, series: SeriesSet, index: WindowIndex, fresh: Integers | None = None
) -> Array:
    """Forecast from each origin with what lies before it.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins.
    fresh : numpy.ndarray, optional
        (S,) int64, the position from which on nothing of a series was learnt: how forecasts from there on turned out
        moves the intervals of those after them (:func:`~fastlstm.tasks.forecast.adapting.adapt`). Default: none are.

    Returns
    -------
    numpy.ndarray
        (W, L, Q) float64, in the target's unit.
    """
    windows = model.windows(series, model.settings.horizon)
    forecasts = forecast_adapted(model, windows, series, index, fresh)
    return stand_in(series, index, forecasts, model.settings.quantiles, model.scaling.target)


def judge(
    series: SeriesSet, index: WindowIndex, forecasts: Array, quantiles: tuple[float, ...], season: int
) -> Evaluation:
    """Put forecasts beside the naive ones and what came.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins, rising within each series.
    forecasts : numpy.ndarray
        (W, L, Q), the model's.
    quantiles : tuple of float
        Q levels.
    season : int
        m, in steps.

    Returns
    -------
    Evaluation
        The rows before a series' first origin scale its MASE and give its baselines their intervals.
    """
    L = forecasts.shape[1]
    target = series.target[:, 0].astype(np.float64)
    starts = series.offsets[index.series]
    evaluated, window_of = np.unique(index.series, return_inverse=True)
    firsts = np.full(len(evaluated), len(target))
    np.minimum.at(firsts, window_of, index.origins)
    bounds = zip(series.offsets[evaluated], firsts, strict=True)
    histories = [target[start:first] for start, first in bounds]
    # Of the rows that a run has cut away sums are left: pairs, |d| and d².
    cut = {lag: series.earlier[evaluated, 0, PAIRS[kind]] for kind, lag in (("step", 1), ("season", season))}
    scale = np.array(
        [
            seasonal_scale(history, season, sums[:2])
            for history, sums in zip(histories, cut[season], strict=True)
        ]
    )[window_of]
    spreads = {
        lag: np.array(
            [residual_spread(history, lag, sums[::2]) for history, sums in zip(histories, of, strict=True)]
        )[window_of]
        for lag, of in cut.items()
    }
    truth = index.truth(series, L)
    compared: dict[str, Array] = {
        "model": forecasts,
        "naive": naive(target, starts, index.origins, L, quantiles, spreads[1]),
        "seasonal_naive": seasonal_naive(
            target, starts, index.origins, L, quantiles, spreads[season], season
        ),
    }
    return Evaluation(series, index, quantiles, season, truth, compared, scale)
