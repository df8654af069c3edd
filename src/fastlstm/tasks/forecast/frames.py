"""Forecasts as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fastlstm.data.series import SeriesSet
from fastlstm.data.windows import WindowIndex
from fastlstm.training.metrics import Array

STEP = "step"  # the time column's name where the table has none


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
    target, time = columns.target[0], columns.time or STEP
    W, L, _ = forecasts.shape
    frame: dict[str, pl.Series] = {}
    if columns.series is not None:
        names = pl.Series(series.names)
        frame[columns.series] = names.gather(np.repeat(index.series, L))
    positions = index.origins - series.offsets[index.series]
    first = series.axis.origins[index.series]
    if truth is not None:
        before = series.axis.frequency.ticks(first, positions - 1, series.axis.day)
        frame["origin"] = series.axis.as_stamps(np.repeat(before, L))
    ahead = (positions[:, None] + np.arange(L)).ravel()
    frame[time] = series.axis.as_stamps(
        series.axis.frequency.ticks(np.repeat(first, L), ahead, series.axis.day)
    )
    flat = forecasts.reshape(W * L, -1)
    if truth is not None:
        frame[target] = pl.Series(truth.ravel()).fill_nan(None)
    for place, level in enumerate(quantiles):
        median = target if truth is None else f"{target}_forecast"
        frame[median if level == 0.5 else f"{target}_q{level:g}"] = pl.Series(flat[:, place])
    leading = [
        name for name in (columns.series, "origin", time, target, f"{target}_forecast") if name in frame
    ]
    return pl.DataFrame(frame).select(*leading, pl.exclude(leading))
