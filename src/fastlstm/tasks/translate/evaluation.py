"""What was translated beside what it should be: loss, BLEU and chrF, by sacrebleu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from fastlstm.extras import library
from fastlstm.tasks.metric_table import metric_table

ORDER = 4  # words that BLEU looks at together
LABELS = {"model": "LSTM", "copy": "copy of the source"}
TITLES = {"loss": "loss", "perplexity": "perplexity", "bleu": "BLEU", "chrf": "chrF", "exact": "exact"}


@dataclass(frozen=True)
class TranslationEvaluation:
    """Pairs, and what the model makes of their sources.

    Parameters
    ----------
    sources, references, translations : tuple of str
        n each.
    loss : float
        The mean negative log-probability of a token of the references, in nats.
    """

    sources: tuple[str, ...]
    references: tuple[str, ...]
    translations: tuple[str, ...]
    loss: float

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """``model`` and ``copy``, the source as it is, → each metric.

        ``bleu`` (Papineni et al. 2002) and ``chrf`` (Popović 2015) are from 0 to 100, ``exact`` is the share of
        translations that are the reference, blanks around it apart; ``loss`` and ``perplexity`` are of a token and the
        model's alone.
        """
        own = {"loss": self.loss, "perplexity": math.exp(min(self.loss, 700.0))}
        return {
            "model": own | self._scores[0],
            "copy": _scores(self.sources, self.references)[0],
        }

    @property
    def signatures(self) -> dict[str, str]:
        """The signatures by sacrebleu of ``bleu`` and ``chrf``: all that another must know to compute the same."""
        return self._scores[1]

    @cached_property
    def _scores(self) -> tuple[dict[str, float], dict[str, str]]:
        return _scores(self.translations, self.references)

    def frame(self) -> pl.DataFrame:
        """Return ``source``, ``reference`` and ``translation`` of every pair."""
        return pl.DataFrame(
            {"source": self.sources, "reference": self.references, "translation": self.translations}
        )

    def __str__(self) -> str:
        """Return the metrics as a table, and the signatures."""
        table = metric_table(self.metrics, LABELS, TITLES)
        return "\n".join([table, *(f"{TITLES[name]}: {text}" for name, text in self.signatures.items())])


def _scores(found: Sequence[str], references: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    metrics = scoring_library()
    # Of texts none of which has four words BLEU would be 0 however good they are: shorter n-grams then count alone.
    short = all(len(text.split()) < ORDER for text in references)
    measures = {"bleu": metrics.BLEU(effective_order=short), "chrf": metrics.CHRF()}
    values = {
        name: float(measure.corpus_score(list(found), [list(references)]).score)
        for name, measure in measures.items()
    }
    values["exact"] = sum(
        one.strip() == other.strip() for one, other in zip(found, references, strict=True)
    ) / len(references)
    return values, {name: str(measure.get_signature()) for name, measure in measures.items()}


def scoring_library() -> Any:
    """Import sacrebleu; fitting does so first, because a training that nobody can judge is a training lost.

    Raises
    ------
    InputError
        If it is not installed.
    """
    return library("text", "BLEU and chrF are computed by", "sacrebleu", "sacrebleu.metrics").metrics
