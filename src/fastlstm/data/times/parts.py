"""Times in several columns: a date beside an hour, or year, month and day; joined to read, and parted to answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from fastlstm.data.tables.table import Table
from fastlstm.data.times.forms import parse
from fastlstm.data.times.timestamps import EPOCH, looks_like_time, read_times
from fastlstm.errors import DataError

FIRST_YEAR, LAST_YEAR = 1000, 2999
CLOCK_FORMS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H")

# The forms of the parts that are whole numbers.
NUMBERS = ("%Y", "%G", "%q", "%-m", "%-V", "%-d", "%-H", "%-M", "%-H%M", "%Y%m%d", "%Y%m", "%-H24", "%-H24%M")
LETTERED = r"^(?:\pL+[ .-]*)?(\d{1,2})(?:[ .-]*\pL+)?$"  # Q3, W07, 3. Quartal


@dataclass(frozen=True)
class Unit:
    """What a column of whole numbers counts.

    Parameters
    ----------
    name : str
        For messages.
    least, most : int
        Its bounds.
    form : str
        How it is written (``strftime``).
    """

    name: str
    least: int
    most: int
    form: str


YEAR = Unit("year", FIRST_YEAR, LAST_YEAR, "%Y")
MONTH = Unit("month", 1, 12, "%-m")
QUARTER = Unit("quarter", 1, 4, "%q")
WEEK = Unit("week", 1, 53, "%-V")
DAY = Unit("day", 1, 31, "%-d")
HOUR = Unit("hour", 0, 24, "%-H")
MINUTE = Unit("minute", 0, 59, "%-M")

# From coarse to fine.
NAMES = {
    YEAR: ("year", "yr"),
    QUARTER: ("quarter", "qtr"),
    MONTH: ("month", "mon", "mo"),
    WEEK: ("week", "wk"),
    DAY: ("day", "dy"),
    HOUR: ("hour", "hr"),
    MINUTE: ("minute",),
}
TO_24 = "H24"  # in the place of H: hours from 1 to 24, the last of which is the midnight that ends a day


def joined_name(parts: Sequence[str]) -> str:
    """Return the name of the column that stands for several.

    Parameters
    ----------
    parts : sequence of str
        Their names.
    """
    return " ".join(parts)


def join_times(table: Table, parts: Sequence[str]) -> tuple[Table, tuple[str, ...]]:
    """Add one column of timestamps made of several columns.

    Parameters
    ----------
    table : Table
        The table.
    parts : sequence of str
        A date and an hour (0 to 24) or a clock; or whole numbers that are year, month (or its name), day, hour and
        minute, as their names tell, else from coarse to fine or back. After a year, a column whose name begins with q
        is the quarter (3, Q3), one with w the ISO week (7, W07).

    Returns
    -------
    table : Table
        With a column called as the parts, with blanks between.
    forms : tuple of str
        How each part was written (``strftime``), for :func:`part_times`.

    Raises
    ------
    DataError
        If a cell is empty or is not what its column holds.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> rentals = read_table(pl.DataFrame({"day": ["2011-01-01", "2011-01-01"], "hr": [0, 13]}))
    >>> joined, forms = join_times(rentals, ["day", "hr"])
    >>> joined.frame["day hr"].dt.hour().to_list(), forms
    ([0, 13], ('%Y-%m-%d', '%-H'))
    """
    for part in parts:
        table.require(part, "time")
    ordered = _coarse_to_fine(table, parts)
    join = _from_numbers if holds_years(table, ordered[0]) else _from_date
    stamps, forms = join(table, ordered)
    column = pl.Series(joined_name(parts), stamps, dtype=pl.Datetime("us"))
    by_part = dict(zip(ordered, forms, strict=True))
    return replace(table, frame=table.frame.with_columns(column)), tuple(by_part[part] for part in parts)


def _coarse_to_fine(table: Table, parts: Sequence[str]) -> list[str]:
    """Put the parts of a time in order: by what they are called, else the year or the date first."""
    ranks = {
        part: [place for place, names in enumerate(NAMES.values()) if _is_called(part, names)]
        for part in parts
    }
    dated = [part for part in parts if _holds_dates(table, part)]
    if dated or not any(holds_years(table, part) for part in parts):  # clocks like 1330 may pass for years
        return sorted(parts, key=lambda part: part not in dated)
    if all(len(places) == 1 for places in ranks.values()):
        return sorted(parts, key=lambda part: ranks[part])
    return list(parts if holds_years(table, parts[0]) else reversed(parts))


def _is_called(part: str, names: Sequence[str]) -> bool:
    return not set(names).isdisjoint(re.split(r"[\W_]+", part.casefold()))


def _holds_dates(table: Table, part: str) -> bool:
    """Whether a column is one of timestamps, or most of its cells are days written as 20130131."""
    numbers = _integers(table, part)
    if numbers is None or looks_like_time(table, part):
        return looks_like_time(table, part)
    return bool(numbers.is_between(FIRST_YEAR * 10_000, LAST_YEAR * 10_000 + 9999).sum() > len(numbers) / 2)


def holds_years(table: Table, part: str) -> bool:
    """Whether most cells of a column are years.

    Parameters
    ----------
    table : Table
        The table.
    part : str
        The column.
    """
    numbers = _integers(table, part)
    return numbers is not None and numbers.is_between(FIRST_YEAR, LAST_YEAR).sum() > len(numbers) / 2


def part_times(frame: pl.DataFrame, name: str, parts: Sequence[str], forms: Sequence[str]) -> pl.DataFrame:
    """Put the parts of a time in the place of the column that stood for them.

    Parameters
    ----------
    frame : polars.DataFrame
        An answer.
    name : str
        Its column of timestamps.
    parts, forms : sequence of str
        The columns to make, and how to write them.

    Examples
    --------
    >>> from datetime import datetime
    >>> part_times(pl.DataFrame({"t": [datetime(2011, 1, 1, 13)]}), "t", ["day", "hr"], ["%Y-%m-%d", "%-H"]).rows()
    [('2011-01-01', 13)]
    """
    stamps = frame[name]
    if any(TO_24 in form for form in forms):
        stamps = stamps.dt.offset_by("-1h")  # the midnight that ends a day is of that day; hours begin with 0
    written = []
    for part, form in zip(parts, forms, strict=True):
        if TO_24 in form:
            column = _hours_to_24(stamps, form)
        else:
            column = stamps.cast(pl.Date) if not form else stamps.dt.strftime(form)
        written.append((column.cast(pl.Int64) if form in NUMBERS else column).rename(part))
    place = frame.get_column_index(name)
    columns = frame.get_columns()
    return pl.DataFrame([*columns[:place], *written, *columns[place + 1 :]])


def _from_date(table: Table, parts: Sequence[str]) -> tuple[pl.Series, list[str]]:
    """Join a date with a clock or an hour, and it may be minutes."""
    if len(parts) > 3:
        raise DataError(
            f"{table.name}: time in {len(parts)} columns begins with year and month as numbers; "
            f"{parts[0]!r} does not hold years"
        )
    dates = read_times(table, parts[0])
    if dates.kind not in ("date", "timestamp") or dates.zone or (dates.format or "").startswith(EPOCH):
        raise DataError(
            f"{table.where(0)}: {table.frame[parts[0]][0]!r} in column {parts[0]!r} (time) is neither a date nor a "
            f"year, beside {parts[1]!r}; give one column of timestamps"
        )
    stamps = pl.Series(dates.ticks).cast(pl.Datetime("us"))
    since, form = _clock(table, parts[1])
    forms = [dates.format or "", form]
    stamps = stamps + since
    if len(parts) == 3:
        stamps = stamps + _duration(_number(table, parts[2], MINUTE), "minutes")
        forms.append(MINUTE.form)
    return stamps, forms


def _clock(table: Table, column: str) -> tuple[pl.Series, str]:
    """Return the time of day as a duration, and how it is written."""
    cells = table.frame[column]
    if cells.dtype == pl.Time:
        return cells.cast(pl.Duration("us")), "%H:%M:%S"
    numbers = _integers(table, column)
    if cells.dtype == pl.String and numbers is not None and 2 * numbers.count() <= len(numbers):
        cells = cells.str.strip_chars()
        for form in CLOCK_FORMS:
            clock = cells.str.to_time(form, strict=False)
            if clock.null_count() == 0:
                return clock.cast(pl.Duration("us")), form.replace("%.f", "")
        best = max(CLOCK_FORMS, key=lambda form: cells.str.to_time(form, strict=False).count())
        if cells.str.to_time(best, strict=False).count() > len(cells) / 2:
            _refuse(table, column, cells.str.to_time(best, strict=False).is_null(), f"is no time like {best}")
    if numbers is not None and numbers.count() == 0:
        _refuse(table, column, numbers.is_null(), "is no hour from 0 to 24, nor a clock like 13:30")
    if numbers is not None and numbers.max() >= 100 and (numbers % 100 < 60).all():  # type: ignore[operator]  # max of integers is one
        hours = _number(table, column, Unit("clock like 1330", 0, 2400, "%-H%M"))
        clock = _duration(hours // 100, "hours") + _duration(hours % 100, "minutes")
        return clock, _written(table, column, _hour_form(hours // 100, "%-H%M"))
    hours = _number(table, column, HOUR)
    return _duration(hours, "hours"), _written(table, column, _hour_form(hours, HOUR.form))


def _hour_form(hours: pl.Series, form: str) -> str:
    """Return the form of hours that count from 0, or from 1 to 24."""
    return form.replace("H", TO_24) if hours.max() == 24 and hours.min() != 0 else form


def _hours_to_24(stamps: pl.Series, form: str) -> pl.Series:
    """Write stamps, an hour early, with hours that count from 1 to 24."""
    hour, _, minute = form.partition(TO_24)
    hours = (stamps.dt.hour() + 1).cast(pl.String)
    hours = hours if hour == "%-" else hours.str.zfill(2)
    return hours + stamps.dt.strftime(minute) if minute else hours


def _from_numbers(table: Table, parts: Sequence[str]) -> tuple[pl.Series, list[str]]:
    """Join year, month, day, hour and minute."""
    second = {"q": QUARTER, "w": WEEK}.get(parts[1][:1].casefold(), MONTH)
    units = [YEAR, second, *((DAY, HOUR, MINUTE) if second is MONTH else ())]
    if len(parts) > len(units):
        named = ", ".join(unit.name for unit in units)
        raise DataError(
            f"{table.name}: time in {len(parts)} columns from {parts[0]!r} on; they can be {named}"
        )
    units = units[: len(parts)]
    numbers = {
        unit.name: _number(table, part, unit).cast(pl.String) for part, unit in zip(parts, units, strict=True)
    }
    year, step = numbers["year"], numbers[second.name]
    if second is WEEK:
        text, form = year + "-" + step.str.zfill(2) + "-1", "%G-%V-%u"
    else:
        month = (step.cast(pl.Int64) * 3 - 2).cast(pl.String) if second is QUARTER else step
        text, form = year + "-" + month + "-" + numbers.get("day", pl.Series(["1"])), "%Y-%m-%d"
    stamps = text.str.to_datetime(form, strict=False, time_unit="us")
    _refuse(table, parts[len(units[:3]) - 1], stamps.is_null(), f"is no day beside its {units[0].name}")
    if "hour" in numbers:
        stamps = stamps + _duration(numbers["hour"].cast(pl.Int64), "hours")
    if "minute" in numbers:
        stamps = stamps + _duration(numbers["minute"].cast(pl.Int64), "minutes")
    forms = {unit: unit.form for unit in units}
    if second is WEEK:
        forms[YEAR] = "%G"
    if HOUR in forms:
        forms[HOUR] = _hour_form(numbers["hour"].cast(pl.Int64), HOUR.form)
    return stamps, [_written(table, part, form) for part, form in zip(parts, forms.values(), strict=True)]


def _integers(table: Table, column: str) -> pl.Series | None:
    """Return a column as whole numbers, null where a cell is none; None where it is neither text nor numbers."""
    cells = table.frame[column]
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
    elif not cells.dtype.is_numeric():
        return None
    floats = cells.cast(pl.Float64, strict=False)
    return floats.set(floats != floats.round(), None).cast(pl.Int64, strict=False)


def _written(table: Table, column: str, form: str) -> str:
    """Return the form with the leading zeros that the text of a file has, or the names of its months."""
    cells = table.frame[column]
    if cells.dtype != pl.String:
        return form
    if form == MONTH.form and cells.str.contains("[A-Za-z]").any():
        return "%b" if (cells.str.strip_chars().str.len_chars() <= len("Jan")).all() else "%B"
    if form in (QUARTER.form, WEEK.form) and cells.str.contains("[A-Za-z]").any():
        padded = cells.str.contains(r"(?:^|\D)0\d").any()
        number = form.replace("%-", "%") if padded else form
        return re.sub(r"\d+", lambda _: number, cells[0].strip())
    return form.replace("%-", "%") if cells.str.contains(r"^\s*0\d").any() else form


def _number(table: Table, column: str, unit: Unit) -> pl.Series:
    numbers = _integers(table, column)
    if unit is MONTH and table.frame[column].dtype == pl.String and numbers is not None:
        named = parse("2000 " + table.frame[column].str.strip_chars(), "%Y %B")
        numbers = numbers.fill_null(named.dt.month())
    if unit in (QUARTER, WEEK) and table.frame[column].dtype == pl.String and numbers is not None:
        lettered = table.frame[column].str.strip_chars().str.extract(LETTERED)
        numbers = numbers.fill_null(lettered.cast(pl.Int64))
    if numbers is None:
        numbers = pl.Series([None] * table.frame.height, dtype=pl.Int64)
    wrong = ~numbers.is_between(unit.least, unit.most).fill_null(False)
    _refuse(table, column, wrong, f"is no {unit.name} from {unit.least} to {unit.most}")
    return numbers


def _refuse(table: Table, column: str, wrong: pl.Series, why: str) -> None:
    row = wrong.arg_max() if wrong.any() else None
    if row is not None:
        cell = table.frame[column][row]
        if cell is None or not str(cell).strip():
            raise DataError(
                f"{table.where(row)}: column {column!r} (time) is empty; fill it in or delete the row"
            )
        raise DataError(f"{table.where(row)}: {cell!r} in column {column!r} (time) {why}; correct it")


def _duration(numbers: pl.Series, unit: str) -> pl.Series:
    size = {"hours": 3_600_000_000, "minutes": 60_000_000}[unit]
    return (numbers * size).cast(pl.Duration("us"))
