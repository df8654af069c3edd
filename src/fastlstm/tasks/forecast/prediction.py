"""Forecasts past the end of series, and new rows of series whose end is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastlstm.data.scaling import Floats
from fastlstm.data.series import STEP_ARRAYS, Integers, SeriesSet
from fastlstm.data.windows import CovariateScaling, WindowIndex, Windows, with_horizon
from fastlstm.model.forecaster import ForecastEnsemble
from fastlstm.tasks.forecast.learning import forecast_windows


def forecast_ahead(
    network: ForecastEnsemble, series: SeriesSet, scaling: CovariateScaling
) -> tuple[SeriesSet, WindowIndex, Floats]:
    """Forecast the horizon after each series' last observed target.

    S series, L steps ahead, Q quantiles.

    Parameters
    ----------
    network : ForecastEnsemble
        The model.
    series : SeriesSet
        The series, with the known future of their covariates.
    scaling : CovariateScaling
        Of the covariates.

    Returns
    -------
    series : SeriesSet
        Their ends, as long as a forecast looks back, and the horizon.
    index : WindowIndex
        One window a series.
    forecasts : numpy.ndarray
        (S, L, Q), in the target's unit.

    Raises
    ------
    DataError
        If the future covariates do not reach over the horizon.
    """
    context, horizon = network.settings.context, network.settings.horizon
    series.require_future(horizon)
    ends = with_horizon(series.tail(network.reach), horizon)
    device = next(network.parameters()).device
    lag = network.settings.layout.lag
    windows = Windows(ends, scaling, context=context, horizon=horizon, lag=lag, device=device)
    index = WindowIndex(np.arange(len(ends)), ends.offsets[:-1] + ends.last_observed)
    return ends, index, forecast_windows(network, windows, index)


def continue_series(known: SeriesSet, new: SeriesSet, context: int) -> tuple[SeriesSet, Integers]:
    """Put the known end of series before their new rows.

    A series is continued where its name is known and its new rows begin after its last observed target, by no
    more than a context; the steps between are missing. Without a time column nothing tells that rows are new.

    Parameters
    ----------
    known : SeriesSet
        The ends of series.
    new : SeriesSet
        Rows of the same or other series, read with the same schema.
    context : int
        C.

    Returns
    -------
    series : SeriesSet
        The series of ``new``.
    joined : numpy.ndarray
        (S,) int64, how many steps now lie before each one's new rows.
    """
    joined = np.zeros(len(new), np.int64)
    if new.axis.kind == "row":
        return new, joined
    codes = {str(name): code for code, name in enumerate(known.names)}
    source = np.array([codes.get(str(name), -1) for name in new.names])
    candidates = np.flatnonzero(source >= 0)
    after = new.axis.origins[candidates] > known.axis.frequency.ticks(
        known.axis.origins[source[candidates]], known.last_observed[source[candidates]] - 1, known.axis.day
    )
    candidates = candidates[after]
    positions, moved = known.axis.frequency.positions(
        new.axis.origins[candidates], known.axis.origins[source[candidates]]
    )
    near = ~moved & (positions - known.last_observed[source[candidates]] <= context)
    joined[candidates[near]] = positions[near]
    if not joined.any():
        return new, joined
    origins = new.axis.origins.copy()
    origins[joined > 0] = known.axis.origins[source[joined > 0]]
    offsets = np.concatenate([[0], np.cumsum(new.lengths + joined)])
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name in STEP_ARRAYS:
        old, more = getattr(known, name), getattr(new, name)
        missing = 0 if old.dtype == np.int64 else np.nan
        arrays[name] = np.full((int(offsets[-1]), old.shape[1]), missing, old.dtype)
        for code in range(len(new)):
            arrays[name][offsets[code] + joined[code] : offsets[code + 1]] = more[
                new.offsets[code] : new.offsets[code + 1]
            ]
            if joined[code]:
                first, steps = known.offsets[source[code]], known.last_observed[source[code]]
                arrays[name][offsets[code] : offsets[code] + steps] = old[first : first + steps]
    series = replace(
        new,
        offsets=offsets,
        last_observed=new.last_observed + joined,
        axis=replace(new.axis, origins=origins),
        **arrays,  # type: ignore[arg-type]
    )
    return series, joined
