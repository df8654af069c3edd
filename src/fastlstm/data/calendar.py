"""Calendar features: where a step lies in the day, the week, the month and the year, as sines and cosines.

With k harmonics a cycle gives the 2k features ``sin(2πjφ), cos(2πjφ)``, ``j = 1 … k``, of its phase φ in [0,
1). Three harmonics tell seven weekdays apart as well as one indicator a day would.

A few waves cannot tell the days between Christmas and New Year from the weeks around them. For networks that
look at the weeks one by one (:class:`fastlstm.model.inputs.WeeksOfTheYear`) the last feature then is the place
in the year itself, in weeks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.data.frequency import DAY, HOUR, WEEK, Frequency, Ticks

PLACE_IN_YEAR = "place in year"
WEEKS = 52
YEARS = 1.9

# cycle: how many harmonics
CYCLES = {"hour": 1, "day": 3, "week": 3, "month": 1, "year": 2, PLACE_IN_YEAR: 0}


def calendar_cycles(frequency: Frequency, span: int) -> tuple[str, ...]:
    """Return the cycles that a frequency makes meaningful.

    Parameters
    ----------
    frequency : Frequency
        The step.
    span : int
        Microseconds from the first to the last row; the year counts only where nearly two were seen: what is
        learnt of one alone is when in it things happened to happen.

    Returns
    -------
    tuple of str
        Keys of ``CYCLES``.

    Examples
    --------
    >>> calendar_cycles(Frequency.parse("1h"), 2 * 365 * DAY)
    ('day', 'week', 'year', 'place in year')
    >>> calendar_cycles(Frequency.parse("1d"), 90 * DAY)
    ('week', 'month')
    """
    year = ("year",) if span > YEARS * 365 * DAY else ()
    if frequency.kind == "step":
        return ()
    if frequency.kind == "month":
        return year if frequency.size < 12 else ()
    if frequency.kind == "business":
        return ("week", "month", *year)
    hour = ("hour",) if frequency.size < HOUR else ()
    day = ("day",) if frequency.size < DAY else ()
    week = ("week",) if frequency.size < WEEK else ()
    month = ("month",) if frequency.size == DAY else ()
    place = (PLACE_IN_YEAR,) if year and frequency.size <= DAY else ()
    return (*hour, *day, *week, *month, *year, *place)


def calendar_features(ticks: Ticks, cycles: Sequence[str]) -> npt.NDArray[np.float32]:
    """Sines and cosines of each tick's phases.

    Parameters
    ----------
    ticks : numpy.ndarray
        (N,) int64 microseconds since 1970, on the local clock.
    cycles : sequence of str
        Keys of ``CYCLES``.

    Returns
    -------
    numpy.ndarray
        (N, C) float32, C twice the sum of the cycles' harmonics, and the place in the year last.

    Examples
    --------
    >>> calendar_features(np.array([6 * HOUR]), ["day"])[0, :2].round(6)
    array([1., 0.], dtype=float32)
    """
    weeks = int(PLACE_IN_YEAR in cycles)
    features = np.empty((len(ticks), 2 * sum(CYCLES[cycle] for cycle in cycles) + weeks), np.float32)
    column = 0
    for cycle in cycles:
        if cycle == PLACE_IN_YEAR:
            features[:, column] = WEEKS * _phase(ticks, "year")
            continue
        angle = 2 * np.pi * _phase(ticks, cycle)
        for harmonic in range(1, CYCLES[cycle] + 1):
            features[:, column] = np.sin(harmonic * angle)
            features[:, column + 1] = np.cos(harmonic * angle)
            column += 2
    return features


def _phase(ticks: Ticks, cycle: str) -> npt.NDArray[np.float64]:
    """Return the phase in [0, 1); the week's moves by whole days, so as not to repeat what the day's says."""
    if cycle == "hour":
        return (ticks % HOUR) / HOUR
    if cycle == "day":
        return (ticks % DAY) / DAY
    if cycle == "week":
        return ((ticks // DAY + 3) % 7) / 7  # 1970-01-01 was a Thursday; Monday is 0
    stamps = ticks.astype("M8[us]")
    unit = "M8[M]" if cycle == "month" else "M8[Y]"
    start = stamps.astype(unit)
    length = (start + 1).astype("M8[D]") - start.astype("M8[D]")
    since = stamps.astype("M8[D]") - start.astype("M8[D]")
    phase: npt.NDArray[np.float64] = since.astype(np.float64) / length.astype(np.float64)
    return phase
