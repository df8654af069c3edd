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
    """How log-mel features are normalised: by the mean of the training part, or of each recording itself.

    Its own mean taken away, a recording no longer tells what microphone, room and loudness added to the logarithm of
    its power (cepstral mean normalisation, Atal 1974); that needs the whole recording.

    Parameters
    ----------
    mean : tuple of float
        (M,) of the training part; empty where it is that of each recording.
    deviation : tuple of float
        (M,) around that mean, of the training part.

    Examples
    --------
    >>> features = torch.tensor([[[1.0], [3.0], [0.0]], [[5.0], [7.0], [9.0]]])
    >>> SpeechScaling(deviation=(2.0,))(features, torch.tensor([2, 3]))[..., 0]
    tensor([[-0.5000,  0.5000, -1.0000],
            [-1.0000,  0.0000,  1.0000]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...]

    @classmethod
    def fit(cls, parts: Sequence[Frames], *, by_recording: bool) -> SpeechScaling:
        """Learn the scales of the training part.

        Parameters
        ----------
        parts : sequence of numpy.ndarray
            (F, M) of each recording.
        by_recording : bool
            Whether each recording's own mean is taken away.

        Examples
        --------
        >>> parts = [np.array([[0.0], [2.0]], np.float32), np.array([[5.0], [9.0]], np.float32)]
        >>> SpeechScaling.fit(parts, by_recording=False).mean
        (4.0,)
        >>> SpeechScaling.fit(parts, by_recording=True).deviation == (2.5**0.5,)
        True
        """
        count = sum(map(len, parts))
        means = [part.mean(0, dtype=np.float64) for part in parts]
        whole = np.sum([mean * len(part) for mean, part in zip(means, parts, strict=True)], axis=0) / count
        squares = [
            np.square(part - (mean if by_recording else whole)).sum(0)
            for mean, part in zip(means, parts, strict=True)
        ]
        deviation = np.sqrt(np.sum(squares, axis=0) / count).clip(LEAST)
        return cls(mean=() if by_recording else tuple(whole.tolist()), deviation=tuple(deviation.tolist()))

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
        deviation = features.new_tensor(self.deviation)
        if self.mean:
            return (features - features.new_tensor(self.mean)) / deviation
        within = (torch.arange(features.shape[1], device=features.device) < lengths[:, None])[..., None]
        mean = (features * within).sum(1, keepdim=True) / lengths[:, None, None]
        return (features - mean) / deviation


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
