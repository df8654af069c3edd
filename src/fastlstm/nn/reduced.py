"""Whole sequences with weights of fewer bits, where no gradient is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm.ops.step import REDUCED


class ReducedError(NamedTuple):
    """How far outputs with reduced weights are from those with full ones.

    The largest difference, the root mean square of all, and the latter over the root mean square of the outputs.
    """

    largest: float
    root_mean_square: float
    relative: float


def check_measured(method: str, x: object) -> None:
    """Raise where there is no step whose error could be measured.

    Raises
    ------
    TypeError, ValueError
        For what is no tensor, and for an empty one.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{method}: expected input as a tensor, got {type(x).__name__}")
    if not x.numel():
        raise ValueError(f"{method}: expected one step or more, got an input of shape {tuple(x.shape)}")


def compare(full: Tensor, reduced: Tensor) -> ReducedError:
    """Tell how far outputs are from those with full weights.

    Examples
    --------
    >>> import torch
    >>> compare(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])).largest
    0.5
    """
    full, difference = full.double(), (reduced.double() - full.double())
    error, size = (values.square().mean().sqrt().item() for values in (difference, full))
    return ReducedError(difference.abs().max().item(), error, error / size if size else 0.0)


def refuse(weights: str, reason: str | None) -> None:
    """Raise where weights are of no kind that there is, or cannot be of it for a reason.

    Raises
    ------
    ValueError
        With the kinds, or the reason.
    """
    if weights not in REDUCED:
        raise ValueError(f"weights: expected one of {', '.join(REDUCED)} or None, got {weights!r}")
    if reason:
        raise ValueError(f"weights={weights!r}: {reason}")


def step_by_step(
    step: Callable[..., tuple[Tensor, Any]],
    x: Tensor,
    state: Any,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> tuple[Tensor, Any]:
    """Run sequences by a layer's steps, one after the other.

    Parameters
    ----------
    step
        ``step(x_t, state, reset=reset_t)`` gives the output and the state after it.
    x
        ``(T, B, I)``.
    state
        Before the first step.
    lengths
        ``(B,)``: outputs past them are zero, and the state is that at the end. One of length 0 keeps its state.
    reset
        bool ``(T, B)``.

    Returns
    -------
    y, state
        ``(T, B, P)``, and the state at each sequence's end.
    """
    outputs = []
    for t, x_t in enumerate(x):
        y_t, after = step(x_t, state, reset=None if reset is None else reset[t])
        if lengths is not None:
            running = (lengths > t).unsqueeze(-1)
            y_t = torch.where(running, y_t, 0.0)
            if isinstance(after, Tensor):
                after = torch.where(running, after, state)
            else:
                after = tuple(torch.where(running, *parts) for parts in zip(after, state, strict=True))
        outputs.append(y_t)
        state = after
    return torch.stack(outputs), state
