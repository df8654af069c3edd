"""Calendar features: where a step lies in the day, the week, the month and the year, as sines and cosines.

With k harmonics a cycle gives the 2k features ``sin(2πjφ), cos(2πjφ)``, ``j = 1 … k``, of its phase φ in [0,
1). Three harmonics tell seven weekdays apart as well as one indicator a day would.

A few waves cannot tell the days between Christmas and New Year from the weeks around them. For networks that
look at the weeks one by one (:class:`fastlstm.model.inputs.WeeksOfTheYear`) the last feature then is the place
in the year itself, in weeks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.data.times.frequency import DAY, HOUR, WEEK, Frequency, Ticks

PLACE_IN_YEAR = "place in year"
WEEKS = 52
YEARS = 1.9
ERA = 146_097  # days of 400 years
LENGTHS = (31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28)  # of months, from March on

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
    features: npt.NDArray[np.float32] = calendar_of(torch.from_numpy(ticks), cycles).numpy()
    return features


def calendar_of(ticks: Tensor, cycles: Sequence[str]) -> Tensor:
    """Sines and cosines of each tick's phases, in operations that ONNX has too and takes exactly.

    Parameters
    ----------
    ticks : Tensor
        (…) int64 microseconds since 1970, on the local clock.
    cycles : sequence of str
        Keys of ``CYCLES``.

    Returns
    -------
    Tensor
        (…, C) float32
    """
    parts = [ticks.new_empty((*ticks.shape, 0), dtype=torch.float32)]
    turn = torch.tensor(
        2 * math.pi, dtype=torch.float64, device=ticks.device
    )  # ONNX's exporter rounds bare floats
    for cycle in cycles:
        if cycle == PLACE_IN_YEAR:
            found = WEEKS * _phase(ticks, "year")[..., None]
        else:
            harmonics = torch.arange(1, CYCLES[cycle] + 1, dtype=torch.float64, device=ticks.device)
            angles = harmonics * (turn * _phase(ticks, cycle))[..., None]
            found = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        parts.append(found.float())
    return torch.cat(parts, dim=-1)


def _phase(ticks: Tensor, cycle: str) -> Tensor:
    """Return the phase in [0, 1); the week's moves by whole days, so as not to repeat what the day's says."""
    if cycle == "hour":
        return (ticks % HOUR).double() / HOUR
    if cycle == "day":
        return (ticks % DAY).double() / DAY
    days = ticks // DAY
    if cycle == "week":
        return ((days + 3) % 7).double() / 7  # 1970-01-01 was a Thursday; Monday is 0
    of_month, of_year = _place(days)
    since, length = of_month if cycle == "month" else of_year
    return since.double() / length.double()


def _place(days: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Tell the days since the beginning of the month and its length, and those of the year, in the Gregorian calendar.

    Years are taken from March on, so that the odd day comes last; 400 of them have 146,097 days. After Richards 2013 in
    "Explanatory supplement to the astronomical almanac", section 15.11.
    """
    days = days + 719_468  # since the first of March of the year 0
    of_era = days % ERA
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // (ERA - 1)) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    of_month = of_year - (153 * month + 2) // 5
    year = year + 400 * (days // ERA) + (month >= 10)
    leap = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))).long()
    lengths = torch.tensor(LENGTHS, device=days.device)[month] + leap * (month == 11)
    of_year = torch.where(month >= 10, of_year - 306, of_year + 59 + leap)
    return (of_month, lengths), (of_year, 365 + leap)
