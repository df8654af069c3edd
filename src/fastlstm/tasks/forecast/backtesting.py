"""Backtests: forecasts from rolling origins by models that have seen nothing from their origin on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from fastlstm.checks import require_whole
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import WindowIndex
from fastlstm.errors import InputError
from fastlstm.tasks.forecast.evaluation import Evaluation, forecast_origins, judge
from fastlstm.tasks.forecast.fitting import fit_series, last_windows
from fastlstm.tasks.forecast.past import recode, series_before
from fastlstm.tasks.forecast.settings import Parameters
from fastlstm.tasks.forecast.split import split_for
from fastlstm.tasks.forecast.vocabulary import keep_training_categories
from fastlstm.training.learner import pass_interrupt_on
from fastlstm.wording import many

logger = logging.getLogger("fastlstm")


@dataclass(frozen=True)
class Origins:
    """Where a backtest forecasts from, and which of its forecasts share a model.

    S series, W windows in all, G models.

    Parameters
    ----------
    index : WindowIndex
        W origins, rising within each series.
    groups : numpy.ndarray
        (W,) int64, the model that forecasts each, 0 … G - 1 from the oldest to the newest.
    ends : numpy.ndarray
        (G, S) int64, the position from which on a model may see nothing of a series; 0 or less where there is
        nothing before.
    """

    index: WindowIndex
    groups: Integers
    ends: Integers


def check_rolling(
    horizon: int, windows: int, stride: int | None = None, refit: bool | int = False
) -> tuple[int, int, int]:
    """Check how a backtest is to roll.

    Parameters
    ----------
    horizon, windows, stride, refit
        As of ``lay_origins``.

    Returns
    -------
    windows, stride, refit : int
        What they come to.

    Raises
    ------
    InputError
        If one is out of range.

    Examples
    --------
    >>> check_rolling(24, 4, refit=True)
    (4, 24, 1)
    """
    horizon = require_whole("horizon", horizon, least=1)
    windows = require_whole("windows", windows, least=1)
    stride = horizon if stride is None else require_whole("stride", stride, least=1)
    return windows, stride, int(refit) if isinstance(refit, bool) else require_whole("refit", refit, least=0)


def lay_origins(
    series: SeriesSet, horizon: int, windows: int, stride: int | None = None, refit: bool | int = False
) -> Origins:
    """Lay the origins of a backtest, counted back from the end of each series.

    Parameters
    ----------
    series : SeriesSet
        The series.
    horizon : int
        L.
    windows : int
        How many origins a series has, where it is long enough.
    stride : int, optional
        Steps from one origin to the next. Default: L.
    refit : bool or int
        Every how many origins a new model is fitted; True is 1, False or 0 one model for all.

    Raises
    ------
    InputError
        If no series is longer than a horizon, or a number is out of range.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> series = read_series(pl.DataFrame({"y": range(20)}), Columns(target=("y",)))
    >>> origins = lay_origins(series, 4, windows=3, stride=2, refit=2)
    >>> origins.index.origins, origins.groups, origins.ends[:, 0]
    (array([12, 14, 16]), array([0, 0, 1]), array([12, 16]))
    """
    windows, stride, refit = check_rolling(horizon, windows, stride, refit)
    index = last_windows(series, horizon, windows, stride)
    every = refit or windows
    last, positions = series.last_observed - horizon, index.positions(series)
    from_end = (last[index.series] - positions) // stride
    groups = (windows - 1 - from_end) // every
    oldest = windows - 1 - np.arange(0, windows, every)  # origin of each model, counted from the newest
    ends = last[None] - stride * oldest[:, None]
    # A series too short for a model's oldest origin is held back from its own first one on.
    own = np.full(ends.shape, np.iinfo(np.int64).max)
    np.minimum.at(own, (groups, index.series), positions)
    return Origins(index, groups, np.where(own < np.iinfo(np.int64).max, own, ends))


def describe_fewer(origins: Origins, windows: int, series: SeriesSet) -> list[str]:
    """Say of how many series fewer origins were laid than asked for.

    Parameters
    ----------
    origins : Origins
        Those that were laid.
    windows : int
        How many a series was to have.
    series : SeriesSet
        The series.
    """
    laid = np.bincount(origins.index.series, minlength=len(series))
    short = int((laid < windows).sum())
    if not short:
        return []
    if len(series) == 1:
        return [f"the rows reach for {many(int(laid[0]), 'window')} instead of {windows:,}"]
    return [f"{short:,} of {len(series):,} series: rows for fewer than {many(windows, 'window')}"]


def backtest(series: SeriesSet, origins: Origins, parameters: Parameters, season: int) -> Evaluation:
    """Forecast from every origin with a model that is fitted to its past.

    Parameters
    ----------
    series : SeriesSet
        The series.
    origins : Origins
        Where from.
    parameters : Parameters
        The configuration of the models.
    season : int
        Of seasonal-naive and MASE, in steps.

    Returns
    -------
    Evaluation
        All forecasts.

    Raises
    ------
    InputError
        If nothing lies before the first origin to learn from.
    """
    quantiles = parameters.quantiles
    forecasts = np.full((len(origins.groups), parameters.horizon, len(quantiles)), np.nan)
    groups = np.unique(origins.groups)
    for number, group in enumerate(groups, start=1):
        logger.info("fitting a model to the rows before %s", _before(number, len(groups)))
        past = series_before(series, origins.ends[group])
        if len(past) == 0:
            raise InputError("nothing lies before the first origin to learn from: give fewer windows")
        try:
            past = keep_training_categories(past, split_for(parameters, past).training)
            fitted = fit_series(parameters, past, season)
        except InputError as error:
            raise InputError(
                f"before {_before(number, len(groups))} {error}; or give fewer windows"
            ) from None
        pass_interrupt_on(fitted.report.training)
        chosen = origins.groups == group
        index = WindowIndex(origins.index.series[chosen], origins.index.origins[chosen])
        alike = recode(series, past.schema)
        forecasts[chosen] = forecast_origins(fitted.model, alike, index, np.maximum(origins.ends[group], 0))
    return judge(series, origins.index, forecasts, quantiles, season)


def _before(number: int, count: int) -> str:
    return "the first origin" if count == 1 else f"the origins of part {number} of {count}"
