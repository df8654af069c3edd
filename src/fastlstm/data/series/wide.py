"""Wide tables, one column a series: made long to read, and answers made wide again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from fastlstm.data.series.schema import Columns, Schema
from fastlstm.data.tables.number_forms import PLAIN, points_may_part_thousands
from fastlstm.data.tables.table import Table
from fastlstm.data.tables.values import FLOAT32_MAX, holds_numbers, read_numbers, without
from fastlstm.data.times.parts import part_times
from fastlstm.errors import DataError

MOST_JOINT = 2**29  # numbers that series read of each other


def to_long(table: Table, columns: Columns) -> tuple[Table, tuple[str, ...]]:
    """Lay the series of a wide table one below the other.

    Parameters
    ----------
    table : Table
        n rows.
    columns : Columns
        Its roles: ``among`` are the columns that are series, or all of numbers that play no other role;
        ``series`` and ``target`` name the two columns to make.

    Returns
    -------
    table : Table
        S n rows, one series after the other: series, target, and the time column and covariates again for each.
    left_out : tuple of str
        The columns that hold no numbers and play no role.

    Raises
    ------
    DataError
        If no column holds numbers, or a cell of one is no number.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"day": [1, 2], "north": ["5", ""], "south": [7, 8], "note": ["a", "b"]}))
    >>> long, left_out = to_long(table, Columns(("value",), time="day", series="series", wide=True))
    >>> long.frame.rows(), left_out
    ([('north', 5.0, 1), ('north', None, 2), ('south', 7.0, 1), ('south', 8.0, 2)], ('note',))
    """
    roles = {
        columns.time,
        *columns.time_parts,
        *columns.past_covariates,
        *columns.future_covariates,
        *columns.static_covariates,
    }
    if columns.time is not None:
        table.require(columns.time, "time")
    free = [name for name in table.columns if name and name not in roles]  # a nameless one counts the rows
    if columns.among:
        for name in columns.among:
            table.require(name, "target")
        free = list(columns.among)
    names, numbers = _numbers(table, free, required=bool(columns.among))
    if not names:
        raise DataError(f"{table.name}: no column of numbers is left to be a series; check the covariates")
    taken = set(names)
    left_out = tuple(name for name in free if name not in taken)
    rows, count = table.frame.height, len(names)
    kept = [name for name in table.columns if name in roles and name not in taken]
    again = np.tile(np.arange(rows), count)
    target = pl.Series(columns.target[0], numbers.T.ravel()).fill_nan(None)
    series = pl.Series(columns.series, names).gather(np.repeat(np.arange(count), rows))
    others = []
    if columns.joint:
        others = [pl.Series(name, numbers[:, place]).fill_nan(None) for place, name in enumerate(names)]
    repeated = [*others, *(table.frame[name] for name in kept)]
    frame = pl.DataFrame([series, target, *(column.gather(again) for column in repeated)])
    records = again if table.records is None else table.records.to_numpy()[again]
    return replace(table, frame=frame, records=pl.Series(records)), left_out


def read_jointly(table: Table, columns: Columns) -> Columns:
    """Let every series of a wide table read the past of all, and know which of them it is.

    Parameters
    ----------
    table : Table
        n rows.
    columns : Columns
        Its roles.

    Returns
    -------
    Columns
        The roles: the S columns that are series are named, and past covariates too; their name is a static covariate.

    Raises
    ------
    DataError
        If the table is not wide, there are not two series, or so many that their past would not fit into memory.

    Examples
    --------
    >>> from fastlstm.data.tables.table import read_table
    >>> table = read_table(pl.DataFrame({"day": [1, 2], "north": [5, 6], "south": [7, 8]}))
    >>> read_jointly(table, Columns(("value",), time="day", series="series", wide=True)).past_covariates
    ('north', 'south')
    """
    if not columns.wide:
        raise DataError(
            f"{table.name}: joint is for series that stand side by side: give several targets, or wide where every "
            "column of numbers is one"
        )
    long, _ = to_long(table, columns)
    series = columns.series or ""
    names = tuple(long.frame[series].unique(maintain_order=True))
    if len(names) < 2:
        raise DataError(
            f"{table.name}: joint needs two series, and {names[0]!r} is the only one: leave joint out"
        )
    cells = len(names) ** 2 * table.frame.height
    if cells > MOST_JOINT:
        raise DataError(
            f"{table.name}: with joint each of {len(names):,} series reads all of them, {cells:,} numbers in all, more "
            f"than {MOST_JOINT:,}: name fewer columns as target, or leave joint out"
        )
    return replace(
        columns,
        among=names,
        joint=True,
        past_covariates=(*names, *columns.past_covariates),
        static_covariates=(series,),
        categories=(series, *columns.categories),
    )


def to_wide(frame: pl.DataFrame, columns: Columns, names: list[Any], path: str | None = None) -> pl.DataFrame:
    """Turn a forecast of one row a series and time into one of a column a series.

    Parameters
    ----------
    frame : polars.DataFrame
        Series, time, target, and ``TARGET_q0.1`` and so on.
    columns : Columns
        The roles.
    names : list
        S series ids, in the order of the columns to make.
    path : str, optional
        The column that numbers sampled paths, 1 … N, where the forecast is of those.

    Returns
    -------
    polars.DataFrame
        The times, for each path again, and for each series its median under its own name and ``NAME_q0.1`` and so on;
        null where a series has no forecast for a time.

    Examples
    --------
    >>> long = pl.DataFrame({"id": ["a", "a", "b"], "t": [1, 2, 2], "y": [5.0, 6.0, 7.0], "y_q0.1": [4.0, 5.0, 6.0]})
    >>> to_wide(long, Columns(("y",), time="t", series="id", wide=True), ["a", "b"]).rows()
    [(1, 5.0, 4.0, None, None), (2, 6.0, 5.0, 7.0, 6.0)]
    """
    target, series, time = columns.target[0], columns.series or "", columns.shown_time
    times = frame[time].unique().sort()
    row = frame[time].rank("dense").to_numpy().astype(np.int64) - 1
    code = frame[series].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    values = [name for name in frame.columns if name not in (series, time, path)]
    dtype = frame[values[0]].to_numpy().dtype
    answer = [times]
    if path is not None:
        number = frame[path].to_numpy()
        count = int(number.max())
        row += (number - 1) * len(times)
        numbers = np.repeat(np.arange(1, count + 1), len(times))
        answer = [pl.Series(path, numbers), times.gather(np.tile(np.arange(len(times)), count))]
    cells = np.full((len(values), len(names), len(answer[0])), np.nan, dtype)
    for place, name in enumerate(values):
        cells[place, code, row] = frame[name].to_numpy()
    for index, name in enumerate(names):
        answer += [
            pl.Series(f"{name}{value.removeprefix(target)}", cells[place, index]).fill_nan(None)
            for place, value in enumerate(values)
        ]
    return pl.DataFrame(answer)


def in_given_shape(
    frame: pl.DataFrame, schema: Schema, names: list[Any], path: str | None = None
) -> pl.DataFrame:
    """Give a forecast the shape of the table that it continues: wide where that was, its time in as many columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Series, time, target, and ``TARGET_q0.1`` and so on.
    schema : Schema
        How the table was read.
    names : list
        S series ids.
    path : str, optional
        The column that numbers sampled paths.
    """
    columns = schema.columns
    if columns.wide:
        frame = to_wide(frame, columns, names, path)
    if columns.time is not None and columns.time_parts:
        frame = part_times(frame, columns.time, columns.time_parts, schema.time_forms)
    return frame


def for_every_series(table: Table, column: str, names: list[Any]) -> Table:
    """Repeat the rows of a table for each series.

    Parameters
    ----------
    table : Table
        n rows.
    column : str
        The series column to make.
    names : list
        S series ids.

    Returns
    -------
    Table
        S n rows.
    """
    rows = table.frame.height
    again = np.tile(np.arange(rows), len(names))
    series = pl.Series(column, names).gather(np.repeat(np.arange(len(names)), rows))
    records = again if table.records is None else table.records.to_numpy()[again]
    return replace(table, frame=table.frame[again].with_columns(series), records=pl.Series(records))


def _numbers(table: Table, free: list[str], *, required: bool) -> tuple[list[str], Any]:
    """Return the columns that hold numbers, and (n, S) their numbers, NaN where a cell is empty."""
    given = table.frame.select(free)
    plain = [dtype == pl.String or dtype.is_numeric() for dtype in given.dtypes]
    read = given.select(name for name, fits in zip(free, plain, strict=True) if fits)
    empty = np.array(read.null_count().row(0))
    unsure = points_may_part_thousands(read, table.delimiter)
    read = read.cast(pl.Float64, strict=False)
    numbers = read.to_numpy() if read.width else np.empty((given.height, 0))
    wrong = np.array(read.null_count().row(0)) > empty
    wrong |= (np.abs(np.nan_to_num(numbers, posinf=np.inf, neginf=-np.inf)) > FLOAT32_MAX).any(axis=0)
    told = dict(zip(read.columns, zip(wrong, numbers.T, strict=True), strict=True))
    taken: list[str] = []
    arrays = []
    for name in free:
        mistaken, values = told.get(name, (True, None))
        if mistaken or name in unsure or table.number_forms.get(name, PLAIN) != PLAIN:
            if not (required or holds_numbers(table, name)):
                continue
            values = read_numbers(table, name, "series")
        taken.append(name)
        arrays.append(values)
    if not arrays:
        return taken, np.empty((table.frame.height, 0))
    return taken, without(np.stack(arrays, axis=1), table.missing)
