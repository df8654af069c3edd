"""What a fitted detector does: predict, stream, be judged, be saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from fastlstm.data.series.schema import Schema
from fastlstm.data.tables.frames import Kind, give_back
from fastlstm.errors import InputError
from fastlstm.runs import Run
from fastlstm.runs.plots import write_figure
from fastlstm.tasks.detect.baseline import score_baseline, z_scores
from fastlstm.tasks.detect.calibration import Tail
from fastlstm.tasks.detect.evaluation import DetectionEvaluation, Judgement
from fastlstm.tasks.detect.fitting import BASELINE_WINDOWS, Fitted, rows_a_day
from fastlstm.tasks.detect.frames import verdict_frame
from fastlstm.tasks.detect.judging import Detection, Ended, Verdicts, judge
from fastlstm.tasks.detect.pictures import draw_scores
from fastlstm.tasks.detect.reading import DetectionTable, describe_repeated, read_detection_table
from fastlstm.tasks.detect.report import DetectionReport
from fastlstm.tasks.detect.running import Network
from fastlstm.tasks.detect.saving import restore_detector, saved_detector
from fastlstm.tasks.detect.scoring import Scorer
from fastlstm.tasks.detect.settings import RunSettings
from fastlstm.tasks.detect.stream import Stream
from fastlstm.tasks.detect.truth import labelled, windowed
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents
from fastlstm.wording import listed, many

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FittedDetector(ResumableEstimator):
    """The methods of a detector that was fitted or loaded; :class:`Detector` adds configuration and ``fit``."""

    task = "detect"
    run_settings = RunSettings
    fitted_by = "detection_"

    detection_: Detection
    baseline_: list[Tail]
    ended_: dict[str, Ended]
    schema_: Schema
    kind_: Kind
    table_: DetectionTable | None
    verdicts_: Verdicts | None
    report_: DetectionReport | None

    def predict(self, data: Any | None = None) -> Any:
        """Score rows, and tell which are anomalous.

        A row's score is -log10 of the rate, per row, at which alarms this strong would start by chance: 3 means one in
        1,000 rows. From ``threshold_`` on a row is anomalous, and so are the rows for which the alarm is held. Rows
        that come after the end of what was fitted go on from there; all others begin anew, and their first rows are
        judged by little.

        Parameters
        ----------
        data : path or DataFrame, optional
            A table with the columns of ``fit``'s. Default: the rows that were fitted.

        Returns
        -------
        DataFrame
            Of the kind that ``data`` (or ``fit``'s data) was, a pandas frame for a path, a row for each row, in order:
            series, time and target columns, ``score``, ``anomaly`` (0 or 1) and, where there are several channels,
            ``NAME_score``. A row without any value has no score.

        Raises
        ------
        InputError
            If a run was loaded and no rows are given.
        DataError
            If the table cannot be read.
        """
        if data is None:
            self._require_fitted()
            if self.table_ is None or self.verdicts_ is None:
                raise InputError("a loaded run does not hold its data: give the rows to judge as data")
            table, verdicts = self.table_, self.verdicts_
            self.notes_ = []
        else:
            table, verdicts = self._judge(data)
        return give_back(verdict_frame(table, verdicts), table.table.kind, rows_of=data)

    def stream(self, series: Any | None = None) -> Stream:
        """Return what judges one row after the other, as they come.

        The scores are those that ``predict`` gives for a table of the same rows. A stream has a memory of its own: the
        detector stays as it is, and several may run at once.

        Parameters
        ----------
        series : str or int, optional
            Which series the rows are of, where there are several.

        Returns
        -------
        Stream
            Its ``score(row)`` takes a mapping of column to value.

        Examples
        --------
        >>> import numpy as np, polars as pl
        >>> from fastlstm import Detector
        >>> load = np.random.default_rng(0).normal(5, 1, 500)
        >>> detector = Detector(max_steps=50, progress=False).fit(pl.DataFrame({"load": load}))
        >>> stream = detector.stream()
        >>> bool(stream.score({"load": 5.2}).score < stream.score({"load": 50.0}).score)
        True
        """
        self._require_fitted()
        self.notes_ = _strangers([series], self.ended_) if series is not None else []
        return Stream(self.detection_, self.schema_, self.ended_, series)

    def evaluate(
        self, data: Any, *, label: str | None = None, windows: Any | None = None
    ) -> DetectionEvaluation:
        """Judge rows of which it is known what is anomalous, and compare; a rolling z-score beside.

        Parameters
        ----------
        data : path or DataFrame
            A table with the columns of ``fit``'s.
        label : str, optional
            The column that holds 1 in anomalous rows and 0 in others.
        windows : path, DataFrame or sequence of pairs, optional
            Instead of labels, starts and ends of anomalies: a JSON list of pairs, or one for each file or series by its
            name, or a CSV file with columns start and end.

        Returns
        -------
        DetectionEvaluation
            ``metrics`` of the model and the rolling z-score, ``by_window()`` too.

        Raises
        ------
        InputError
            If neither or both of ``label`` and ``windows`` are given.
        DataError
            If the table, the labels or the windows cannot be read, or no window lies in the data.
        """
        if (label is None) == (windows is None):
            found = "neither label nor windows is" if label is None else "both label and windows are"
            raise InputError(
                f"{found} given: say what is anomalous by a column of 0 and 1, or by windows of time"
            )
        table, verdicts = self._judge(data)
        if label is not None:
            if not isinstance(label, str):
                raise InputError(f"label is a {type(label).__name__}: give the name of a column of data")
            known = labelled(table, label)
        else:
            known, outside = windowed(table, windows)
            if outside:
                self.notes_.append(f"{many(outside, 'window')} without a row left out")
        order = table.in_time
        judgements = {
            "model": Judgement(verdicts.score[order], verdicts.anomalous[order]),
            "rolling_z_score": self._judge_by_baseline(table),
        }
        return DetectionEvaluation(table, known, judgements, rows_a_day(table.series))

    def plot(self, path: str | Path | None = None, *, data: Any | None = None) -> Figure:
        """Draw rows, their scores, and the alarms.

        Parameters
        ----------
        path : str or Path, optional
            Write a picture there.
        data : path or DataFrame, optional
            Default: the rows that were fitted.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        self._require_fitted()
        if data is None:
            if self.table_ is None or self.verdicts_ is None:
                raise InputError("a loaded run does not hold its data: give the rows to draw as data")
            table, verdicts = self.table_, self.verdicts_
        else:
            table, verdicts = self._judge(data)
        figure = draw_scores(table, verdicts, self.threshold_)
        return write_figure(figure, path)

    @property
    def threshold_(self) -> float:
        """The score from which on a row is anomalous."""
        return self._require_fitted().detection_.scorer.threshold

    @property
    def network_(self) -> Network:
        """The trained network."""
        return self._require_fitted().detection_.network

    @property
    @override
    def time_format_(self) -> str | None:
        return self._require_fitted().schema_.time_format

    @override
    def _contents(self) -> Contents:
        return saved_detector(self)

    @override
    def _restore(self, run: Run, settings: RunSettings) -> None:
        restore_detector(self, run, settings)

    def _take(self, fitted: Fitted, table: DetectionTable) -> None:
        self.detection_ = fitted.detection
        self.baseline_ = fitted.baseline
        self.ended_ = fitted.ended
        self.schema_ = table.series.schema
        self.kind_ = table.table.kind
        self.table_, self.verdicts_ = table, fitted.verdicts
        self._take_report(fitted.report)

    def _judge(self, data: Any) -> tuple[DetectionTable, Verdicts]:
        self._require_fitted()
        table = read_detection_table(data, self.schema_.columns, schema=self.schema_)
        verdicts, _, went_on = judge(self.detection_, table, self.ended_)
        self.notes_ = _notes(table, went_on, self.ended_)
        return table, verdicts

    def _judge_by_baseline(self, table: DetectionTable) -> Judgement:
        scorer: Scorer = self.detection_.scorer
        scores = score_baseline(self.baseline_, z_scores(table.series, BASELINE_WINDOWS * self.window))
        order = table.in_time
        codes, places = table.codes[order], table.places[order]
        score = scores[places]
        anomalous = np.zeros(len(order), bool)
        bounds = np.searchsorted(codes, np.arange(len(table.series) + 1))
        for code, offset in enumerate(table.series.offsets[:-1]):
            own = slice(bounds[code], bounds[code + 1])
            anomalous[own] = scorer.alarms(score[own], places[own] - offset, scorer.hold + 1)[0]
        return Judgement(score, anomalous)


def _notes(table: DetectionTable, went_on: list[bool], ended: Mapping[str, Ended]) -> list[str]:
    notes = []
    anew = went_on.count(False)
    if anew:
        whose = "the series begins" if len(went_on) == 1 else f"{anew:,} of {len(went_on):,} series begin"
        notes.append(f"{whose} anew: its first rows are judged by little, as none before them are known")
    notes += _strangers(table.series.names, ended) + describe_repeated(table.repeated)
    silent = int(np.isnan(table.values).all(axis=1).sum())
    if silent:
        of = ", ".join(table.series.schema.columns.target)
        notes.append(
            f"rows without a value of {of}, which have no score: {silent:,} of {len(table.values):,}"
        )
    return notes


def _strangers(names: Sequence[Any], ended: Mapping[str, Ended]) -> list[str]:
    unknown = [name for name in names if str(name) not in ended]
    named = listed(unknown, form=str)
    return [f"series not seen in fit, scored on the pooled scale of all series: {named}"] if unknown else []
