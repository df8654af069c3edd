"""What is known of anomalies: a column of labels, or windows of time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.series.placing import grid_ticks
from fastlstm.data.tables.table import Table, read_table
from fastlstm.data.tables.text_files import read_text
from fastlstm.data.tables.values import read_numbers
from fastlstm.data.times.frequency import DAY
from fastlstm.data.times.timestamps import read_times
from fastlstm.errors import DataError
from fastlstm.tasks.detect.reading import DetectionTable
from fastlstm.tasks.detect.stretches import Stretch, stretches
from fastlstm.wording import listed

FORMS = 'a JSON list [["start", "end"], …], or a CSV file with columns start and end'


def labelled(table: DetectionTable, label: str) -> list[Stretch]:
    """Read the anomalies from a column: each run of ones is one.

    Parameters
    ----------
    table : DetectionTable
        The rows.
    label : str
        The column, of 0 and 1.

    Returns
    -------
    list of Stretch
        Among the rows in the order of time.

    Raises
    ------
    DataError
        If a cell is anything else, or none is 1.
    """
    table.table.require(label, "label")
    cells = table.table.frame[label]
    source = table.table
    if cells.dtype == pl.String:
        words = cells.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
        source = replace(source, frame=source.frame.with_columns(words.alias(label)))
    values = read_numbers(source, label, "label")
    wrong = np.flatnonzero((values != 0) & (values != 1))
    if wrong.size:
        row = int(wrong[0])
        found = "is empty" if np.isnan(values[row]) else f"is {cells[row]!r}"
        raise DataError(
            f"{table.table.where(row)}: column {label!r} (label) {found}: give 1 where the row is anomalous and 0 "
            "where it is not"
        )
    if not values.any():
        raise DataError(
            f"{table.table.name}: column {label!r} (label) has no 1: there is nothing to find in it"
        )
    order = table.in_time
    return stretches(values[order] == 1, table.codes[order])


def windowed(table: DetectionTable, windows: Any) -> tuple[list[Stretch], int]:
    """Read the anomalies from windows of time.

    Parameters
    ----------
    table : DetectionTable
        The rows.
    windows : path, DataFrame or sequence of pairs
        Starts and ends, both within; in a JSON file by the name of the data file, or of the series, or of one list.

    Returns
    -------
    list of Stretch
        Among the rows in the order of time.
    int
        How many windows hold no row and are left out.

    Raises
    ------
    DataError
        If they cannot be read, end before they start, or hold no row at all.
    """
    name, found = _read(table, windows)
    if not found:
        raise DataError(f"{name} holds no window: give {FORMS}")
    bounds = [cell for _, start, end in found for cell in (start, end)]
    ticks = _ticks(table, name, bounds)
    own = grid_ticks(table.table, table.rows.times, table.series.schema)
    order, codes = table.in_time, table.codes
    own, codes = own[order], codes[order]
    by_name = {str(series): code for code, series in enumerate(table.series.names)}
    stretched, outside = [], 0
    for place, (whose, start, end) in enumerate(found):
        first, last = int(ticks[2 * place]), int(ticks[2 * place + 1])
        if first > last:
            raise DataError(f"{name}: the window from {start} to {end} ends before it starts; swap the two")
        inside = (own >= first) & (own <= last)
        if whose is not None:
            inside &= codes == by_name.get(whose, -1)
        runs = stretches(inside, codes)
        stretched += runs
        outside += not runs
    if not stretched:
        times = table.series.axis.as_stamps(np.array([own.min(), own.max()]))
        raise DataError(
            f"{name}: no window holds a row of {table.table.name}, whose rows lie from {times[0]} to {times[1]}; "
            f"the first window is from {found[0][1]} to {found[0][2]}"
        )
    return _merged(stretched), outside


def _merged(windows: list[Stretch]) -> list[Stretch]:
    """Return windows in order, those that share rows as one."""
    found: list[Stretch] = []
    for window in sorted(windows):
        if found and window.series == found[-1].series and window.first < found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, window.end))
        else:
            found.append(window)
    return found


def _ticks(table: DetectionTable, name: str, cells: list[Any]) -> npt.NDArray[np.int64]:
    schema = table.series.schema
    column = schema.columns.time or "row"
    try:
        frame = Table(pl.DataFrame({column: cells}), name, "polars")
    except TypeError:
        raise DataError(f"{name}: some times are text and some are numbers; write all the same way") from None
    if schema.time_kind == "row":
        rows = read_numbers(frame, column, "windows")
        if not (rows == rows.round()).all():
            raise DataError(
                f"{name}: {rows[rows != rows.round()][0]:g} is no row; without times count the rows from 0"
            )
        return rows.astype(np.int64)
    times = read_times(frame, column, schema.time_format, schema.time_kind)
    dated = times.kind == "date" or (times.format or "").endswith("%d")
    if dated and schema.time_kind == "timestamp":  # a window's last day is meant as a whole
        times = replace(times, ticks=times.ticks + np.arange(len(times.ticks)) % 2 * (DAY - 1))
    return grid_ticks(frame, times, schema)


def _read(table: DetectionTable, windows: Any) -> tuple[str, list[tuple[str | None, Any, Any]]]:
    """Return what messages call the windows, and of each whose it is, its start and its end."""
    if isinstance(windows, str | Path):
        path = Path(windows)
        if path.suffix != ".json":
            return str(path), _from_table(read_table(path), table)
        try:
            content = json.loads(read_text(path))
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is not JSON ({error}): give {FORMS}") from None
        return str(path), _from_json(str(path), content, table)
    if isinstance(windows, list | tuple | Mapping):
        return "windows", _from_json("windows", windows, table)
    return "windows", _from_table(replace(read_table(windows), name="windows"), table)


def _from_table(found: Table, table: DetectionTable) -> list[tuple[str | None, Any, Any]]:
    for column in ("start", "end"):
        found.require(column, "windows")
        cells = found.frame[column]
        empty = cells.is_null() if cells.dtype != pl.String else cells.str.strip_chars().fill_null("") == ""
        if empty.any():
            row = found.where(int(empty.arg_max() or 0))
            raise DataError(f"{row}: column {column!r} is empty; fill it in or delete the row")
    series = table.series.schema.columns.series
    whose = (
        [str(cell) for cell in found.frame[series]]
        if series in found.columns and series is not None
        else [None] * found.frame.height
    )
    return list(zip(whose, found.frame["start"].to_list(), found.frame["end"].to_list(), strict=True))


def _from_json(name: str, content: Any, table: DetectionTable) -> list[tuple[str | None, Any, Any]]:
    if not isinstance(content, Mapping):
        return [(None, *pair) for pair in _pairs(name, content)]
    content = {str(key): windows for key, windows in content.items()}
    names = {str(series) for series in table.series.names}
    if names & set(content):
        return [(key, *pair) for key in content if key in names for pair in _pairs(name, content[key])]
    file = table.table.path.name if table.table.path else None
    keys = [key for key in content if key.rsplit("/", 1)[-1] == file]
    keys = keys or (list(content) if len(content) == 1 else [])
    if not keys:
        raise DataError(
            f"{name} has windows of {listed(list(content), 6, form=str)}, "
            f"none of {table.table.name}: name one of them after the file, "
            "or give a list"
        )
    return [(None, *pair) for pair in _pairs(name, content[keys[0]])]


def _pairs(name: str, content: Any) -> list[tuple[Any, Any]]:
    found = []
    if not isinstance(content, list | tuple):
        raise DataError(f"{name}: {str(content)[:40]!r} is no list of windows: give {FORMS}")
    for item in content:
        pair = [item.get("start"), item.get("end")] if isinstance(item, Mapping) else item
        if not isinstance(pair, list | tuple) or len(pair) != 2 or None in pair:
            raise DataError(f"{name}: {str(item)[:60]!r} is no window of a start and an end: give {FORMS}")
        found.append((pair[0], pair[1]))
    return found
