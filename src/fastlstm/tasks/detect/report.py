"""What ``fit`` tells: what was read, how training went, and what is an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastlstm.data.series.gaps import GapReport
from fastlstm.tasks.detect.reading import describe_repeated
from fastlstm.tasks.detect.settings import Method
from fastlstm.training.learner import TrainingResult, outcome, training_metrics
from fastlstm.wording import listed, many


@dataclass(frozen=True)
class DetectionReport:
    """The report of ``fit``.

    Parameters
    ----------
    data : GapReport
        What was read, and what of it was missing.
    channels : tuple of str
        What is judged.
    left_out : tuple of str
        Columns of numbers that are constant.
    repeated : int
        Rows that fall on the step of an earlier one.
    training : TrainingResult
        How training went.
    parameters : int
        Weights of the network.
    method : {"forecast", "reconstruction"}
        How rows are judged.
    errors : dict
        ``model``, and ``last_value`` beside a forecast of the next value, ``usual_value`` beside its reconstruction:
        mean absolute error on what was held out, in the channels' own deviations.
    threshold : float
        The score from which on a row is anomalous.
    hold : int
        Rows for which an alarm is held.
    allowed : float
        False alarms, each unit.
    unit : str
        ``"a day"`` or ``"in 1,000 rows"``.
    alarms : int
        Found in the rows that were fitted.
    units : float
        How many units these span.
    """

    data: GapReport
    channels: tuple[str, ...]
    left_out: tuple[str, ...]
    repeated: int
    training: TrainingResult
    parameters: int
    method: Method
    errors: dict[str, float]
    threshold: float
    hold: int
    allowed: float
    unit: str
    alarms: int
    units: float

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return {
            "validation": {name: {"mae": error} for name, error in self.errors.items()},
            "training": training_metrics([self.training], self.parameters),
            "alarms": {
                "threshold": self.threshold,
                "hold": self.hold,
                "allowed": self.allowed,
                "unit": self.unit,
                "found": self.alarms,
                "found_rate": self.alarms / self.units,
            },
            "data": {
                "rows": self.data.rows,
                "series": self.data.series,
                "gaps": self.data.gaps,
                "empty": dict(self.data.empty),
                "repeated": self.repeated,
                "left_out": list(self.left_out),
            },
        }

    def __str__(self) -> str:
        """All of it, as text."""
        lines = [str(self.data)]
        shown = listed(self.channels, 8, form=str)
        lines.append(f"{len(self.channels):,} channel{'s' if len(self.channels) > 1 else ''}: {shown}")
        if self.left_out:
            lines.append(f"{len(self.left_out):,} constant and left out: {listed(self.left_out)}")
        lines += describe_repeated(self.repeated)
        model, naive = self.errors.values()
        what = ("next value", "last") if self.method == "forecast" else ("reconstructed value", "usual")
        lines += [
            outcome([self.training], self.parameters),
            f"{what[0]}, on stretches held out: error {model:.4g}, of the {what[1]} value {naive:.4g}, in deviations",
            "",
            f"alarm from score {self.threshold:.2f} on, for {self.allowed:.3g} false alarms {self.unit}; "
            f"held for {many(self.hold, 'row')}",
            f"{many(self.alarms, 'alarm')} in these rows, {self.alarms / self.units:.3g} {self.unit}",
        ]
        return "\n".join(lines)
