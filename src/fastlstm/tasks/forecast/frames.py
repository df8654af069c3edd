"""Forecasts as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fastlstm.data.series.schema import free_name
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.windows import WindowIndex
from fastlstm.data.tables.table import refuse_names
from fastlstm.training.metrics import Array

PATH = "path"
ORIGIN = "origin"


def refuse_own_names(series: SeriesSet, quantiles: Sequence[float]) -> None:
    """Raise where a column is called as one of those that ``predict`` and ``evaluate`` write.

    Parameters
    ----------
    series : SeriesSet
        The series that were read.
    quantiles : sequence of float
        Q levels.

    Raises
    ------
    DataError
        The message names the column.
    """
    columns = series.schema.columns
    targets = list(map(str, series.names)) if columns.wide else list(columns.target)
    time = columns.shown_time
    own = [_quantile(target, level) for target in targets for level in quantiles if level != 0.5]
    own += [_middle(target) for target in targets]
    refuse_names(series.source, [*targets, columns.series, time, *columns.time_parts], own)
    refuse_names(series.source, targets, [time])


def _quantile(target: str, level: float) -> str:
    """Name the column of a quantile that is not the median."""
    return f"{target}_q{level:.15g}"


def _middle(target: str) -> str:
    """Name the column of the median where the truth has the target's own name."""
    return f"{target}_forecast"


def forecast_frame(
    series: SeriesSet,
    index: WindowIndex,
    forecasts: Array,
    quantiles: Sequence[float],
    truth: Array | None = None,
) -> pl.DataFrame:
    """Forecasts, one row a window and step ahead.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins.
    forecasts : numpy.ndarray
        (W, L, Q), in the target's unit.
    quantiles : sequence of float
        Q levels, 0.5 among them.
    truth : numpy.ndarray, optional
        (W, L). With it the frame tells each forecast's origin, and holds the truth beside the forecast.

    Returns
    -------
    polars.DataFrame
        The series and time columns under their own names, the median under the target's own name, and
        ``NAME_q0.1`` and so on. With ``truth`` the target is the truth, and the median is ``NAME_forecast``.
    """
    columns = series.schema.columns
    target, time = columns.target[0], columns.shown_time
    origin = free_name(ORIGIN, (columns.series, time, *columns.time_parts, target))
    median = target if truth is None else _middle(target)
    W, L, _ = forecasts.shape
    frame: dict[str, pl.Series] = {}
    if columns.series is not None:
        names = pl.Series(series.names)
        frame[columns.series] = names.gather(np.repeat(index.series, L))
    if truth is not None:
        before = series.axis.ticks_at(index.series, index.positions(series) - 1)
        frame[origin] = series.axis.as_stamps(np.repeat(before, L))
    frame[time] = _stamps(series, index, L)
    flat = forecasts.reshape(W * L, -1)
    if truth is not None:
        frame[target] = pl.Series(truth.ravel()).fill_nan(None)
    for place, level in enumerate(quantiles):
        frame[median if level == 0.5 else _quantile(target, level)] = pl.Series(flat[:, place])
    order = dict.fromkeys((columns.series, origin, time, target, median))  # the last two may be one
    leading = [name for name in order if name in frame]
    return pl.DataFrame(frame).select(*leading, pl.exclude(leading))


def paths_frame(series: SeriesSet, index: WindowIndex, drawn: Array) -> tuple[pl.DataFrame, str]:
    """Lay out sampled paths, one row a window, path and step ahead.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins.
    drawn : numpy.ndarray
        (W, N, L), in the target's unit.

    Returns
    -------
    frame : polars.DataFrame
        The series column under its own name, ``path`` (1 … N), and time and target under their own names.
    path : str
        What the column of paths is called: ``path``, with ``_`` behind it where a column of the table has that name.
    """
    columns = series.schema.columns
    W, N, L = drawn.shape
    taken = (columns.series, columns.shown_time, *columns.time_parts, *columns.target, *columns.among)
    path = free_name(PATH, (*taken, *(series.names if columns.wide else ())))
    frame: dict[str, pl.Series] = {}
    if columns.series is not None:
        frame[columns.series] = pl.Series(series.names).gather(np.repeat(index.series, N * L))
    frame[path] = pl.Series(np.tile(np.repeat(np.arange(1, N + 1), L), W))
    again = np.broadcast_to(np.arange(W * L).reshape(W, 1, L), drawn.shape)
    frame[columns.shown_time] = _stamps(series, index, L).gather(again.ravel())
    frame[columns.target[0]] = pl.Series(drawn.ravel())
    return pl.DataFrame(frame), path


def _stamps(series: SeriesSet, index: WindowIndex, horizon: int) -> pl.Series:
    """Return the (W L) times of each window's horizon."""
    ahead = (index.positions(series)[:, None] + np.arange(horizon)).ravel()
    return series.axis.as_stamps(series.axis.ticks_at(np.repeat(index.series, horizon), ahead))
