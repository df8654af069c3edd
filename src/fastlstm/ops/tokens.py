"""Tokens one by one, at the cost of a step: their log-probabilities, and draws among them.

PyTorch's and numpy's functions each take a microsecond or more to begin, and a token takes a dozen of them: together
more than a step of a hundred units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fastlstm import _native

__all__ = ["draw", "log_probabilities"]

_MOST_PRODUCTS = 400_000  # multiply-adds, from which on several threads are done sooner


def log_probabilities(features: Any, vectors: Tensor, bias: Tensor | None) -> Any:
    r"""Compute :math:`\log \mathrm{softmax}(x W^T + b)` for few rows.

    Parameters
    ----------
    features
        ``(B, F)`` float32, x: a tensor or a numpy array.
    vectors, bias
        ``(V, F)`` and ``(V)``, W and b; without gradients.

    Returns
    -------
    log_probabilities
        ``(B, V)``, of the kind of ``features``; or ``NotImplemented`` where the kernel does not take what it is given,
        or more threads than one are worth while.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.tokens import log_probabilities
    >>> log_probabilities(torch.ones(1, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, 0.0]))
    tensor([[-0.6931, -0.6931]])
    """
    if len(features) * vectors.numel() > _MOST_PRODUCTS:
        return NotImplemented
    return _native.token_output(features, vectors, bias)


def draw(
    log_probabilities: Tensor | npt.NDArray[np.float32],
    numbers: npt.NDArray[np.float64],
    *,
    never: Sequence[int] = (),
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[int]:
    """Draw a token a row.

    Parameters
    ----------
    log_probabilities
        ``(B, V)`` float32.
    numbers
        ``(B)``, from 0 to below 1: in the order of the tokens, the first is drawn whose sum of probabilities is above
        it.
    never
        Tokens that must not come.
    temperature
        By which log-probabilities are divided; 0 takes the likeliest.
    top_k
        Draw from so many, the likeliest ones; several that are equally likely all count as the last.
    top_p
        Draw from the fewest of these that are together at least so likely.

    Returns
    -------
    tokens
        B of them.

    Raises
    ------
    ValueError
        If the log-probabilities hold NaN, or nothing may come.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.ops.tokens import draw
    >>> draw(np.log(np.array([[0.2, 0.5, 0.3]] * 3, np.float32)), np.array([0.1, 0.69, 0.71]))
    [0, 1, 2]
    """
    k, p = top_k or 0, 1.0 if top_p is None else top_p
    return _native.token_draw(log_probabilities, never, temperature, k, p, numbers)
