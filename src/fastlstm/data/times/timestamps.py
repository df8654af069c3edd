"""The time column: whole numbers that count steps, or timestamps as people write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.tables.offsets import in_zone, minutes_of
from fastlstm.data.tables.table import Table
from fastlstm.data.times.forms import CLOCKS, FORMS, SWAPPED, as_written, normal, parse, split
from fastlstm.data.times.frequency import are_regular
from fastlstm.errors import DataError

TimeKind = Literal["row", "integer", "date", "timestamp"]

SAMPLE = 1000
MEND = "write times as 2013-01-31 14:00:00, 2013-01-31 or 2013-01, or as whole numbers that count the steps"

# Dates, with clocks or without, whose parts have nothing between them, and how many digits they have.
COMPACT = {"%Y%m%d": 8, "%Y%m%d%H": 10, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}
MOST_STEPS = 2**53
EPOCH = "epoch"
# Whole numbers in these bounds are seconds since 1970 and its parts, of the years 1990 to 2100: nobody counts
# steps from there.
FIRST_SECOND, LAST_SECOND = 631_152_000, 4_102_444_800
EPOCH_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


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
        How timestamps were written (``strftime``), where they were text; ``epoch s`` and so on where they were
        seconds, ``ms``, ``us`` or ``ns`` since 1970.
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


def read_times(table: Table, column: str, known: str | None = None, kind: TimeKind | None = None) -> Times:
    """Read the time column.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.
    known : str, optional
        The form in which another table of the same kind writes its times: it is taken where it fits.
    kind : {"row", "integer", "date", "timestamp"}, optional
        What its times are: where they count, whole numbers do so here, though they look like dates.

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
    >>> from fastlstm.data.tables.table import read_table
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
            f"{table.where(row)}: column {column!r} (time) is empty; {table.mend(row, 'fill it in or delete the row')}"
        )
    if cells.dtype == pl.String:
        return _from_text(table, column, cells, known, kind)
    if cells.dtype.is_numeric():
        return _from_numbers(table, column, cells, kind)
    if cells.dtype == pl.Date:
        return Times(_ticks(cells.cast(pl.Datetime("us"))), "date")
    if isinstance(cells.dtype, pl.Datetime):
        micros = cells.dt.cast_time_unit("us")
        if cells.dtype.time_unit == "ns":
            _refuse_finer(table, column, cells.dt.timestamp("ns"))
        return _from_instants(micros, None)
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
    >>> from fastlstm.data.tables.table import read_table
    >>> looks_like_time(read_table(pl.DataFrame({"month": ["1970-01", "1970-02"]})), "month")
    True
    """
    cells = table.frame[column].head(100)
    if cells.dtype.is_temporal():
        return cells.dtype in (pl.Date, pl.Datetime)
    if cells.dtype != pl.String or cells.cast(pl.Float64, strict=False).count() > 0:
        return False
    cells = normal(cells.str.strip_chars()).drop_nulls()
    cells = cells.filter(cells != "")
    return bool(len(cells)) and max(parse(cells, form).count() for form in FORMS) > len(cells) / 2


def _from_text(
    table: Table, column: str, cells: pl.Series, known: str | None, kind: TimeKind | None
) -> Times:
    numbers = cells.cast(pl.Int64, strict=False)
    if numbers.null_count():
        numbers = cells.cast(pl.Float64, strict=False)
    if numbers.null_count() == 0:
        return _from_numbers(table, column, numbers, kind)
    normalised = normal(cells)
    if known is not None and not known.startswith(EPOCH):
        stamps = parse(normalised, known)
        if stamps.null_count() == 0:
            return _with_offset(cells, stamps, known)
    sample = normalised.head(SAMPLE)
    parsed = {form: parse(sample, form).count() for form in FORMS}
    best = max(parsed, key=lambda form: parsed[form])
    if parsed[best] == 0:
        raise DataError(f"{table.where(0)}: {cells[0]!r} in column {column!r} (time) is no timestamp; {MEND}")
    date, clock = split(best)
    stamps = _fill_midnights(normalised, parse(normalised, best), best)
    if date in SWAPPED:
        other_form = SWAPPED[date] + clock
        other = _fill_midnights(normalised, parse(normalised, other_form), other_form)
        other_fits = other.null_count() < stamps.null_count()
        if stamps.null_count() == other.null_count() == 0 and not (other == stamps).all():
            regular, other_fits = (are_regular(_ticks(read)) for read in (stamps, other))
            if regular == other_fits:
                raise DataError(
                    f"{table.where(0)}: {cells[0]!r} in column {column!r} (time) may be day/month or month/day, "
                    "and so may all the others; write them as 2013-01-31"
                )
        if other_fits:
            stamps, best = other, other_form
    if stamps.null_count():
        row = stamps.is_null().arg_max() or 0
        like = cells[stamps.is_not_null().arg_max() or 0]
        raise DataError(
            f"{table.where(row)}: {table.frame[column][row]!r} in column {column!r} (time) is no timestamp "
            f"like the others ({like}); {table.mend(row, 'correct it or delete the row')}"
        )
    return _with_offset(cells, stamps, as_written(best, cells))


def _fill_midnights(cells: pl.Series, stamps: pl.Series, form: str) -> pl.Series:
    """Read the other clocks too: a midnight may be written without its clock, a whole minute without seconds."""
    date, clock = split(form)
    if clock in CLOCKS[1:]:
        for other in CLOCKS:
            if stamps.null_count() and other != clock:
                stamps = stamps.fill_null(parse(cells, date + other))
    return stamps


def _from_numbers(table: Table, column: str, numbers: pl.Series, kind: TimeKind | None) -> Times:
    """Tell what whole numbers mean: dates and clocks without marks, seconds since 1970 and its parts, or steps."""
    if numbers.dtype.is_float():
        _refuse_number(table, column, ~((numbers == numbers.round()) & (numbers.abs() < MOST_STEPS)))
    if numbers.dtype == pl.UInt64:
        _refuse_number(table, column, numbers >= 2**63)
    integers = numbers.cast(pl.Int64)
    if kind != "integer" and (stamps := _from_digits(table, column, integers)) is not None:
        return stamps
    _refuse_number(table, column, ~integers.is_between(-MOST_STEPS, MOST_STEPS))
    return Times(_ticks(integers), "integer")


def _from_digits(table: Table, column: str, integers: pl.Series) -> Times | None:
    """Read whole numbers as dates and clocks without marks or what has passed since 1970; None where some are not."""
    for form, digits in COMPACT.items():
        if integers.is_between(1800 * 10 ** (digits - 4), 2201 * 10 ** (digits - 4)).all():
            cells = integers.cast(pl.String)
            stamps = parse(cells + "00", form + "%M") if form.endswith("%H") else parse(cells, form)
            if stamps.null_count() == 0:
                return Times(_ticks(stamps), "timestamp", form)
    if integers.is_between(1800_01, 2200_12).all() and (integers % 100).is_between(1, 12).all():
        months = parse(integers.cast(pl.String), "%Y%m")
        return Times(_ticks(months), "timestamp", "%Y%m")
    for unit, size in EPOCH_UNITS.items():
        if integers.is_between(FIRST_SECOND * size, LAST_SECOND * size).all():
            micros = integers * (10**6 // size) if size <= 10**6 else integers // 1000
            if unit == "ns":
                _refuse_finer(table, column, integers)
            return Times(_ticks(micros), "timestamp", f"{EPOCH} {unit}")
    return None


def _refuse_finer(table: Table, column: str, nanoseconds: pl.Series) -> None:
    finer = nanoseconds % 1000 != 0
    if finer.any():
        row = finer.arg_max() or 0
        raise DataError(
            f"{table.where(row)}: {table.frame[column][row]!s} in column {column!r} (time) is finer than a "
            "microsecond; round the times, or count the steps as whole numbers"
        )


def _refuse_number(table: Table, column: str, wrong: pl.Series) -> None:
    """Raise for the first number that counts neither steps nor seconds."""
    if wrong.any():
        row = wrong.arg_max() or 0
        raise DataError(
            f"{table.where(row)}: {table.frame[column][row]!r:.40} in column {column!r} (time) is no whole number that "
            f"could count steps; {MEND}"
        )


def to_epoch(ticks: pl.Series, form: str) -> pl.Series:
    """Write ticks as whole numbers since 1970.

    Parameters
    ----------
    ticks : polars.Series
        (N,) int64 microseconds since 1970.
    form : str
        ``epoch s``, ``epoch ms``, ``epoch us`` or ``epoch ns``.

    Examples
    --------
    >>> to_epoch(pl.Series([1_300_000_000_000_000]), "epoch s").to_list()
    [1300000000]
    """
    size = EPOCH_UNITS[form.removeprefix(EPOCH).strip()]
    return ticks // (10**6 // size) if size <= 10**6 else ticks * 1000


def _with_offset(cells: pl.Series, stamps: pl.Series, form: str) -> Times:
    """Read the local clock as it is written, beside the instants; the zone is that of the last offset from UTC."""
    if not form.endswith("z"):
        return _from_instants(stamps, form)
    offsets = cells.str.extract(r"([+-]\d{2}(?::?\d{2})?)$").str.replace(":", "").fill_null("+00")
    if offsets.n_unique() == 1:
        return _from_instants(in_zone(stamps, offsets[0]), form)
    times = _from_instants(in_zone(stamps, offsets[int(stamps.arg_max() or 0)]), form)
    minutes = offsets.replace_strict({offset: minutes_of(offset) for offset in offsets.unique()})
    assert times.instants is not None
    return replace(times, ticks=times.instants + (minutes * 60_000_000).to_numpy())


def _from_instants(stamps: pl.Series, form: str | None) -> Times:
    zone = stamps.dtype.time_zone if isinstance(stamps.dtype, pl.Datetime) else None
    if zone is None:
        return Times(_ticks(stamps), "timestamp", form)
    return Times(_ticks(stamps.dt.replace_time_zone(None)), "timestamp", form, zone, _ticks(stamps))


def _ticks(column: pl.Series) -> npt.NDArray[np.int64]:
    ticks: npt.NDArray[np.int64] = column.to_physical().to_numpy().astype(np.int64)
    return ticks
