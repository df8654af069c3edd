"""Windows by index: the whole table as tensors once, and each batch one gather of its rows.

B windows of W = C + L steps each: C of context, then L of horizon. A window is told by its series and its
origin, the flat row of the horizon's first step, so that its context is the C rows before. Rows outside the
series, or past the end that training may see, come out as zeros and not observed: a series shorter than the
context is masked on the left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.data.ragged import codes_of, ranges
from fastlstm.data.series.pooled import PooledTarget
from fastlstm.data.series.scaling import Standardizer
from fastlstm.data.series.series_set import Integers, SeriesSet, running_count


class WindowBatch(NamedTuple):
    """The windows of a batch.

    Attributes
    ----------
    series : Tensor
        (B,) int64, which series each window is of.
    target : Tensor
        (B, W), 0 where missing, in the target's unit.
    observed : Tensor
        (B, W), 1 where the target is observed, otherwise 0.
    lagged, lagged_observed : Tensor
        (B, W), the same of the step one lag before each; (B, 0) where there is no lag.
    past : Tensor
        (B, W, P), standardised past covariates and where they are missing; those of the horizon are not to be
        read.
    future : Tensor
        (B, W, F), standardised future covariates, where they are missing, and the calendar.
    past_categories, future_categories : Tensor
        (B, W, ·) int64, 0 where missing or unknown.
    static : Tensor
        (B, S), standardised static covariates and where they are missing.
    static_categories : Tensor
        (B, ·) int64, 0 where missing or unknown.
    """

    series: Tensor
    target: Tensor
    observed: Tensor
    lagged: Tensor
    lagged_observed: Tensor
    past: Tensor
    future: Tensor
    past_categories: Tensor
    future_categories: Tensor
    static: Tensor
    static_categories: Tensor

    def split(self, size: int) -> list[WindowBatch]:
        """Cut the batch into batches of so many windows, the last of what is left.

        Parameters
        ----------
        size : int
            Windows of each.
        """
        parts = zip(*(field.split(size) for field in self), strict=True)
        return [WindowBatch(*part) for part in parts]


@dataclass(frozen=True)
class CovariateScaling:
    """The standardisers of the numeric covariates, one a role.

    Parameters
    ----------
    past, future, static : Standardizer
        Fitted on training rows alone.
    target : PooledTarget
        The target over all series, likewise.
    """

    past: Standardizer
    future: Standardizer
    static: Standardizer
    target: PooledTarget = field(default=PooledTarget((), 0.0))

    @classmethod
    def fit(cls, series: SeriesSet, ends: Integers) -> Self:
        """Learn from the rows before each series' end of training.

        Parameters
        ----------
        series : SeriesSet
            The series.
        ends : numpy.ndarray
            (S,) int64, the position just past each series' last training row.
        """
        training = series.positions < np.repeat(ends, series.lengths)
        codes = series.codes[training]
        return cls(
            past=Standardizer.fit(series.past[training]),
            future=Standardizer.fit(series.future[training]),
            static=Standardizer.fit(series.static[ends > 0]),
            target=PooledTarget.fit(series.target[training, 0], codes),
        )


class Windows:
    """The rows of a table as tensors, and windows of them by index.

    Parameters
    ----------
    series : SeriesSet
        The series; the first target is the one to forecast.
    scaling : CovariateScaling
        How to standardise the covariates.
    context : int
        C.
    horizon : int
        L.
    lag : int
        Steps back to the row that ``lagged`` holds beside each, at least L so that it is known ahead; 0 for none.
    ends : numpy.ndarray, optional
        (S,) int64, positions: windows see no row from there on, as if the series ended there. Default: the
        lengths.
    device : torch.device or str
        Where the tensors lie and batches come from.
    """

    def __init__(
        self,
        series: SeriesSet,
        scaling: CovariateScaling,
        *,
        context: int,
        horizon: int,
        lag: int = 0,
        ends: Integers | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.context = context
        self.horizon = horizon
        self.lag = lag
        ends = series.lengths if ends is None else ends
        unseen = np.flatnonzero(series.positions >= np.repeat(ends, series.lengths))

        # A row of zeros, a guard, stands before each series and after the last. Rows that a window may not see
        # are moved to the nearest guard; rows from the ends on are zeros too, so that the first of them is one.
        def guarded(*parts: npt.NDArray[np.generic]) -> Tensor:
            table = np.concatenate(parts, axis=1)
            table[unseen] = 0
            return torch.from_numpy(np.insert(table, series.offsets, 0, axis=0)).to(device)

        target = series.target[:, :1]
        observed = ~np.isnan(target)
        past, future = scaling.past.transform(series.past), scaling.future.transform(series.future)
        self._target = guarded(np.where(observed, target, 0).astype(np.float32)).view(-1)
        self._observed = guarded(observed.astype(np.float32)).view(-1)
        self._numbers = guarded(past, future, series.calendar.astype(np.float32))
        self._categories = guarded(series.past_categories, series.future_categories)
        self._past, self._past_categories = past.shape[1], series.past_categories.shape[1]
        self._static = torch.from_numpy(scaling.static.transform(series.static)).to(device)
        self._static_categories = torch.from_numpy(series.static_categories).to(device)
        # The guards move series s down by s + 1 rows.
        before = series.offsets[:-1] + np.arange(len(series))
        self._guards = torch.from_numpy(np.stack([before, before + 1 + ends], axis=1)).to(device)
        self._steps = 1 + torch.arange(-context, horizon, device=device)

    def gather(self, series: Tensor, origins: Tensor) -> WindowBatch:
        """Cut windows out.

        Parameters
        ----------
        series : Tensor
            (B,) int64, which series.
        origins : Tensor
            (B,) int64, the flat row of each horizon's first step.

        Returns
        -------
        WindowBatch
            On the windows' device.
        """
        shape = len(origins), len(self._steps)
        first, last = self._guards.index_select(0, series).unsqueeze(2).unbind(1)
        steps = (origins + series).unsqueeze(1) + self._steps
        rows = steps.clamp(first, last).view(-1)
        past, future = _cut(self._numbers, rows, shape, self._past)
        past_categories, future_categories = _cut(self._categories, rows, shape, self._past_categories)
        target, observed = self._target.index_select(0, rows), self._observed.index_select(0, rows)
        lagged = lagged_observed = target.new_empty(len(origins), 0)
        if self.lag:
            rows = (steps - self.lag).clamp_(first, last).view(-1)
            lagged = self._target.index_select(0, rows).view(shape)
            lagged_observed = self._observed.index_select(0, rows).view(shape)
        return WindowBatch(
            series,
            target=target.view(shape),
            observed=observed.view(shape),
            lagged=lagged,
            lagged_observed=lagged_observed,
            past=past,
            future=future,
            past_categories=past_categories,
            future_categories=future_categories,
            static=self._static.index_select(0, series),
            static_categories=self._static_categories.index_select(0, series),
        )


def _cut(table: Tensor, rows: Tensor, shape: tuple[int, int], past: int) -> tuple[Tensor, Tensor]:
    """Gather rows of a table as (B, W, ·), and split its past columns from its future ones."""
    if not table.shape[1]:
        nothing = table.new_empty(*shape, 0)
        return nothing, nothing
    cut = table.index_select(0, rows).view(*shape, -1)
    return cut[..., :past], cut[..., past:]


class WindowIndex(NamedTuple):
    """Which windows there are: one entry a window.

    Attributes
    ----------
    series : numpy.ndarray
        (M,) int64, which series.
    origins : numpy.ndarray
        (M,) int64, the flat row of the horizon's first step.
    """

    series: Integers
    origins: Integers

    def positions(self, series: SeriesSet) -> Integers:
        """Return (M,) int64, where in its series each horizon begins.

        Parameters
        ----------
        series : SeriesSet
            The series.
        """
        return self.origins - series.offsets[self.series]

    def thinned(self, most: int) -> WindowIndex:
        """Return at most so many of the windows, evenly spread over them.

        Parameters
        ----------
        most : int
            How many.
        """
        count = len(self.origins)
        kept = np.linspace(0, count - 1, min(count, most)).round().astype(int)
        return WindowIndex(self.series[kept], self.origins[kept])

    def truth(self, series: SeriesSet, horizon: int) -> npt.NDArray[np.float64]:
        """Return (M, L) the first target in the horizons, NaN where it is missing or not known yet.

        Parameters
        ----------
        series : SeriesSet
            The series.
        horizon : int
            L.
        """
        steps = self.origins[:, None] + np.arange(horizon)
        known = steps < series.offsets[self.series + 1][:, None]
        target = series.target[:, 0].astype(np.float64)
        return np.where(known, target[np.minimum(steps, len(target) - 1)], np.nan)


def training_windows(series: SeriesSet, ends: Integers, context: int, horizon: int) -> WindowIndex:
    """Find every window to learn from: something observed in its context, and in its horizon before the end.

    Parameters
    ----------
    series : SeriesSet
        The series.
    ends : numpy.ndarray
        (S,) int64, the position just past each series' last training row.
    context, horizon : int
        C and L.

    Returns
    -------
    WindowIndex
        At every step of every series where such a window has its origin.
    """
    codes = series.codes
    rows = np.arange(series.offsets[-1])
    first = series.offsets[codes]
    end = first + ends[codes]
    observed = running_count(~np.isnan(series.target[:, 0]))
    behind = observed[rows] - observed[np.maximum(rows - context, first)]
    reach = np.minimum(rows + horizon, end)
    ahead = observed[np.maximum(reach, rows)] - observed[rows]
    usable = (behind > 0) & (ahead > 0)
    return WindowIndex(codes[usable], rows[usable])


def rolling_windows(series: SeriesSet, first: Integers, last: Integers, stride: int) -> WindowIndex:
    """Lay origins ``stride`` steps apart, counted back from the end of each series' stretch.

    Parameters
    ----------
    series : SeriesSet
        The series.
    first, last : numpy.ndarray
        (S,) int64, the stretch: no origin lies before position ``first`` or after ``last``; none at all where
        ``first`` lies behind ``last``.
    stride : int
        Steps from one origin to the next.

    Returns
    -------
    WindowIndex
        Series by series, rising in time.

    Examples
    --------
    >>> from fastlstm.data.series.reading import read_series
    >>> from fastlstm.data.series.schema import Columns
    >>> import polars as pl
    >>> series = read_series(pl.DataFrame({"y": range(10)}), Columns(target=("y",)))
    >>> rolling_windows(series, np.array([3]), np.array([8]), 2).origins
    array([4, 6, 8])
    """
    counts = np.maximum((last - first) // stride + 1, 0)
    codes = codes_of(counts)
    back = counts[codes] - 1 - ranges(0, counts)
    return WindowIndex(codes, series.offsets[codes] + last[codes] - stride * back)


def with_horizon(series: SeriesSet, horizon: int) -> SeriesSet:
    """Let every series end one horizon after its last observed target.

    Parameters
    ----------
    series : SeriesSet
        The series.
    horizon : int
        L.

    Returns
    -------
    SeriesSet
        The same series; steps that were not there are missing but for their calendar, those beyond are left
        out.
    """
    return series.resized(series.last_observed + horizon)
