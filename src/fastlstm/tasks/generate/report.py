"""What ``fit`` tells of a language model: what was read, how training went, how good it is, and a sample of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastlstm.tasks.generate.evaluation import LanguageEvaluation
from fastlstm.training.learner import TrainingResult, outcome, training_metrics


@dataclass(frozen=True)
class LanguageReport:
    """The report of ``fit``.

    Parameters
    ----------
    source : str
        What was read.
    texts, characters : int
        How much of it.
    tokens : int
        In the training part.
    vocabulary : int
        V.
    level : str
        What a token is.
    training : TrainingResult
        How training went.
    parameters : int
        Weights.
    validation : LanguageEvaluation
        On what was held out.
    sample : str
        A text that the model made.
    """

    source: str
    texts: int
    characters: int
    tokens: int
    vocabulary: int
    level: str
    training: TrainingResult
    parameters: int
    validation: LanguageEvaluation
    sample: str

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return {
            "training": training_metrics([self.training], self.parameters),
            "validation": self.validation.metrics,
        }

    def __str__(self) -> str:
        """Return the report as text."""
        held = self.validation
        pieces = "" if self.texts == 1 else f" in {self.texts:,} texts"
        lines = [
            f"{self.source}: {self.characters:,} characters{pieces}; {self.tokens:,} tokens ({self.level}) to learn "
            f"from, a vocabulary of {self.vocabulary:,}; {held.characters:,} characters held out",
            outcome([self.training], self.parameters),
            "",
            "held out (it chose the weights)",
            str(held),
            *held.notes,
        ]
        model, unigram = held.metrics.values()
        if not model["nats_per_character"] < unigram["nats_per_character"]:
            lines.append("The LSTM is no better than knowing how often each token comes: do not use it.")
        return "\n".join([*lines, "", "a sample", self.sample])
