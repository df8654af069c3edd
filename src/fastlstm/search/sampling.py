"""Drawing tokens from what a model says comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.checks import require_whole
from fastlstm.errors import InputError
from fastlstm.ops.tokens import draw
from fastlstm.search.contract import Context, StateT, StepModel


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
        if not (isinstance(self.temperature, Real) and 0 <= self.temperature < np.inf):
            raise InputError(f"temperature is {self.temperature!r}: give 0 or more, 1 draws as it was learnt")
        if self.top_k is not None:
            require_whole("top_k", self.top_k, least=1)
        if self.top_p is not None and not (isinstance(self.top_p, Real) and 0 < self.top_p <= 1):
            raise InputError(f"top_p is {self.top_p!r}: give more than 0 and at most 1")

    def draw(
        self,
        log_probabilities: Tensor | npt.NDArray[np.float32],
        numbers: npt.NDArray[np.float64],
        never: Sequence[int] = (),
    ) -> npt.NDArray[np.int64]:
        """Draw a token a row.

        Parameters
        ----------
        log_probabilities : Tensor or numpy.ndarray
            (B, V) float32.
        numbers : numpy.ndarray
            (B,), from 0 to below 1: the first token whose sum of probabilities is above it is drawn.
        never : sequence of int
            Tokens that must not come.

        Returns
        -------
        numpy.ndarray
            (B,) int64

        Examples
        --------
        >>> told, numbers = np.log(np.array([[0.5, 0.3, 0.2]] * 3, np.float32)), np.array([0.0, 0.62, 0.63])
        >>> Sampling(top_k=2).draw(told, numbers)
        array([0, 0, 1])
        >>> Sampling(temperature=0).draw(told, numbers)
        array([0, 0, 0])
        """
        tokens = draw(
            log_probabilities,
            numbers,
            never=never,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
        )
        return np.array(tokens, np.int64)


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
    while True:
        told, state = model.step(tokens, state)
        drawn = sampling.draw(told.float().cpu().contiguous(), draws.random(len(told)), never)
        yield drawn
        tokens = torch.from_numpy(drawn)
