"""The step of a time axis: a duration, months, business days, or nothing but a count."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError, InputError

Ticks = npt.NDArray[np.int64]

SECOND = 1_000_000  # microseconds
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
SHORTEST_MONTH = 28  # days

DURATIONS = {"w": WEEK, "d": DAY, "h": HOUR, "min": MINUTE, "s": SECOND, "ms": 1000, "us": 1}
MONTHS = {"y": 12, "q": 3, "mo": 1}
# What pandas calls them; its anchors (W-SUN, QS-JAN) say where a step starts, which the data themselves show.
ALIASES = {"t": "min", "m": "mo", "ms": "mo", "me": "mo", "qs": "q", "qe": "q"}
ALIASES |= {"a": "y", "as": "y", "ys": "y", "ye": "y", "l": "ms", "u": "us"}
WORKING = "b"  # before a unit of months: their days are working days


@dataclass(frozen=True)
class Frequency:
    """A step.

    Parameters
    ----------
    kind : {"step", "duration", "month", "business"}
        What is counted: steps without a length, microseconds, months, or days from Monday to Friday.
    size : int
        How many of them a step has.
    working : bool
        Whether the day of a step of months is moved where it falls on a weekend: back where months are dated by their
        ends, else on.

    Examples
    --------
    >>> Frequency.parse("15min").seasons, Frequency.parse("MS").seasons
    ((96, 672), (12,))
    """

    kind: Literal["step", "duration", "month", "business"]
    size: int
    working: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a frequency: a count and a unit, a count alone, or what pandas calls it.

        The units are ``us ms s min h d w``, months ``mo``, quarters ``q``, years ``y``, business days ``b``, and
        ``bmo bq by`` of months and more that are dated by working days.

        Parameters
        ----------
        text : str
            The frequency. As in pandas, ``M`` and ``MS`` are months; milliseconds are ``ms`` after a number.

        Raises
        ------
        InputError
            If it is none of these.

        Examples
        --------
        >>> [str(Frequency.parse(text)) for text in ("60min", "W-SUN", "QE-DEC", "BME")]
        ['1h', '1w', '1q', '1bmo']
        """
        text = getattr(text, "freqstr", text)  # an offset of pandas
        if not isinstance(text, str):
            raise InputError(
                f"frequency is a {type(text).__name__}: give a text, for instance '15min' or '1d'"
            )
        match = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]*)(?:-[A-Za-z]{3})?\s*", text)
        unit = match[2].lower() if match else ""
        most = 7 if unit else 15  # digits, of which 64 bits hold any unit's
        count = int(match[1] or 1) if match and len(match[1]) <= most else 0
        if match and not (unit == "ms" and match[1] and match[2] == "ms"):
            unit = ALIASES.get(unit, unit)
        if count > 0 and unit in DURATIONS:
            return cls("duration", count * DURATIONS[unit])
        if count > 0 and unit in MONTHS:
            return cls("month", count * MONTHS[unit])
        months = ALIASES.get(unit.removeprefix(WORKING), unit.removeprefix(WORKING))
        if count > 0 and unit.startswith(WORKING) and months in MONTHS:
            return cls("month", count * MONTHS[months], working=True)
        if count > 0 and unit == "b":
            return cls("business", count)
        if count > 0 and unit == "" and match and match[1]:
            return cls("step", count)
        raise InputError(
            f"frequency {text!r} is not known: "
            "write a count and one of s min h d b w mo q y, for instance '15min'"
        )

    def __str__(self) -> str:
        if self.kind == "step":
            return str(self.size)
        if self.kind == "business":
            return f"{self.size}b"
        units = DURATIONS if self.kind == "duration" else MONTHS
        unit = next(unit for unit, size in units.items() if self.size % size == 0)
        return f"{self.size // units[unit]}{WORKING if self.working else ''}{unit}"

    def divides(self, step: Frequency) -> bool:
        """Whether another step is a whole number of this one.

        Parameters
        ----------
        step : Frequency
            The other.

        Examples
        --------
        >>> day = Frequency.parse("1d")
        >>> [day.divides(Frequency.parse(step)) for step in ("1h", "36h", "2w", "1mo", "1b")]
        [False, False, True, True, True]
        """
        if self.kind == step.kind:
            return step.size % self.size == 0
        return self.kind == "duration" and DAY % self.size == 0

    def told(self, moment: object) -> str:
        """Write a time for a message: without midnight, where steps are whole days or longer.

        Parameters
        ----------
        moment : object
            A time, or what a file has for it.

        Examples
        --------
        >>> Frequency.parse("1d").told("2024-03-01 00:00:00"), Frequency.parse("1h").told("2024-03-01 00:00:00")
        ('2024-03-01', '2024-03-01 00:00:00')
        """
        by_days = self.kind in ("month", "business") or (self.kind == "duration" and self.size % DAY == 0)
        return str(moment).removesuffix(" 00:00:00") if by_days else str(moment)

    @property
    def seasons(self) -> tuple[int, ...]:
        """The natural seasons in steps, the shortest first; empty where there are none."""
        if self.kind == "business":
            return (5 // self.size,) if self.size < 5 and 5 % self.size == 0 else ()
        if self.kind == "month":
            return (12 // self.size,) if self.size < 12 and 12 % self.size == 0 else ()
        if self.kind == "duration" and self.size == WEEK:
            return (52,)
        if self.kind == "duration":
            return tuple(
                cycle // self.size for cycle in (DAY, WEEK) if cycle > self.size and cycle % self.size == 0
            )
        return ()

    def positions(self, ticks: Ticks, origins: Ticks) -> tuple[Ticks, npt.NDArray[np.bool_]]:
        """How many steps each tick lies after its origin.

        Parameters
        ----------
        ticks : numpy.ndarray
            (N,) int64, not before the origins.
        origins : numpy.ndarray
            (N,) int64, the first tick of each one's series.

        Returns
        -------
        positions : numpy.ndarray
            (N,) int64, the nearest step.
        moved : numpy.ndarray
            (N,) bool, where the tick did not lie on the step.

        Examples
        --------
        >>> Frequency.parse("1h").positions(np.array([0, 2 * HOUR + 5]), np.zeros(2, np.int64))
        (array([0, 2]), array([False,  True]))
        """
        outside = np.zeros(1, np.bool_)
        if self.kind == "month":
            since = (_dates(ticks, "M") - _dates(origins, "M")).astype(np.int64)
        elif self.kind == "business":
            days = _dates(ticks, "D")
            since = np.busday_count(_dates(origins, "D"), days).astype(np.int64)
            outside = ~np.is_busday(days)
        else:
            since = ticks - origins
        return (2 * since + self.size) // (2 * self.size), (since % self.size != 0) | outside

    def ticks(self, origins: Ticks, positions: Ticks, day: int) -> Ticks:
        """Return the ticks of positions: the inverse of ``positions``.

        Parameters
        ----------
        origins : numpy.ndarray
            (N,) or () int64, the ticks of position 0.
        positions : numpy.ndarray
            (N,) int64, before or after the origin.
        day : int
            Day of the month that steps of months fall on, or the month's last where it has fewer.

        Examples
        --------
        >>> january = np.array("2023-01-31", "M8[us]").astype(np.int64)
        >>> Frequency.parse("1mo").ticks(january, np.arange(3), 31).astype("M8[us]").astype("M8[D]")
        array(['2023-01-31', '2023-02-28', '2023-03-31'], dtype='datetime64[D]')
        """
        if self.kind == "month":
            months = _dates(origins, "M") + positions * self.size
            last = (months + 1).astype("M8[D]") - np.timedelta64(1, "D")
            days = np.minimum(months.astype("M8[D]") + np.timedelta64(day - 1, "D"), last)
            if self.working:
                days = np.busday_offset(days, 0, roll="backward" if day >= SHORTEST_MONTH else "forward")
            return days.astype("M8[us]").astype(np.int64) + origins % DAY
        if self.kind == "business":
            days = np.busday_offset(_dates(origins, "D"), positions * self.size, roll="forward")
            return days.astype("M8[us]").astype(np.int64) + origins % DAY
        return origins + positions * self.size


def infer_frequency(ticks: Ticks, codes: npt.NDArray[np.int64], *, timestamps: bool, name: str) -> Frequency:
    """Return the most common step between rows that follow one another.

    Parameters
    ----------
    ticks : numpy.ndarray
        (N,) int64, rising within each series.
    codes : numpy.ndarray
        (N,) int64, which series each tick belongs to, rising.
    timestamps : bool
        Whether the ticks are microseconds since 1970.
    name : str
        The table, for messages.

    Returns
    -------
    Frequency
        Months where steps of 28 days or more keep to the calendar; business days where no day is a weekend's.

    Raises
    ------
    DataError
        If no series has two rows.

    Examples
    --------
    >>> ticks = np.array([0, 1, 2, 5]) * HOUR
    >>> str(infer_frequency(ticks, np.zeros(4, np.int64), timestamps=True, name="the frame"))
    '1h'
    """
    steps = np.diff(ticks)
    follows = (np.diff(codes) == 0) & (steps > 0)
    steps = steps[follows]
    if steps.size == 0 and len(ticks) > len(np.unique(codes)):
        raise DataError(
            f"{name}: all rows of a series have one time, so the step is unknown; name the column that tells series "
            "apart as series, or another as time"
        )
    if steps.size == 0:
        raise DataError(
            f"{name}: no series has two rows at different times, so the step is unknown; give frequency"
        )
    sizes, counts = np.unique(steps, return_counts=True)
    size = int(sizes[counts.argmax()])
    if not timestamps:
        return Frequency("step", size)
    if counts.max() < 0.3 * steps.size:
        size = _round_duration(float(np.median(steps)))
    if size >= 28 * DAY:
        months = np.diff(_dates(ticks, "M").astype(np.int64))[follows]
        common = int(np.bincount(months).argmax())
        keeps_day = np.unique(days_of_month(ticks)).size == 1 or bool(_ends_month(ticks).all())
        if common > 0 and (keeps_day or (sizes.size > 1 and (months == common).mean() >= 0.8)):
            return _months(common, ticks)
    weekdays = (ticks // DAY + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    if size == DAY and weekdays.max() < 5 and bool((steps == 3 * DAY).any()):
        return Frequency("business", 1)
    return Frequency("duration", size)


def are_regular(ticks: Ticks) -> bool:
    """Whether times lie one step apart, of a duration or of months, without a gap.

    Parameters
    ----------
    ticks : numpy.ndarray
        (N,) int64 microseconds since 1970, in any order.

    Examples
    --------
    >>> days = [["2011-01-01", "2011-02-01", "2011-03-01"], ["2011-01-01", "2011-01-02", "2011-02-01"]]
    >>> [are_regular(np.array(some, "M8[us]").astype(np.int64)) for some in days]
    [True, False]
    """
    ticks = np.unique(ticks)
    months = _dates(ticks, "M")
    in_month = ticks - months.astype("M8[us]").astype(np.int64)
    by_months = len(np.unique(in_month)) == 1 and len(np.unique(np.diff(months))) == 1
    return by_months or len(np.unique(np.diff(ticks))) == 1


def _months(size: int, ticks: Ticks) -> Frequency:
    """Return a step of months, of working days where those explain what the calendar's own do not."""
    day, still = usual_day(ticks), np.zeros(len(ticks), np.int64)
    found = Frequency("month", size)
    moved = replace(found, working=True)
    explained = (moved.ticks(ticks, still, day) == ticks).all() and (
        found.ticks(ticks, still, day) != ticks
    ).any()
    return moved if explained else found


def days_of_month(ticks: Ticks) -> Ticks:
    """Return the day of the month of each tick, from 1.

    Parameters
    ----------
    ticks : numpy.ndarray
        (N,) int64 microseconds since 1970.

    Examples
    --------
    >>> days_of_month(np.array([0, 40 * DAY]))
    array([ 1, 10])
    """
    days: Ticks = (_dates(ticks, "D") - _dates(ticks, "M").astype("M8[D]")).astype(np.int64)
    return days + 1


def usual_day(ticks: Ticks) -> int:
    """Return the day of the month that months are dated by: the latest where they end, else the most common.

    Parameters
    ----------
    ticks : numpy.ndarray
        (N,) int64 microseconds since 1970.

    Examples
    --------
    >>> ends, first_working_days = (
    ...     np.array(days, "M8[us]").astype(np.int64)
    ...     for days in (["2024-01-31", "2024-02-29"], ["2024-07-01", "2024-08-01", "2024-09-02"])
    ... )
    >>> usual_day(ends), usual_day(first_working_days)
    (31, 1)
    """
    days, counts = np.unique(days_of_month(ticks), return_counts=True)
    return int(days[-1] if days[-1] >= SHORTEST_MONTH else days[counts.argmax()])


def _ends_month(ticks: Ticks) -> npt.NDArray[np.bool_]:
    ends: npt.NDArray[np.bool_] = days_of_month(ticks + DAY) == 1
    return ends


def _dates(ticks: Ticks, unit: Literal["D", "M"]) -> npt.NDArray[np.datetime64]:
    return ticks.astype("M8[us]").astype(f"M8[{unit}]")


def _round_duration(size: float) -> int:
    """Return the step that people choose nearest to ``size``, about which an irregular clock jitters."""
    chosen = [n * SECOND for n in (1, 2, 5, 10, 15, 20, 30)] + [n * MINUTE for n in (1, 2, 5, 10, 15, 20, 30)]
    chosen += [n * HOUR for n in (1, 2, 3, 4, 6, 8, 12)] + [DAY, WEEK]
    nearest = min(chosen, key=lambda step: abs(step - size))
    return nearest if abs(nearest - size) <= 0.05 * size else max(round(size), 1)
