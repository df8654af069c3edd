"""The rows of a table: whose they are, when they are, and how their cells go onto the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.ragged import ranges
from fastlstm.data.series.schema import Columns, Schema
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import count_unresolved, encode, far_value, read_categories, read_numbers
from fastlstm.data.times.timestamps import Times, read_times
from fastlstm.errors import DataError

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Whose and when each row is, in the order of the table.

    Parameters
    ----------
    names : list
        S series ids in the order of their first rows; ``[None]`` where there is no series column.
    codes : numpy.ndarray
        (rows,) int64, which series.
    times : Times
        When.
    """

    names: list[Any]
    codes: Integers
    times: Times

    @property
    def instants(self) -> Integers:
        """(rows,) int64, ticks that sort by time, over changes of summer time too."""
        return self.times.ticks if self.times.instants is None else self.times.instants

    def filter(self, kept: npt.NDArray[np.bool_]) -> Rows:
        """Leave rows out; at least one of each series stays.

        Parameters
        ----------
        kept : numpy.ndarray
            (rows,) which to keep.
        """
        instants = None if self.times.instants is None else self.times.instants[kept]
        times = replace(self.times, ticks=self.times.ticks[kept], instants=instants)
        return Rows(self.names, self.codes[kept], times)


def read_rows(table: Table, columns: Columns, schema: Schema | None = None) -> Rows:
    """Read the series and time columns.

    Parameters
    ----------
    table : Table
        The table.
    columns : Columns
        The roles.
    schema : Schema, optional
        How another table of the same kind was read.

    Raises
    ------
    DataError
        If a series id or a time is empty or cannot be read.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"shop": ["b", "a", "b"], "y": [1, 2, 3]}))
    >>> rows = read_rows(table, Columns(target=("y",), series="shop"))
    >>> rows.names, rows.codes, rows.times.ticks
    (['b', 'a'], array([0, 1, 0]), array([0, 0, 1]))
    """
    names, codes = _read_series_ids(table, columns.series)
    if columns.time is not None:
        known = (schema.time_format, schema.time_kind) if schema else (None, None)
        return Rows(names, codes, read_times(table, columns.time, *known))
    order = np.argsort(codes, kind="stable")
    firsts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    counted = np.empty_like(codes)
    counted[order] = ranges(0, np.diff(np.append(firsts, len(codes))))
    return Rows(names, codes, Times(counted, "row"))


@dataclass(frozen=True)
class Found:
    """What was met on the way from cells to flat arrays, by column.

    Parameters
    ----------
    empty, unknown : dict
        Empty cells, and cells with a category outside the vocabulary.
    unresolved : dict
        1, where float32 holds the numbers coarsely.
    far : dict
        The value that lies far from all others and how many cells hold it, where there is one.
    """

    empty: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    unresolved: dict[str, int] = field(default_factory=dict)
    far: dict[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Where each row of a table goes in flat arrays.

    Parameters
    ----------
    table : Table
        The table.
    schema : Schema
        How to read it.
    places : numpy.ndarray
        (rows,) int64, each row's index in the flat arrays, -1 for those that are left out.
    size : int
        The length of the flat arrays.
    observed : numpy.ndarray
        (rows,) bool, the rows in which an empty cell counts as missing.
    found : Found
        What is met on the way is added to it.
    """

    table: Table
    schema: Schema
    places: Integers
    size: int
    observed: npt.NDArray[np.bool_]
    found: Found = field(default_factory=Found)

    def numbers(self, names: Sequence[str], role: str) -> Floats:
        """Numeric columns on the grid.

        Parameters
        ----------
        names : sequence of str
            The columns.
        role : str
            The argument that named them, for messages.

        Returns
        -------
        numpy.ndarray
            (size, columns) float32, NaN where missing.
        """
        columns = {name: read_numbers(self.table, name, role) for name in names}
        for name, values in columns.items():
            if count_unresolved(values, np.zeros(len(values), np.int64)):
                self.found.unresolved[name] = 1
            if far := far_value(values):
                self.found.far[name] = far
        return self.lay(names, columns)

    def lay(self, names: Sequence[str], numbers: Mapping[str, npt.NDArray[np.float64]]) -> Floats:
        """Numbers that were read on the grid.

        Parameters
        ----------
        names : sequence of str
            The columns.
        numbers : mapping
            Column → (rows,), NaN where missing.

        Returns
        -------
        numpy.ndarray
            (size, columns) float32, NaN where missing.
        """
        flat = np.full((self.size, len(names)), np.nan, np.float32)
        for column, name in enumerate(names):
            values = numbers[name]
            flat[self.places[self._kept], column] = values[self._kept]
            _count(self.found.empty, name, np.isnan(values) & self.observed)
        return flat

    def categories(self, names: Sequence[str], role: str) -> Integers:
        """Categorical columns on the grid.

        Parameters
        ----------
        names : sequence of str
            The columns.
        role : str
            The argument that named them, for messages.

        Returns
        -------
        numpy.ndarray
            (size, columns) int64, 0 where missing or unknown.
        """
        flat = np.zeros((self.size, len(names)), np.int64)
        for column, name in enumerate(names):
            cells = read_categories(self.table, name, role)
            codes = encode(cells, self.schema.vocabularies[name])
            flat[self.places[self._kept], column] = codes[self._kept]
            absent = cells.is_null().to_numpy()
            _count(self.found.empty, name, absent & self.observed)
            _count(self.found.unknown, name, (codes == 0) & ~absent)
        return flat

    @property
    def _kept(self) -> npt.NDArray[np.bool_]:
        kept: npt.NDArray[np.bool_] = self.places >= 0
        return kept


def find_twins(order: Integers, *keys: npt.NDArray[Any]) -> tuple[int, int] | None:
    """Find two rows that are alike, those that stand first in the table.

    Parameters
    ----------
    order : numpy.ndarray
        (N,) int64, the rows sorted by the keys, those that are alike as they stand in the table.
    *keys : numpy.ndarray
        (N,) each, that of the sorted rows.

    Returns
    -------
    tuple of int, optional
        The earlier and the later of the two; None where no two are alike.

    Examples
    --------
    >>> find_twins(np.array([2, 0, 1, 3]), np.array([5, 7, 7, 7]))
    (0, 1)
    """
    same = np.flatnonzero(np.logical_and.reduce([key[1:] == key[:-1] for key in keys]))
    if not same.size:
        return None
    second = same[order[same + 1].argmin()] + 1
    earlier, later = sorted((int(order[second - 1]), int(order[second])))
    return earlier, later


def of_series(name: Any) -> str:
    """Say which series, for a message; nothing where there is no series column.

    Parameters
    ----------
    name : object
        The series' id, or None.

    Examples
    --------
    >>> f"no target{of_series('north')}", f"no target{of_series(None)}"
    ("no target of series 'north'", 'no target')
    """
    return "" if name is None else f" of series {name!r}"


def _count(counts: dict[str, int], name: str, found: npt.NDArray[np.bool_]) -> None:
    if found.any():
        counts[name] = int(found.sum())


def _read_series_ids(table: Table, column: str | None) -> tuple[list[Any], Integers]:
    if column is None:
        return [None], np.zeros(table.frame.height, np.int64)
    table.require(column, "series")
    ids = table.frame[column]
    if ids.dtype == pl.String:
        ids = ids.str.strip_chars()
        ids = ids.set(ids == "", None)
        integers = ids.cast(pl.Int64, strict=False)
        ids = (
            integers
            if table.kind == "file" and (integers.cast(pl.String) == ids).all(ignore_nulls=False)
            else ids
        )
    elif not ids.dtype.is_integer():
        ids = ids.fill_nan(None) if ids.dtype.is_float() else ids
        whole = ids.dtype.is_float() and bool(
            (ids == ids.round()).all()
        )  # pandas makes 1.0 of 1 where one is missing
        ids = ids.cast(pl.Int64 if whole else pl.String)
    if ids.null_count():
        row = ids.is_null().arg_max() or 0
        raise DataError(
            f"{table.where(row)}: column {column!r} (series) is empty; fill it in or delete the row"
        )
    names = ids.unique(maintain_order=True)
    codes = ids.replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64), return_dtype=pl.Int64)
    return names.to_list(), codes.to_numpy().astype(np.int64)
