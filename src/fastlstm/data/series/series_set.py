"""Many series in one flat buffer, on a regular grid in time, with what is missing marked and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastlstm.data.ragged import codes_of, offsets_of, ranges
from fastlstm.data.series.gaps import GapReport
from fastlstm.data.series.history import add_pairs, summarise
from fastlstm.data.series.rows import Floats, Integers, of_series
from fastlstm.data.series.schema import Schema
from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.data.tables.frames import Kind
from fastlstm.data.times.axis import TimeAxis
from fastlstm.data.times.frequency import Frequency
from fastlstm.errors import DataError
from fastlstm.wording import listed, many

__all__ = ["SERIES_ARRAYS", "STEP_ARRAYS", "Floats", "GapReport", "Integers", "SeriesSet", "make_axis"]

# The arrays with one row a step, and those with one row a series.
STEP_ARRAYS = ("target", "past", "future", "past_categories", "future_categories")
SERIES_ARRAYS = ("static", "static_categories", "earlier")


@dataclass(frozen=True)
class SeriesSet:
    """Series, one after the other in flat arrays: series ``s`` is rows ``offsets[s]:offsets[s + 1]``.

    N is the number of steps of all series together, S that of series, K that of targets; the widths of the
    covariate arrays are those of ``schema.numeric(role)`` and ``schema.categorical(role)``.

    Parameters
    ----------
    names : list
        S series ids, text or integers; ``[None]`` where there is no series column.
    offsets : numpy.ndarray
        (S + 1,) int64.
    target : numpy.ndarray
        (N, K) float32, NaN where missing: a gap in the time axis or an empty cell.
    past, future : numpy.ndarray
        (N, ·) float32, numeric covariates, NaN where missing.
    past_categories, future_categories : numpy.ndarray
        (N, ·) int64, codes of categorical covariates, 0 where missing or unknown.
    static, static_categories : numpy.ndarray
        (S, ·) float32 and int64, likewise.
    earlier : numpy.ndarray
        (S, K, 9) float32: of the targets before the first step, which :meth:`tail` has cut away, the number of values,
        the least and the greatest, and how far they lay from each other (:mod:`fastlstm.data.series.history`).
    last_observed : numpy.ndarray
        (S,) int64, the position just past the last step at which a target is known; the steps from there on
        are the known future of the covariates.
    axis : TimeAxis
        Position ↔ time.
    schema : Schema
        How the table was read.
    report : GapReport
        What was missing.
    kind : {"file", "pandas", "polars", "pyarrow"}
        The kind of table that was given, for :func:`fastlstm.data.tables.frames.give_back`.
    source : str
        What messages call the table: the file's path, or ``"the frame"``.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data import Columns, read_series
    >>> table = pl.DataFrame({"shop": ["a", "a", "b"], "hour": [1, 3, 1], "sold": [5, 7, 2]})
    >>> series = read_series(table, Columns(target=("sold",), time="hour", series="shop"), frequency="1")
    >>> series.names, series.offsets, series.target[:, 0]
    (['a', 'b'], array([0, 3, 4]), array([ 5., nan,  7.,  2.], dtype=float32))
    """

    names: list[Any]
    offsets: Integers
    target: Floats
    past: Floats
    future: Floats
    past_categories: Integers
    future_categories: Integers
    static: Floats
    static_categories: Integers
    earlier: Floats
    last_observed: Integers
    axis: TimeAxis
    schema: Schema
    report: GapReport
    kind: Kind = "file"
    source: str = "the training data"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> Integers:
        """(S,) int64, the steps of each series, those of its known future too."""
        return np.diff(self.offsets)

    @cached_property
    def positions(self) -> Integers:
        """(N,) int64, where each step lies in its series."""
        return ranges(0, self.lengths)

    @cached_property
    def codes(self) -> Integers:
        """(N,) int64, which series each step is of."""
        return codes_of(self.lengths)

    @cached_property
    def calendar(self) -> Floats:
        """(N, C) float32, calendar features of every step; ``axis.features`` gives those past the end."""
        return self.axis.features(self.axis.ticks_at(self.codes, self.positions))

    def called(self, codes: Iterable[int]) -> str:
        """Name series, for a message.

        Parameters
        ----------
        codes : iterable of int
            Which; one may come several times.
        """
        names = [self.names[code] for code in sorted(set(codes))]
        return "the only series" if names == [None] else f"series {listed(names, form=str, counted=True)}"

    def tail(self, steps: int | Integers, *, season: int | None = None) -> Self:
        """Return the last observed steps of each series and its known future: what a forecast needs.

        Parameters
        ----------
        steps : int or numpy.ndarray
            How many observed steps to keep, where there are as many; (S,) where each keeps its own number.
        season : int, optional
            Sum up in ``earlier`` how far values a step and a season apart lay from each other, too.

        Returns
        -------
        SeriesSet
            The same series, shorter.

        Examples
        --------
        >>> import polars as pl
        >>> from fastlstm.data import Columns, read_series
        >>> series = read_series(pl.DataFrame({"sold": range(100)}), Columns(target=("sold",)))
        >>> series.tail(2).target[:, 0], series.tail(2).axis.stamps(0, 0, 2).to_list()
        (array([98., 99.], dtype=float32), [98, 99])
        """
        starts = np.maximum(self.last_observed - steps, 0)
        lengths = self.lengths - starts
        first = self.offsets[:-1]
        rows = ranges(first + starts, lengths)
        kept = {name: getattr(self, name)[rows] for name in STEP_ARRAYS}
        earlier = summarise(self.target, first, starts, self.earlier)
        if season is not None:
            bounds = np.stack([first, first + self.last_observed], axis=1)
            earlier = add_pairs(self.target, bounds, first + starts, season, earlier)
        return replace(
            self,
            offsets=offsets_of(lengths),
            last_observed=self.last_observed - starts,
            axis=self.axis.shifted(starts),
            earlier=earlier,
            **kept,
        )

    def resized(self, lengths: Integers) -> Self:
        """Cut each series short, or lengthen it by steps at which nothing is known but the calendar.

        Parameters
        ----------
        lengths : numpy.ndarray
            (S,) int64, the steps that each series is to have.

        Returns
        -------
        SeriesSet
            The same series; ``last_observed`` moves only where a series is cut before it.

        Examples
        --------
        >>> import polars as pl
        >>> from fastlstm.data import Columns, read_series
        >>> series = read_series(pl.DataFrame({"sold": [5.0, 7.0]}), Columns(target=("sold",)))
        >>> series.resized(np.array([3])).target[:, 0]
        array([ 5.,  7., nan], dtype=float32)
        """
        offsets = offsets_of(lengths)
        kept = np.minimum(lengths, self.lengths)
        sources, places = ranges(self.offsets[:-1], kept), ranges(offsets[:-1], kept)
        arrays: dict[str, Any] = {}
        for name in STEP_ARRAYS:
            old = getattr(self, name)
            fill = 0 if old.dtype == np.int64 else np.nan
            arrays[name] = np.full((int(offsets[-1]), old.shape[1]), fill, old.dtype)
            arrays[name][places] = old[sources]
        return replace(self, offsets=offsets, last_observed=np.minimum(self.last_observed, lengths), **arrays)

    def require_future(self, horizon: int) -> None:
        """Raise where the future covariates do not reach over the horizon.

        Parameters
        ----------
        horizon : int
            Steps ahead, counted from each series' last observed target.

        Raises
        ------
        DataError
            If a future covariate ends early; the message says until when it reaches and
            until when it must. Or if none has a value in the horizon.
        """
        if not self.schema.columns.future_covariates:
            return
        must = self.last_observed + horizon
        reach = {
            name: self._past_last(~np.isnan(self.future[:, column]))
            for column, name in enumerate(self.schema.numeric("future"))
        }
        ends = np.minimum.reduce([self.lengths, *reach.values()])
        short = np.flatnonzero(ends < must)
        if short.size:
            series = int(short[0])
            names = [
                name for name, end in reach.items() if end[series] < must[series] <= self.lengths[series]
            ]
            told = f" {listed(names)}" if names else ""
            reaches = self.when(series, int(ends[series]) - 1) if ends[series] else "before its start"
            raise DataError(
                f"{self.source}: the future covariates{told}{of_series(self.names[series])} reach until {reaches} and "
                f"must reach until {self.when(series, int(must[series]) - 1)}, {many(horizon, 'step')} after the last "
                "known target: give those rows with the target left empty, or in a table of their own as future"
            )
        if not self.schema.numeric("future"):
            return  # a category that is missing may be one of ordinary days
        counted = running_count(~np.isnan(self.future).all(axis=1) | self.future_categories.any(axis=1))
        first = self.offsets[:-1] + self.last_observed
        silent = np.flatnonzero(counted[first + horizon] == counted[first])
        if silent.size:
            series = int(silent[0])
            raise DataError(
                f"{self.source}: the future covariates{of_series(self.names[series])} reach far enough, but none "
                f"has a value in the {many(horizon, 'step')} from "
                f"{self.when(series, int(self.last_observed[series]))} on, which are forecast: give those rows"
            )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to save; with ``names`` and ``schema`` they make the set again.

        Returns
        -------
        dict
            Name → array.
        """
        named = {name: getattr(self, name) for name in (*STEP_ARRAYS, *SERIES_ARRAYS)}
        return {
            **named,
            "offsets": self.offsets,
            "last_observed": self.last_observed,
            "origins": self.axis.origins,
        }

    def fingerprint(self) -> str:
        """Return a digest of all that learning sees of the series: the same for the same table."""
        return fingerprint(self.names, *(part for item in sorted(self.arrays().items()) for part in item))

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], names: Sequence[Any], schema: Schema, kind: Kind = "file"
    ) -> Self:
        """Return the inverse of ``arrays``.

        Parameters
        ----------
        arrays : mapping
            What ``arrays`` gave.
        names : sequence
            The series' ids.
        schema : Schema
            How the table was read.
        kind : {"file", "pandas", "polars", "pyarrow"}
            The kind of table to answer with.
        """
        named = (*STEP_ARRAYS, *SERIES_ARRAYS, "offsets", "last_observed")
        kept: dict[str, Any] = {name: arrays[name] for name in named}
        axis = make_axis(schema, arrays["origins"])
        report = GapReport(rows=len(arrays["target"]), series=len(names))
        return cls(names=list(names), axis=axis, schema=schema, report=report, kind=kind, **kept)

    def when(self, series: int, position: int) -> str:
        """Return the time of a position, for a message.

        Parameters
        ----------
        series : int
            Which series.
        position : int
            Which of its steps.
        """
        if self.axis.kind == "row":
            return f"row {position}"
        return self.axis.frequency.told(self.axis.stamps(series, position, 1)[0])

    def _past_last(self, known: npt.NDArray[np.bool_]) -> Integers:
        """Return (S,) the position just past the last of the steps (N,) that are known, 0 where none is."""
        ends = np.zeros(len(self), np.int64)
        np.maximum.at(ends, self.codes[known], self.positions[known] + 1)
        return ends


def running_count(known: npt.ArrayLike) -> Integers:
    """Return (N + 1,) how many of N rows are known before each, and in all.

    Parameters
    ----------
    known : numpy.ndarray
        (N,) bool

    Examples
    --------
    >>> running_count(np.array([True, False, True]))
    array([0, 1, 1, 2])
    """
    return np.concatenate([[0], np.cumsum(known)])


def make_axis(schema: Schema, origins: Integers) -> TimeAxis:
    """Return the time axis that a schema describes.

    Parameters
    ----------
    schema : Schema
        Frequency, kind, zone and calendar.
    origins : numpy.ndarray
        (S,) int64, the tick of each series' first row.

    Examples
    --------
    >>> from fastlstm.data.series.schema import Columns
    >>> schema = Schema(columns=Columns(target=("y",)), time_kind="integer", frequency="1")
    >>> make_axis(schema, np.array([700])).stamps(0, 1, 2).to_list()
    [701, 702]
    """
    return TimeAxis(
        frequency=Frequency.parse(schema.frequency),
        kind=schema.time_kind,
        origins=origins,
        day=schema.day,
        zone=schema.time_zone,
        format=schema.time_format,
        cycles=schema.calendar,
    )
