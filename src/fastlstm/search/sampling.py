"""Drawing tokens from what a model says comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.errors import InputError
from fastlstm.search.contract import Context, StateT, StepModel

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Parameters
    ----------
    temperature : float
        By which log-probabilities are divided: below 1 likely tokens become likelier; 0 takes the likeliest.
    top_k : int, optional
        Draw from so many, the likeliest ones (Fan et al. 2018); several that are equally likely all count as the last.
    top_p : float, optional
        Draw from the fewest that are together at least so likely (Holtzman et al. 2020, "nucleus").

    Raises
    ------
    InputError
        If one is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.temperature, int | float) and 0 <= self.temperature < np.inf):
            raise InputError(f"temperature is {self.temperature!r}: give 0 or more, 1 draws as it was learnt")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k is {self.top_k}: give 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}: give more than 0 and at most 1")

    def probabilities(self, log_probabilities: npt.NDArray[np.floating]) -> Numbers:
        """Return the probabilities to draw with.

        Parameters
        ----------
        log_probabilities : numpy.ndarray
            (B, V); minus infinity for what must not come.

        Returns
        -------
        numpy.ndarray
            (B, V), each row of sum 1.

        Examples
        --------
        >>> Sampling(top_k=2).probabilities(np.log([[0.5, 0.3, 0.2]])).round(3)
        array([[0.625, 0.375, 0.   ]])
        >>> Sampling(top_p=0.7).probabilities(np.log([[0.5, 0.3, 0.2]])).round(3)
        array([[0.625, 0.375, 0.   ]])
        >>> Sampling(temperature=0.5).probabilities(np.log([[0.8, 0.2]])).round(3)
        array([[0.941, 0.059]])
        """
        found = self.shares(log_probabilities)
        found /= found.sum(-1, keepdims=True)
        return found

    def shares(self, log_probabilities: npt.NDArray[np.floating]) -> Numbers:
        """Return what :meth:`probabilities` are in proportion to: as a sum that is drawn from they serve as well.

        Parameters
        ----------
        log_probabilities : numpy.ndarray
            (B, V)
        """
        found: Numbers = log_probabilities - log_probabilities.max(-1, keepdims=True).astype(np.float64)
        if self.temperature == 0:
            found[:] = np.arange(found.shape[1]) == found.argmax(-1)[:, None]
            return found
        found /= self.temperature
        np.exp(found, out=found)
        if self.top_k is not None and self.top_k < found.shape[1]:
            least = np.partition(found, -self.top_k)[:, -self.top_k, None]
            found[found < least] = 0
        if self.top_p is not None and self.top_p < 1:
            order = (-found).argsort(-1, kind="stable")
            ranked = np.take_along_axis(found, order, -1)
            sums = ranked.cumsum(-1)
            ranked[sums - ranked >= self.top_p * sums[:, -1:]] = 0  # those before are enough
            np.put_along_axis(found, order, ranked, -1)
        return found


def sample(
    model: StepModel[Context, StateT],
    context: Context,
    first: Tensor,
    sampling: Sampling,
    *,
    seed: int | None = 0,
    never: Sequence[int] = (),
) -> Iterator[npt.NDArray[np.int64]]:
    """Go on from a beginning, without end.

    The numbers drawn for a seed are those of numpy's PCG64, the same everywhere; where two machines round differently,
    a token differs only if the draw falls between the two roundings.

    Parameters
    ----------
    model : StepModel
        Says what comes next.
    context
        What the model starts from, B rows.
    first : Tensor
        (B,) int64, the token that is read before the first one is drawn.
    sampling : Sampling
        How to draw.
    seed : int, optional
        Of the draws; None for others every time.
    never : sequence of int
        Tokens that must not come.

    Yields
    ------
    numpy.ndarray
        (B,) int64, the next token of each row.
    """
    draws = np.random.default_rng(seed)
    state, tokens = model.start(context), first
    barred: npt.NDArray[np.float32] | None = None
    while True:
        told, state = model.step(tokens, state)
        if barred is None:
            barred = np.zeros(told.shape[1], np.float32)
            barred[list(never)] = -np.inf
        sums = sampling.shares(told.cpu().numpy() + barred).cumsum(-1)
        limits = draws.random(len(sums)) * sums[:, -1]
        # The first whose sum is above the draw: a token of probability 0 adds nothing and is never it.
        drawn = (sums > limits[:, None]).argmax(-1)
        yield drawn
        tokens = torch.from_numpy(drawn).to(first.device)
