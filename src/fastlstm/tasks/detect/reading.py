"""The table to detect in, read: which columns are channels, and which step of the grid each row is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.placing import grid_ticks
from fastlstm.data.series.reading import lay_out, read_series, require_values
from fastlstm.data.series.rows import Rows, read_rows
from fastlstm.data.series.schema import Columns, Schema, find_columns, several, single
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.tables.values import holds_numbers, read_numbers
from fastlstm.data.times.axis import counts_instants
from fastlstm.data.times.frequency import Frequency, infer_frequency
from fastlstm.data.times.timestamps import looks_like_time
from fastlstm.errors import DataError
from fastlstm.wording import many

Array = npt.NDArray[np.float64]
Names = str | Sequence[str]


@dataclass(frozen=True)
class DetectionTable:
    """A table, and where its rows lie on the grid in time.

    n rows, K channels.

    Parameters
    ----------
    table : Table
        As it was given.
    rows : Rows
        Whose and when each row is; its codes count the series in the order of the table.
    series : SeriesSet
        The grid. Where several rows fall on one step, it holds the first of them.
    places : numpy.ndarray
        (n,) int64, the flat row of the grid that each row falls on, -1 before a series' first value.
    values : numpy.ndarray
        (n, K) float64, NaN where missing.
    repeated : int
        Rows that fall on the step of an earlier one.
    """

    table: Table
    rows: Rows
    series: SeriesSet
    places: Integers
    values: Array
    repeated: int

    @property
    def in_time(self) -> Integers:
        """The rows that fall on a step, series by series in the order of time."""
        order = np.lexsort((self.rows.instants, self.places))
        found: Integers = order[self.places[order] >= 0]
        return found

    @property
    def codes(self) -> Integers:
        """(n,) int64, which of ``series`` each row is of, as far as it falls on a step."""
        return np.searchsorted(self.series.offsets, self.places, side="right") - 1


def read_detection_table(
    data: Any, columns: Columns, *, schema: Schema | None = None, frequency: str | None = None
) -> DetectionTable:
    """Read a table whose rows are to be judged one by one.

    Clocks are set back and loggers repeat themselves: several rows may fall on one step. All are judged, and the first
    is read on.

    Parameters
    ----------
    data : path, DataFrame or Table
        The table, rows in any order.
    columns : Columns
        The roles; every target is a channel.
    schema : Schema, optional
        How the table of ``fit`` was read. Default: learn it from this one.
    frequency : str, optional
        The step to learn. Default: the most common one.

    Raises
    ------
    DataError
        If a column is missing, a cell cannot be read, or there is no value at all to learn from.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"minute": [1, 2, 2, 4], "load": [5.0, 6.0, 6.5, 7.0]})
    >>> read = read_detection_table(frame, Columns(target=("load",), time="minute"))
    >>> read.places, read.series.target[:, 0], read.repeated
    (array([0, 1, 1, 3]), array([ 5.,  6., nan,  7.], dtype=float32), 1)
    """
    table = read_table(data)
    laid, _, _ = lay_out(table, columns, schema)
    rows = read_rows(laid, columns, schema)
    values = np.stack([read_numbers(laid, name, "target") for name in columns.target], axis=1)
    begun = np.full(len(values), schema is not None) | ~np.isnan(values).all(axis=1)
    if schema is None:  # a batch in which all sensors are silent has nothing to judge, and is not wrong
        require_values(table.name, dict(zip(columns.target, values.T, strict=True)))
    order = np.lexsort((rows.instants, rows.codes))
    if schema is None:
        step, ticks = _learn_step(laid, rows, order, frequency)
    else:
        step, ticks = Frequency.parse(schema.frequency), grid_ticks(laid, rows.times, schema)
    origins = np.full(len(rows.names), np.iinfo(np.int64).max)
    np.minimum.at(origins, rows.codes[begun], ticks[begun])
    inside = ticks >= origins[rows.codes]
    positions = np.full(len(ticks), -1)
    positions[inside] = step.positions(ticks[inside], origins[rows.codes[inside]])[0]
    codes, steps = rows.codes[order], positions[order]
    first = np.ones(len(ticks), bool)
    first[order[1:]] = (np.diff(codes) != 0) | (np.diff(steps) != 0) | (steps[1:] < 0)
    kept = table if first.all() else table.filter(first)
    series = read_series(
        kept, columns, schema=schema, frequency=None if schema else _text(step, rows), silent=True
    )
    code_of = {name: code for code, name in enumerate(series.names)}
    codes = np.array([code_of.get(name, -1) for name in rows.names], np.int64)[rows.codes]
    places = np.where(inside & (codes >= 0), series.offsets[codes] + positions, -1)
    return DetectionTable(table, rows, series, places, values, int((~first & inside).sum()))


def describe_repeated(repeated: int) -> list[str]:
    """Say what becomes of rows that share a time step with another.

    Parameters
    ----------
    repeated : int
        How many there are beside the first of each step.

    Examples
    --------
    >>> describe_repeated(1), describe_repeated(0)
    (['1 row shares a time step with an earlier one: all are scored, only the first is fed to the network'], [])
    """
    if not repeated:
        return []
    shared = f"{many(repeated, 'row')} share{'s' * (repeated == 1)} a time step with an earlier one"
    return [f"{shared}: all are scored, only the first is fed to the network"]


def _learn_step(
    table: Table, rows: Rows, order: Integers, frequency: str | None
) -> tuple[Frequency, Integers]:
    """Return the step, and the ticks that it counts."""
    times = rows.times
    if frequency is not None:
        step = Frequency.parse(frequency)
    elif times.kind == "row":
        step = Frequency("step", 1)
    else:
        dated = times.kind in ("date", "timestamp")
        step = infer_frequency(times.ticks[order], rows.codes[order], timestamps=dated, name=table.name)
    if times.instants is not None and counts_instants(step):
        return step, times.instants
    return step, times.ticks


def _text(step: Frequency, rows: Rows) -> str | None:
    """Return the frequency as an argument; rows without a time column need none."""
    return None if rows.times.kind == "row" else str(step)


def find_channels(
    table: Table,
    *,
    target: Names | None = None,
    time: Names | None = None,
    series: str | None = None,
    past_covariates: Names = (),
    future_covariates: Names = (),
    categories: Names = (),
    missing: float | Sequence[float] = (),
) -> Columns:
    """Settle the roles; without ``target`` every column of numbers that has none is a channel.

    Parameters
    ----------
    table : Table
        The table.
    target, time, series, past_covariates, future_covariates, categories : str or sequence of str, optional
        As for :meth:`fastlstm.Detector.fit`.
    missing : float or sequence of float
        As for :meth:`fastlstm.Detector.fit`.

    Returns
    -------
    Columns
        Of which ``target`` are the channels.

    Raises
    ------
    DataError
        If a column is not there, has two roles, or no column is left to be a channel.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"at": ["2024-01-01"], "site": ["a"], "load": [1.5], "heat": [20.0]})
    >>> find_channels(read_table(frame)).target
    ('load', 'heat')
    """
    series = single(series, "series")
    targets, times, identity = (several(names) for names in (target, time, series))
    covariates = {*several(past_covariates), *several(future_covariates)}
    taken = {*times, *identity, *covariates, *([] if series else ["unique_id"]), *([] if times else ["ds"])}
    if not targets:
        targets = tuple(
            name
            for name in table.columns
            if name
            and name not in taken
            and holds_numbers(table, name)
            and not (not times and looks_like_time(table, name))
        )
        if not targets:
            raise DataError(
                f"{table.name} has no column of numbers to detect in: give target, one or several of "
                f"{', '.join(table.columns)}"
            )
    twice = {name for name in targets if targets.count(name) > 1}
    if twice:
        raise DataError(f"target names {sorted(twice)[0]!r} twice; name each column once")
    for name in targets[1:]:
        table.require(name, "target")
        if name in covariates or name in (*times, *identity):
            raise DataError(
                f"{table.name}: column {name!r} is given as target and in another role; leave one out"
            )
    columns = find_columns(
        table,
        target=targets[0],
        time=time,
        series=series,
        past_covariates=past_covariates,
        future_covariates=future_covariates,
        categories=categories,
        missing=missing,
    )
    return replace(columns, target=targets)
