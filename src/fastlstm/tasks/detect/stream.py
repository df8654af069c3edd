"""One row after the other, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from fastlstm.data.series.schema import Schema
from fastlstm.data.tables.frames import series_of
from fastlstm.errors import DataError, InputError
from fastlstm.tasks.detect.inputs import lay_steps
from fastlstm.tasks.detect.judging import MOST_MISSING, Detection, Ended, begin, judge_rows, pass_missing
from fastlstm.tasks.detect.reading import DetectionTable, read_detection_table
from fastlstm.tasks.detect.running import Expected, Memory


class RowVerdict(NamedTuple):
    """What a detector says of one row.

    Attributes
    ----------
    score : float
        NaN where the row has no value.
    anomaly : bool
        Whether it is anomalous, or an alarm is held.
    channels : dict
        Channel → its own score.
    """

    score: float
    anomaly: bool
    channels: dict[str, float]


class Stream:
    """Judges the rows of one series, in the order of time.

    Parameters
    ----------
    detection : Detection
        The detector.
    schema : Schema
        How its table was read.
    ended : mapping
        Series → its end in what was fitted: rows that come after it go on from there.
    series : str or int, optional
        Whose rows they are. Default: the only one.

    Raises
    ------
    InputError
        If there are several series and none is named.
    """

    def __init__(
        self, detection: Detection, schema: Schema, ended: Mapping[str, Ended], series: Any | None = None
    ) -> None:
        if series is None and schema.columns.series is not None:
            raise InputError(
                f"rows are of several series ({schema.columns.series!r}): give series, and make a stream for each"
            )
        self._detection = detection
        self._schema = schema
        self._ended = ended
        self._series = series
        self._memory: Memory | None = None
        self._expected: Expected | None = None  # of the last step
        self._origin = 0
        self._position = -1

    def score(self, row: Mapping[str, Any]) -> RowVerdict:
        """Judge the next row.

        Parameters
        ----------
        row : mapping
            Column → value, None or NaN where it is missing: the columns of ``fit``'s table but for the series.

        Returns
        -------
        RowVerdict
            Its score, and whether it is anomalous.

        Raises
        ------
        DataError
            If a cell cannot be read, or the row lies before the last one.
        InputError
            If it is no mapping.
        """
        table = self._read(row)
        series = table.series
        tick = int(series.axis.origins[0])
        if self._memory is None:
            self._origin = tick
            steps = lay_steps(series, self._detection.scaling)
            self._memory, _ = begin(self._detection, series, 0, steps, self._ended)
            position = 0
        elif self._schema.time_kind == "row":
            position = self._position + 1
        else:
            frequency = series.axis.frequency
            position = int(frequency.positions(np.array([tick]), np.array([self._origin]))[0][0])
        if position < self._position or tick < self._origin:
            raise DataError(
                f"the row of {series.when(0, 0)} lies before the last one: give rows in the order of time"
            )
        if position - self._position > MOST_MISSING:
            raise DataError(
                f"the row of {series.when(0, 0)} lies {position - self._position:,} steps after the last one: leave it "
                "out if its clock is wrong, otherwise begin a new stream"
            )
        if position > self._position:
            self._advance(table, position)
        assert self._expected is not None
        score, channels, anomalous, since = judge_rows(
            self._detection,
            series,
            0,
            table.values,
            self._expected,
            np.zeros(1, np.int64),
            self._memory.since - 1,  # counted from the step after the last
        )
        self._memory = replace(self._memory, since=since)
        named = dict(zip(self._schema.columns.target, channels[0].tolist(), strict=True))
        return RowVerdict(float(score[0]), bool(anomalous[0]), named)

    def _advance(self, table: DetectionTable, position: int) -> None:
        assert self._memory is not None
        # On the grid that the first row began, as a table of all rows would be.
        axis, series = table.series.axis, table.series
        if self._schema.time_kind != "row":
            tick = axis.frequency.ticks(np.array([self._origin]), np.array([position]), axis.day)
            series = replace(series, axis=replace(axis, origins=tick))
        memory = pass_missing(self._detection, series, 0, self._memory, position - self._position - 1)
        steps = lay_steps(series, self._detection.scaling)
        self._expected, memory = self._detection.run(steps, memory)
        self._memory = replace(memory, since=memory.since + 1)
        self._position = position

    def _read(self, row: Mapping[str, Any]) -> DetectionTable:
        columns = self._schema.columns
        if not isinstance(row, Mapping):
            wanted = ", ".join(
                map(repr, (*([] if columns.time is None else [columns.time]), *columns.target))
            )
            raise InputError(
                f"the row is a {type(row).__name__}: give a mapping of the columns {wanted} to values"
            )
        whose = row.get(columns.series, self._series) if columns.series is not None else None
        if columns.series is not None and str(whose) != str(self._series):
            raise DataError(
                f"the row is of series {whose!r}, and the stream of {self._series!r}: make one for each"
            )
        cells = [series_of(name, [value]) for name, value in row.items() if name != columns.series]
        if columns.series is not None:
            cells.append(series_of(columns.series, [self._series]))
        return read_detection_table(pl.DataFrame(cells), columns, schema=self._schema)
