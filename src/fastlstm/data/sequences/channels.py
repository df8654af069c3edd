"""Feature and static columns as channels: a number is one, a category one for each value that it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fastlstm.data.series.rows import Floats
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import (
    coarse_notes,
    encode,
    holds_numbers,
    read_categories,
    read_numbers,
    without,
)
from fastlstm.errors import DataError
from fastlstm.wording import listed, many

MOST_CATEGORIES = 256  # of a column that is named; each is a channel
MOST_CATEGORIES_UNASKED = 50  # of one that is not: with more it is free text, or an id


def learn_categories(
    table: Table, names: Sequence[str], categories: Sequence[str], role: str
) -> dict[str, tuple[str, ...]]:
    """Settle which columns are categories, and which values they take.

    Parameters
    ----------
    table : Table
        The table.
    names : sequence of str
        Its columns.
    categories : sequence of str
        Those that are categories though they may be numbers.
    role : str
        The argument that named them, for messages.

    Returns
    -------
    dict
        Column → its categories, sorted.

    Raises
    ------
    DataError
        If a column takes more than 256 values.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"wind": [3.0, 1.0], "sky": ["mist", "clear"]}))
    >>> learn_categories(table, ["wind", "sky"], [], "features")
    {'sky': ('clear', 'mist')}
    """
    learnt = {}
    for name in names:
        if name in categories or not holds_numbers(table, name):
            cells = read_categories(table, name, role)
            learnt[name] = distinct(table, name, role, cells)
    return learnt


def distinct(table: Table, name: str, role: str, cells: pl.Series) -> tuple[str, ...]:
    """Return the values that a column of categories takes, sorted.

    Parameters
    ----------
    table : Table
        The table, for messages.
    name, role : str
        The column, and the argument that named it.
    cells : polars.Series
        Text, null where empty.

    Raises
    ------
    DataError
        If they are more than 256.
    """
    values = cells.drop_nulls().unique().sort()
    if len(values) > MOST_CATEGORIES:
        raise DataError(
            f"{table.name}: column {name!r} ({role}) holds text of {len(values):,} kinds, such as {values[0]!r}; "
            f"a column of categories may have {MOST_CATEGORIES}: leave it out, or write numbers"
        )
    return tuple(values)


def usable(table: Table, free: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell which of the columns that no one named can be features.

    Parameters
    ----------
    table : Table
        The table.
    free : sequence of str
        Columns without a role.

    Returns
    -------
    features : tuple of str
        Those of numbers, and of text that takes at most 50 values.
    left_out : tuple of str
        The others; a column without a name, which counts rows, is in neither.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> usable(read_table(pl.DataFrame({"": [0], "wind": [3], "note": [None]})), ["", "wind", "note"])
    (('wind', 'note'), ())
    """
    features, left_out = [], []
    for name in free:
        cells = table.frame[name]
        if not name:
            continue
        if holds_numbers(table, name) or (
            cells.dtype in (pl.String, pl.Categorical, pl.Enum)
            and cells.drop_nulls().n_unique() <= MOST_CATEGORIES_UNASKED
        ):
            features.append(name)
        else:
            left_out.append(name)
    return tuple(features), tuple(left_out)


def read_cells(
    table: Table,
    name: str,
    role: str,
    vocabularies: Mapping[str, Sequence[str]],
    missing: Sequence[float] = (),
) -> pl.Series:
    """Read a column as what it was learnt to be.

    Parameters
    ----------
    table : Table
        The table.
    name, role : str
        The column, and the argument that named it.
    vocabularies : mapping
        The columns that are categories.
    missing : sequence of float
        Numbers that mean unknown.

    Returns
    -------
    polars.Series
        Text, or Float64; null where missing.
    """
    if name in vocabularies:
        return read_categories(table, name, role)
    return pl.Series(name, without(read_numbers(table, name, role), missing)).fill_nan(None)


def expand(columns: Sequence[pl.Series], vocabularies: Mapping[str, Sequence[str]], rows: int) -> Floats:
    """Lay columns side by side, each category in a channel of its own.

    Parameters
    ----------
    columns : sequence of polars.Series
        ``rows`` cells each, as ``read_cells`` gives them, under the columns' names.
    vocabularies : mapping
        The categories of those that are text.
    rows : int
        How many rows there are.

    Returns
    -------
    numpy.ndarray
        (rows, ·) float32, NaN where missing; all channels of a category that was not learnt are 0.

    Examples
    --------
    >>> expand([pl.Series("sky", ["mist", None, "hail"])], {"sky": ("clear", "mist")}, 3)
    array([[ 0.,  1.],
           [nan, nan],
           [ 0.,  0.]], dtype=float32)
    """
    widths = [len(vocabularies.get(column.name, [column.name])) for column in columns]
    laid = np.empty((rows, sum(widths)), np.float32)
    first = 0
    for column, width in zip(columns, widths, strict=True):
        part = laid[:, first : first + width]
        if column.name in vocabularies:
            codes = encode(column, vocabularies[column.name])
            part[:] = codes[:, None] == np.arange(1, width + 1)
            part[column.is_null().to_numpy()] = np.nan
        else:
            part[:, 0] = column.fill_null(np.nan).to_numpy()
        first += width
    return laid


def notes_on(
    columns: Sequence[pl.Series], vocabularies: Mapping[str, Sequence[str]], source: str
) -> list[str]:
    """Say what is missing in columns, and which categories are unknown.

    Parameters
    ----------
    columns : sequence of polars.Series
        As for ``expand``.
    vocabularies : mapping
        The categories of those that are text.
    source : str
        What to call the data.

    Examples
    --------
    >>> notes_on([pl.Series("x", [1.0, None]), pl.Series("sky", ["hail", "mist"])], {"sky": ("mist",)}, "a.csv")
    ["a.csv: 1 of 4 cells are missing: 'x' 1", "a.csv: 1 cell of 'sky' unknown to training: 'hail'"]
    """
    notes = []
    empty = {column.name: count for column in columns if (count := column.null_count())}
    if empty:
        most = sorted(empty, key=lambda name: -empty[name])
        named = listed(most, 3, form=lambda name: f"{name!r} {empty[name]:,}")
        cells = sum(len(column) for column in columns)
        notes.append(f"{source}: {sum(empty.values()):,} of {cells:,} cells are missing: {named}")
    for column in columns:
        if column.name in vocabularies:
            unknown = column.filter(~column.is_in(list(vocabularies[column.name]))).drop_nulls()
            if len(unknown):
                notes.append(
                    f"{source}: {many(len(unknown), 'cell')} of {column.name!r} unknown to training: {unknown[0]!r}"
                )
    numbers = [column for column in columns if column.name not in vocabularies]
    return notes + coarse_notes(
        ((column.name, column.fill_null(np.nan).to_numpy()) for column in numbers), source
    )
