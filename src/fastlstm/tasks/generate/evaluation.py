"""How well a language model foretells texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.corpus import Corpus, join_texts
from fastlstm.data.texts.tokens import UNKNOWN, Tokenizer
from fastlstm.model.language import LanguageNetwork
from fastlstm.tasks.generate.learning import text_losses, token_losses
from fastlstm.tasks.metric_table import metric_table

TITLES = {
    "nats_per_character": "nats/character",
    "bits_per_character": "bits/character",
    "perplexity": "perplexity",
}
LABELS = {"model": "LSTM", "unigram": "frequencies alone"}


@dataclass(frozen=True)
class LanguageEvaluation:
    """What texts cost, in nats: minus the logarithm of their probability.

    Parameters
    ----------
    characters : int
        In all texts together.
    tokens : int
        Predicted, with the end of each text where ends are learnt.
    unknown : int
        Tokens that are not in the vocabulary: what they cost is that some unknown one comes, not which.
    nats : dict
        ``model``, and ``unigram``, which knows how often each token comes and nothing else.
    """

    characters: int
    tokens: int
    unknown: int
    nats: dict[str, float]

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Nats and bits a character, and the perplexity of a token, of the model and of frequencies alone."""
        return {
            name: {
                "nats_per_character": nats / self.characters,
                "bits_per_character": nats / self.characters / math.log(2),
                "perplexity": math.exp(min(nats / self.tokens, 700.0)),
            }
            for name, nats in self.nats.items()
        }

    @property
    def notes(self) -> list[str]:
        """What one must know to read the metrics."""
        if not self.unknown:
            return []
        return [
            f"{self.unknown:,} of {self.tokens:,} tokens are not in the vocabulary; each costs what it costs to "
            "foretell that some unknown one comes"
        ]

    def __str__(self) -> str:
        """Return the metrics as a table."""
        return metric_table(self.metrics, LABELS, TITLES)


def judge(
    network: LanguageNetwork,
    tokenizer: Tokenizer,
    corpus: Corpus,
    counts: Sequence[int],
    beginning: Integers,
    *,
    ends: bool,
) -> LanguageEvaluation:
    """Let a model foretell texts: one after the other where it has learnt where texts end, else each for itself.

    Parameters
    ----------
    network : LanguageNetwork
        In evaluation mode.
    tokenizer : Tokenizer
        Its own.
    corpus : Corpus
        The texts.
    counts : sequence of int
        (V,) how often each token came in training.
    beginning : numpy.ndarray
        (P,) what is read before a text.
    ends : bool
        Whether where texts end is foretold too.
    """
    if ends:
        return judge_row(network, join_texts(tokenizer, corpus.texts), corpus.characters, counts)
    ids, offsets = tokenizer.encode(corpus.texts)
    return _evaluation(
        ids, corpus.characters, counts, float(text_losses(network, ids, offsets, beginning).sum())
    )


def judge_row(
    network: LanguageNetwork, row: Integers, characters: int, counts: Sequence[int]
) -> LanguageEvaluation:
    """Let a model foretell a row of tokens.

    Parameters
    ----------
    network : LanguageNetwork
        In evaluation mode.
    row : numpy.ndarray
        (N,) the first is given, all others are foretold.
    characters : int
        How many they are made of.
    counts : sequence of int
        (V,) how often each token came in training.
    """
    return _evaluation(row[1:], characters, counts, float(token_losses(network, row).sum()))


def _evaluation(
    foretold: Integers, characters: int, counts: Sequence[int], nats: float
) -> LanguageEvaluation:
    """Put what a model's (N,) foretold tokens cost beside what they cost by their frequencies."""
    # One more of each, so that what never came has a probability too (Laplace's rule of succession).
    share = (np.asarray(counts, float) + 1) / (sum(counts) + len(counts))
    return LanguageEvaluation(
        characters=characters,
        tokens=len(foretold),
        unknown=int((foretold == UNKNOWN).sum()),
        nats={"model": nats, "unigram": float(-np.log(share[foretold]).sum())},
    )
