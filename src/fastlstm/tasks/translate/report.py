"""What ``fit`` tells of a translator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastlstm.data.texts.pair_tokens import PairVocabulary
from fastlstm.data.texts.tokens import LEVEL_NAMES
from fastlstm.tasks.translate.evaluation import TranslationEvaluation
from fastlstm.training.learner import TrainingResult, outcome, training_metrics
from fastlstm.wording import many

EXAMPLES = 3
SHOWN = 100  # characters of an example


@dataclass(frozen=True)
class TranslationReport:
    """The report of ``fit``.

    Parameters
    ----------
    name : str
        What was read.
    pairs, held : int
        How many, and how many of them were held out.
    vocabulary : PairVocabulary
        What was learnt of the texts.
    notes : sequence of str
        What was met on the way.
    training : TrainingResult
        How training went.
    parameters : int
        Weights of the network.
    validation : TranslationEvaluation
        On what was held out.
    """

    name: str
    pairs: int
    held: int
    vocabulary: PairVocabulary
    notes: Sequence[str]
    training: TrainingResult
    parameters: int
    validation: TranslationEvaluation

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return {
            "training": training_metrics([self.training], self.parameters),
            "validation": self.validation.metrics,
        }

    def __str__(self) -> str:
        """Return the report as text."""
        words = LEVEL_NAMES[self.vocabulary.source.level]
        sizes = (
            f"{len(self.vocabulary.source):,} {words} of both sides"
            if self.vocabulary.shared
            else f"{len(self.vocabulary.source):,} {words} of sources, {len(self.vocabulary.target):,} of targets"
        )
        lines = [
            f"{many(self.pairs, 'pair')}, a vocabulary of {sizes}",
            *self.notes,
            outcome([self.training], self.parameters),
            "",
            f"held out: {many(self.held, 'pair')}, to choose the weights by",
            str(self.validation),
            *self._examples(),
            *self._verdict(),
        ]
        return "\n".join(lines)

    def _examples(self) -> list[str]:
        found = self.validation
        lines = []
        for texts in list(zip(found.sources, found.references, found.translations, strict=True))[:EXAMPLES]:
            lines.append("")
            lines += [
                f"{name:<12} {text[:SHOWN]}{' …' if len(text) > SHOWN else ''}"
                for name, text in zip(("source", "target", "translation"), texts, strict=True)
            ]
        return lines

    def _verdict(self) -> list[str]:
        model, copy = self.validation.metrics.values()
        if model["chrf"] > copy["chrf"]:
            return []
        return ["", "The translations are no better than copying the source: do not use them."]
