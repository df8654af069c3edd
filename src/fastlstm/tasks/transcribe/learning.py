"""Batches, losses and validation of a transcriber, for the training loop."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastlstm.data.sequences.batches import batches_at_random, batches_of_like_length
from fastlstm.data.series.rows import Integers
from fastlstm.data.speech.features import SpeechFeatures, SpeechScaling
from fastlstm.data.speech.log_mel import LogMel
from fastlstm.extras import library
from fastlstm.model.speech_augmentation import SpeechAugmentation, mask, vary
from fastlstm.search.ctc import BLANK, collapsed, fewest_steps
from fastlstm.training.learner import Learner, numbered

FRAMES_AT_ONCE = 2**15  # in a training step
TIE = 0.01  # how much the loss counts beside the share of wrong tokens


class SpeechBatch(NamedTuple):
    """Recordings and their texts.

    Attributes
    ----------
    features : Tensor
        (B, T, M), normalised.
    lengths : Tensor
        (B,) int64, frames.
    tokens : Tensor
        (sum of counts,) int64, of all texts one after the other.
    counts : Tensor
        (B,) int64, tokens of each.
    which : Tensor
        (B,) int64, which recordings they are.
    """

    features: Tensor
    lengths: Tensor
    tokens: Tensor
    counts: Tensor
    which: Tensor


class SpeechLearning:
    """Draws, losses and validation.

    Parameters
    ----------
    features : SpeechFeatures
        Of n recordings.
    ids, offsets : numpy.ndarray
        Their tokens, as a tokenizer gives them.
    learnt, held : numpy.ndarray
        Which recordings are learnt from, and which choose the weights.
    mel : LogMel
        What the features are.
    scaling : SpeechScaling
        How they are normalised.
    subsampling : int
        Frames a step.
    batch_size : int
        The most recordings a training step.
    augmentation : SpeechAugmentation, optional
        How training changes them.
    """

    def __init__(
        self,
        features: SpeechFeatures,
        ids: Integers,
        offsets: Integers,
        learnt: Integers,
        held: Integers,
        *,
        mel: LogMel,
        scaling: SpeechScaling,
        subsampling: int,
        batch_size: int,
        augmentation: SpeechAugmentation | None,
    ) -> None:
        device = features.lengths.device
        self.features = features
        self.ids = torch.from_numpy(ids).to(device)
        self.starts = torch.from_numpy(offsets[:-1]).to(device)
        self.counts = torch.from_numpy(np.diff(offsets)).to(device)
        self.fewest = torch.from_numpy(fewest_frames(ids, offsets, subsampling)).to(device)
        self.learnt = torch.from_numpy(learnt)
        self.lengths = features.lengths.cpu()
        self.mel, self.scaling, self.augmentation = mel, scaling, augmentation
        self.batch_size = min(batch_size, len(learnt))
        # The fewest tokens to put in, take out or change that turn one text into another (Levenshtein 1966).
        rapidfuzz = library("speech", "errors are counted by", "rapidfuzz", "rapidfuzz.distance")
        self.distance = rapidfuzz.distance.Levenshtein.distance
        lengths = self.lengths.numpy()[held]
        self.held = [
            self.gather(torch.from_numpy(held[part]).to(device))
            for part in batches_of_like_length(lengths, FRAMES_AT_ONCE)
        ]
        self._ahead: list[tuple[Tensor, int]] = []
        self._generator: torch.Generator | None = None

    def learner(self, network: nn.Module) -> Learner[SpeechBatch]:
        """Return what the training loop asks for."""
        second = round(1 / self.mel.hop)
        return Learner(
            network,
            self.draw,
            self.loss,
            self.validate,
            self.describe,
            unit="seconds of speech",
            size=lambda batch: int(batch.lengths.sum()) // second,
        )

    def gather(self, which: Tensor, generator: torch.Generator | None = None) -> SpeechBatch:
        """Lay some recordings and their texts side by side.

        Parameters
        ----------
        which : Tensor
            (B,) int64
        generator : torch.Generator, optional
            Change them as training does.
        """
        frames, lengths = self.features.gather(which)
        if generator is None or self.augmentation is None:
            frames = self.scaling(frames, lengths)
        else:
            frames, lengths = vary(
                frames, lengths, self.fewest[which], self.mel, self.augmentation, generator
            )
            frames = mask(self.scaling(frames, lengths), lengths, self.augmentation, generator)
        counts = self.counts[which]
        first = torch.repeat_interleave(self.starts[which] - (counts.cumsum(0) - counts), counts)
        tokens = self.ids[first + torch.arange(len(first), device=first.device)]
        return SpeechBatch(frames, lengths, tokens, counts, which)

    def draw(self, generator: torch.Generator) -> SpeechBatch:
        """Draw a batch: each recording once before any comes twice, those of like length together."""
        if generator is not self._generator or not self._ahead:
            self._generator, self._ahead = generator, self._draw_ahead(generator)
        which, seed = self._ahead.pop()
        # Each batch is changed by draws of its own: the loop, which goes on from where many were drawn ahead, must be
        # able to take them up there.
        return self.gather(which.to(self.features.lengths.device), torch.Generator().manual_seed(seed))

    def _draw_ahead(self, generator: torch.Generator) -> list[tuple[Tensor, int]]:
        # What is left over makes a small batch: some recordings are few enough to need all of them.
        drawn = batches_at_random(
            self.lengths[self.learnt], generator, steps=FRAMES_AT_ONCE, most=self.batch_size
        )
        seeds = torch.randint(2**62, (len(drawn),), generator=generator).tolist()
        return [(self.learnt[part], seed) for part, seed in zip(drawn, seeds, strict=True)]

    def loss(self, network: nn.Module, batch: SpeechBatch) -> Tensor:
        """Compute CTC's loss: minus the logarithm of the probability of the texts, a token."""
        answers, steps = network(batch.features, batch.lengths)
        return self._lost(answers, steps, batch) / batch.counts.sum()

    def validate(self, network: nn.Module) -> float:
        """Compute the share of tokens that the likeliest path gets wrong, and a hundredth of the loss.

        A network that errs seldom goes on learning to err less while its loss on what was held out rises: where it errs
        it is ever surer. The loss decides between those that err alike.
        """
        wrong, lost, tokens = 0, 0.0, 0
        for batch in self.held:
            answers, steps = network(batch.features, batch.lengths)
            lost += float(self._lost(answers, steps, batch))
            tokens += int(batch.counts.sum())
            paths = answers.argmax(-1).cpu().numpy()
            texts = np.split(batch.tokens.cpu().numpy(), batch.counts.cumsum(0)[:-1].cpu().numpy())
            for path, count, text in zip(paths, steps.tolist(), texts, strict=True):
                wrong += self.distance(collapsed(path[:count]).tolist(), text.tolist())
        return wrong / tokens + TIE * lost / tokens

    def describe(self, network: nn.Module, batch: SpeechBatch) -> str:
        """Say which recordings a batch holds."""
        del network  # the loss is one number for all of them
        return numbered("recordings", batch.which)

    def _lost(self, answers: Tensor, steps: Tensor, batch: SpeechBatch) -> Tensor:
        """Return the sum of CTC's losses."""
        found: Tensor = F.ctc_loss(
            answers.transpose(0, 1).float(), batch.tokens, steps, batch.counts, blank=BLANK, reduction="sum"
        )
        return found


def fewest_frames(ids: Integers, offsets: Integers, subsampling: int) -> Integers:
    """Tell how many frames a recording must have for its text.

    Parameters
    ----------
    ids, offsets : numpy.ndarray
        The tokens of n texts.
    subsampling : int
        Frames a step.

    Examples
    --------
    >>> fewest_frames(np.array([2, 3, 3, 5]), np.array([0, 3, 4]), 4)
    array([13,  1])
    """
    steps = [fewest_steps(ids[first:end]) for first, end in pairwise(offsets)]
    return (np.array(steps, np.int64) - 1) * subsampling + 1
