"""Tables that hold running text: files whose quotes are only characters, files of JSON lines, and all other tables.

In CSV a quote around a cell is not part of it. Tables of sentences often know no such rule: a quote opens a quotation,
or stands for inches, and each line is a row. Which of the two a file is, it shows itself: see :func:`read_text_table`.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fastlstm.data.tables.delimited import (
    BLANKS,
    DELIMITERS,
    as_path,
    find_delimiter,
    holds_parquet,
    named_delimiter,
    refuse_foreign,
)
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.tables.text_files import read_text, why_unread
from fastlstm.errors import DataError
from fastlstm.wording import many

QUOTE = '"'
Row = tuple[int, list[str]]  # the line on which it begins, counted from 1, and its cells

JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


@dataclass(frozen=True)
class LineTable(Table):
    """A table of a file that knows the lines of its rows.

    Parameters
    ----------
    frame, name, kind, path, delimiter, records
        As :class:`fastlstm.data.tables.table.Table`; ``records`` counts all lines behind the header.
    header : int
        How many lines the header takes: 1, or 0 in a file of JSON lines.
    """

    header: int = 1

    def where(self, row: int) -> str:
        """Where a row stands, for a message.

        Parameters
        ----------
        row : int
            The row, counted from 0 without the header.

        Returns
        -------
        str
            ``"reviews.tsv, line 17"``, counted from 1 with the header.
        """
        record = row if self.records is None else int(self.records[row])
        return f"{self.name}, line {record + self.header + 1}"


def read_text_table(source: Any) -> Table:
    r"""Read a table of texts.

    Two ways of reading a delimited file are tried, and the first that gives every row as many cells as the header is
    taken: by the rules of CSV, where a quoted cell may hold the delimiter and go over several lines; and line by line,
    with quotes as characters. Where tabs part the cells the second comes first, and quotes are taken off only if every
    cell that has some is one as CSV writes it (quotes around it, and doubled inside).

    Where neither fits, tabs make a file of lines, of which those with too many cells are refused; any other file is
    read as :func:`fastlstm.data.read_table` does. Of a file with a single column, a line is one cell whatever it holds.

    Parameters
    ----------
    source : path, DataFrame or Table
        A CSV, TSV, Parquet or JSON lines file (one object a line), packed by gzip or not, or a frame.

    Returns
    -------
    Table
        The columns; those of a delimited file are text.

    Raises
    ------
    DataError
        If there is no such file, or it is empty, is not UTF-8, or cannot be read as a table.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.tsv"
    ...     _ = path.write_text('label\ttext\n1\t"Wow" is the word\n0\ta 5" screen\n')
    ...     read_text_table(path).frame["text"].to_list()
    ['"Wow" is the word', 'a 5" screen']
    """
    if not isinstance(source, str | Path):
        return read_table(source)
    path = as_path(source)
    if not path.is_file() or path.stat().st_size == 0:
        return read_table(path)  # which says so
    with why_unread(path):
        if holds_parquet(path):
            return read_table(path)
        refuse_foreign(path)
        text = read_text(path)
        if holds_json_lines(path, text):
            return _read_json_lines(path, text)
        delimiter = _delimiter(path, text)
    if delimiter == BLANKS or not text.strip() or named_delimiter(path):
        return read_table(path)
    return _read_delimited(path, text, delimiter) or read_table(path)


def holds_json_lines(path: Path, text: str) -> bool:
    """Whether a file is one of JSON lines, by its name or its first line.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        What is in it.
    """
    if path.name.endswith(JSON_LINES):
        return True
    first = text[:1] == "{" and text.split("\n", 1)[0]
    if not first:
        return False
    try:
        return isinstance(json.loads(first), dict)
    except json.JSONDecodeError:
        return False


def _delimiter(path: Path, text: str) -> str:
    found = find_delimiter(path)
    header = text.lstrip().split("\n", 1)[0]
    # It gives a comma where lines are longer than Python's csv takes.
    return found if found in header else max(DELIMITERS, key=header.count)


def _read_delimited(path: Path, text: str, delimiter: str) -> Table | None:
    """Return the table; None where it is for :func:`read_table` to read, or to say what is wrong."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    plain = [(number, line.split(delimiter)) for number, line in enumerate(lines, start=1) if line.strip()]
    header = _unquoted(plain[0][1])
    width = len(header)
    whole = all(QUOTE not in name for name in header)  # no quoted name holds the delimiter
    if width == 1:
        plain = [(number, [lines[number - 1]]) for number, _ in plain]
    even = whole and all(len(cells) == width for _, cells in plain)
    tabs = delimiter == "\t" and width > 1
    if even and tabs:
        return _from_rows(path, delimiter, _as_csv_wrote(plain))
    records = _by_csv(text, delimiter)
    if records is not None:
        return _from_rows(path, delimiter, records)
    if even:
        return _from_rows(path, delimiter, plain)
    if not tabs or not whole:
        return None
    for number, cells in plain:
        if len(cells) > width:
            raise DataError(
                f"{path}, line {number}: {many(len(cells), 'cell')} where the header has {width}; "
                "write blanks for the tabs within a text"
            )
    return _from_rows(path, delimiter, plain)


def _from_rows(path: Path, delimiter: str, rows: list[Row]) -> Table | None:
    header = [name.strip() for name in rows[0][1]]
    if len(set(header)) < len(header) or len(rows) == 1:
        return None
    return LineTable(
        _frame(header, [cells for _, cells in rows[1:]]),
        str(path),
        "file",
        path,
        delimiter,
        pl.Series([number - 2 for number, _ in rows[1:]], dtype=pl.Int64),
    )


def _as_csv_wrote(rows: list[Row]) -> list[Row]:
    """Take quotes off where all of them are CSV's."""
    quoted = [cell for _, cells in rows for cell in cells if QUOTE in cell]
    if not all(_is_quoted(cell) for cell in quoted):
        return rows
    return [(number, _unquoted(cells)) for number, cells in rows]


def _frame(header: list[str], rows: list[list[str]]) -> pl.DataFrame:
    """Columns of text, null where a row is short."""
    return pl.DataFrame(
        {
            name: pl.Series([row[place] if place < len(row) else None for row in rows], dtype=pl.String)
            for place, name in enumerate(header)
        }
    )


def _is_quoted(cell: str) -> bool:
    """Whether a cell is quoted as CSV does it."""
    bare = cell.strip()
    return (
        len(bare) > 1 and bare[0] == bare[-1] == QUOTE and QUOTE not in bare[1:-1].replace(QUOTE + QUOTE, "")
    )


def _unquoted(cells: list[str]) -> list[str]:
    return [cell.strip()[1:-1].replace(QUOTE + QUOTE, QUOTE) if _is_quoted(cell) else cell for cell in cells]


def _by_csv(text: str, delimiter: str) -> list[Row] | None:
    """Return the rows by the rules of CSV; None where the file does not keep to them, or rows differ in width."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows, line = [], 1
        for cells in reader:
            if len(cells) == 1 or any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error:
        return None
    return rows if all(len(cells) == len(rows[0][1]) for _, cells in rows) else None


def _read_json_lines(path: Path, text: str) -> LineTable:
    numbers, objects = [], []
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number + 1} is not JSON ({error}); write one object a line"
            ) from None
        if not isinstance(found, dict):
            raise DataError(
                f'{path}, line {number + 1} is {line.strip():.40}: write one object a line, {{"text": …}}'
            )
        numbers.append(number)
        objects.append(found)
    if not objects:
        raise DataError(f"{path} is empty: it needs one JSON object a line")
    names = Counter(name for found in objects for name in found)
    columns = {name: _json_column(path, name, objects, numbers) for name in names}
    return LineTable(
        pl.DataFrame(columns), str(path), "file", path, records=pl.Series(numbers, dtype=pl.Int64), header=0
    )


def _json_column(path: Path, name: str, objects: list[dict[str, Any]], numbers: list[int]) -> pl.Series:
    """One key's values: numbers where all are, else text, as JSON where they are lists or objects."""
    values = [found.get(name) for found in objects]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pl.Series(values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    column = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]
    try:
        return pl.Series(column, dtype=pl.String)
    except UnicodeEncodeError:
        for number, value in zip(numbers, column, strict=True):
            try:
                (value or "").encode()
            except UnicodeEncodeError:
                raise DataError(
                    f"{path}, line {number + 1}: {name!r} has half of a surrogate pair, which is no character; "
                    "correct it"
                ) from None
        raise
