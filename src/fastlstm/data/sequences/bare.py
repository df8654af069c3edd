"""Tables without a header, whose columns' names the user gives; cells between blanks, tabs, commas or the like."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl

from fastlstm.data.series.schema import Names
from fastlstm.data.tables.delimited import (
    BLANKS,
    SAMPLE_LINES,
    find_delimiter,
    line_of_record,
    records,
)
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.text_files import why_unread
from fastlstm.errors import DataError, InputError
from fastlstm.wording import many


def split_names(columns: Names) -> tuple[str, ...]:
    """Return names that were given one by one, or with commas between.

    Parameters
    ----------
    columns : str or sequence of str
        The names.

    Raises
    ------
    InputError
        If one is empty or comes twice.

    Examples
    --------
    >>> split_names("unit, cycle,altitude")
    ('unit', 'cycle', 'altitude')
    """
    parts = [columns] if isinstance(columns, str) else columns
    names = tuple(name.strip() for part in parts for name in part.split(","))
    for place, name in enumerate(names):
        if not name:
            raise InputError(f"columns: name {place + 1} of {len(names)} is empty")
        if name in names[:place]:
            raise InputError(f"columns: {name!r} comes twice; every column needs a name of its own")
    return names


def read_bare(source: Any, names: tuple[str, ...]) -> Table:
    """Read a file that has no header.

    Parameters
    ----------
    source : path
        The file, packed by gzip or not. Any number of blanks and tabs separate its cells, or one of ``,`` ``;`` tab
        and ``|``; blanks at the end of a line say nothing.
    names : tuple of str
        The columns' names.

    Returns
    -------
    Table
        Text throughout.

    Raises
    ------
    DataError
        If it is no file, or the number of names is not that of its columns.
    """
    if not isinstance(source, str | Path):
        raise DataError("columns names the columns of a file without a header; a frame has its own names")
    path = Path(source)
    with why_unread(path):
        return _read(path, names)


def _read(path: Path, names: tuple[str, ...]) -> Table:
    delimiter = _delimiter(path, len(names))
    kept, lines = [], []
    for record, cells in enumerate(records(path, delimiter)):
        if any(cell.strip() for cell in cells):
            kept.append(record)
            lines.append(cells)
    if not lines:
        raise DataError(f"{path} is empty: it needs rows")
    for record, cells in zip(kept, lines, strict=True):
        if len(cells) != len(names):
            line = line_of_record(path, delimiter, record)
            few = (
                f"{path}, line {line}: {many(len(cells), 'cell')}, and columns has {many(len(names), 'name')}"
            )
            if record == kept[0]:
                raise DataError(f"{few} ({names[0]} … {names[-1]}); give a name for each cell")
            raise DataError(f"{few}; complete or delete the line")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    frame = pl.read_csv(
        text.getvalue().encode(), has_header=False, infer_schema=False, new_columns=list(names)
    )
    # Table counts records from 0 after a header; here the first line is one already.
    return Table(frame, str(path), "file", path, delimiter, pl.Series(kept) - 1)


def _delimiter(path: Path, width: int) -> str:
    """Return blanks where they part the first lines into as many cells as there are names."""
    head = [cells for cells, _ in zip(records(path, BLANKS), range(SAMPLE_LINES), strict=False) if cells]
    if head and sum(len(cells) == width for cells in head) > len(head) / 2 and width > 1:
        return BLANKS
    found = find_delimiter(path)
    parted = [cells for cells, _ in zip(records(path, found), range(SAMPLE_LINES), strict=False) if cells]
    return found if any(len(cells) > 1 for cells in parted) else BLANKS
