"""Tidy tables of measurements: a row a series, time and variable, with one value."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.ragged import codes_of, offsets_of
from fastlstm.data.sequences.channels import distinct, expand, learn_categories, notes_on
from fastlstm.data.sequences.labels import Apart
from fastlstm.data.sequences.measurements import Measurements, as_categories, expand_grid, static_variable
from fastlstm.data.sequences.per_series import (
    STATIC_MEND,
    groups_of,
    join,
    names_of,
    one_of_each,
    remaining,
    series_labels,
    stand_apart,
)
from fastlstm.data.sequences.schema import REMAINING, Duplicates, SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.data.sequences.times import Clock, read_clock, with_clock
from fastlstm.data.series.rows import Floats, Integers, Rows, read_rows
from fastlstm.data.series.schema import Columns, check_roles
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import read_numbers, without
from fastlstm.data.times.finding import find_time
from fastlstm.errors import DataError
from fastlstm.wording import listed, many


class Cells(NamedTuple):
    """The columns of a tidy table.

    Attributes
    ----------
    rows : Rows
        Whose each row is.
    clock : Clock
        When.
    variables : polars.Series
        Which variable.
    values : numpy.ndarray
        (rows,) float64, NaN where missing.
    """

    rows: Rows
    clock: Clock
    variables: pl.Series
    values: npt.NDArray[np.float64]


def read_tidy(
    table: Table,
    roles: SequenceSchema,
    apart: Table | None = None,
    *,
    categories: Sequence[str] = (),
    learning: bool = True,
    labelled: bool = True,
    duplicates: Duplicates | None = None,
) -> SequenceSet:
    """Read sequences of a table with a row a variable.

    The steps of a sequence are all times at which something was measured; a variable that was not is missing there.

    Parameters
    ----------
    table : Table
        The table, rows in any order.
    roles : SequenceSchema
        The roles: as the user gave them where ``learning``, otherwise as they were learnt.
    apart : Table, optional
        A table with one row a series.
    categories : sequence of str
        Variables that are categories though they are numbers.
    learning : bool
        Whether what the user left open is to be settled.
    labelled : bool
        Whether labels are to be read, and must be there.
    duplicates : {"refuse", "mean", "first", "last"}, optional
        What to do with different values of a variable at one time. Default: refuse them, unless ten series or more,
        at least one in twenty, have some, and at most one value in twenty is such: then this is how they were
        measured, and their mean counts.

    Returns
    -------
    SequenceSet
        The sequences in the order of their first rows.

    Raises
    ------
    DataError
        If a column is not there or a cell cannot be read, a variable has two values at one time, or a series has two
        labels or none.
    """
    notes: list[str] = []
    schema = _settle_columns(table, roles, apart) if learning else roles
    cells = _read_cells(table, schema, learning)
    found = cells.variables.unique(maintain_order=True).to_list()
    if learning:
        schema = with_clock(_settle_variables(table, schema, apart, cells, found, categories), cells.clock)
    else:
        _note_variables(table, schema, found, notes)
    order, offsets, begins, steps, codes = _steps(schema, cells)
    known = (codes >= 0) & ~np.isnan(cells.values[order])
    measured = Measurements(
        table, cells.rows, order[known], steps[known], codes[known], cells.values[order[known]]
    )
    asked = duplicates or (None if learning else schema.duplicates)
    measured, done = measured.merged(schema, asked, notes)
    schema = schema.model_copy(update={"duplicates": done})
    grid = measured.grid(len(begins), len(schema.features))
    notes.append(
        f"{table.name}: {many(len(measured.values), 'value')} of {many(grid.shape[1], 'variable')} at "
        f"{many(len(grid), 'time')}; {np.isnan(grid).mean():.0%} of the cells are unknown"
    )

    elapsed = cells.clock.elapsed(order[begins], offsets)
    names = names_of(cells.rows)
    joined = join(apart, schema, names, table.name, labelled=labelled)
    labels = None
    if labelled and schema.until_end:
        labels = pl.DataFrame({REMAINING: remaining(elapsed, offsets)})
    elif labelled and schema.labels:
        labels = series_labels(table, schema, cells.rows, joined)
    return SequenceSet(
        source=table.name,
        kind=table.kind,
        schema=schema,
        names=names,
        offsets=offsets,
        values=expand_grid(grid, schema),
        elapsed=elapsed,
        labels=labels,
        per_step=schema.per_step,
        groups=groups_of(table, schema, cells.rows, joined) if learning else None,
        static=_statics(table, schema, cells, joined, notes),
        times=None if schema.time is None else table.frame[schema.time][order[begins]],
        notes=(*notes, *(joined.notes if joined else ())),
    )


def _read_cells(table: Table, schema: SequenceSchema, learning: bool) -> Cells:
    variable, value = schema.variable or "variable", schema.value or "value"
    table.require(variable, "variable")
    table.require(value, "value")
    rows = read_rows(table, Columns(target=(), series=schema.series))
    clock = read_clock(table, schema.time, rows, None if learning else schema)
    # An empty cell alone is no name: sodium is called Na.
    variables = table.frame[variable].cast(pl.String).str.strip_chars()
    variables = variables.set(variables == "", None)
    if variables.null_count():
        row = variables.is_null().arg_max() or 0
        raise DataError(
            f"{table.where(row)}: column {variable!r} (variable) is empty; fill it in or delete the row"
        )
    return Cells(rows, clock, variables, without(read_numbers(table, value, "value"), schema.missing))


def _steps(schema: SequenceSchema, cells: Cells) -> tuple[Integers, Integers, Integers, Integers, Integers]:
    """Sort the rows that play a role, and tell which step and which feature each belongs to.

    Returns
    -------
    order : numpy.ndarray
        (R,) which row of the table.
    offsets : numpy.ndarray
        (n + 1,) the first step of each sequence.
    begins : numpy.ndarray
        (N,) where in ``order`` each step begins.
    steps, codes : numpy.ndarray
        (R,) which step; which feature, negative for what is none.
    """
    static = [name for name in schema.static if name not in schema.features]
    roles = [*range(len(schema.features)), *(-2 for _ in static)]
    codes = cells.variables.replace_strict(
        [*schema.features, *static], roles, default=-1, return_dtype=pl.Int64
    ).to_numpy()
    order = np.lexsort((cells.clock.instants, cells.rows.codes))
    # Rows of variables that play no role are no steps, but for the first of a series, from which time is counted.
    kept = (codes[order] != -1) | (np.diff(cells.rows.codes[order], prepend=-1) != 0)
    order = order[kept]
    series, instants = cells.rows.codes[order], cells.clock.instants[order]
    begins = np.flatnonzero(np.append(True, (np.diff(series) != 0) | (np.diff(instants) != 0)))
    steps = codes_of(np.diff(np.append(begins, len(order))))
    counts = np.bincount(series[begins], minlength=len(cells.rows.names))
    return order, offsets_of(counts), begins, steps, codes[order].astype(np.int64)


def _settle_columns(table: Table, roles: SequenceSchema, apart: Table | None) -> SequenceSchema:
    """Settle the columns: each is there, each has one role."""
    if roles.per_step and not roles.until_end:
        raise DataError(
            f"{table.name}: per_step labels need a table with one row a series and time; "
            "this one has a row for each variable"
        )
    elsewhere = stand_apart(table, roles, apart)
    taken = check_roles(
        table,
        {
            "series": (roles.series,) if roles.series else (),
            "time": (roles.time,) if roles.time else (),
            "variable": (roles.variable or "variable",),
            "value": (roles.value or "value",),
            "label": () if apart is not None else roles.labels,
        },
    )
    time = roles.time or find_time(table, [name for name in table.columns if name not in taken])
    if time is None:
        raise table.which("time")
    return roles.model_copy(update={"time": time, "apart": elsewhere})


def _settle_variables(
    table: Table,
    schema: SequenceSchema,
    apart: Table | None,
    cells: Cells,
    found: list[str],
    categories: Sequence[str],
) -> SequenceSchema:
    """Settle which variables are features, which are static, which are categories."""
    columns = [name for name in schema.static if name in table.columns]
    variables = [name for name in schema.static if name not in columns and name not in schema.apart]
    for name in (*schema.features, *variables, *(name for name in categories if name not in schema.static)):
        if name not in found:
            role = "static" if name in variables else "features" if name in schema.features else "categories"
            lowered = {other.casefold(): other for other in reversed(found)}
            near = difflib.get_close_matches(name.casefold(), lowered, n=1)
            mend = f"did you mean {lowered[near[0]]!r}?" if near else f"it has {listed(found)}"
            raise DataError(f"{table.name}: no row has {name!r} as {schema.variable} ({role}): {mend}")
    features = schema.features or tuple(name for name in found if name not in schema.static)
    if not features:
        raise DataError(f"{table.name}: no variable is left to be a feature; it has {listed(found)}")
    vocabularies = learn_categories(table, columns, categories, "static")
    if apart is not None:
        vocabularies |= learn_categories(
            apart, [name for name in schema.static if name in schema.apart], categories, "static"
        )
    for name in (*features, *variables):
        if name in categories:
            values = cells.values[(cells.variables == name).to_numpy()]
            vocabularies[name] = distinct(table, name, "categories", as_categories(name, values))
    return schema.model_copy(update={"features": features, "vocabularies": vocabularies})


def _note_variables(table: Table, schema: SequenceSchema, found: list[str], notes: list[str]) -> None:
    """Say which variables training knew and these data do not have, and the other way round."""
    absent = [name for name in schema.features if name not in found]
    if len(absent) == len(schema.features):
        raise DataError(
            f"{table.name}: column {schema.variable!r} holds {listed(found)}, none of the {len(absent)} variables "
            f"of training ({listed(schema.features)})"
        )
    if absent:
        notes.append(f"{table.name}: {len(absent)} variables of training are not in it: {listed(absent)}")
    new = [name for name in found if name not in schema.features and name not in schema.static]
    if new:
        notes.append(f"{table.name}: {len(new)} variables were not used in training: {listed(new)}")


def _statics(
    table: Table, schema: SequenceSchema, cells: Cells, joined: Apart | None, notes: list[str]
) -> Floats:
    """Read what each series has one value of, from columns, variables or the table of labels."""
    values = []
    for name in schema.static:
        if name in schema.apart or name in table.columns:
            values.append(one_of_each(table, cells.rows, joined, schema, name, "static"))
        else:
            known = schema.vocabularies.get(name)
            values.append(
                static_variable(table, cells.rows, name, cells.variables, cells.values, known, STATIC_MEND)
            )
    notes += notes_on(values, schema.vocabularies, table.name)
    return expand(values, schema.vocabularies, len(cells.rows.names))
