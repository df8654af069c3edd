"""The network over labelled sequences as the training loop's learner, and its answers on many of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fastlstm.data.sequences.batches import batches_at_random, batches_of_like_length
from fastlstm.data.sequences.features import SequenceBatch, SequenceFeatures, TokenFeatures, side_by_side
from fastlstm.data.series.rows import Integers
from fastlstm.model.sequence import SequenceNetwork
from fastlstm.tasks.labelled.label_kind import Array
from fastlstm.tasks.labelled.target import Target
from fastlstm.training.learner import Learner, numbered

AT_ONCE = 256  # sequences, when answering …
STEPS_AT_ONCE = 2**17  # … and steps of all of them together

Features = SequenceFeatures | TokenFeatures


class LabelledBatch(NamedTuple):
    """Sequences and their labels.

    Attributes
    ----------
    sequences : SequenceBatch
        B sequences.
    target : Tensor
        (B, …), or (B, T, …) with a label for every step; NaN where there is none.
    which : Tensor
        (B,) int64, which sequences they are.
    """

    sequences: SequenceBatch
    target: Tensor
    which: Tensor


class Labelled:
    """Features and labels side by side.

    Parameters
    ----------
    features : SequenceFeatures or TokenFeatures
        n sequences.
    encoded : numpy.ndarray
        (n, …), or (N, …) with a label for every step.
    per_step : bool
        Which of both.
    """

    def __init__(self, features: Features, encoded: Array, *, per_step: bool) -> None:
        self.features = features
        self.per_step = per_step
        self.target = torch.from_numpy(encoded.astype(np.float32)).to(features.lengths.device)

    def gather(self, which: Tensor) -> LabelledBatch:
        """Lay some sequences side by side.

        Parameters
        ----------
        which : Tensor
            (B,) int64
        """
        sequences = self.features.gather(which)
        if not self.per_step:
            return LabelledBatch(sequences, self.target[which], which)
        rows, within = side_by_side(self.features.starts[which], sequences.lengths)
        target = self.target[rows]
        target[~within] = torch.nan
        return LabelledBatch(sequences, target, which)


class LabelledLearning:
    """Draws, losses and validation.

    Parameters
    ----------
    labelled : Labelled
        All sequences.
    target : Target
        What a label is.
    learnt, held : numpy.ndarray
        Which sequences are learnt from, and which choose the weights.
    batch_size : int
        B.
    weights : Tensor, optional
        How much each class counts.
    augmentation : float
        Deviation of noise that is added to numbers in training, in their own deviations; each sequence is scaled by a
        random factor of the same spread, too.
    """

    def __init__(
        self,
        labelled: Labelled,
        target: Target,
        learnt: Integers,
        held: Integers,
        *,
        batch_size: int,
        weights: Tensor | None,
        augmentation: float,
    ) -> None:
        self.labelled = labelled
        self.target = target
        device = labelled.features.lengths.device
        self.learnt = torch.from_numpy(learnt)
        self.lengths = labelled.features.lengths.cpu()[self.learnt]
        self.batch_size = min(batch_size, len(learnt))
        self.weights = None if weights is None else weights.to(device)
        self.augmentation = augmentation
        self.held = [
            labelled.gather(part) for part in parts_of(torch.from_numpy(held).to(device), labelled.features)
        ]
        self._ahead: list[tuple[Tensor, int | None]] = []
        self._generator: torch.Generator | None = None

    def learner(self, network: nn.Module) -> Learner[LabelledBatch]:
        """Return what the training loop asks for."""
        return Learner(network, self.draw, self.loss, self.validate, self.describe)

    def draw(self, generator: torch.Generator) -> LabelledBatch:
        """Draw a batch: each sequence once before any comes twice, those of like length together."""
        if generator is not self._generator or not self._ahead:
            self._generator, self._ahead = generator, self._draw_ahead(generator)
        which, seed = self._ahead.pop()
        batch = self.labelled.gather(which.to(self.labelled.features.lengths.device))
        if seed is None:
            return batch
        return batch._replace(sequences=self._moved(batch.sequences, torch.Generator().manual_seed(seed)))

    def _draw_ahead(self, generator: torch.Generator) -> list[tuple[Tensor, int | None]]:
        drawn = batches_at_random(self.lengths, generator, most=self.batch_size, full=True)
        seeds: list[int] | list[None] = [None] * len(drawn)
        if self.augmentation:
            # Each batch is moved by draws of its own: the loop goes on from where many were drawn ahead.
            seeds = torch.randint(2**62, (len(drawn),), generator=generator).tolist()
        return [(self.learnt[part], seed) for part, seed in zip(drawn, seeds, strict=True)]

    def _moved(self, sequences: SequenceBatch, generator: torch.Generator) -> SequenceBatch:
        """Return sequences whose numbers differ a little."""
        values, summary = sequences.values, sequences.summary

        def noise(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(values) * self.augmentation

        moved = values * (1 + noise(len(values), 1, values.shape[2])) + noise(*values.shape)
        return sequences._replace(
            values=moved * sequences.steps[..., None], summary=summary + noise(*summary.shape)
        )

    def loss(self, network: nn.Module, batch: LabelledBatch) -> Tensor:
        """Compute the loss of a batch."""
        raw: Tensor = network(batch.sequences)
        return self.target.loss(raw, batch.target, self.weights)

    def validate(self, network: nn.Module) -> float:
        """Compute the loss on what is held out, mean over its labels."""
        counts = [int((~batch.target.isnan()).sum()) for batch in self.held]
        losses = [
            float(self.loss(network, batch)) * count
            for batch, count in zip(self.held, counts, strict=True)
            if count
        ]
        return sum(losses) / max(1, sum(counts))

    def describe(self, network: nn.Module, batch: LabelledBatch) -> str:
        """Say which sequences a batch holds."""
        del network  # the loss is one number for all of them
        return numbered("sequences", batch.which)


def parts_of(which: Tensor, features: Features) -> list[Tensor]:
    """Cut sequences into batches of like length that fit into memory, the shortest first.

    Parameters
    ----------
    which : Tensor
        (m,) int64
    features : SequenceFeatures or TokenFeatures
        For their lengths.
    """
    parts = batches_of_like_length(features.lengths[which].cpu().numpy(), STEPS_AT_ONCE, AT_ONCE)
    return [which[torch.from_numpy(part).to(which.device)] for part in parts]


def answer(network: SequenceNetwork, features: Features, which: Integers) -> Array:
    """Run over sequences.

    Parameters
    ----------
    network : SequenceNetwork
        In evaluation mode.
    features : SequenceFeatures or TokenFeatures
        Of all sequences.
    which : numpy.ndarray
        (m,) those to answer.

    Returns
    -------
    numpy.ndarray
        Raw outputs (m, K); or of every step, (their steps together, K), sequence by sequence.
    """
    chosen = torch.from_numpy(which).to(features.lengths.device)
    lengths = features.lengths[chosen]
    per_step = network.settings.per_step
    ends = torch.cumsum(lengths, 0)
    rows = int(ends[-1]) if per_step and len(ends) else len(chosen)
    found = torch.zeros(rows, network.settings.outputs)
    place = torch.full((len(features),), -1, device=chosen.device)
    place[chosen] = torch.arange(len(chosen), device=chosen.device)
    with torch.inference_mode():
        for part in parts_of(chosen, features):
            batch = features.gather(part)
            raw: Tensor = network(batch).float()  # half as many bits within autocast
            at = place[part]
            if per_step:
                steps = torch.arange(raw.shape[1], device=raw.device)
                within = steps < batch.lengths[:, None]
                first = (ends - lengths)[at]
                found[(first[:, None] + steps)[within].cpu()] = raw[within].cpu()
            else:
                found[at.cpu()] = raw.cpu()
    return found.double().numpy()
