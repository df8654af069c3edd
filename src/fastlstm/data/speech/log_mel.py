"""Log-mel features: how much power a recording has, in which band of the spectrum, every hundredth of a second.

Frames do not reach past the ends of a recording, and each is made of its own samples alone: frames of a stream, made as
the samples come, are those of the whole.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

Samples = npt.NDArray[np.float32]  # (N,), full scale is 1
Frames = npt.NDArray[np.float32]  # (F, M)
Array = npt.NDArray[np.float64]

FRAMES_AT_ONCE = 4096
FEW_BANDS, MANY_BANDS = 40, 64  # below 16 kHz, and from there on


class LogMel(BaseModel):
    r"""How samples become log-mel features; ``config.json`` keeps it.

    A frame is ``window`` seconds of samples x under a Hann window w, and there is one every ``hop`` seconds. With the
    discrete Fourier transform X of a frame over K points, its power in band m is

    .. math::
        P_m = \frac{\sum_k F_m(k) \, c_k |X_k|^2 / K}{\sum_n w_n^2}, \qquad
        X_k = \sum_n w_n x_n e^{-2 \pi i k n / K}

    where k runs from 0 to K / 2 and c is 2 (1 at both ends), so that by Parseval's theorem the sum over all
    frequencies is the mean square of the samples; full scale is 1, a sine of full scale has the power 1/2. The feature
    is :math:`\ln \max(P_m, floor)`.

    The weights F are triangles, evenly spaced on the mel scale
    :math:`m(f) = 2595 \log_{10}(1 + f / 700)` with f in Hz (Stevens, Volkmann & Newman 1937; the formula is that of
    O'Shaughnessy 1987): each is 1 at its own centre and falls to 0 at those of its neighbours (Davis & Mermelstein
    1980), so that between the first and the last centre all of them add up to 1.

    Parameters
    ----------
    rate : int
        Samples a second, Hz.
    bands : int
        M.
    window, hop : float
        Seconds: how long a frame is, and how far it is from one to the next.
    lowest : float
        Hz, where the first triangle begins; the last ends at half the rate.
    floor : float
        The least power that is told from silence.

    Examples
    --------
    >>> mel = LogMel(rate=8000)
    >>> second = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> frames = mel(second.astype(np.float32))
    >>> frames.shape, float(np.exp(frames[50]).sum().round(3)), int(mel.centres[frames[50].argmax()].round())
    ((98, 40), 0.5, 966)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: PositiveInt
    bands: PositiveInt = FEW_BANDS
    window: PositiveFloat = 0.025
    hop: PositiveFloat = 0.010
    lowest: PositiveFloat = 40.0
    floor: PositiveFloat = 1e-9

    @classmethod
    def of_rate(cls, rate: int) -> LogMel:
        """Return the usual features of a rate: 40 bands below 16 kHz, else 64.

        Parameters
        ----------
        rate : int
            Samples a second.
        """
        return cls(rate=rate, bands=FEW_BANDS if rate < 16_000 else MANY_BANDS)

    @property
    def window_samples(self) -> int:
        """W, how many samples a frame is made of."""
        return max(2, round(self.window * self.rate))

    @property
    def hop_samples(self) -> int:
        """How many samples it is from one frame to the next."""
        return max(1, round(self.hop * self.rate))

    @property
    def points(self) -> int:
        """K of the Fourier transform: a power of two, twice the window or more, so that low bands are not empty."""
        return 1 << math.ceil(math.log2(2 * self.window_samples))

    @cached_property
    def edges(self) -> Array:
        """(M + 2,) Hz, where triangles begin, peak and end."""
        return mel_to_hertz(
            np.linspace(hertz_to_mel(self.lowest), hertz_to_mel(self.rate / 2), self.bands + 2)
        )

    @property
    def centres(self) -> Array:
        """(M,) Hz, the peak of each band."""
        return self.edges[1:-1]

    @cached_property
    def weights(self) -> Array:
        """(K / 2 + 1, M), F: each frequency's share in each band."""
        frequencies = np.arange(self.points // 2 + 1) * self.rate / self.points
        mels, edges = hertz_to_mel(frequencies)[:, None], hertz_to_mel(self.edges)
        rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
        found: Array = np.clip(np.minimum(rising, falling), 0.0, None)
        return found

    @cached_property
    def _scaled(self) -> Frames:
        """The weights with all that does not change from frame to frame in them."""
        both = np.full(self.points // 2 + 1, 2.0)
        both[[0, -1]] = 1.0
        scale = both / self.points / np.square(self._hann.astype(np.float64)).sum()
        found: Frames = (self.weights * scale[:, None]).astype(np.float32)
        return found

    @cached_property
    def _hann(self) -> Samples:
        n = np.arange(self.window_samples)
        return np.square(np.sin(np.pi * (n + 0.5) / self.window_samples)).astype(np.float32)

    def count(self, samples: int) -> int:
        """Tell how many frames so many samples give; those of less than one window give one, as if silence followed.

        Parameters
        ----------
        samples : int
            N.

        Examples
        --------
        >>> [LogMel(rate=8000).count(samples) for samples in (1, 200, 279, 280, 8000)]
        [1, 1, 1, 2, 98]
        """
        return 1 + max(0, samples - self.window_samples) // self.hop_samples

    def __call__(self, samples: Samples) -> Frames:
        """Compute the features of a recording.

        Parameters
        ----------
        samples : numpy.ndarray
            (N,) float32, full scale is 1.

        Returns
        -------
        numpy.ndarray
            (F, M) float32, F of ``count(N)``: the natural logarithm of power.
        """
        from scipy.fft import rfft  # deferred: few need it

        if len(samples) < self.window_samples:
            samples = np.pad(samples, (0, self.window_samples - len(samples)))
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples)[:: self.hop_samples]
        found = np.empty((len(frames), self.bands), np.float32)
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            part = slice(first, first + FRAMES_AT_ONCE)
            spectrum = rfft(frames[part] * self._hann, self.points, axis=1)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            found[part] = np.log(np.maximum(power @ self._scaled, np.float32(self.floor)))
        return found


class LogMelStream:
    """The frames of a recording whose samples come bit by bit.

    Parameters
    ----------
    mel : LogMel
        What frames are.

    Examples
    --------
    >>> mel, samples = LogMel(rate=8000), np.random.default_rng(0).normal(size=1000).astype(np.float32)
    >>> stream = LogMelStream(mel)
    >>> parts = [stream.push(samples[:130]), stream.push(samples[130:777]), stream.push(samples[777:]), stream.finish()]
    >>> [len(part) for part in parts], np.allclose(np.concatenate(parts), mel(samples), atol=1e-5)
    ([0, 8, 3, 0], True)
    """

    def __init__(self, mel: LogMel) -> None:
        self.mel = mel
        self._kept = np.zeros(0, np.float32)
        self._frames = 0

    def push(self, samples: Samples) -> Frames:
        """Take samples, and return the frames that they complete, (F, M).

        Parameters
        ----------
        samples : numpy.ndarray
            (N,) float32, N of any size.
        """
        self._kept = np.concatenate([self._kept, samples])
        if len(self._kept) < self.mel.window_samples:
            return np.zeros((0, self.mel.bands), np.float32)
        found = self.mel(self._kept)
        self._frames += len(found)
        self._kept = self._kept[len(found) * self.mel.hop_samples :]
        return found

    def finish(self) -> Frames:
        """Return what is left once there are no more samples: a frame where there were too few for any."""
        if self._frames or not len(self._kept):
            return np.zeros((0, self.mel.bands), np.float32)
        return self.mel(self._kept)


def hertz_to_mel(frequency: npt.ArrayLike) -> Array:
    """Turn frequencies in Hz into mels: 2595 log10(1 + f / 700).

    Parameters
    ----------
    frequency : array_like
        Hz.

    Examples
    --------
    >>> hertz_to_mel([0, 700, 6300]).round(1)
    array([   0. ,  781.2, 2595. ])
    """
    found: Array = 2595.0 * np.log10(1.0 + np.asarray(frequency, np.float64) / 700.0)
    return found


def mel_to_hertz(mel: npt.ArrayLike) -> Array:
    """Turn mels into frequencies in Hz; the inverse of :func:`hertz_to_mel`.

    Parameters
    ----------
    mel : array_like
        Mels.

    Examples
    --------
    >>> float(mel_to_hertz(2595.0))
    6300.0
    """
    found: Array = 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)
    return found
