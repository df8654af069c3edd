"""Features of many recordings as one tensor, ready to be cut into batches, and how they are normalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fastlstm.data.speech.log_mel import Frames

LEAST = 0.1  # deviation, in the logarithm of power: what varies less is noise


class SpeechScaling(BaseModel):
    r"""How log-mel features are normalised: by the training part alone, or by each recording's own spectrum too.

    What microphone, room and loudness do to all of a recording adds to the logarithm of its power. That is taken away
    with the recording's mean (cepstral mean normalisation, Atal 1974), here one in which loud frames count more, so
    that silence around the words does not matter: with :math:`x_{tb}` the feature of band b in frame t,

    .. math::
        m_b = \sum_t w_t x_{tb} / \sum_t w_t, \qquad w_t = \sqrt{\textstyle\sum_b e^{x_{tb}}}

    It takes the whole recording. What is left has mean 0 and deviation 1 in the training part.

    Parameters
    ----------
    by_recording : bool
        Whether m is taken away.
    mean, deviation : tuple of float
        (M,) of what is left then, in the training part.

    Examples
    --------
    >>> scaling = SpeechScaling(by_recording=True, mean=(0.0,), deviation=(2.0,))
    >>> features = torch.tensor([[[1.0], [1.0], [9.0]], [[2.0], [2.0], [2.0]]])
    >>> scaling(features, torch.tensor([2, 3]))[..., 0]
    tensor([[0., 0., 4.],
            [0., 0., 0.]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by_recording: bool
    mean: tuple[float, ...]
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
        """
        count = sum(map(len, parts))
        bands = parts[0].shape[1]
        total, squares = np.zeros(bands), np.zeros(bands)
        for part in parts:
            frames = torch.from_numpy(part)[None]
            if by_recording:
                frames = frames - _loud_mean(frames, torch.tensor([len(part)]))
            left = frames[0].double().numpy()
            total += left.sum(0)
            squares += np.square(left).sum(0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0)).clip(LEAST)
        return cls(by_recording=by_recording, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))

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
        if self.by_recording:
            features = features - _loud_mean(features, lengths)
        return (features - features.new_tensor(self.mean)) / features.new_tensor(self.deviation)


def _loud_mean(features: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean (B, 1, M) of each recording in which frames count by the square root of their power."""
    past = torch.arange(features.shape[1], device=features.device) >= lengths[:, None]
    # w_t / Σ w_t is the softmax of half the logarithm of power.
    weights = (features.logsumexp(2) / 2).masked_fill(past, -torch.inf).softmax(1)
    return (features * weights[..., None]).sum(1, keepdim=True)


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
