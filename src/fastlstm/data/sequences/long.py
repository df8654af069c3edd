"""Long tables: a row a series and time, a column a feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fastlstm.data.ragged import offsets_of
from fastlstm.data.sequences.channels import expand, learn_categories, notes_on, read_cells, usable
from fastlstm.data.sequences.labels import Apart, read_labels
from fastlstm.data.sequences.per_series import (
    groups_of,
    join,
    names_of,
    remaining,
    series_labels,
    stand_apart,
    statics_of,
)
from fastlstm.data.sequences.schema import REMAINING, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.sequences.times import read_clock, refuse_twins, with_clock
from fastlstm.data.series.rows import Integers, Rows, read_rows
from fastlstm.data.series.schema import Columns, check_roles
from fastlstm.data.tables.table import Table
from fastlstm.data.times.finding import find_time
from fastlstm.errors import DataError


def read_long(
    table: Table,
    roles: SequenceSchema,
    apart: Table | None = None,
    *,
    categories: Sequence[str] = (),
    learning: bool = True,
    labelled: bool = True,
) -> SequenceSet:
    """Read sequences of a table with a column a feature.

    Parameters
    ----------
    table : Table
        The table, rows in any order.
    roles : SequenceSchema
        The roles: as the user gave them where ``learning``, otherwise as they were learnt.
    apart : Table, optional
        A table with one row a series.
    categories : sequence of str
        Features and static columns that are categories though they may be numbers.
    learning : bool
        Whether what the user left open is to be settled.
    labelled : bool
        Whether labels are to be read, and must be there.

    Returns
    -------
    SequenceSet
        The sequences in the order of their first rows.

    Raises
    ------
    DataError
        If a column is not there or a cell cannot be read, two rows of a series have the same time, or a series has
        two labels or none.
    """
    notes: list[str] = []
    schema = roles
    if learning:
        schema, left_out = _settle(table, roles, apart, categories)
        if left_out:
            notes.append(
                f"{table.name}: columns that are no features and are left out: {', '.join(left_out)}"
            )
    for name in (*schema.features, *(name for name in schema.static if name not in schema.apart)):
        table.require(name, "features" if name in schema.features else "static")
    rows = read_rows(table, Columns(target=(), series=schema.series))
    clock = read_clock(table, schema.time, rows, None if learning else schema)
    schema = schema if not learning else with_clock(schema, clock)
    order = np.lexsort((clock.instants, rows.codes))
    refuse_twins(table, schema.time, rows, clock, order)
    offsets = offsets_of(np.bincount(rows.codes, minlength=len(rows.names)))
    cells = [
        read_cells(table, name, "features", schema.vocabularies, schema.missing) for name in schema.features
    ]
    notes += notes_on(cells, schema.vocabularies, table.name)
    elapsed = clock.elapsed(order, offsets)
    names = names_of(rows)
    joined = join(apart, schema, names, table.name, labelled=labelled)
    labels = None
    if labelled:
        labels = _labels(table, schema, rows, joined, order, notes)
        if schema.until_end:
            labels = pl.DataFrame({REMAINING: remaining(elapsed, offsets)})
    return SequenceSet(
        source=table.name,
        kind=table.kind,
        schema=schema,
        names=names,
        offsets=offsets,
        values=expand(cells, schema.vocabularies, len(order))[order],
        elapsed=elapsed,
        labels=labels,
        per_step=schema.per_step,
        groups=groups_of(table, schema, rows, joined) if learning else None,
        static=statics_of(table, schema, rows, joined, notes),
        times=None if schema.time is None else table.frame[schema.time][order],
        rows=order,
        notes=(*notes, *(joined.notes if joined else ())),
    )


def _labels(
    table: Table, schema: SequenceSchema, rows: Rows, joined: Apart | None, order: Integers, notes: list[str]
) -> pl.DataFrame | None:
    if not schema.labels:
        return None
    if not schema.per_step:
        return series_labels(table, schema, rows, joined)
    labels = pl.DataFrame([read_labels(table, name, numeric=schema.numeric_labels) for name in schema.labels])
    for column in labels:
        if column.null_count() == len(column):
            raise DataError(
                f"{table.name}: all cells of column {column.name!r} (label) are empty; give some labels"
            )
        if column.null_count():
            notes.append(
                f"{table.name}: {column.null_count():,} of {len(column):,} rows have no {column.name!r}"
            )
    return labels[order]


def _settle(
    table: Table, roles: SequenceSchema, apart: Table | None, categories: Sequence[str]
) -> tuple[SequenceSchema, tuple[str, ...]]:
    """Settle what the user left open: time, features, where columns stand, categories."""
    elsewhere = stand_apart(table, roles, apart)
    labels = () if apart is not None else roles.labels
    here = {
        "series": (roles.series,) if roles.series else (),
        "time": (roles.time,) if roles.time else (),
        "label": labels,
        "features": roles.features,
        "static": tuple(name for name in roles.static if name not in elsewhere),
    }
    taken = check_roles(table, here)
    if roles.groups and roles.groups not in elsewhere:
        table.require(roles.groups, "groups")
        taken.setdefault(roles.groups, "groups")
    # A label may stand in both tables; the one in this table is then no feature, as it would tell the answer.
    free = [name for name in table.columns if name not in taken and name not in roles.labels]
    time = roles.time or find_time(table, free)
    free = [name for name in free if name != time]
    features, left_out = (roles.features, ()) if roles.features else usable(table, free)
    if not features:
        raise DataError(
            f"{table.name}: no column is left to be a feature; it has {', '.join(table.columns)}: if one holds texts, "
            "give it as text"
        )
    for name in categories:
        if name not in features and name not in roles.static:
            raise DataError(
                f"{table.name}: column {name!r} is given as categories and is neither among the features nor static; "
                "give it as one of them too"
            )
    vocabularies = learn_categories(table, features, categories, "features")
    vocabularies |= learn_categories(table, here["static"], categories, "static")
    if apart is not None:
        apart_static = [name for name in roles.static if name in elsewhere]
        vocabularies |= learn_categories(apart, apart_static, categories, "static")
    learnt = {"time": time, "features": features, "vocabularies": vocabularies, "apart": elsewhere}
    return roles.model_copy(update=learnt), left_out
