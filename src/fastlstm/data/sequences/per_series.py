"""What there is one of for each sequence: its id, label, group and static values, wherever they stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.sequences.channels import expand, notes_on, read_cells
from fastlstm.data.sequences.labels import Apart, label_of_each, refuse_unlabelled
from fastlstm.data.sequences.schema import SequenceSchema
from fastlstm.data.series.rows import Floats, Integers, Rows
from fastlstm.data.series.static import one_a_series
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import read_categories
from fastlstm.errors import DataError

STATIC_MEND = "leave it among the features if it changes"


def names_of(rows: Rows) -> tuple[object, ...]:
    """Return the ids; 0 where there is one series without a name.

    Parameters
    ----------
    rows : Rows
        The rows.
    """
    return tuple(rows.names) if rows.names != [None] else (0,)


def remaining(elapsed: npt.NDArray[np.float64], offsets: Integers) -> pl.Series:
    """Return the time left until the last row of each sequence.

    Parameters
    ----------
    elapsed : numpy.ndarray
        (N,) float64, since the first.
    offsets : numpy.ndarray
        (n + 1,) int64.

    Examples
    --------
    >>> remaining(np.array([0.0, 1.0, 5.0, 0.0]), np.array([0, 3, 4])).to_list()
    [5.0, 4.0, 0.0, 0.0]
    """
    return pl.Series(np.repeat(elapsed[offsets[1:] - 1], np.diff(offsets)) - elapsed)


def stand_apart(table: Table, roles: SequenceSchema, apart: Table | None) -> tuple[str, ...]:
    """Tell which static and group columns stand in the table of labels and not in the other.

    Parameters
    ----------
    table : Table
        The table.
    roles : SequenceSchema
        The roles.
    apart : Table, optional
        The table with one row a series.
    """
    named = (*roles.static, *((roles.groups,) if roles.groups else ()))
    if apart is None:
        return ()
    return tuple(name for name in named if name not in table.columns and name in apart.columns)


def join(
    apart: Table | None, schema: SequenceSchema, names: Sequence[object], source: str, *, labelled: bool
) -> Apart | None:
    """Join the table with one row a series, where there is one and it has a role.

    Parameters
    ----------
    apart : Table, optional
        The table.
    schema : SequenceSchema
        The roles.
    names : sequence
        The sequences' ids.
    source : str
        What to call their data.
    labelled : bool
        Whether labels are to be read.

    Raises
    ------
    DataError
        If it is missing, or does not join.
    """
    static = [name for name in schema.static if name in schema.apart]
    if apart is None and static:
        raise DataError(
            f"{source}: column {static[0]!r} (static) stood in the table of labels in training; "
            "give one that has it as labels"
        )
    if apart is None or not (labelled or static):
        return None
    column = schema.labels_series or schema.series
    if column is None:
        raise DataError(
            f"{source}: labels stand in {apart.name} for each series; give series, the column of the ids"
        )
    return Apart.join(apart, column, names, source)


def one_of_each(
    table: Table, rows: Rows, joined: Apart | None, schema: SequenceSchema, name: str, role: str
) -> pl.Series:
    """Read a column with one value a series, from the table or from that of the labels.

    Parameters
    ----------
    table : Table
        The table.
    rows : Rows
        Whose its rows are.
    joined : Apart, optional
        The table with one row a series.
    schema : SequenceSchema
        The roles.
    name, role : str
        The column, and the argument that named it.

    Returns
    -------
    polars.Series
        n values, numbers or categories, null where missing.
    """
    apart = joined if name in schema.apart else None
    source, whose = (apart.table, apart.rows) if apart else (table, rows)
    if role == "groups":
        cells = read_categories(source, name, role)
    else:
        cells = read_cells(source, name, role, schema.vocabularies, schema.missing)
    values = one_a_series(
        source, whose, name, cells, role, STATIC_MEND if role == "static" else "write one a series"
    )
    return (apart.gather(values) if apart else values).alias(name)


def groups_of(table: Table, schema: SequenceSchema, rows: Rows, joined: Apart | None) -> pl.Series | None:
    """Read the groups.

    Parameters
    ----------
    table, schema, rows, joined
        As for ``one_of_each``.

    Raises
    ------
    DataError
        If a series has none, or two.
    """
    if schema.groups is None:
        return None
    if schema.groups == schema.series:
        return pl.Series(schema.groups, names_of(rows))
    groups = one_of_each(table, rows, joined, schema, schema.groups, "groups")
    if groups.null_count():
        name = names_of(rows)[groups.is_null().arg_max() or 0]
        raise DataError(
            f"{table.name}: column {schema.groups!r} (groups) is empty for series {name!r}; fill it in"
        )
    return groups


def statics_of(
    table: Table, schema: SequenceSchema, rows: Rows, joined: Apart | None, notes: list[str]
) -> Floats:
    """Read the static columns.

    Parameters
    ----------
    table, schema, rows, joined
        As for ``one_of_each``.
    notes : list of str
        Added to.

    Returns
    -------
    numpy.ndarray
        (n, S) float32, NaN where missing.
    """
    cells = [one_of_each(table, rows, joined, schema, name, "static") for name in schema.static]
    notes += notes_on(cells, schema.vocabularies, table.name)
    return expand(cells, schema.vocabularies, len(rows.names))


def series_labels(table: Table, schema: SequenceSchema, rows: Rows, joined: Apart | None) -> pl.DataFrame:
    """Read one label a series.

    Parameters
    ----------
    table, schema, rows, joined
        As for ``one_of_each``; where there is a table of labels they stand there.

    Raises
    ------
    DataError
        If a series has none, or two.
    """
    source, whose = (joined.table, joined.rows) if joined else (table, rows)
    if joined is None and schema.labels[0] not in table.columns and schema.labels_apart:
        raise DataError(
            f"{table.name} has no column {schema.labels[0]!r} (label), which stood in a table of its own in training; "
            "give one as labels"
        )
    columns = [
        label_of_each(source, whose, name, numeric=schema.numeric_labels, apart=joined is not None)
        for name in schema.labels
    ]
    labels = pl.DataFrame([joined.gather(column) if joined else column for column in columns])
    refuse_unlabelled(source.name, names_of(rows), labels)
    return labels
