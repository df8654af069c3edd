"""Which columns hold the time, where none is named."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fastlstm.data.tables.table import Table
from fastlstm.data.times.parts import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    NAMES,
    QUARTER,
    WEEK,
    YEAR,
    holds_years,
    join_times,
    joined_name,
)
from fastlstm.data.times.timestamps import looks_like_time, read_times
from fastlstm.errors import DataError

TIME_NAMES = ("time", "date", "datetime", "timestamp", "day", "week", "month", "quarter", "year")
CALENDARS = ((YEAR, MONTH, DAY, HOUR, MINUTE), (YEAR, WEEK), (YEAR, QUARTER))


def find_time(table: Table, free: Sequence[str]) -> str | None:
    """Return the time column where it is not named: ``ds``, or the only one of timestamps.

    Parameters
    ----------
    table : Table
        The table.
    free : sequence of str
        The columns without a role.

    Raises
    ------
    DataError
        If there are two of timestamps.
    """
    dated = ["ds"] if "ds" in free else [name for name in free if looks_like_time(table, name)]
    if len(dated) > 1:
        raise DataError(f"{table.name}: {dated[0]!r} and {dated[1]!r} both hold times; give time")
    return dated[0] if dated else None


def called_time(table: Table, free: Sequence[str], series: str | None) -> str | None:
    """Return the only column that is called as times are and counts them in numbers, one a row of a series.

    One of text with figures in it is meant for times, and is refused where it cannot be read.

    Parameters
    ----------
    table : Table
        The table.
    free : sequence of str
        The columns without a role.
    series : str, optional
        The column that tells series apart.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    called = [name for name in free if name.casefold() in TIME_NAMES]
    if len(called) != 1:
        return None
    try:
        times = read_times(table, called[0])
    except DataError as error:
        cells = table.frame[called[0]]
        if cells.dtype == pl.String and cells.str.contains(r"\d").any():
            raise DataError(f"{error}; if it holds no times, rename it, or give another as time") from None
        return None
    moments = pl.DataFrame({"time": times.ticks})
    if series is not None:
        moments = moments.with_columns(table.frame[series].alias("series"))
    return None if moments.is_duplicated().any() else called[0]


def find_parts(table: Table, free: Sequence[str], series: str | None) -> tuple[str, ...]:
    """Return the columns that are called year, month, day and so on and together tell the time, one a row of a series.

    Parameters
    ----------
    table : Table
        The table.
    free : sequence of str
        The columns without a role.
    series : str, optional
        The column that tells series apart.

    Raises
    ------
    DataError
        If there are such columns, and a cell cannot be read.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> sales = read_table(pl.DataFrame({"month": [11, 12], "year": [2011, 2011], "sold": [5, 7]}))
    >>> find_parts(sales, sales.columns, None)
    ('year', 'month')
    """
    called = {unit: [name for name in free if name.casefold() in names] for unit, names in NAMES.items()}
    for calendar in CALENDARS:
        missing = next(
            (place for place, unit in enumerate(calendar) if len(called[unit]) != 1), len(calendar)
        )
        parts = tuple(called[unit][0] for unit in calendar[:missing])
        if len(parts) < 2 or not holds_years(table, parts[0]):
            continue
        try:
            joined, _ = join_times(table, parts)
        except DataError as error:
            raise DataError(f"{error}, or give the columns that hold the time as time") from None
        moments = joined.frame.select(joined_name(parts), *([] if series is None else [series]))
        if not moments.is_duplicated().any():
            return parts
    return ()
