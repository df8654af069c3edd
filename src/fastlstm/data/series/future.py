"""Future covariates that come in a table of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastlstm.data.series.gaps import GapReport
from fastlstm.data.series.placing import grid_ticks, refuse_collision
from fastlstm.data.series.rows import Grid, Integers, Rows, find_twins, read_rows
from fastlstm.data.series.series_set import SeriesSet
from fastlstm.data.series.wide import for_every_series
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.times.parts import join_times
from fastlstm.errors import DataError, InputError


def add_future(series: SeriesSet, source: Any) -> SeriesSet:
    """Join a table of future covariates to the end of series.

    Parameters
    ----------
    series : SeriesSet
        The series.
    source : path, DataFrame or Table
        Series and time columns as in the series' own table, and the future covariates; the target may be
        absent. Rows without a series column hold for every series. Rows that lie before the end of what is
        observed are left out. Without a time column the rows follow the last observed one.

    Returns
    -------
    SeriesSet
        The series, as long as the longer of the two; ``source`` and ``report`` are of the table that was joined.

    Raises
    ------
    DataError
        If a column is missing, a cell cannot be read, or the table has a series that is not there.
    InputError
        If no column is a future covariate.

    Examples
    --------
    >>> import polars as pl
    >>> from fastlstm.data.series.reading import read_series
    >>> from fastlstm.data.series.schema import Columns
    >>> columns = Columns(target=("y",), time="t", future_covariates=("price",))
    >>> series = read_series(pl.DataFrame({"t": [1, 2], "y": [5, 6], "price": [0.5, 0.6]}), columns)
    >>> longer = add_future(series, pl.DataFrame({"t": [3, 4], "price": [0.7, 0.8]}))
    >>> longer.future[:, 0], longer.last_observed
    (array([0.5, 0.6, 0.7, 0.8], dtype=float32), array([2]))
    """
    schema = series.schema
    columns = schema.columns
    if not columns.future_covariates:
        raise InputError("no column was fitted as a future covariate: leave future out")
    table = replace(read_table(source), missing=columns.missing, number_forms=schema.number_forms)
    if columns.time_parts:
        table, _ = join_times(table, columns.time_parts)
    if columns.series is not None and columns.series not in table.columns:
        table = for_every_series(table, columns.series, series.names)
    rows = read_rows(table, columns, schema)
    codes = _match_series(table, series, rows)
    ends = series.last_observed[codes]
    if columns.time is None:
        positions = ends + rows.times.ticks
    else:
        ticks = grid_ticks(table, rows.times, schema)
        positions, _ = series.axis.frequency.positions(ticks, series.axis.origins[codes])
    ahead = positions >= ends
    if not ahead.any():
        latest = int(positions.argmax())
        reaches = series.when(int(codes[latest]), int(positions[latest]))
        raise DataError(
            f"{table.name} reaches until {reaches} and no row lies after the last known target; "
            "give rows that come after it"
        )
    lengths = series.lengths
    np.maximum.at(lengths, codes[ahead], positions[ahead] + 1)
    longer = series.resized(lengths)
    places = np.where(ahead, longer.offsets[codes] + positions, -1)
    order = np.flatnonzero(ahead)[np.argsort(places[ahead], kind="stable")]
    if twins := find_twins(order, places[order]):
        refuse_collision(table, rows, *twins, schema)
    grid = Grid(table, schema, places, int(longer.offsets[-1]), ahead)
    given = places[ahead]
    longer.future[given] = grid.numbers(schema.numeric("future"), "future_covariates")[given]
    codes_ahead = grid.categories(schema.categorical("future"), "future_covariates")
    longer.future_categories[given] = codes_ahead[given]
    report = GapReport(
        rows=len(codes),
        series=len(rows.names),
        empty=grid.found.empty,
        unknown=grid.found.unknown,
        unresolved=grid.found.unresolved,
        contradicting=_count_contradicting(series, table, np.where(ahead, -1, positions), codes),
    )
    return replace(longer, source=table.name, report=report)


def _count_contradicting(series: SeriesSet, table: Table, positions: Integers, codes: Integers) -> int:
    """Count the values that differ from the known ones of the same steps; rows before those have a position below 0."""
    places = np.where(positions < 0, -1, series.offsets[codes] + positions)
    known = Grid(table, series.schema, places, int(series.offsets[-1]), np.zeros_like(places, np.bool_))
    numbers = known.numbers(series.schema.numeric("future"), "future_covariates")
    categories = known.categories(series.schema.categorical("future"), "future_covariates")
    differ = (numbers != series.future) & ~np.isnan(numbers) & ~np.isnan(series.future)
    others = (categories != series.future_categories) & (categories > 0) & (series.future_categories > 0)
    return int(differ.sum() + others.sum())


def _match_series(table: Table, series: SeriesSet, rows: Rows) -> Integers:
    """(rows,) the series of each row, by name; ``1`` and ``"1"`` are the same name."""
    known = {str(name): index for index, name in enumerate(series.names)}
    strangers = [name for name in rows.names if str(name) not in known]
    if strangers:
        row = int((rows.codes == rows.names.index(strangers[0])).argmax())
        raise DataError(
            f"{table.where(row)}: series {strangers[0]!r} is not among those to forecast; "
            "give its past too, or leave it out"
        )
    return np.array([known[str(name)] for name in rows.names])[rows.codes]
