"""Places in sorted numbers and largest numbers so far, also where a graph of ONNX is drawn, which cannot find them."""

from __future__ import annotations

import torch
from torch import Tensor

from fastlstm.ops import onnx

LONGEST = 20  # binary digits of the steps that a graph looks back over


def places_in(rising: Tensor, values: Tensor) -> Tensor:
    """Find how many numbers are smaller than each value: ``torch.searchsorted``.

    Parameters
    ----------
    rising : Tensor
        (n,) or (B, n), sorted along its last axis.
    values : Tensor
        (…) or (B, K), to find among those of the same row.

    Returns
    -------
    Tensor
        Of the values' shape, int64, 0 … n.
    """
    return halved(rising, values) if onnx.under_way() else torch.searchsorted(rising, values)


def halved(rising: Tensor, values: Tensor) -> Tensor:
    """Find the places by halving what is left, in as many gathers as n has binary digits.

    Parameters
    ----------
    rising, values : Tensor
        As for :func:`places_in`.

    Examples
    --------
    >>> rising, values = torch.tensor([1, 4, 4, 9, 12]), torch.tensor([0, 1, 4, 5, 12, 13])
    >>> halved(rising, values).tolist(), torch.searchsorted(rising, values).tolist()
    ([0, 0, 1, 3, 4, 5], [0, 0, 1, 3, 4, 5])
    """
    count = rising.shape[-1]
    place = torch.zeros_like(values, dtype=torch.int64)
    for digit in reversed(range(count.bit_length())):
        reached = place + 2**digit
        at = (reached - 1).clamp(max=count - 1)
        there = rising[at] if rising.ndim == 1 else rising.gather(1, at)
        place = torch.where((reached <= count) & (there < values), reached, place)
    return place


def running_maximum(numbers: Tensor) -> Tensor:
    """Find the largest number up to each step: ``torch.cummax``.

    Parameters
    ----------
    numbers : Tensor
        (B, T, …)

    Returns
    -------
    Tensor
        Of the same shape.
    """
    return doubled(numbers) if onnx.under_way() else numbers.cummax(1).values


def doubled(numbers: Tensor) -> Tensor:
    """Find the largest up to each step by looking twice as far back each time, over at most 2^20 steps.

    Parameters
    ----------
    numbers : Tensor
        (B, T, …)

    Examples
    --------
    >>> doubled(torch.tensor([[3, 1, 2, 5, 4, 0]]))
    tensor([[3, 3, 3, 5, 5, 5]])
    """
    steps = torch.arange(numbers.shape[1])
    for digit in range(LONGEST):
        numbers = torch.maximum(numbers, numbers.index_select(1, (steps - 2**digit).clamp(min=0)))
    return numbers
