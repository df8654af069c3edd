"""What a detector finds of anomalies that are known, beside a rolling z-score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from fastlstm.data.series.schema import free_name
from fastlstm.data.series.series_set import Integers
from fastlstm.data.tables.frames import give_back
from fastlstm.tasks.detect.reading import DetectionTable
from fastlstm.tasks.detect.stretches import Stretch, stretches
from fastlstm.tasks.metric_table import metric_table
from fastlstm.training.label_metrics import area_under_roc

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LABELS = {"model": "LSTM", "rolling_z_score": "rolling z-score"}
FOUND = 0.5  # what finding an anomaly at all counts, beside how much of it: α of Tatbul et al.


class Judgement(NamedTuple):
    """What a detector said of rows, in the order of time.

    Attributes
    ----------
    score : numpy.ndarray
        (n,), NaN where there is none.
    anomalous : numpy.ndarray
        (n,) bool
    """

    score: Array
    anomalous: Mask


@dataclass(frozen=True)
class DetectionEvaluation:
    """A detector and a rolling z-score beside what is known.

    n rows, in the order of time.

    Parameters
    ----------
    table : DetectionTable
        What was judged.
    windows : list of Stretch
        The anomalies that are known.
    judgements : dict
        ``model`` and ``rolling_z_score``.
    rows_a_day : float, optional
        None where rows have no length in time, or one of days and more.
    """

    table: DetectionTable
    windows: list[Stretch]
    judgements: dict[str, Judgement]
    rows_a_day: float | None

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """``model`` and ``rolling_z_score`` → each metric, see :func:`detection_metrics`."""
        order = self.table.in_time
        places, codes = self.table.places[order], self.table.codes[order]
        return {
            name: detection_metrics(
                judgement, self.windows, codes, places, len(self.table.series.target), self.rows_a_day
            )
            for name, judgement in self.judgements.items()
        }

    def by_window(self) -> object:
        """Return what became of each known anomaly, one row an anomaly.

        Returns
        -------
        DataFrame
            Of the kind of the table that was judged: the series' name under its column's own name where there is one
            (with ``_`` behind it where one of the others is called so), ``start`` and ``end``, the times of its first
            and last row, ``found_by_model`` and ``found_by_rolling_z_score``, that of the first row that each calls
            anomalous; missing where there is none.
        """
        table, order = self.table, self.table.in_time
        series, codes = table.series, table.codes[order]
        stamps = series.axis.as_stamps(
            series.axis.ticks_at(codes, table.places[order] - series.offsets[codes])
        )
        rows: dict[str, list[int | None]] = {
            "start": [window.first for window in self.windows],
            "end": [window.end - 1 for window in self.windows],
        }
        for name, judgement in self.judgements.items():
            hits = [np.flatnonzero(judgement.anomalous[window.first : window.end]) for window in self.windows]
            rows[f"found_by_{name}"] = [
                window.first + int(hit[0]) if hit.size else None
                for window, hit in zip(self.windows, hits, strict=True)
            ]
        columns = {name: stamps.gather(pl.Series(places, dtype=pl.UInt32)) for name, places in rows.items()}
        if (column := series.schema.columns.series) is not None:
            own = pl.Series([series.names[window.series] for window in self.windows])
            columns = {free_name(column, list(columns)): own, **columns}
        return give_back(pl.DataFrame(columns), table.table.kind)

    def __str__(self) -> str:
        """Write the metrics as a table of text."""
        return metric_table(self.metrics, LABELS)


def detection_metrics(
    judgement: Judgement,
    windows: Sequence[Stretch],
    codes: Integers,
    places: Integers,
    steps: int,
    rows_a_day: float | None,
) -> dict[str, float]:
    """Compare what was said with what is known.

    Precision, recall and F1 are of rows. Those of ranges are of Tatbul et al. 2018, "Precision and recall for time
    series" (NeurIPS), equations 1 to 7, with a flat bias, α = 0.5 for having found an anomaly at all, and overlaps that
    are cut into pieces counted less. An alarm is a run of anomalous rows, and a false one has no row in a window.

    n rows, in the order of time.

    Parameters
    ----------
    judgement : Judgement
        What was said.
    windows : sequence of Stretch
        The anomalies that are known.
    codes, places : numpy.ndarray
        (n,) int64, the series and the step of each row.
    steps : int
        Of all series, those without a row too.
    rows_a_day : float, optional
        None where rows have no length.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1``, ``range_precision``, ``range_recall``, ``range_f1``, ``auroc``, ``delay``
        (mean over those found, in steps from the start of a window), ``false_alarms_per_day`` (or
        ``false_alarms_per_1000_rows``), ``windows_found``, ``windows``.

    Examples
    --------
    >>> flags = np.array([0, 0, 1, 1, 0, 0, 1, 0, 0, 0], bool)
    >>> rows = np.arange(10)
    >>> found = detection_metrics(Judgement(flags + 0.0, flags), [Stretch(0, 3, 5)], rows * 0, rows, 10, 10.0)
    >>> found["recall"], found["range_recall"], found["false_alarms_per_day"], found["windows_found"]
    (0.5, 0.75, 1.0, 1)
    """
    truth = np.zeros(len(codes), bool)
    for window in windows:
        truth[window.first : window.end] = True
    flags = judgement.anomalous
    alarms = stretches(flags, codes)
    precision = _ratio(int((flags & truth).sum()), int(flags.sum()))
    recall = _ratio(int((flags & truth).sum()), int(truth.sum()))
    range_precision = _mean([_overlap(alarm, windows) for alarm in alarms])
    range_recall = _mean(
        [FOUND * flags[w.first : w.end].any() + (1 - FOUND) * _overlap(w, alarms) for w in windows]
    )
    hits = [np.flatnonzero(flags[window.first : window.end]) for window in windows]
    delays = [
        int(places[window.first + int(hit[0])] - places[window.first])
        for window, hit in zip(windows, hits, strict=True)
        if hit.size
    ]
    false = sum(not truth[alarm.first : alarm.end].any() for alarm in alarms)
    unit = "false_alarms_per_1000_rows" if rows_a_day is None else "false_alarms_per_day"
    return {
        "precision": precision,
        "recall": recall,
        "f1": _harmonic(precision, recall),
        "range_precision": range_precision,
        "range_recall": range_recall,
        "range_f1": _harmonic(range_precision, range_recall),
        "auroc": area_under_roc(judgement.score, truth),
        "delay": _mean([float(delay) for delay in delays]),
        unit: false / (steps / (rows_a_day or 1000)),
        "windows_found": len(delays),
        "windows": len(windows),
    }


def _overlap(own: Stretch, others: Sequence[Stretch]) -> float:
    """Return the share of a stretch that others cover, over how many pieces that is."""
    pieces = [
        min(own.end, other.end) - max(own.first, other.first)
        for other in others
        if other.first < own.end and other.end > own.first
    ]
    return sum(pieces) / (own.end - own.first) / len(pieces) if pieces else 0.0


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _harmonic(precision: float, recall: float) -> float:
    """F1: 0 where nothing was found."""
    total = np.nan_to_num(precision) + np.nan_to_num(recall)
    return float(2 * np.nan_to_num(precision) * np.nan_to_num(recall) / total) if total else 0.0
