"""Recordings: wav, flac and what else libsndfile reads, or arrays, as samples at one rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError, InputError
from fastlstm.extras import library
from fastlstm.wording import listed

Samples = npt.NDArray[np.float32]

HIGHEST_RATE = 16_000  # Hz: what lies above 8 kHz tells little about words
LOWEST_RATE = 1000  # Hz
LOUDEST = 1e10  # full scales: 32 bit integers that were not scaled, and no number that overflows
MOST_CHANNELS = 64  # of an array; more are rather samples, the wrong way round
MOST_NAMED = 10  # missing files
UNTOLD = 2**31 - 2**16  # bytes, from which on a size in a header stands for "more to come"


class Recording(NamedTuple):
    """The samples of one recording.

    Attributes
    ----------
    samples : numpy.ndarray
        (N,) float32, full scale is 1; N is 1 or more.
    rate : int
        Samples a second, Hz.
    channels : int
        How many there were; ``samples`` is their mean.
    """

    samples: Samples
    rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate


def read_audio(path: str | Path, where: str | None = None) -> Recording:
    """Read a file.

    Parameters
    ----------
    path : path
        A wav, flac or other file that libsndfile knows.
    where : str, optional
        What messages begin with, for instance the line of a manifest.

    Returns
    -------
    Recording
        At the file's own rate; several channels are averaged.

    Raises
    ------
    DataError
        If it is not there, is no audio, is cut short, or holds no samples or some that are not finite.
    InputError
        If soundfile is not installed.

    Examples
    --------
    >>> import tempfile, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(f"{folder}/a.wav", np.zeros((400, 2)), 8000)
    ...     recording = read_audio(f"{folder}/a.wav")
    >>> recording.samples.shape, recording.rate, recording.channels, recording.seconds
    ((400,), 8000, 2, 0.05)
    """
    with _opened(path, where) as (file, name):
        found = file.read(dtype="float32", always_2d=True)
    return _checked(found, int(file.samplerate), name)


def rate_of(path: str | Path, where: str | None = None) -> int:
    """Read how many samples a second a file has, and no more of it.

    Parameters
    ----------
    path, where
        As :func:`read_audio` has them.

    Raises
    ------
    DataError
        If it is not there, or is no audio.
    """
    with _opened(path, where) as (file, _):
        return int(file.samplerate)


@contextmanager
def _opened(path: str | Path, where: str | None) -> Iterator[tuple[Any, str]]:
    """Open a file, with the name that messages give it; what goes wrong within is said in one line."""
    soundfile = library("speech", "audio files are read by", "soundfile")
    name = f"{where}: {path}" if where else str(path)
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise DataError(
            f"{name}: " + ("is a folder; name a file" if path.is_dir() else "no such file; check the path")
        )
    try:
        _refuse_cut(path, name)
        with soundfile.SoundFile(path) as file:
            yield file, name
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        empty = not path.stat().st_size
        what = "the file is empty" if empty else str(getattr(error, "error_string", error)).rstrip(".")
        raise DataError(
            f"{name} cannot be read as audio: {what}; give a wav or flac file that plays"
        ) from None


def _refuse_cut(path: Path, name: str) -> None:
    """Raise where a wav file is shorter than it says itself: libsndfile reads what is left without a word."""
    with path.open("rb") as file:
        head = file.read(8)
    told = int.from_bytes(head[4:8], "little") + len(head)  # of RIFF: what follows the first eight bytes
    size = path.stat().st_size
    # What is written while it is recorded may tell of no end: 0, or the largest size there is. The last byte may be a
    # filling one that was left out.
    if head[:4] == b"RIFF" and told < UNTOLD and size < told - 1:
        raise DataError(
            f"{name} was cut short: its header tells of {told:,} bytes, and {size:,} are there; copy it again"
        )


def take_audio(samples: npt.ArrayLike, rate: int, name: str = "the array") -> Recording:
    """Take samples that are in memory.

    Parameters
    ----------
    samples : array_like
        (N,), or (N, C) of several channels; floating point with full scale 1, or 16 or 32 bit integers.
    rate : int
        Samples a second, Hz.
    name : str
        What messages call it.

    Raises
    ------
    DataError
        If there are none, some are not finite, or the array has another shape.

    Examples
    --------
    >>> take_audio(np.array([0, 16384], np.int16), 8000).samples
    array([0. , 0.5], dtype=float32)
    """
    array, rate = np.asarray(samples), check_rate(rate)
    if not array.size:
        raise DataError(f"{name} has no samples; leave it out")
    if array.dtype in (np.int16, np.int32):
        array = array / -float(np.iinfo(array.dtype).min)
    if (
        array.dtype.kind != "f"
        or array.ndim not in (1, 2)
        or (array.ndim == 2 and array.shape[1] > MOST_CHANNELS)
    ):
        raise DataError(
            f"{name} has shape {array.shape} of {array.dtype}: give samples (N,) or (N, channels), floating point "
            "with full scale 1, or int16"
        )
    return _checked(array.reshape(len(array), -1).astype(np.float32), rate, name)


def check_rate(rate: float) -> int:
    """Return a rate as a whole number; raise where it is none.

    Parameters
    ----------
    rate : int
        Samples a second, Hz.

    Raises
    ------
    InputError
        If it is no whole number, or below 1,000.
    """
    number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not number or not LOWEST_RATE <= rate < np.inf or rate != int(rate):
        raise InputError(f"rate is {rate!r}: give samples a second, a whole number, {LOWEST_RATE:,} or more")
    return int(rate)


def refuse_missing(paths: Sequence[Path], places: Sequence[str]) -> None:
    """Raise where files are not there, with all of them in one message.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    places : sequence of str
        Where each is named, for the message.

    Raises
    ------
    DataError
        If one is not there.

    Examples
    --------
    >>> refuse_missing([Path("none.wav"), Path("no.wav")], ["a.csv, line 2", "a.csv, line 3"])
    Traceback (most recent call last):
    ...
    fastlstm.errors.DataError: 2 audio files are not there: none.wav (a.csv, line 2), no.wav (a.csv, line 3); ...
    """
    missing = [(path, place) for path, place in zip(paths, places, strict=True) if not path.is_file()]
    if not missing:
        return
    named = listed(
        [f"{path} ({place})" if place else f"{path}" for path, place in missing],
        MOST_NAMED,
        form=str,
        counted=True,
    )
    count = "1 audio file is" if len(missing) == 1 else f"{len(missing):,} audio files are"
    whence = ", which count from the manifest's folder" if any(place for _, place in missing) else ""
    raise DataError(f"{count} not there: {named}; check the paths{whence}")


def resample(samples: Samples, rate: int, to: int) -> Samples:
    """Change the rate of samples, with a low-pass filter where it falls (``scipy.signal.resample_poly``).

    Parameters
    ----------
    samples : numpy.ndarray
        (N,)
    rate, to : int
        Samples a second, before and after.

    Returns
    -------
    numpy.ndarray
        (ceil(N · to / rate),) float32.

    Examples
    --------
    >>> resample(np.ones(441, np.float32), 44100, 16000).shape
    (160,)
    """
    if rate == to:
        return samples
    from scipy.signal import resample_poly  # deferred: a second of import, and seldom needed

    common = math.gcd(rate, to)
    found: Samples = resample_poly(samples, to // common, rate // common).astype(np.float32)
    return found


class ResampleStream:
    """Samples at another rate, as they come: those that :func:`resample` gives of the whole.

    The low-pass filter of ``resample_poly`` reaches ten samples of the lower rate to either side, so that the last ones
    come only once it is known that nothing follows.

    Parameters
    ----------
    rate, to : int
        Samples a second, before and after.

    Examples
    --------
    >>> samples, stream = np.sin(np.arange(3000) / 9).astype(np.float32), ResampleStream(44100, 16000)
    >>> parts = [stream.push(samples[:1000]), stream.push(samples[1000:]), stream.finish()]
    >>> [len(part) for part in parts], np.allclose(np.concatenate(parts), resample(samples, 44100, 16000), atol=1e-6)
    ([353, 726, 10], True)
    """

    REACH = 10  # of scipy's filter, in samples of the lower rate

    def __init__(self, rate: int, to: int) -> None:
        common = math.gcd(rate, to)
        self.up, self.down = to // common, rate // common
        self.reach = self.REACH * max(self.up, self.down)  # in samples of the common multiple of both rates
        self._kept = np.zeros(0, np.float32)
        self._first = 0  # which sample the kept ones begin with …
        self._given = 0  # … and how many were given

    def push(self, samples: Samples) -> Samples:
        """Take samples, and return those that are complete.

        Parameters
        ----------
        samples : numpy.ndarray
            (N,) float32, N of any size.
        """
        self._kept = np.concatenate([self._kept, samples])
        seen = self._first + len(self._kept)
        return self._give(max(0, ((seen - 1) * self.up - self.reach) // self.down + 1))

    def finish(self) -> Samples:
        """Return what is left once there are no more samples."""
        seen = self._first + len(self._kept)
        return self._give(-(-seen * self.up // self.down))

    def _give(self, until: int) -> Samples:
        """Return the samples up to one, and forget what no later one needs."""
        if until <= self._given:
            return np.zeros(0, np.float32)
        before = self._first * self.up // self.down  # whole, as the first is a multiple of down
        found = resample(self._kept, self.down, self.up)[self._given - before : until - before]
        self._given = until
        needed = max(0, (until * self.down - self.reach) // self.up)
        forget = needed // self.down * self.down - self._first
        if forget > 0:
            self._kept, self._first = self._kept[forget:], self._first + forget
        return found


def usual_rate(rates: Sequence[int]) -> int:
    """Return the rate of most recordings, at most 16 kHz.

    Parameters
    ----------
    rates : sequence of int
        Of each recording.

    Examples
    --------
    >>> usual_rate([8000, 44100, 44100]), usual_rate([8000, 8000, 44100])
    (16000, 8000)
    """
    values, counts = np.unique(np.asarray(rates), return_counts=True)
    return min(int(values[counts.argmax()]), HIGHEST_RATE)


def _checked(found: Samples, rate: int, name: str) -> Recording:
    if not len(found):
        raise DataError(f"{name} holds no samples: it is 0 seconds long; record it again or leave it out")
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise DataError(
            f"{name}: sample {place} is {found[place].tolist()}, no finite number; mend the recording"
        )
    if np.abs(found).max() > LOUDEST:
        raise DataError(
            f"{name}: samples reach {np.abs(found).max():.3g}, where full scale is 1; give them on that scale"
        )
    check_rate(rate)
    samples = found[:, 0] if found.shape[1] == 1 else found.mean(axis=1, dtype=np.float32)
    return Recording(np.ascontiguousarray(samples), rate, found.shape[1])
