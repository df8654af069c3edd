"""Labels, and what else there is one of a series: in columns of the table, or in a table of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from fastlstm.data.series.rows import Integers, Rows, read_rows
from fastlstm.data.series.schema import Columns
from fastlstm.data.series.static import one_a_series
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import read_numbers
from fastlstm.errors import DataError
from fastlstm.wording import listed

# A class may be called "none" or "-", so that fewer words than elsewhere mean that there is nothing.
MISSING_LABELS = ("", "?", "na", "n/a", "nan", "null", "<na>")


def read_labels(table: Table, column: str, *, numeric: bool = False) -> pl.Series:
    """Read a label column.

    Parameters
    ----------
    table : Table
        The table.
    column : str
        The column's name.
    numeric : bool
        Whether all cells must be numbers.

    Returns
    -------
    polars.Series
        Numbers where all cells are (whole ones as integers; of a file texts that are numbers too, but for such as 01),
        truth values where the column holds such, otherwise text; null where a cell is empty.

    Raises
    ------
    DataError
        If there is no such column, or a cell is no number where all must be.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"grade": [2.0, None, 1.0], "risk": ["none", "high", "?"]}))
    >>> read_labels(table, "grade").to_list(), read_labels(table, "risk").to_list()
    ([2, None, 1], ['none', 'high', None])
    """
    table.require(column, "label")
    if numeric:
        return pl.Series(column, read_numbers(table, column, "label")).fill_nan(None)
    cells = table.frame[column]
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
        cells = cells.set(cells.str.to_lowercase().is_in(MISSING_LABELS), None)
        numbers = cells.cast(pl.Float64, strict=False)
        codes = cells.str.contains(r"^0\d").any()  # 01 is a code: as a number it would come back as 1
        if table.kind != "file" or codes or numbers.null_count() > cells.null_count():
            return cells
    elif cells.dtype == pl.Boolean:
        return cells
    elif not cells.dtype.is_numeric():
        return cells.cast(pl.String)
    else:
        numbers = cells.cast(pl.Float64).fill_nan(None)
    _refuse_infinite(table, column, numbers)
    whole = (numbers == numbers.round()).all() and (numbers.abs() < 2**53).all()
    return numbers.cast(pl.Int64) if whole else numbers


def label_of_each(
    table: Table, rows: Rows, column: str, *, numeric: bool = False, apart: bool = False
) -> pl.Series:
    """Read a label column of which each series has one value.

    Parameters
    ----------
    table : Table
        The table.
    rows : Rows
        Whose its rows are.
    column : str
        The column's name.
    numeric : bool
        Whether all cells must be numbers.
    apart : bool
        Whether the table holds nothing but what there is one of a series.

    Returns
    -------
    polars.Series
        (S,), null where a series has none.

    Raises
    ------
    DataError
        If the label changes within a series.
    """
    cells = read_labels(table, column, numeric=numeric)
    mend = "write one label a series, or give per_step (--per-step) if every row has its own"
    if apart:
        mend = "keep one of its rows"
    elif rows.names == [None]:
        mend = "name the column that tells sequences apart as series, or give per_step (--per-step)"
    return one_a_series(table, rows, column, cells, "label", mend).alias(column)


def refuse_unlabelled(source: str, names: Sequence[Any], labels: pl.DataFrame) -> None:
    """Raise where a sequence has no label.

    Parameters
    ----------
    source : str
        What to call the data.
    names : sequence
        The sequences' ids.
    labels : polars.DataFrame
        (n, ·) labels, null where missing.

    Raises
    ------
    DataError
        With how many, and the first few.
    """
    for column in labels:
        without = column.is_null().arg_true().to_list()
        if without:
            raise DataError(
                f"{source}: the label {column.name!r} is missing for {len(without):,} of {len(names):,} series: "
                f"{listed([names[index] for index in without])}; fill it in or leave them out"
            )


@dataclass(frozen=True)
class Apart:
    """A table with one row a series: labels, and it may be groups and static columns.

    Parameters
    ----------
    table : Table
        The table.
    rows : Rows
        Whose its rows are.
    places : numpy.ndarray
        (n,) int64, for each sequence which of ``rows.names`` it is, -1 where it is none of them.
    notes : tuple of str
        What it has and the data do not.
    """

    table: Table
    rows: Rows
    places: Integers
    notes: tuple[str, ...]

    @classmethod
    def join(cls, table: Table, column: str, names: Sequence[Any], source: str) -> Self:
        """Find the rows that belong to sequences.

        Parameters
        ----------
        table : Table
            The table.
        column : str
            Its column of series ids.
        names : sequence
            The sequences' ids.
        source : str
            What to call their data.

        Raises
        ------
        DataError
            If the two have no id in common, or the table lacks some of the sequences.

        Examples
        --------
        >>> from fastlstm.data.tables.table import read_table
        >>> table = read_table(pl.DataFrame({"id": [3, 1, 2], "died": [0, 1, 0]}))
        >>> apart = Apart.join(table, "id", [1, 3], "stays.csv")
        >>> apart.gather(table.frame["died"]).to_list(), apart.notes
        ([1, 0], ('the frame: 1 of 3 series have no row in stays.csv: 2',))
        """
        table.require(column, "labels_series")
        rows = read_rows(table, Columns(target=(), series=column))
        known = {_plain(name): place for place, name in enumerate(rows.names)}
        places = np.array([known.get(_plain(name), -1) for name in names], np.int64)
        without = [name for name, place in zip(names, places, strict=True) if place < 0]
        if len(without) == len(names):
            raise DataError(
                f"{source} and {table.name} do not join: none of the {len(names):,} series ({listed(names)}) is among "
                f"the {len(rows.names):,} of column {column!r} ({listed(rows.names)}); "
                "give the column of the same ids as labels_series"
            )
        if without:
            raise DataError(
                f"{table.name} has no row for {len(without):,} of {len(names):,} series of {source}: "
                f"{listed(without)}; "
                f"add them to column {column!r}, or leave these series out"
            )
        matched = set(places.tolist())
        others = [name for place, name in enumerate(rows.names) if place not in matched]
        note = (
            f"{table.name}: {len(others):,} of {len(rows.names):,} series have no row in {source}: "
            f"{listed(others)}"
        )
        return cls(table, rows, places, (note,) if others else ())

    def gather(self, column: pl.Series) -> pl.Series:
        """Return the values of the sequences.

        Parameters
        ----------
        column : polars.Series
            One value for each of ``rows.names``.
        """
        return column[self.places]


def _plain(name: Any) -> str:
    """Return an id as text: 7, "7" and "7.0" are the same."""
    text = str(name)
    return text.removesuffix(".0")


def _refuse_infinite(table: Table, column: str, numbers: pl.Series) -> None:
    infinite = numbers.is_infinite().fill_null(False)
    if infinite.any():
        row = infinite.arg_max() or 0
        raise DataError(f"{table.where(row)}: column {column!r} (label) is infinite; correct it")
