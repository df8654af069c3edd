"""The time column: whole numbers that count steps, or timestamps as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.table import Table
from fastlstm.errors import DataError

TimeKind = Literal["row", "integer", "date", "timestamp"]

CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
ZONED = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%b %d, %Y",
)
AMBIGUOUS = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
MEND = "write times as 2013-01-31 14:00:00, 2013-01-31 or 2013-01, or as whole numbers that count the steps"


@dataclass(frozen=True)
class Times:
    """A time column, read.

    Parameters
    ----------
    ticks : numpy.ndarray
        (rows,) int64: microseconds since 1970 on the local clock, or the integers themselves.
    kind : {"row", "integer", "date", "timestamp"}
        What the column holds; ``row`` where there is no column and rows are counted.
    format : str, optional
        How timestamps were written (``strftime``), where they were text.
    zone : str, optional
        The time zone, where the column has one.
    instants : numpy.ndarray, optional
        (rows,) int64: microseconds since 1970 in UTC, where the column has a time zone.
    """

    ticks: npt.NDArray[np.int64]
    kind: TimeKind
    format: str | None = None
    zone: str | None = None
    instants: npt.NDArray[np.int64] | None = None


def read_times(table: Table, column: str) -> Times:
    """Read the time column.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.

    Returns
    -------
    Times
        The ticks, and how they were written.

    Raises
    ------
    DataError
        If a cell is empty or cannot be read, or days and months cannot be told apart.

    Examples
    --------
    >>> from fastlstm.data.table import read_table
    >>> times = read_times(read_table(pl.DataFrame({"month": ["1970-01", "1970-02"]})), "month")
    >>> times.format, times.ticks // 86_400_000_000
    ('%Y-%m', array([ 0, 31]))
    """
    table.require(column, "time")
    cells = table.frame[column]
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
        cells = cells.set(cells == "", None)
    if cells.null_count():
        row = cells.is_null().arg_max() or 0
        raise DataError(
            f"{table.where(row)}: column {column!r} (time) is empty; fill it in or delete the row"
        )
    if cells.dtype == pl.String:
        return _from_text(table, column, cells)
    if cells.dtype.is_integer():
        return _from_integers(cells.cast(pl.Int64))
    if cells.dtype.is_float() and bool((cells == cells.round()).all()) and cells.abs().max() < 2**53:  # type: ignore[operator]
        return _from_integers(cells.cast(pl.Int64))
    if cells.dtype == pl.Date:
        return Times(_ticks(cells.cast(pl.Datetime("us"))), "date")
    if isinstance(cells.dtype, pl.Datetime):
        return _from_instants(cells.dt.cast_time_unit("us"), None)
    raise DataError(f"{table.name}: column {column!r} (time) holds {cells.dtype}; {MEND}")


def looks_like_time(table: Table, column: str) -> bool:
    """Whether a column holds timestamps, as far as its first rows show; integers do not count as such.

    One that holds them in at least half of its cells is meant to; ``read_times`` then names the others.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.

    Examples
    --------
    >>> from fastlstm.data.table import read_table
    >>> looks_like_time(read_table(pl.DataFrame({"month": ["1970-01", "1970-02"]})), "month")
    True
    """
    cells = table.frame[column].head(100)
    if cells.dtype.is_temporal():
        return True
    if cells.dtype != pl.String or cells.cast(pl.Float64, strict=False).count() > 0:
        return False
    cells = _normal(cells.str.strip_chars()).drop_nulls()
    return max(_parse(cells, form).count() for form in _formats()) > len(cells) / 2


def _from_text(table: Table, column: str, cells: pl.Series) -> Times:
    integers = cells.cast(pl.Int64, strict=False)
    if integers.null_count() == 0:
        return _from_integers(integers)
    cells = _normal(cells)
    sample = cells.head(1000)
    parsed = {form: _parse(sample, form).count() for form in _formats()}
    best = max(parsed, key=lambda form: parsed[form])
    if parsed[best] == 0:
        raise DataError(f"{table.where(0)}: {cells[0]!r} in column {column!r} (time) is no timestamp; {MEND}")
    date = best.split(" %H")[0].split(" %I")[0]
    stamps = _parse(cells, best)
    for clock in CLOCKS:  # a midnight may be written without its clock
        if stamps.null_count() and date + clock != best and best not in ZONED:
            stamps = stamps.fill_null(_parse(cells, date + clock))
    if stamps.null_count():
        row = stamps.is_null().arg_max() or 0
        raise DataError(
            f"{table.where(row)}: {table.frame[column][row]!r} in column {column!r} (time) is no timestamp "
            f"like the others ({cells[0]}); correct it"
        )
    if date in AMBIGUOUS:
        other = _parse(cells, best.replace(date, AMBIGUOUS[date]))
        if other.null_count() == 0 and not (other == stamps).all():
            raise DataError(
                f"{table.where(0)}: {cells[0]!r} in column {column!r} (time) may be day/month or month/day, "
                "and so may all the others; write them as 2013-01-31"
            )
    return _from_instants(stamps, best.replace("%.f", "").replace("%#z", "%:z"))


def _from_integers(integers: pl.Series) -> Times:
    if integers.is_between(1800_01_01, 2200_12_31).all():
        days = _parse(integers.cast(pl.String), "%Y%m%d")
        if days.null_count() == 0:
            return Times(_ticks(days), "timestamp", "%Y%m%d")
    return Times(_ticks(integers), "integer")


def _from_instants(stamps: pl.Series, form: str | None) -> Times:
    zone = stamps.dtype.time_zone if isinstance(stamps.dtype, pl.Datetime) else None
    if zone is None:
        return Times(_ticks(stamps), "timestamp", form)
    return Times(_ticks(stamps.dt.replace_time_zone(None)), "timestamp", form, zone, _ticks(stamps))


def _formats() -> list[str]:
    """Every form that is tried, the likely ones first: of two that read as many cells, the first is taken."""
    return ["%Y-%m", *ZONED, *(date + clock for date in DATES for clock in CLOCKS)]


def _normal(cells: pl.Series) -> pl.Series:
    """Write ISO's ``T`` between day and clock as a blank, and an hour alone with its minutes."""
    return cells.str.replace(r"^(\d{4}-\d{2}-\d{2})T", "$1 ").str.replace(r"^(\S+ \d{1,2})$", "$1:00")


def _parse(cells: pl.Series, form: str) -> pl.Series:
    if form == "%Y-%m":
        months = pl.when(cells.str.contains(r"^\d{4}-\d{1,2}$")).then(cells + "-01")
        return _parse(pl.select(months).to_series(), "%Y-%m-%d")
    return cells.str.to_datetime(form, time_unit="us", strict=False, exact=True)


def _ticks(column: pl.Series) -> npt.NDArray[np.int64]:
    ticks: npt.NDArray[np.int64] = column.to_physical().to_numpy().astype(np.int64)
    return ticks
