"""A detector at work: rows of a table, or one after the other, into scores and alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.series_set import STEP_ARRAYS, Integers, SeriesSet
from fastlstm.tasks.detect.inputs import DetectorScaling, Steps, lay_steps
from fastlstm.tasks.detect.reading import DetectionTable
from fastlstm.tasks.detect.running import Expected, Memory, Network, run
from fastlstm.tasks.detect.scaling import squash
from fastlstm.tasks.detect.scoring import Scorer

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_MISSING = 10_000  # steps between the end of what is known and new rows: after more, a series begins anew


@dataclass(frozen=True)
class Detection:
    """All that judging takes.

    Parameters
    ----------
    network : DetectorNetwork or Autoencoder
        Trained, in evaluation mode.
    scaling : DetectorScaling
        Of what it reads.
    scorer : Scorer
        From what was expected to scores, of rows that the network has not learnt from.
    learnt_scorer : Scorer
        The same, of rows that it has learnt from and is less surprised by.
    learnt_until : dict
        Series → the last step that was learnt from, on the time axis.
    """

    network: Network
    scaling: DetectorScaling
    scorer: Scorer
    learnt_scorer: Scorer
    learnt_until: dict[str, int]

    def start(self, steps: Steps) -> Memory:
        """Return the memory before the first step of a series.

        Parameters
        ----------
        steps : Steps
            For the widths.
        """
        return Memory.start(steps, self.network.settings)

    def run(self, steps: Steps, memory: Memory) -> tuple[Expected, Memory]:
        """Run over steps that follow one another.

        Parameters
        ----------
        steps : Steps
            T steps of one series.
        memory : Memory
            Of those before.
        """
        return run(self.network, steps, memory, np.array(self.scorer.rates)[:, None])


@dataclass(frozen=True)
class Ended:
    """A series up to some step, to go on from.

    Parameters
    ----------
    memory : Memory
        After its last step.
    tick : int
        The last step's place on the time axis.
    """

    memory: Memory
    tick: int


class Verdicts(NamedTuple):
    """What a detector says of rows.

    Attributes
    ----------
    score : numpy.ndarray
        (n,), NaN where nothing came.
    channels : numpy.ndarray
        (n, K)
    anomalous : numpy.ndarray
        (n,) bool
    """

    score: Array
    channels: Array
    anomalous: Mask


def begin(
    detection: Detection, series: SeriesSet, code: int, steps: Steps, ended: Mapping[str, Ended]
) -> tuple[Memory, bool]:
    """Return what a series begins with: the memory of its end that is known, past the steps missing since.

    Parameters
    ----------
    detection : Detection
        The detector.
    series : SeriesSet
        The series.
    code : int
        Which of them.
    steps : Steps
        Of it, for the widths.
    ended : mapping
        Series → its end, where it is known.

    Returns
    -------
    tuple
        The memory, and whether it goes on from an end.
    """
    known, axis = ended.get(str(series.names[code])), series.axis
    fresh = detection.start(steps)
    if known is None or axis.kind == "row":
        return fresh, False
    first = int(axis.origins[code])
    if first <= known.tick:
        return fresh, False
    passed = int(axis.frequency.positions(np.array([first]), np.array([known.tick]))[0][0])
    if not 1 <= passed <= MOST_MISSING:
        return fresh, False
    return pass_missing(detection, series, code, known.memory, passed - 1), True


def pass_missing(detection: Detection, series: SeriesSet, code: int, memory: Memory, count: int) -> Memory:
    """Run over the steps before the first of a series, at which nothing came.

    Parameters
    ----------
    detection : Detection
        The detector.
    series : SeriesSet
        The series.
    code : int
        Which of them.
    memory : Memory
        Before them.
    count : int
        How many.
    """
    if count == 0:
        return memory
    one = series.offsets[code]
    # One step of the series, emptied, as often as it takes, where it would lie in time.
    empty: dict[str, Any] = {}
    for name in STEP_ARRAYS:
        step = getattr(series, name)[one : one + 1]
        empty[name] = np.repeat(np.full_like(step, 0 if step.dtype == np.int64 else np.nan), count, axis=0)
    origin = series.axis.shifted(np.full(len(series), -count)).origins[code : code + 1]
    missing = replace(
        series,
        names=[series.names[code]],
        offsets=np.array([0, count]),
        axis=replace(series.axis, origins=origin),
        **empty,
    )
    memory = replace(memory, since=memory.since + count)
    return detection.run(lay_steps(missing, detection.scaling), memory)[1]


def judge(
    detection: Detection, table: DetectionTable, ended: Mapping[str, Ended]
) -> tuple[Verdicts, dict[str, Ended], list[bool]]:
    """Judge all rows of a table.

    Parameters
    ----------
    detection : Detection
        The detector.
    table : DetectionTable
        n rows.
    ended : mapping
        Series → its end, where it is known: rows that come later go on from there.

    Returns
    -------
    verdicts : Verdicts
        Of the rows, in their order.
    ended : dict
        Series → its end, of those of the table.
    went_on : list of bool
        Of each series, whether it went on from a known end.
    """
    series = table.series
    steps = lay_steps(series, detection.scaling)
    n, K = table.values.shape
    verdicts = Verdicts(np.full(n, np.nan), np.full((n, K), np.nan), np.zeros(n, bool))
    order = table.in_time
    bounds = np.searchsorted(table.places[order], series.offsets)
    ends: dict[str, Ended] = {}
    went_on = []
    for code, name in enumerate(series.names):
        first, end = (int(bound) for bound in series.offsets[code : code + 2])
        own = steps.cut(first, end)
        memory, known = begin(detection, series, code, own, ended)
        expected, reached = detection.run(own, memory)
        rows = order[bounds[code] : bounds[code + 1]]
        places = table.places[rows] - first
        score, channels, anomalous, since = judge_rows(
            detection, series, code, table.values[rows], expected, places, memory.since
        )
        verdicts.score[rows], verdicts.channels[rows], verdicts.anomalous[rows] = score, channels, anomalous
        tick = int(series.axis.ticks(code, end - first - 1, 1)[0])
        ends[str(name)] = Ended(replace(reached, since=since), tick)
        went_on.append(known)
    return verdicts, ends, went_on


def judge_rows(
    detection: Detection,
    series: SeriesSet,
    code: int,
    values: Array,
    expected: Expected,
    places: Integers,
    since: int,
) -> tuple[Array, Array, Mask, int]:
    """Judge rows of a series by what was expected of their steps.

    Parameters
    ----------
    detection : Detection
        The detector.
    series : SeriesSet
        The series.
    code : int
        Which of them.
    values : numpy.ndarray
        (n, K), NaN where missing.
    expected : Expected
        Of T steps.
    places : numpy.ndarray
        (n,) int64, rising: the step of each row.
    since : int
        Steps between the last alarm raised and step 0.

    Returns
    -------
    tuple
        Score (n,), channels' scores (n, K), whether anomalous (n,), and ``since`` after the last row.
    """
    centre, spread = (part[0] for part in detection.scaling.channels.of([series.names[code]]))
    target = squash(values.astype(np.float32), centre, spread).astype(np.float32)
    fallen_on = Expected(*(part[places] for part in expected))
    score, channels = detection.scorer.score(fallen_on, target)
    until = detection.learnt_until.get(str(series.names[code]))
    if until is not None and series.axis.kind != "row":  # without times nothing tells learnt rows from others
        learnt = series.axis.ticks(code, 0, len(expected.smooth))[places] <= until
        if learnt.any():
            known = detection.learnt_scorer.score(fallen_on, target)
            score, channels = np.where(learnt, known[0], score), np.where(learnt[:, None], known[1], channels)
    anomalous, since = detection.scorer.alarms(score, places, since)
    return score, channels, anomalous, since
