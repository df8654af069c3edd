"""Where rows lie on the steps of their series, and which cannot lie there."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from fastlstm.data.ragged import offsets_of
from fastlstm.data.series.rows import Integers, Rows, find_twins, of_series
from fastlstm.data.series.schema import Schema
from fastlstm.data.series.series_set import make_axis
from fastlstm.data.tables.table import Table
from fastlstm.data.times.axis import TimeAxis, counts_instants
from fastlstm.data.times.frequency import DAY, HOUR, Frequency
from fastlstm.data.times.timestamps import Times
from fastlstm.errors import DataError

FEWEST_STEPS = 3  # by which a series' own step is told


def grid_ticks(table: Table, times: Times, schema: Schema) -> Integers:
    """Return the ticks that a schema's axis counts, of times that may come from another table.

    Parameters
    ----------
    table : Table
        The table, for messages.
    times : Times
        Its times.
    schema : Schema
        The axis.

    Returns
    -------
    numpy.ndarray
        (rows,) int64.

    Raises
    ------
    DataError
        If the times are of another kind than the schema's.
    """
    dated = ("date", "timestamp")
    if times.kind != schema.time_kind and not (times.kind in dated and schema.time_kind in dated):
        raise DataError(
            f"{table.name}: the time column {schema.columns.time!r} holds {times.kind}s, "
            f"that of the training data {schema.time_kind}s; write it the same way"
        )
    if (times.zone is None) != (schema.time_zone is None):
        here, there = (zone or "no time zone" for zone in (times.zone, schema.time_zone))
        raise DataError(
            f"{table.name}: the time column {schema.columns.time!r} has {here}, "
            f"that of the training data {there}; write it the same way"
        )
    if times.instants is not None and counts_instants(Frequency.parse(schema.frequency)):
        return times.instants
    return times.ticks


def lay_on_grid(
    table: Table, rows: Rows, order: Integers, schema: Schema
) -> tuple[TimeAxis, Integers, Integers, int]:
    """Lay rows on the steps of their series.

    Parameters
    ----------
    table : Table
        The table, for messages.
    rows : Rows
        Its rows.
    order : numpy.ndarray
        (rows,) int64, by series and time.
    schema : Schema
        The axis.

    Returns
    -------
    axis : TimeAxis
        The series' own.
    offsets : numpy.ndarray
        (S + 1,) int64, where each series begins.
    places : numpy.ndarray
        (rows,) int64, where each row lies.
    moved : int
        How many lay beside a step.

    Raises
    ------
    DataError
        If two rows fall on one step, or the steps are not those of the rows.
    """
    codes = rows.codes[order]
    firsts, lasts = series_ends(codes)
    ticks = grid_ticks(table, rows.times, schema)[order]
    axis = make_axis(schema, ticks[firsts])
    positions, moved = axis.frequency.positions(ticks, axis.origins[codes])
    _refuse_other_calendars(table, ticks - axis.origins[codes], moved, axis.frequency)
    if twins := find_twins(order, codes, positions):
        refuse_collision(table, rows, *twins, schema)
    offsets = offsets_of(positions[lasts] + 1)
    _refuse_sparse(table, rows, order, positions, int(offsets[-1]), schema)
    places = np.empty_like(rows.codes)
    places[order] = offsets[codes] + positions
    return axis, offsets, places, int(moved.sum())


def _refuse_other_calendars(
    table: Table, since: Integers, moved: npt.NDArray[np.bool_], frequency: Frequency
) -> None:
    """Raise where many rows lie whole days beside the steps, as with Mondays, Wednesdays and Fridays."""
    of_days = frequency.kind == "duration" and frequency.size % DAY == 0
    if of_days and moved.sum() > max(2, 0.1 * len(moved)) and not (since % DAY).any():
        raise DataError(
            f"{table.name}: {int(moved.sum()):,} of {len(moved):,} rows lie days beside the steps of {frequency}: give "
            "the frequency 1d, by which days without a row are masked, or leave time out, so that each row is a step"
        )


def series_ends(codes: Integers) -> tuple[Integers, Integers]:
    """Find the ends of series among rows that are sorted by them.

    Parameters
    ----------
    codes : numpy.ndarray
        (rows,) int64, which series each is of.

    Returns
    -------
    first, last : numpy.ndarray
        (S,) int64 each, rows.
    """
    firsts = np.flatnonzero(np.diff(codes, prepend=-1))
    return firsts, np.append(firsts[1:], len(codes)) - 1


def refuse_collision(table: Table, rows: Rows, earlier: int, later: int, schema: Schema) -> NoReturn:
    """Raise for two rows of a series that fall on one step.

    Parameters
    ----------
    table : Table
        The table.
    rows : Rows
        Its rows.
    earlier, later : int
        The two, counted from 0.
    schema : Schema
        How it is read.

    Raises
    ------
    DataError
        In any case.
    """
    column = schema.columns.time
    stamp = Frequency.parse(schema.frequency).told(table.frame[column][later]) if column else ""
    found = (
        f"{table.where(later)}: {stamp} in column {column!r} (time){of_series(rows.names[rows.codes[later]])}"
    )
    first = table.where(earlier).removeprefix(f"{table.name}, ")
    if rows.instants[earlier] != rows.instants[later]:
        raise DataError(
            f"{found} falls on the same step of {schema.frequency} as {first}; "
            "give a shorter frequency, or make one row of the two"
        )
    mend = "keep one of the two rows"
    if not schema.columns.series:
        mend += ", or name the column that tells series apart as series"
    if schema.time_zone is None and _clocks_go_back(int(rows.instants[later]), schema):
        mend = "write the hour that comes twice with its offset from UTC, or keep one of the two rows"
    raise DataError(f"{found} came before, on {first}; {mend}")


def _clocks_go_back(tick: int, schema: Schema) -> bool:
    """Whether a local clock may show this time twice: early on a Sunday in spring or autumn."""
    frequency = Frequency.parse(schema.frequency)
    if schema.time_kind != "timestamp" or frequency.kind != "duration" or frequency.size >= DAY:
        return False
    month = int(np.datetime64(tick, "us").astype("M8[M]").astype(np.int64)) % 12 + 1
    return (tick // DAY + 3) % 7 == 6 and tick % DAY < 4 * HOUR and month in (3, 4, 9, 10, 11)


def _refuse_sparse(
    table: Table, rows: Rows, order: Integers, positions: Integers, steps: int, schema: Schema
) -> None:
    """Raise where rows would spread over far more steps; where one gap is most of them, name who stands alone."""
    if not are_sparse(steps, len(order)):
        return
    mend = "give the frequency that the rows have"
    codes = rows.codes[order]
    gaps = np.where(np.diff(codes) == 0, np.diff(positions), 0)
    widest = int(gaps.argmax()) if len(gaps) else 0
    if len(gaps) and gaps[widest] > 0.9 * steps:
        own = np.flatnonzero(codes == codes[widest])
        before, after = widest + 1 - own[0], own[-1] - widest
        row = int(order[widest if before <= after else widest + 1])
        moment = Frequency.parse(schema.frequency).told(table.frame[schema.columns.time or ""][row])
        raise DataError(
            f"{table.where(row)}: {moment} in column {schema.columns.time!r} (time) lies {gaps[widest]:,} steps of "
            f"{schema.frequency} from the rows before or after it; correct it, or {mend}"
        )
    raise DataError(
        f"{table.name}: with a step of {schema.frequency} its {len(order):,} rows would spread over {steps:,} steps; "
        f"{mend}"
    )


def slower(codes: Integers, positions: Integers) -> dict[int, int]:
    """Find the series whose rows lie several steps apart throughout, as those of weeks among those of days.

    Parameters
    ----------
    codes, positions : numpy.ndarray
        (rows,) int64, which series each row is of and on which of its steps it lies, by series and step.

    Returns
    -------
    dict
        Which series → the fewest steps between two of its rows.

    Examples
    --------
    >>> slower(np.repeat([0, 1], 4), np.array([0, 1, 2, 9, 0, 7, 14, 21]))
    {1: 7}
    """
    steps, follows = np.diff(positions), np.diff(codes) == 0
    steps, of = steps[follows], codes[1:][follows]
    count = int(codes.max()) + 1
    least = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(least, of, steps)
    alike = np.bincount(of[steps <= 1.2 * least[of]], minlength=count)  # months are 28 to 31 days
    steps_of = np.bincount(of, minlength=count)
    found = (least > 1) & (steps_of >= FEWEST_STEPS) & (alike >= 0.8 * steps_of)
    return {int(code): int(least[code]) for code in np.flatnonzero(found)}


def are_sparse(steps: int, rows: int) -> bool:
    """Whether so many steps for so few rows come of a wrong frequency or time rather than of gaps.

    Parameters
    ----------
    steps, rows : int
        How many.
    """
    return steps > 100 * rows + 10_000
