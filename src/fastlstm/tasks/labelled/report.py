"""What ``fit`` tells: what was read, how training went, and how good it is on what was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.data.series.rows import Integers
from fastlstm.tasks.labelled.evaluation import LabelledEvaluation
from fastlstm.tasks.labelled.target import ClassTarget
from fastlstm.training.learner import TrainingResult, outcome, training_metrics
from fastlstm.wording import many


@dataclass(frozen=True)
class LabelledReport:
    """The report of ``fit``.

    Parameters
    ----------
    source : str
        What was read.
    sequences : int
        n.
    steps : numpy.ndarray
        (n,) length of each.
    inputs : int
        Channels, or words of the vocabulary.
    text : bool
        Which of both.
    notes : tuple of str
        What was met in reading.
    training : list of TrainingResult
        How each member's training went.
    parameters : int
        Weights of all members together.
    validation : LabelledEvaluation
        On what was held out.
    temperature : float
        Of the calibration.
    test : LabelledEvaluation, optional
        On what nothing has seen, where ``test_share`` asked for some.
    """

    source: str
    sequences: int
    steps: Integers
    inputs: int
    text: bool
    notes: Sequence[str]
    training: list[TrainingResult]
    parameters: int
    validation: LabelledEvaluation
    temperature: float
    test: LabelledEvaluation | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        parts = {"validation": self.validation, "test": self.test}
        judged = {name: part.metrics for name, part in parts.items() if part is not None}
        return {"training": training_metrics(self.training, self.parameters), **judged}

    def __str__(self) -> str:
        """Return the report as text."""
        shortest, longest = int(self.steps.min()), int(self.steps.max())
        lengths = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        what = (
            f"texts of {lengths} tokens, a vocabulary of {self.inputs:,}"
            if self.text
            else f"sequences of {lengths} steps, {many(self.inputs, 'channel')}"
        )
        lines = [f"{self.sequences:,} {what}", *self.notes, outcome(self.training, self.parameters)]
        held = (
            "held out (each part judged by the network that did not learn from it; calibrated on all of them)"
            if len(self.training) > 1
            else "held out (it chose the weights and the calibration)"
        )
        lines += ["", held, str(self.validation)]
        lines += _verdict(self.validation)
        if self.test is not None:
            lines += ["", "test (kept from training and calibration)", str(self.test)]
        return "\n".join(lines)


def _verdict(evaluation: LabelledEvaluation) -> list[str]:
    """Say plainly where the model is no better than what needs none."""
    model, other = evaluation.metrics.values()
    if isinstance(evaluation.target, ClassTarget):
        lines = []
        if evaluation.threshold is not None:
            rarer = evaluation.target.classes[1]
            lines.append(f"{rarer!r} is told from a probability of {evaluation.threshold:.3g} on")
        if not model["log_loss"] < other["log_loss"]:
            lines.append("The LSTM is no better than knowing how often each class comes: do not use it.")
        return lines
    name = "rmse" if "rmse" in model else "log_loss"
    return (
        [] if model[name] < other[name] else ["The LSTM is no better than a constant answer: do not use it."]
    )
