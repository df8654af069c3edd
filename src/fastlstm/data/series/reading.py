"""From a table to a :class:`SeriesSet`: rows are sorted, laid on the grid in time, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.gaps import GapReport
from fastlstm.data.series.history import nothing
from fastlstm.data.series.placing import grid_ticks, lay_on_grid, series_ends, slower
from fastlstm.data.series.rows import Grid, Integers, Rows, read_rows
from fastlstm.data.series.schema import ROLES, Columns, Schema
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.static import static_categories, static_numbers
from fastlstm.data.series.wide import to_long
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.tables.values import (
    SQUARED,
    count_unresolved,
    far_value,
    find_number_forms,
    holds_numbers,
    read_categories,
    read_numbers,
)
from fastlstm.data.times.axis import TimeAxis
from fastlstm.data.times.calendar import calendar_cycles
from fastlstm.data.times.forms import DATES, grain
from fastlstm.data.times.frequency import Frequency, infer_frequency, usual_day
from fastlstm.data.times.parts import join_times
from fastlstm.data.times.timestamps import EPOCH, looks_like_time
from fastlstm.errors import DataError, InputError

Numbers = npt.NDArray[np.float64]


class Leading(NamedTuple):
    """How many series start late, and their rows before that."""

    series: int = 0
    rows: int = 0


def read_series(
    source: Any,
    columns: Columns,
    *,
    schema: Schema | None = None,
    frequency: str | None = None,
    silent: bool = False,
) -> SeriesSet:
    """Read the series of a table.

    Parameters
    ----------
    source : path, DataFrame or Table
        The table, rows in any order.
    columns : Columns
        The roles.
    schema : Schema, optional
        How the table of ``fit`` was read, to read another one the same way. Default: learn it from this
        table.
    frequency : str, optional
        The step to learn. Default: the most common one.
    silent : bool
        Take a table without a single target too.

    Returns
    -------
    SeriesSet
        The series in the order of their first rows.

    Raises
    ------
    DataError
        If a column is missing, a cell cannot be read, two rows of a series have the same time, a static
        covariate changes within a series, or a series has no target at all.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"day": ["2024-01-04", "2024-01-01", "2024-01-02"], "y": ["4", "1", "-"]})
    >>> series = read_series(table, Columns(target=("y",), time="day"))
    >>> series.target[:, 0], series.report.gaps, dict(series.report.empty), series.report.sorted_rows
    (array([ 1., nan, nan,  4.], dtype=float32), 1, {'y': 1}, 1)
    """
    given = read_table(source)
    table, forms, left_out = lay_out(given, columns, schema)
    for name in columns.target:
        table.require(name, "target")
    table, rows, targets, leading = _begin_with_targets(table, columns, schema)
    order = np.lexsort((rows.instants, rows.codes))
    learns = schema is None
    if schema is None:
        schema = _learn(table, columns, rows, order, frequency, forms)
        names = rows.names if columns.wide else columns.target
        numeric = [*names, *(name for role in ROLES for name in schema.numeric(role))]
        schema = schema.model_copy(update={"number_forms": find_number_forms(given, map(str, numeric))})
    axis, offsets, places, moved = lay_on_grid(table, rows, order, schema)
    steps, positions = int(offsets[-1]), places - offsets[rows.codes]
    apart = slower(rows.codes[order], positions[order]) if learns and frequency is None else {}
    if not silent:
        require_values(table.name, targets)
    last_observed = _last_observed(rows, targets, positions)
    coarse = {name: count_unresolved(values, rows.codes) for name, values in targets.items()}
    far = {name: found for name, values in targets.items() if (found := far_value(values))}
    observed = positions < last_observed[rows.codes]
    seen = Grid(table, schema, places, steps, observed)
    everywhere = np.ones_like(observed)
    met = seen.found
    ahead = Grid(table, schema, places, steps, everywhere, met)
    return SeriesSet(
        names=rows.names,
        offsets=offsets,
        last_observed=last_observed,
        axis=axis,
        schema=schema,
        kind=table.kind,
        source=table.name,
        earlier=nothing(len(rows.names), len(columns.target)),
        static=static_numbers(table, schema, rows),
        static_categories=static_categories(table, schema, rows, met.unknown),
        target=seen.lay(columns.target, targets),
        past=seen.numbers(schema.numeric("past"), "past_covariates"),
        past_categories=seen.categories(schema.categorical("past"), "past_covariates"),
        future=ahead.numbers(schema.numeric("future"), "future_covariates"),
        future_categories=ahead.categories(schema.categorical("future"), "future_covariates"),
        report=GapReport(
            rows=len(places),
            series=len(rows.names),
            gaps=steps - len(places),
            empty=met.empty,
            unknown=met.unknown,
            unresolved={name: count for name, count in coarse.items() if count} | met.unresolved,
            sorted_rows=_count_descents(rows),
            moved_rows=moved,
            late=leading.series,
            leading=leading.rows,
            ended=_ended(axis, last_observed),
            left_out=left_out,
            unread=_unread(given, columns) if learns else (),
            idle_index=learns and columns.time is None and given.idle_index,
            far=far | met.far if learns else {},
            slower={rows.names[code]: step for code, step in apart.items()},
        ),
    )


def require_values(name: str, targets: Mapping[str, Numbers]) -> None:
    """Raise where not a single target is known.

    Parameters
    ----------
    name : str
        That of the table.
    targets : mapping
        Column → (rows,) float64, NaN where missing.
    """
    if not _known(targets).any():
        raise DataError(f"{name}: all cells of {', '.join(targets)} are empty; give some values")


def where_in(source: Any, series: SeriesSet, code: int, position: int) -> str:
    """Say in which line of a table a step of a series stands, for a message.

    Parameters
    ----------
    source : path, DataFrame or Table
        The table.
    series : SeriesSet
        What was read from it.
    code : int
        Which series.
    position : int
        Which of its steps.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"day": ["2024-01-04", "2024-01-01"], "y": [4, 1]})
    >>> where_in(table, read_series(table, Columns(target=("y",), time="day")), 0, 3)
    'the frame, row 0'
    """
    schema = series.schema
    table, _, _ = lay_out(read_table(source), schema.columns, schema)
    rows = read_rows(table, schema.columns, schema)
    own = np.flatnonzero(rows.codes == code)
    distance = np.abs(grid_ticks(table, rows.times, schema)[own] - series.axis.ticks(code, position, 1))
    return table.where(int(own[distance.argmin()]))


def lay_out(
    table: Table, columns: Columns, schema: Schema | None = None
) -> tuple[Table, tuple[str, ...], tuple[str, ...]]:
    """Bring a table to one row a series and time, with one time column, and with what means unknown in it.

    Parameters
    ----------
    table : Table
        The table as it was given.
    columns : Columns
        The roles.
    schema : Schema, optional
        How an earlier table was read.

    Returns
    -------
    table : Table
        The same rows, where it was so already.
    forms : tuple of str
        How the parts of its time are written, where there are several.
    left_out : tuple of str
        Columns of a wide table that are of no use.
    """
    forms: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    table = replace(table, missing=columns.missing, number_forms=schema.number_forms if schema else {})
    if columns.time_parts:
        table, forms = join_times(table, columns.time_parts)
    if columns.wide:
        table, left_out = to_long(table, columns)
    return table, forms, left_out


def _begin_with_targets(
    table: Table, columns: Columns, schema: Schema | None
) -> tuple[Table, Rows, dict[str, Numbers], Leading]:
    """Read whose and when the rows are, and the targets; leave out the rows of a series before its first target.

    Where there is a schema the rows may continue others, and all count.
    """
    rows = read_rows(table, columns, schema)
    targets = {name: read_numbers(table, name, "target", largest=SQUARED) for name in columns.target}
    known = _known(targets)
    first = np.full(len(rows.names), np.iinfo(np.int64).max)
    np.minimum.at(first, rows.codes[known], rows.instants[known])
    first[first == np.iinfo(np.int64).max] = np.iinfo(np.int64).min  # nothing is known of it at all
    kept: npt.NDArray[np.bool_] = np.greater_equal(rows.instants, first[rows.codes])
    if schema or kept.all():
        return table, rows, targets, Leading()
    leading = Leading(series=len(np.unique(rows.codes[~kept])), rows=int((~kept).sum()))
    targets = {name: values[kept] for name, values in targets.items()}
    return table.filter(kept), rows.filter(kept), targets, leading


def _unread(table: Table, columns: Columns) -> tuple[str, ...]:
    if columns.wide:
        return ()
    roles = columns.read
    return tuple(name for name in table.columns if name not in roles)


def _known(targets: Mapping[str, Numbers]) -> npt.NDArray[np.bool_]:
    """(rows,) where a target is known."""
    known: npt.NDArray[np.bool_] = np.any([~np.isnan(values) for values in targets.values()], axis=0)
    return known


def _learn(
    table: Table,
    columns: Columns,
    rows: Rows,
    order: Integers,
    frequency: str | None,
    forms: tuple[str, ...],
) -> Schema:
    """Settle everything that a table decides: step, calendar, categories."""
    times, codes = rows.times, rows.codes[order]
    ticks, dated = times.ticks[order], times.kind in ("date", "timestamp")
    if frequency is not None:
        step = Frequency.parse(frequency)
        if (step.kind == "step") == dated:
            wanted = "a duration such as '1h'" if dated else "a count such as '1'"
            raise InputError(
                f"frequency {frequency!r} does not fit a time axis of {times.kind}s: give {wanted}"
            )
        form = " ".join(forms) or (DATES[0] if times.kind == "date" else times.format)
        _require_told_apart(table, columns, step, form)
    elif times.kind == "row":
        step = Frequency("step", 1)
    else:
        step = infer_frequency(ticks, codes, timestamps=dated, name=table.name)
    firsts, lasts = series_ends(codes)
    span = int((ticks[lasts] - ticks[firsts]).max())
    covariates = {name: f"{role}_covariates" for role in ROLES for name in columns.covariates(role)}
    for name, role in covariates.items():
        table.require(name, role)
        if name not in columns.categories and looks_like_time(table, name):
            raise DataError(
                f"{table.name}: column {name!r} ({role}) holds times, each a category of its own: leave it out, or "
                "give it as categories too if few come again and again"
            )
    vocabularies = {
        name: tuple(read_categories(table, name, role).drop_nulls().unique().sort())
        for name, role in covariates.items()
        if name in columns.categories or not holds_numbers(table, name)
    }
    return Schema(
        columns=columns,
        time_kind=times.kind,
        time_format=None if forms else times.format,
        time_forms=forms,
        time_zone=times.zone,
        frequency=str(step),
        day=usual_day(ticks) if step.kind == "month" else 1,
        calendar=calendar_cycles(step, span) if dated else (),
        vocabularies=vocabularies,
        whole_names=table.whole_names,
    )


def _require_told_apart(table: Table, columns: Columns, step: Frequency, form: str | None) -> None:
    """Raise where times of a form do not tell steps apart, hours in a column of dates for instance."""
    if form is None or form.startswith(EPOCH) or grain(form).divides(step):
        return
    like = " ".join(str(table.frame[name][0]) for name in columns.time_parts or (columns.time or "",))
    raise InputError(
        f"{table.name}: times like {like!r} in column {columns.time!r} tell steps of {grain(form)} apart, and "
        f"frequency {str(step)!r} is no whole number of them: give a longer one, or times that say more"
    )


def _ended(axis: TimeAxis, last_observed: Integers) -> int:
    """Count the series whose last target lies before the last of others."""
    ends = axis.shifted(last_observed).origins
    return int((ends < ends.max()).sum())


def _last_observed(rows: Rows, targets: Mapping[str, Numbers], positions: Integers) -> Integers:
    """Return (S,) the position just past the last row of each series at which a target is known.

    A series without any ends where the others do.
    """
    known = _known(targets)
    ends = np.zeros(len(rows.names), np.int64)
    np.maximum.at(ends, rows.codes[known], positions[known] + 1)
    without = ends[rows.codes] == 0
    if rows.times.kind != "row" and known.any():
        without &= rows.instants <= rows.instants[known].max()
    np.maximum.at(ends, rows.codes[without], positions[without] + 1)
    return ends


def _count_descents(rows: Rows) -> int:
    """How many rows come after a later one of their series."""
    order = np.argsort(rows.codes, kind="stable")
    return int(((np.diff(rows.codes[order]) == 0) & (np.diff(rows.instants[order]) < 0)).sum())
