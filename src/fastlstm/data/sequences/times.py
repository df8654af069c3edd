"""When the rows of sequences are: numbers, timestamps, hours and minutes, or a count; and how long since the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.sequences.schema import SequenceSchema, SequenceTimeKind
from fastlstm.data.series.rows import Integers, Rows, find_twins, of_series
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import read_numbers
from fastlstm.data.times.frequency import SECOND
from fastlstm.data.times.timestamps import read_times
from fastlstm.errors import DataError


@dataclass(frozen=True)
class Clock:
    """When each row is, in the order of the table.

    Parameters
    ----------
    instants : numpy.ndarray
        (rows,) int64 or float64, in an order that is that of time.
    kind : {"row", "integer", "number", "elapsed", "date", "timestamp"}
        What the time column holds; ``row`` where there is none and rows are counted, ``elapsed`` of hours and minutes
        since something began (``47:59``).
    format : str, optional
        How a file writes its timestamps (``strftime``).
    """

    instants: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    kind: SequenceTimeKind
    format: str | None = None

    def elapsed(self, order: Integers, offsets: Integers) -> npt.NDArray[np.float64]:
        """Return the time since the first row of each sequence.

        Parameters
        ----------
        order : numpy.ndarray
            (N,) int64, the rows sequence by sequence, each in the order of time.
        offsets : numpy.ndarray
            (n + 1,) int64, where each sequence begins in that order.

        Returns
        -------
        numpy.ndarray
            (N,) float64, seconds for timestamps, dates, and hours and minutes, else in the unit of the column.
        """
        sorted_instants = self.instants[order]
        since = sorted_instants - np.repeat(sorted_instants[offsets[:-1]], np.diff(offsets))
        unit = SECOND if self.kind in ("date", "timestamp") else 1
        return since.astype(np.float64) / unit


def read_clock(table: Table, column: str | None, rows: Rows, known: SequenceSchema | None = None) -> Clock:
    """Read the time column, which may hold fractions too: nothing is laid on a grid.

    Parameters
    ----------
    table : Table
        The table.
    column : str, optional
        The column's name; without one the rows of a series are counted.
    rows : Rows
        Whose the rows are.
    known : SequenceSchema, optional
        How the training data were read: times must be of the same kind.

    Returns
    -------
    Clock
        When the rows are.

    Raises
    ------
    DataError
        If a cell is empty or cannot be read.

    Examples
    --------
    >>> from fastlstm.data.series.rows import read_rows
    >>> from fastlstm.data.series.schema import Columns
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"t": ["0.5", "2", "1e1"]}))
    >>> clock = read_clock(table, "t", read_rows(table, Columns(target=())))
    >>> clock.instants, clock.kind
    (array([ 0.5,  2. , 10. ]), 'number')
    """
    if column is None:
        return Clock(rows.instants, "row")
    table.require(column, "time")
    seconds = _seconds(table.frame[column])
    if seconds is not None and (known is None or known.time_kind == "elapsed"):
        return Clock(_filled(table, column, seconds), "elapsed")
    counted = known is not None and known.time_kind in ("integer", "number")
    if counted or (known is None and _holds_fractions(table.frame[column])):
        numbers = read_numbers(table, column, "time")
        return Clock(_filled(table, column, numbers), known.time_kind if counted and known else "number")
    times = read_times(table, column, known.time_format if known else None)
    if known is not None and times.kind not in ("date", "timestamp"):
        trained = "hours and minutes" if known.time_kind == "elapsed" else f"{known.time_kind}s"
        raise DataError(
            f"{table.name}: the time column {column!r} holds {times.kind}s, "
            f"that of the training data {trained}; write it the same way"
        )
    instants = times.ticks if times.instants is None else times.instants
    return Clock(instants, times.kind, times.format)


def with_clock(schema: SequenceSchema, clock: Clock) -> SequenceSchema:
    """Add what was learnt of the time column.

    Parameters
    ----------
    schema : SequenceSchema
        What else was learnt.
    clock : Clock
        The times.
    """
    return schema.model_copy(update={"time_kind": clock.kind, "time_format": clock.format})


def refuse_twins(table: Table, column: str | None, rows: Rows, clock: Clock, order: Integers) -> None:
    """Raise where two rows of a series have the same time, naming those that stand first in the table.

    Parameters
    ----------
    table : Table
        The table, for messages.
    column : str, optional
        The time column.
    rows : Rows
        Whose the rows are.
    clock : Clock
        When they are.
    order : numpy.ndarray
        (N,) int64, the rows sequence by sequence, each in the order of time.

    Raises
    ------
    DataError
        If there are such rows.
    """
    if column is None:
        return
    twins = find_twins(order, rows.codes[order], clock.instants[order])
    if twins is None:
        return
    earlier, later = twins
    whose = rows.names[rows.codes[later]]
    first = table.where(earlier).removeprefix(f"{table.name}, ")
    mend = "keep one of the two rows"
    if whose is None:
        mend += ", or name the column that tells sequences apart as series"
    raise DataError(
        f"{table.where(later)}: {table.frame[column][later]} in column {column!r} (time){of_series(whose)} "
        f"came before, on {first}; {mend}"
    )


def _filled(table: Table, column: str, times: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Raise where a time is missing."""
    if np.isnan(times).any():
        row = int(np.isnan(times).argmax())
        raise DataError(
            f"{table.where(row)}: column {column!r} (time) is empty; fill it in or delete the row"
        )
    return times.astype(np.float64)


def _seconds(cells: pl.Series) -> npt.NDArray[np.float64] | None:
    """Return the seconds of durations and of cells like ``47:59`` and ``47:59:30``, None of a column of others.

    The hours may go on past 24, as they are counted since a beginning. Days are not guessed: a time of day that begins
    anew at midnight is no such time, and needs its date.
    """
    if cells.dtype == pl.Duration:
        seconds = cells.dt.total_microseconds().cast(pl.Float64) / 1e6
        return seconds.to_numpy()
    if cells.dtype != pl.String:
        return None
    stripped = cells.str.strip_chars()
    parts = stripped.str.extract_groups(r"^(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?$").struct.unnest()
    hours, minutes, rest = (part.cast(pl.Float64) for part in parts.get_columns())
    empty = (stripped == "").fill_null(value=True)
    if empty.all() or not (hours.is_not_null() | empty).all():
        return None
    return (3600 * hours + 60 * minutes + rest.fill_null(0)).to_numpy()


def _holds_fractions(cells: pl.Series) -> bool:
    """Whether a column holds numbers that are not all whole."""
    if cells.dtype == pl.String:
        stripped = cells.str.strip_chars()
        numbers = stripped.cast(pl.Float64, strict=False)
        if numbers.null_count() > (stripped == "").sum() + cells.null_count():
            return False
    elif cells.dtype.is_float():
        numbers = cells.cast(pl.Float64)
    else:
        return False
    numbers = numbers.drop_nulls()
    return bool(len(numbers)) and not bool((numbers == numbers.round()).all())
