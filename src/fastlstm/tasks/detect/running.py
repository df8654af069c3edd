"""The network over rows: what is expected of each step, and all that is carried from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import stdtr
from torch import Tensor

from fastlstm.model.autoencoder import Autoencoder, AutoencoderSettings
from fastlstm.model.detector import DetectorNetwork, DetectorSettings, Expectation, RowBatch
from fastlstm.tasks.detect.inputs import Carried, Steps, read_on

Array = npt.NDArray[np.float64]

STEPS_AT_ONCE = 4096  # when running over a whole series
LONG_AGO = 2**62
LEAST = 1e-300  # a probability: its logarithm is finite

Network = DetectorNetwork | Autoencoder
NetworkSettings = DetectorSettings | AutoencoderSettings


def build_network(settings: NetworkSettings) -> Network:
    """Build the network of a method.

    Parameters
    ----------
    settings : DetectorSettings or AutoencoderSettings
        Which tells it.
    """
    return Autoencoder(settings) if isinstance(settings, AutoencoderSettings) else DetectorNetwork(settings)


@dataclass(frozen=True)
class Memory:
    """What is carried from one step of a series to the next.

    K channels, R horizons.

    Parameters
    ----------
    carried : Carried
        What the network reads of the steps before.
    state : tuple of Tensor, optional
        Of the network: the LSTM's, or the rows that it reads again; None before the first step.
    pending : tuple of numpy.ndarray
        (h - 1, K, 3) for each horizon h, the forecasts of the next steps that were made before: location, deviation
        and freedom.
    smooth : numpy.ndarray
        (R + 1, K), the evidence of all kinds, smoothed.
    since : int
        Steps since an alarm was last raised.
    age : int
        Steps since the series began.
    """

    carried: Carried
    state: tuple[Tensor, Tensor] | None
    pending: tuple[Array, ...]
    smooth: Array
    since: int = LONG_AGO
    age: int = 0

    @classmethod
    def start(cls, steps: Steps, settings: NetworkSettings) -> Self:
        """Return the memory before the first step of a series.

        Parameters
        ----------
        steps : Steps
            For the widths.
        settings : DetectorSettings or AutoencoderSettings
            Of the network.
        """
        K, horizons = settings.channels, settings.horizons
        pending = tuple(np.full((horizon - 1, K, 3), np.nan) for horizon in horizons)
        return cls(Carried.nothing(steps), None, pending, np.zeros((len(horizons) + 1, K)))


class Expected(NamedTuple):
    """What was expected of steps before they came.

    Attributes
    ----------
    forecasts : numpy.ndarray
        (T, R, K, 3): of each step the forecast made h steps before, for each horizon h; location, deviation, freedom.
        NaN where there was none.
    smooth : numpy.ndarray
        (T, R + 1, K), the evidence of all kinds before each step, smoothed.
    """

    forecasts: Array
    smooth: Array


def run(network: Network, steps: Steps, memory: Memory, rates: Array) -> tuple[Expected, Memory]:
    """Run over steps that follow one another.

    Parameters
    ----------
    network : DetectorNetwork or Autoencoder
        In evaluation mode.
    steps : Steps
        T steps of one series.
    memory : Memory
        Of the steps before.
    rates : numpy.ndarray
        (R + 1, 1), how fast the smoothed evidence of each kind follows.

    Returns
    -------
    Expected
        Of the T steps.
    Memory
        After them; its ``since`` is left as it was.
    """
    numbers, codes, carried = read_on(steps, memory.carried, itself=network.reads_itself)
    forecasts, state = _forecast(network, numbers, codes, memory.state)
    T, age = len(numbers), np.arange(memory.age, memory.age + len(numbers))
    for place, count in enumerate(network.blind):
        forecasts[age < count, place] = np.nan
    ahead = [np.concatenate([kept, forecasts[:, place]]) for place, kept in enumerate(memory.pending)]
    forecasts = np.stack([made[:T] for made in ahead], axis=1)
    pending = tuple(made[T:] for made in ahead)
    before, smooth = _smoothed(fresh_evidence(forecasts, steps.target), memory.smooth, rates)
    reached = replace(
        memory, carried=carried, state=state, pending=pending, smooth=smooth, age=memory.age + T
    )
    return Expected(forecasts, before), reached


def surprise(forecasts: Array, target: npt.NDArray[np.floating[Any]]) -> Array:
    """Return ``-log10 P(|Y - μ| ≥ |y - μ|)`` of what came: how unlikely it was by its forecast.

    Parameters
    ----------
    forecasts : numpy.ndarray
        (T, R, K, 3), location, deviation and freedom of Student t distributions.
    target : numpy.ndarray
        (T, K), what came.

    Returns
    -------
    numpy.ndarray
        (T, R, K); NaN where there is no forecast, or nothing came.

    Examples
    --------
    >>> forecasts = np.array([0.0, 1.0, 4.0]).reshape(1, 1, 1, 3)
    >>> surprise(forecasts, np.array([[2.776445]])).round(4)  # the 97.5 % point of t with 4 degrees of freedom
    array([[[1.301]]])
    """
    location, deviation, freedom = (forecasts[..., place] for place in range(3))
    distance = np.abs(target[:, None] - location) / deviation
    found: Array = -np.log10(np.maximum(2 * stdtr(freedom, -distance), LEAST))
    return found


def fresh_evidence(forecasts: Array, target: npt.NDArray[np.floating[Any]]) -> Array:
    """Return how unlikely what came was by each of its forecasts, and how far from the usual.

    Parameters
    ----------
    forecasts : numpy.ndarray
        (T, R, K, 3), as for :func:`surprise`.
    target : numpy.ndarray
        (T, K), what came, scaled.

    Returns
    -------
    numpy.ndarray
        (T, R + 1, K): the surprises, and the distance from the median on the scale of the channel.
    """
    distance = np.abs(target.astype(np.float64))[:, None]
    return np.concatenate([surprise(forecasts, target), distance], axis=1)


def blend(smooth: Array, fresh: Array, rates: Array) -> Array:
    """Return the smoothed surprise after one more: ``s + a (q - s)``, and s where there is none.

    Parameters
    ----------
    smooth, fresh : numpy.ndarray
        Of one shape; ``fresh`` NaN where there is none.
    rates : numpy.ndarray
        (R + 1, 1), a for each kind of evidence.
    """
    return np.where(np.isnan(fresh), smooth, smooth + rates * (fresh - smooth))


def _smoothed(surprises: Array, smooth: Array, rates: Array) -> tuple[Array, Array]:
    """Return the smoothed surprises before each step, and after the last."""
    before = np.empty_like(surprises)
    for step, fresh in enumerate(surprises):
        before[step] = smooth
        smooth = blend(smooth, fresh, rates)
    return before, smooth


def _forecast(
    network: Network,
    numbers: npt.NDArray[np.float32],
    codes: npt.NDArray[np.int64],
    state: tuple[Tensor, Tensor] | None,
) -> tuple[Array, tuple[Tensor, Tensor] | None]:
    """Return (T, R, K, 3) the forecasts made at each step, and the state after the last."""
    device = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for first in range(0, len(numbers), STEPS_AT_ONCE):
            cut = slice(first, first + STEPS_AT_ONCE)
            rows = RowBatch(*(torch.from_numpy(part[cut]).to(device)[None] for part in (numbers, codes)))
            move = network.step if rows.numbers.shape[1] == 1 else network.advance
            expectation, reached = move(rows, state)
            state = reached[0], reached[1]
            found.append(_stack(expectation))
    return np.concatenate(found), state


def _stack(expectation: Expectation) -> Array:
    stacked: Array = torch.stack(list(expectation), dim=-1)[0].double().cpu().numpy()
    return stacked
