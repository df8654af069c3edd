"""What ``fit`` tells: what was read, how training went, and how much is heard of what was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.data.speech.log_mel import LogMel
from fastlstm.data.texts.tokens import LEVEL_NAMES, Level
from fastlstm.tasks.transcribe.evaluation import SpeechEvaluation
from fastlstm.training.learner import TrainingResult, outcome, training_metrics
from fastlstm.wording import many


@dataclass(frozen=True)
class SpeechReport:
    """The report of ``fit``.

    Parameters
    ----------
    recordings : int
        How many were read.
    seconds : float
        How long they are together.
    mel : LogMel
        What is heard of them.
    level : {"word", "char", "bpe"}
        What tokens are.
    tokens : int
        Of the vocabulary.
    subsampling : int
        Frames a step.
    augmented : bool
        Whether training changed them.
    notes : sequence of str
        What was met in reading.
    training : list of TrainingResult
        How the training of each network went.
    parameters : int
        Weights of all of them.
    held : str
        What was held out.
    validation : SpeechEvaluation
        On that.
    """

    recordings: int
    seconds: float
    mel: LogMel
    level: Level
    tokens: int
    subsampling: int
    augmented: bool
    notes: Sequence[str]
    training: list[TrainingResult]
    parameters: int
    held: str
    validation: SpeechEvaluation

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return {
            "validation": self.validation.metrics,
            "training": training_metrics(self.training, self.parameters),
            "data": {"recordings": self.recordings, "seconds": round(self.seconds, 2)},
        }

    def __str__(self) -> str:
        """Return the report as text."""
        changed = "varied in pace, voice and noise" if self.augmented else "as they are"
        lines = [
            f"{many(self.recordings, 'recording')}, {length_of(self.seconds)} at {self.mel.rate:,} Hz, in training "
            f"{changed}",
            *self.notes,
            f"{self.tokens:,} {LEVEL_NAMES[self.level]}; {self.mel.bands} mel bands, a step every "
            f"{1000 * self.subsampling * self.mel.hop:.0f} ms",
            outcome(self.training, self.parameters),
            "",
            f"held out: {self.held}, which chose the weights",
            str(self.validation),
        ]
        found = self.validation.metrics
        if not found["model"]["wer"] < found["most_frequent"]["wer"]:
            lines.append("The LSTM is no better than always telling the most frequent text: do not use it.")
        return "\n".join(lines)


def length_of(seconds: float) -> str:
    """Say how long recordings are.

    Parameters
    ----------
    seconds : float
        Together.

    Examples
    --------
    >>> length_of(42.0), length_of(924.0), length_of(9000.0)
    ('42.0 s', '15.4 min', '2.5 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
