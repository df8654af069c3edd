"""The regular grid in time that series lie on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.times.calendar import calendar_features
from fastlstm.data.times.frequency import DAY, Frequency, Ticks
from fastlstm.data.times.timestamps import EPOCH, TimeKind, to_epoch


@dataclass(frozen=True)
class TimeAxis:
    """Position ↔ time for every series: position 0 is a series' first row, and each step adds one.

    Parameters
    ----------
    frequency : Frequency
        The step.
    kind : {"row", "integer", "date", "timestamp"}
        What the time column holds; ``row`` where there is none and rows are counted from 0.
    origins : numpy.ndarray
        (S,) int64, the tick of each series' position 0: microseconds since 1970 (UTC where steps are shorter
        than a day and there is a time zone, otherwise the local clock), or integers.
    day : int
        Day of the month that steps of months fall on, or the month's last where it has fewer.
    zone : str, optional
        The time zone of the time column.
    format : str, optional
        How the file writes its timestamps (``strftime``), or ``epoch s`` and so on where they are numbers.
    cycles : tuple of str
        The calendar's features: keys of :data:`fastlstm.data.times.calendar.CYCLES`.
    """

    frequency: Frequency
    kind: TimeKind
    origins: Ticks
    day: int = 1
    zone: str | None = None
    format: str | None = None
    cycles: tuple[str, ...] = ()

    @property
    def season(self) -> int:
        """The shortest natural season in steps: 24 of hours, 7 of days; 1 where there is none."""
        return next(iter(self.frequency.seasons), 1)

    def ticks(self, series: int, start: int, count: int) -> Ticks:
        """Return the ticks of ``count`` positions of a series from ``start`` on, which may lie past its end.

        Parameters
        ----------
        series : int
            Which series.
        start : int
            The first position.
        count : int
            How many.

        Returns
        -------
        numpy.ndarray
            (count,) int64.
        """
        return self.ticks_at(series, np.arange(start, start + count, dtype=np.int64))

    def ticks_at(self, series: int | Ticks, positions: Ticks) -> Ticks:
        """Return the ticks of positions, which may lie before or past the ends of their series.

        Parameters
        ----------
        series : int or numpy.ndarray
            Which series they are of; (N,) int64 where each is of its own.
        positions : numpy.ndarray
            (N,) int64.

        Returns
        -------
        numpy.ndarray
            (N,) int64.
        """
        return self.frequency.ticks(self.origins[series], positions, self.day)

    def stamps(self, series: int, start: int, count: int) -> pl.Series:
        """Return the times of ``count`` positions from ``start`` on, as the time column holds them.

        Parameters
        ----------
        series : int
            Which series.
        start : int
            The first position; may lie past the series' end.
        count : int
            How many.

        Returns
        -------
        polars.Series
            (count,) timestamps, dates or integers.

        Examples
        --------
        >>> axis = TimeAxis(Frequency.parse("1mo"), "date", np.array([0]))
        >>> axis.stamps(0, 11, 2).to_list()
        [datetime.date(1970, 12, 1), datetime.date(1971, 1, 1)]
        """
        return self.as_stamps(self.ticks(series, start, count))

    def as_stamps(self, ticks: Ticks) -> pl.Series:
        """Ticks as the time column holds them.

        Parameters
        ----------
        ticks : numpy.ndarray
            (N,) int64.

        Returns
        -------
        polars.Series
            (N,) timestamps, dates or integers.
        """
        column = pl.Series(ticks, dtype=pl.Int64)
        if self.kind in ("row", "integer"):
            return column
        if self.format is not None and self.format.startswith(EPOCH):
            return to_epoch(column, self.format)
        stamps = column.cast(pl.Datetime("us"))
        if self.kind == "date":
            return stamps.cast(pl.Date)
        if self.zone is None:
            return stamps
        if self._counts_instants:
            return stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone)
        return _on_local_clock(stamps, self.zone)

    def features(self, ticks: Ticks) -> npt.NDArray[np.float32]:
        """Calendar features of ticks.

        Parameters
        ----------
        ticks : numpy.ndarray
            (N,) int64.

        Returns
        -------
        numpy.ndarray
            (N, C) float32; C is 0 where steps have no place in the calendar.

        Examples
        --------
        >>> axis = TimeAxis(Frequency.parse("1h"), "timestamp", np.zeros(1, np.int64), cycles=("day",))
        >>> axis.features(axis.ticks(0, 18, 1))[0, :2].round(6) + 0.0
        array([-1.,  0.], dtype=float32)
        """
        if self.cycles and self._counts_instants and self.zone is not None:
            local = self.as_stamps(ticks).dt.replace_time_zone(None)
            ticks = local.to_physical().to_numpy().astype(np.int64)
        return calendar_features(ticks, self.cycles)

    def shifted(self, positions: npt.NDArray[np.int64]) -> Self:
        """Return the axis whose position 0 is another position of each series.

        Parameters
        ----------
        positions : numpy.ndarray
            (S,) int64, the new origins.

        Examples
        --------
        >>> axis = TimeAxis(Frequency.parse("1"), "integer", np.array([700]))
        >>> axis.shifted(np.array([5])).origins
        array([705])
        """
        return replace(self, origins=self.frequency.ticks(self.origins, positions, self.day))

    @property
    def _counts_instants(self) -> bool:
        return self.zone is not None and counts_instants(self.frequency)


def counts_instants(frequency: Frequency) -> bool:
    """Whether steps are counted in UTC rather than on the local clock, where there is a time zone.

    Parameters
    ----------
    frequency : Frequency
        The step; those shorter than a day pass over the changes to and from summer time.

    Examples
    --------
    >>> counts_instants(Frequency.parse("1h")), counts_instants(Frequency.parse("1d"))
    (True, False)
    """
    return frequency.kind == "duration" and frequency.size < DAY


def _on_local_clock(stamps: pl.Series, zone: str) -> pl.Series:
    """Read stamps by a zone's clock; one that it leaps over becomes the first after the leap."""
    found = stamps.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    begun = stamps.dt.truncate("30m")
    for minutes in (30, 60, 90, 120):
        if not found.null_count() > stamps.null_count():
            break
        later = begun.dt.offset_by(f"{minutes}m")
        found = found.fill_null(later.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null"))
    return found
