"""Sources in, the search's answers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.checks import require_whole
from fastlstm.data.texts.pair_tokens import PairBatch, PairFeatures, PairVocabulary
from fastlstm.data.texts.pairs import PairSchema, PairSet
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.model.translation_steps import TranslationSteps
from fastlstm.model.translator import TranslatorNetwork
from fastlstm.ops.smoothed_loss import smoothed_cross_entropy
from fastlstm.search.beam import beam_search

ROWS = 320  # hypotheses that are searched at once …
TOKENS = 4096  # … and tokens of a side
SPARE = 10  # tokens that a target may have beyond what its source lets expect
BEYOND = 1.5  # … and how many times that
END = "⟨end⟩"


@dataclass(frozen=True)
class SearchOptions:
    """How targets are searched for.

    Parameters
    ----------
    beam_size : int
        Hypotheses that are kept at every step.
    n_best : int
        Targets a source.
    length_normalisation, coverage_penalty : float
        Of :func:`fastlstm.search.beam.beam_search`.
    longest : int, optional
        The most tokens of a target. Default: by the length of its source.
    """

    beam_size: int = 5
    n_best: int = 1
    length_normalisation: float = 0.6
    coverage_penalty: float = 0.0
    longest: int | None = None


class Translation(NamedTuple):
    """A target that was found.

    Attributes
    ----------
    text : str
        What it says.
    score : float
        By which it was ranked.
    """

    text: str
    score: float


@dataclass(frozen=True)
class AttentionMap:
    """What was attended to while a target was written.

    Parameters
    ----------
    source, target : tuple of str
        S and T tokens, each with its end.
    weights : numpy.ndarray
        (T, S): how much each token of the source counted for each of the target; their sum over S is 1.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TranslationModel:
    """All that it takes to translate.

    Parameters
    ----------
    network : TranslatorNetwork
        In evaluation mode.
    vocabulary : PairVocabulary
        Of both sides.
    growth : float
        Target tokens a source token, of which nearly all pairs have fewer.
    """

    network: TranslatorNetwork
    vocabulary: PairVocabulary
    growth: float

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.network.bias.device

    def translate(self, texts: Sequence[str], options: SearchOptions) -> list[list[Translation]]:
        """Find the targets of sources.

        Parameters
        ----------
        texts : sequence of str
            n sources; one without anything in it has an empty target.
        options : SearchOptions
            How to search.

        Returns
        -------
        list of list of Translation
            For each source its targets, the best first.
        """
        if options.longest is not None:
            require_whole("longest", options.longest, least=1)
        found = [[Translation("", math.nan)] for _ in texts]
        places = [place for place, text in enumerate(texts) if text.strip()]
        at_once = max(1, ROWS // require_whole("beam_size", options.beam_size, least=1))
        if not places:
            return found
        steps = TranslationSteps(self.network)
        features = self.features([texts[place] for place in places])
        for batch in features.batches(torch.arange(len(places)), TOKENS):
            for which in batch.split(at_once):
                sources = features.gather(which)
                answers = beam_search(
                    steps,
                    (sources.source, sources.lengths),
                    [self._longest(length - 1, options) for length in sources.lengths.tolist()],
                    boundary=self.vocabulary.boundary,
                    beam_size=options.beam_size,
                    n_best=options.n_best,
                    length_normalisation=options.length_normalisation,
                    coverage_penalty=options.coverage_penalty,
                    cut=options.longest is not None,
                )
                for place, hypotheses in zip(which.tolist(), answers, strict=True):
                    found[places[place]] = [
                        Translation(self.vocabulary.target.decode(list(one.tokens)), one.score)
                        for one in hypotheses
                    ]
        return found

    def attend(self, text: str, target: str) -> AttentionMap:
        """Look at what is attended to while a target is written.

        Parameters
        ----------
        text, target : str
            A pair.
        """
        features = self.features([text], [target])
        batch = features.gather(torch.tensor([0]))
        with torch.no_grad():
            memory, states = self.network.encode(batch.source, batch.lengths)
            weights = self.network.decode(batch.before, memory, states).weights[0]
        return AttentionMap(
            _names(batch.source[0], self.vocabulary.source),
            _names(batch.after, self.vocabulary.target),
            weights.cpu().numpy(),
        )

    def features(self, sources: Sequence[str], targets: Sequence[str] | None = None) -> PairFeatures:
        """Turn texts into tensors.

        Parameters
        ----------
        sources : sequence of str
            n sources.
        targets : sequence of str, optional
            Their targets.
        """
        pairs = PairSet(
            "the texts", "list", tuple(sources), None if targets is None else tuple(targets), PairSchema()
        )
        return PairFeatures(pairs, self.vocabulary, self.device)

    def _longest(self, length: int, options: SearchOptions) -> int:
        """Return the most tokens of a target, so that every search ends."""
        if options.longest is not None:
            return options.longest
        return min(self.vocabulary.longest, SPARE + math.ceil(BEYOND * self.growth * length))


def batch_loss(network: nn.Module, batch: PairBatch, smoothing: float = 0.0) -> Tensor:
    """Compute the mean negative log-probability of a token of targets.

    Parameters
    ----------
    network : TranslatorNetwork
        It may be wrapped.
    batch : PairBatch
        Pairs.
    smoothing : float
        Of labels.
    """
    logits = network(batch.source, batch.lengths, batch.before, batch.wanted)
    return smoothed_cross_entropy(logits, batch.after, smoothing)


def mean_loss(network: nn.Module, features: PairFeatures, batches: Sequence[Tensor]) -> float:
    """Compute the mean negative log-probability of a token of the targets of many pairs.

    Parameters
    ----------
    network : TranslatorNetwork
        In evaluation mode.
    features : PairFeatures
        Pairs.
    batches : sequence of Tensor
        Which of them.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for which in batches:
            batch = features.gather(which)
            total += float(batch_loss(network, batch)) * len(batch.after)
            count += len(batch.after)
    return total / count


def _names(ids: Tensor, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return what each token says."""
    return tuple(END if place == len(tokenizer) else tokenizer.decode([place]) for place in ids.tolist())
