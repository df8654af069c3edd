"""Features of many recordings as one tensor, ready to be cut into batches, and how they are normalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fastlstm.data.log_mel import Frames

LEAST = 0.1  # deviation, in the logarithm of power: what varies less is noise


class SpeechScaling(BaseModel):
    """How log-mel features are normalised: by the training part, or each recording by itself.

    By itself takes out what a microphone, a room and a loudness add to the logarithm of power (cepstral mean
    normalisation, Atal 1974), and needs the whole recording.

    Parameters
    ----------
    mean, deviation : tuple of float
        (M,) of the training part; empty where each recording is normalised by itself.

    Examples
    --------
    >>> features = torch.tensor([[[1.0], [3.0], [0.0]], [[5.0], [7.0], [9.0]]])
    >>> SpeechScaling()(features, torch.tensor([2, 3]))[..., 0].round(decimals=2)
    tensor([[-1.0000,  1.0000, -2.0000],
            [-1.2200,  0.0000,  1.2200]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @classmethod
    def fit(cls, frames: Frames) -> SpeechScaling:
        """Learn the scales of the training part.

        Parameters
        ----------
        frames : numpy.ndarray
            (F, M)
        """
        deviation = frames.std(0, dtype=np.float64).clip(LEAST)
        return cls(mean=tuple(frames.mean(0, dtype=np.float64).tolist()), deviation=tuple(deviation.tolist()))

    def __call__(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise.

        Parameters
        ----------
        features : Tensor
            (B, T, M), finite past the ends.
        lengths : Tensor
            (B,) int64

        Returns
        -------
        Tensor
            (B, T, M)
        """
        if self.mean:
            return (features - features.new_tensor(self.mean)) / features.new_tensor(self.deviation)
        within = (torch.arange(features.shape[1], device=features.device) < lengths[:, None])[..., None]
        count = lengths[:, None, None]
        mean = (features * within).sum(1, keepdim=True) / count
        square = ((features - mean).square() * within).sum(1, keepdim=True) / count
        return (features - mean) / square.sqrt().clamp(min=LEAST)


class SpeechFeatures:
    """Features of n recordings, one after the other.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        (F, M) of each.
    device : torch.device
        Where they are to lie.

    Examples
    --------
    >>> parts = [np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32)]
    >>> features, lengths = SpeechFeatures(parts, torch.device("cpu")).gather(torch.tensor([1, 0]))
    >>> features[:, 0, 0], lengths
    (tensor([1., 0.]), tensor([1, 2]))
    """

    def __init__(self, parts: Sequence[Frames], device: torch.device) -> None:
        lengths = np.array([len(part) for part in parts], np.int64)
        self.frames = torch.from_numpy(np.concatenate(parts)).to(device)
        self.lengths = torch.from_numpy(lengths).to(device)
        self.starts = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Lay some recordings side by side.

        Parameters
        ----------
        which : Tensor
            (B,) int64

        Returns
        -------
        features : Tensor
            (B, T, M); past the end of a recording its last frame comes again.
        lengths : Tensor
            (B,) int64
        """
        lengths = self.lengths[which]
        places = torch.arange(int(lengths.max()), device=lengths.device)
        rows = self.starts[which, None] + torch.minimum(places, lengths[:, None] - 1)
        return self.frames[rows], lengths
