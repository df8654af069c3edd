"""Delimited files of other shapes than a header and rows: titles above it, no header at all, columns without a name."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path

import polars as pl

from fastlstm.data.tables.delimited import (
    SAMPLE_LINES,
    find_delimiter,
    find_open_quote,
    line_of_record,
    not_utf8,
    records,
)
from fastlstm.data.tables.frames import refuse_twins
from fastlstm.errors import DataError
from fastlstm.wording import listed, many

# What stands in a header where there is none: numbers, dates, times.
VALUE = re.compile(r"[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?|\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T]\d.*)?")


def name_columns(path: Path, delimiter: str, header: list[str], frame: pl.DataFrame) -> pl.DataFrame:
    """Give columns their names; one without a name, as of a frame's index, is left out where it is empty too.

    Parameters
    ----------
    path : Path
        The file, for messages.
    delimiter : str
        What separates its cells.
    header : list of str
        The names.
    frame : polars.DataFrame
        The rows.

    Raises
    ------
    DataError
        If two columns have one name or none, or values stand where the names should.
    """
    line = line_of_record(path, delimiter, 0)
    twins = len(set(header)) < len(header)
    if all(map(holds_value, header)) and not twins and not all(name.isdigit() for name in header):
        raise DataError(
            f"{path}, line {line}: {listed(header)} are values, no names; add a line with the columns' names"
        )
    kept = [place for place, name in enumerate(header) if name or not _is_empty(frame.to_series(place))]
    nameless = [place + 1 for place in kept if not header[place]]
    if len(nameless) > 1:
        raise DataError(
            f"{path}, line {line}: columns {listed(nameless)} of {len(header)} have no name; give each one or delete it"
        )
    names = [header[place] for place in kept]
    refuse_twins(f"{path}, line {line}", names)
    frame = frame[:, kept]
    frame.columns = names
    return frame


def holds_value(name: str) -> bool:
    """Whether what stands as a name is a number, a date or a time.

    Parameters
    ----------
    name : str
        The name.

    Examples
    --------
    >>> [holds_value(name) for name in ("2024-01-31 14:00", "-1.5", "1990", "sales", "")]
    [True, True, True, False, False]
    """
    return VALUE.fullmatch(name) is not None


def line_with(path: Path, delimiter: str, name: str) -> int | None:
    """Return the line, of the first below the header, one of whose cells is a name that the header lacks.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells.
    name : str
        The name.
    """
    for number, cells in enumerate(islice(records(path, delimiter), SAMPLE_LINES)):
        if number and name in map(str.strip, cells):
            return line_of_record(path, delimiter, number)
    return None


def has_idle_ends(path: Path, delimiter: str) -> bool:
    """Whether rows are longer than the header by empty cells alone, as where each ends in a delimiter, and all is CSV.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        What separates its cells.
    """
    try:
        lines = records(path, delimiter)
        width = len(next(lines))
        idle = all(not any(cell.strip() for cell in cells[width:]) for cells in lines)
        return idle and find_open_quote(path, delimiter) is None
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return False


def why_unreadable(path: Path) -> str | None:
    """Return the message for a delimited file that its reader refused, with the first line that does not fit.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str or None
        None where nothing is found.
    """
    try:
        delimiter = find_delimiter(path)
        uneven = _uneven(path, delimiter)
        if uneven is not None:
            return uneven
        opened = find_open_quote(path, delimiter)
    except UnicodeDecodeError:
        return f"{not_utf8(path)}: save it as UTF-8 CSV"
    except (csv.Error, StopIteration):
        return None
    if opened is None:
        return None
    return (
        f"{path}, line {opened}: a quote opens a cell that does not end with one; close it, or write a "
        "quote that is part of a quoted cell twice"
    )


def _uneven(path: Path, delimiter: str) -> str | None:
    """Say which record is longer than the header, and whether the header may stand elsewhere."""
    lines = enumerate(records(path, delimiter))
    _, header = next(lines)
    number, record = next(
        ((number, cells) for number, cells in lines if len(cells) > len(header)), (0, header)
    )
    if not number:
        return None
    line = line_of_record(path, delimiter, number)
    found = f"{path}, line {line}: {many(len(record), 'cell')} where the header has {len(header)}"
    quote = "quote cells that hold the delimiter"
    after = [len(cells) for _, cells in islice(lines, SAMPLE_LINES)]
    if len(after) < 2 or set(after) != {len(record)}:
        return f"{found}; {quote}"
    if len(header) == 1 and number < SAMPLE_LINES:
        first = line_of_record(path, delimiter, 0)
        return (
            f"{found} (line {first}, {header[0]!r}), and so have the lines after it; if line {line} is the header, "
            f"delete what stands above it, else {quote}"
        )
    if number == 1:
        return f"{found}, and so have the lines after it; give every column a name, or {quote}"
    return f"{found}; {quote}"


def _is_empty(cells: pl.Series) -> bool:
    return bool((cells.is_null() | (cells.str.strip_chars() == "")).all())
