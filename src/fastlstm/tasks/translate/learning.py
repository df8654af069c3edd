"""The translator's network as the training loop's learner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.pair_tokens import PairBatch, PairFeatures
from fastlstm.tasks.translate.translating import TOKENS, batch_loss, mean_loss
from fastlstm.training.learner import Learner, numbered


class TranslationLearning:
    """Draws, losses and validation.

    Parameters
    ----------
    features : PairFeatures
        All pairs.
    learnt, held : numpy.ndarray
        Which pairs are learnt from, and which choose the weights.
    batch_tokens : int
        Tokens of a side of a batch.
    smoothing : float
        Of labels, in training.
    """

    def __init__(
        self, features: PairFeatures, learnt: Integers, held: Integers, *, batch_tokens: int, smoothing: float
    ) -> None:
        device = features.lengths.device
        self.features = features
        self.batch_tokens = batch_tokens
        self.smoothing = smoothing
        self.learnt = torch.from_numpy(learnt).to(device)
        self.held = features.batches(torch.from_numpy(held).to(device), TOKENS)
        self._ahead: list[Tensor] = []
        self._generator: torch.Generator | None = None

    @property
    def batches(self) -> int:
        """How many batches show every pair about once."""
        return len(self.features.batches(self.learnt, self.batch_tokens))

    def learner(self, network: nn.Module) -> Learner[PairBatch]:
        """Return what the training loop asks for."""
        return Learner(
            network,
            self.draw,
            lambda network, batch: batch_loss(network, batch, self.smoothing),
            self.validate,
            self.describe,
            unit="tokens",
            size=lambda batch: len(batch.after),
        )

    def draw(self, generator: torch.Generator) -> PairBatch:
        """Draw a batch: each pair once before any comes twice, those of like length together."""
        if generator is not self._generator or not self._ahead:
            self._generator = generator
            self._ahead = self.features.batches(self.learnt, self.batch_tokens, generator)
        return self.features.gather(self._ahead.pop())

    def validate(self, network: nn.Module) -> float:
        """Compute the mean negative log-probability of a token of the targets that are held out."""
        return mean_loss(network, self.features, self.held)

    def describe(self, network: nn.Module, batch: PairBatch) -> str:
        """Say which pairs a batch holds."""
        del network  # the loss is one number for all of them
        return numbered("pairs", batch.which.sort().values)
