"""A table as the user gave it: a file or a frame, read once, with every row's place known for messages.

Files are read as text throughout; :mod:`fastlstm.data.tables.values` and :mod:`fastlstm.data.times.timestamps` turn the
columns that are asked for into numbers, categories and times, and name the line where that fails.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from fastlstm.data.tables.delimited import (
    as_path,
    find_delimiter,
    holds_parquet,
    line_of_record,
    not_utf8,
    open_bytes,
    read_delimited,
    records,
    refuse_foreign,
)
from fastlstm.data.tables.frames import Kind, has_idle_index, take_frame, whole_names
from fastlstm.data.tables.periods import read_periods
from fastlstm.data.tables.shapes import has_idle_ends, holds_value, line_with, name_columns, why_unreadable
from fastlstm.errors import DataError
from fastlstm.wording import listed, many

PARQUET = (".parquet", ".pq", ".parquet.gz", ".pq.gz")


@dataclass(frozen=True)
class Table:
    """Columns, where they came from, and which kind of frame to answer with.

    Parameters
    ----------
    frame : polars.DataFrame
        The columns. Those of a delimited file are text.
    name : str
        What messages call it: the file's path as given, or ``"the frame"``.
    kind : {"file", "pandas", "polars", "pyarrow"}
        What was given.
    path : Path, optional
        The file, where there is one.
    delimiter : str, optional
        What separates the cells, where the file is delimited text.
    records : polars.Series, optional
        Which record of the file each row is, counted from 0 without the header; where blank lines were left
        out, or the table was wide.
    missing : tuple of float
        Numbers that mean unknown in any column of numbers.
    whole_names : tuple of str
        The columns that a pandas frame calls by whole numbers.
    idle_index : bool
        Whether a pandas frame has an index of whole numbers that is not read.
    number_forms : mapping
        Column → how an earlier table wrote its numbers; it is taken where it fits.
    """

    frame: pl.DataFrame
    name: str
    kind: Kind
    path: Path | None = None
    delimiter: str | None = None
    records: pl.Series | None = None
    missing: tuple[float, ...] = ()
    whole_names: tuple[str, ...] = ()
    idle_index: bool = False
    number_forms: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return self.frame.columns

    def where(self, row: int) -> str:
        """Where a row stands, for a message.

        Parameters
        ----------
        row : int
            The row, counted from 0 without the header.

        Returns
        -------
        str
            ``"bikes.csv, line 17"`` with the line of the file, counted from 1 with the header; for a frame or
            a Parquet file ``"the frame, row 15"``, counted from 0.
        """
        record = row if self.records is None else int(self.records[row])
        if self.delimiter is None or self.path is None:
            return f"{self.name}, row {record}"
        return f"{self.name}, line {line_of_record(self.path, self.delimiter, record + 1)}"

    def filter(self, kept: npt.NDArray[np.bool_]) -> Table:
        """Leave rows out.

        Parameters
        ----------
        kept : numpy.ndarray
            (rows,) which to keep.
        """
        mask = pl.Series(kept)
        records = mask.arg_true() if self.records is None else self.records.filter(mask)
        return replace(self, frame=self.frame.filter(mask), records=records)

    def require(self, column: str, role: str) -> None:
        """Raise where a column is not there, with the nearest name.

        Parameters
        ----------
        column : str
            The column's name.
        role : str
            The argument that named it, for instance ``"target"``.

        Raises
        ------
        DataError
            If there is no such column.

        Examples
        --------
        >>> read_table(pl.DataFrame({"rentals": [1.0]})).require("rental", "target")
        Traceback (most recent call last):
        ...
        fastlstm.errors.DataError: the frame has no column 'rental' (target): did you mean 'rentals'?
        """
        if column in self.frame.columns:
            return
        found = f"{self.name} has no column {column!r} ({role})"
        if self.delimiter is not None and len(self.columns) == 1:
            raise DataError(
                f"{found}: its only column is {self.columns[0]!r}; "
                "if its cells are separated by anything but , ; tab or |, write it with one of those"
            )
        lowered = {name.casefold(): name for name in reversed(self.columns)}
        near = difflib.get_close_matches(column.casefold(), lowered, n=1, cutoff=0.6)
        if near:
            raise DataError(f"{found}: did you mean {lowered[near[0]]!r}?")
        names = [
            repr(name) if name else f"column {place}, which has no name"
            for place, name in enumerate(self.columns, start=1)
        ]
        raise DataError(
            f"{found}: it has {listed(names, 12, form=str, counted=True)}{self._where_names_are(column)}"
        )

    def which(self, role: str, others: Sequence[str] | None = None) -> DataError:
        """Ask for the column of a role that nothing tells.

        Parameters
        ----------
        role : str
            The argument that names it.
        others : sequence of str, optional
            The columns that it may be. Default: all.

        Examples
        --------
        >>> str(read_table(pl.DataFrame({"a": [1], "b": [2]})).which("target"))
        "which column of the frame is the target? Give target, one of 'a', 'b'"
        """
        names = [name for name in self.columns if name] if others is None else others
        mend = f"Give {role}, one of {listed(names, 12, counted=True)}" if names else "It has no other column"
        return DataError(f"which column of {self.name} is the {role}? {mend}")

    def mend(self, row: int, usual: str) -> str:
        """Return the mend of a row, which may be a second header: the first of a file, of words alone.

        Parameters
        ----------
        row : int
            The row, counted from 0 without the header.
        usual : str
            The mend of other rows.
        """
        record = row if self.records is None else int(self.records[row])
        cells = [str(cell).strip() for cell in self.frame.row(row) if cell is not None]
        if self.kind != "file" or record or any(map(holds_value, cells)):
            return usual
        return f"{usual}; if the line is a second header, of units for instance, delete it"

    def _where_names_are(self, column: str) -> str:
        """Say where the header stands, where a file has values in its place, or the name further down."""
        if self.delimiter is None or self.path is None:
            return ""
        line = line_with(self.path, self.delimiter, column)
        if line is not None:
            return f"; line {line} has it: if that is the header, delete what stands above it"
        if all(map(holds_value, self.columns)):
            return ", which may be values: add a line with the columns' names"
        return ""


def read_table(source: Any) -> Table:
    """Read a file, or take a frame.

    Parameters
    ----------
    source : path, DataFrame or Table
        A CSV, TSV or Parquet file, packed by gzip or not, whatever its name, or a pandas, polars or pyarrow frame, or
        what :func:`~fastlstm.data.tables.frames.take_frame` takes for one. The delimiter of a file is found among
        ``,`` ``;`` tab ``|`` and blanks. A Table is given back as it is.

    Returns
    -------
    Table
        The columns, without the blank lines of a file.

    Raises
    ------
    DataError
        If there is no such file, or it is empty or cannot be read as a table.

    Examples
    --------
    >>> read_table(pl.DataFrame({"y": [1, 2]})).where(1)
    'the frame, row 1'
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return _read_file(as_path(source))
    columns, kind = take_frame(source)
    names, idle = whole_names(source), has_idle_index(source)
    return _checked(Table(columns, "the frame", kind, whole_names=names, idle_index=idle))


def refuse_names(source: str, given: Iterable[str | None], own: Iterable[str]) -> None:
    """Raise where a column that is given back is called as one that ``predict`` or ``evaluate`` adds.

    Parameters
    ----------
    source : str
        The table, for the message.
    given : iterable of str or None
        The columns that are given back; None for a role that none plays.
    own : iterable of str
        Those that are added.

    Raises
    ------
    DataError
        The message names the column.

    Examples
    --------
    >>> refuse_names("sales.csv", ["shop", "score", None], ["score", "anomaly"])
    Traceback (most recent call last):
    ...
    fastlstm.errors.DataError: sales.csv: column 'score' is called as one that predict adds; rename it in the table
    """
    taken = sorted({name for name in given if name is not None} & set(own))
    if taken:
        raise DataError(
            f"{source}: column {taken[0]!r} is called as one that predict adds; rename it in the table"
        )


def _read_file(path: Path) -> Table:
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a file in it")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: it needs a header line and rows")
    try:
        if holds_parquet(path):
            with open_bytes(path) as file:
                return _checked(
                    Table(read_periods(pl.read_parquet(file), str(path)), str(path), "file", path)
                )
        refuse_foreign(path)
        delimiter = find_delimiter(path)
        header = [name.strip() for name in next(records(path, delimiter))]
        if not any(header):
            raise DataError(f"{path}, line 1 is blank: delete it, so that the first line names the columns")
        frame = _read_records(path, delimiter)
    except UnicodeDecodeError:
        raise DataError(f"{not_utf8(path)}: save it as UTF-8 CSV") from None
    except StopIteration:
        raise DataError(f"{path} is empty: it needs a header line and rows") from None
    except (PolarsError, OSError, csv.Error) as error:
        raise DataError(_why_unreadable(path, error)) from None
    if len(header) != frame.width:
        raise DataError(
            f"{path}: its header has {many(len(header), 'name')} and its rows {many(frame.width, 'cell')}; lines may "
            "end in a carriage return alone (old Macs): save it with line feeds"
        )
    frame = name_columns(path, delimiter, header, frame[1:])
    blank = frame.to_series(0).is_null()
    if blank.any():
        lines = frame.filter(blank)
        blank = blank.scatter(
            blank.arg_true(), lines.select(pl.all_horizontal(pl.all().is_null())).to_series()
        )
    if not blank.any():
        return _checked(Table(frame, str(path), "file", path, delimiter))
    return _checked(Table(frame.filter(~blank), str(path), "file", path, delimiter, (~blank).arg_true()))


def _read_records(path: Path, delimiter: str) -> pl.DataFrame:
    """Read all records; those that are too long by empty cells alone lose nothing by being cut."""
    try:
        return read_delimited(path, delimiter)
    except PolarsError:
        if not has_idle_ends(path, delimiter):
            raise
        return read_delimited(path, delimiter, cut=True)


def _checked(table: Table) -> Table:
    if table.frame.height == 0:
        raise DataError(f"{table.name} has a header and no rows: it needs rows")
    return table


def _why_unreadable(path: Path, error: Exception) -> str:
    """Return the message for a file that its reader refused, with the first line that does not fit."""
    parquet = path.name.endswith(PARQUET)
    found = why_unreadable(path) if not parquet and isinstance(error, PolarsError) else None
    kind = "a Parquet file" if parquet else "a table"
    return found or f"{path} cannot be read as {kind}: {str(error).strip().splitlines()[0]}"
