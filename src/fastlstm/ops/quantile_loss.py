"""Rising quantiles around a mixture of naive forecasts, and their pinball loss with its gradient in one native pass.

In plain torch these are two dozen calls forwards and backwards on a few numbers a row, which cost a small network more
than its products do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from fastlstm import _native
from fastlstm.ops.kernel import address
from fastlstm.ops.native import is_traced

_WORTH_THREADS = 4_000  # numbers a call, below which one thread is done sooner


def mixture(logits: Tensor, values: Tensor, barred: Tensor) -> Tensor:
    r"""Mix forecasts: :math:`m = \sum_n \mathrm{softmax}(g + b)_n v_n`.

    Parameters
    ----------
    logits
        ``(…, N)``
    values
        ``(…, N)``, what is mixed.
    barred
        ``(…, N)``, -inf where a forecast is not to count, otherwise 0; one of each row is to count.

    Returns
    -------
    mixed
        ``(…)``

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.quantile_loss import mixture
    >>> mixture(torch.zeros(3), torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 0.0, -torch.inf]))
    tensor(1.5000)
    """
    return ((logits + barred).softmax(-1) * values).sum(-1)


def rising_quantiles(numbers: Tensor, median: int) -> Tensor:
    """Make quantiles that never cross.

    The first number is the median itself; each other is the distance of a quantile to its neighbour on the median's
    side, as a softplus, which is above 0. With the median at place j::

        q_j     = a_0
        q_k     = q_{k-1} + softplus(a_k)        k > j
        q_k     = q_{k+1} - softplus(a_{k+1})    k < j

    After Gasthaus et al. 2019, "Probabilistic forecasting with spline quantile function RNNs", who sum non-negative
    increments likewise.

    Parameters
    ----------
    numbers
        ``(…, Q)``
    median
        Its place among the quantiles.

    Returns
    -------
    quantiles
        ``(…, Q)``, rising along the last axis.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.quantile_loss import rising_quantiles
    >>> rising_quantiles(torch.tensor([5.0, 0.0, 1.0]), 1)
    tensor([4.3069, 5.0000, 6.3133])
    """
    middle, distances = numbers[..., :1], F.softplus(numbers[..., 1:])
    below = middle - distances[..., :median].flip(-1).cumsum(-1).flip(-1)
    return torch.cat([below, middle, middle + distances[..., median:].cumsum(-1)], dim=-1)


def pinball_loss(forecast: Tensor, target: Tensor, weight: Tensor, levels: Tensor) -> Tensor:
    """Compute the mean pinball loss over quantiles and over what was observed.

    ``max(τ e, (τ - 1) e) = (τ - [e < 0]) e`` with ``e = y - q``. Koenker & Bassett 1978, "Regression quantiles",
    Econometrica 46.

    Parameters
    ----------
    forecast
        ``(…, Q)``
    target
        ``(…)``
    weight
        ``(…)``, 0 where the target is missing, otherwise 1.
    levels
        ``(Q)``, the quantiles.

    Returns
    -------
    loss
        A scalar; 0 where nothing was observed.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.quantile_loss import pinball_loss
    >>> forecast, target = torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.tensor([2.0, 5.0])
    >>> pinball_loss(forecast, target, torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75])).item()
    0.25
    """
    excess = forecast - target.unsqueeze(-1)
    share = weight / (weight.sum() * len(levels)).clamp(min=1)
    return (((excess > 0).to(excess.dtype) - levels) * excess * share.unsqueeze(-1)).sum()


def quantile_loss(
    raw: Tensor, naive: tuple[Tensor, Tensor], target: Tensor, weight: Tensor, levels: Tensor, median: int
) -> Tensor:
    """Compute :func:`pinball_loss` of :func:`rising_quantiles` whose median corrects a :func:`mixture`.

    Where the native kernel does not serve (devices other than the CPU, half precision, tracing, ``torch.func``
    transforms), those functions do. The native gradient, of ``raw`` alone, can be taken once.

    Parameters
    ----------
    raw
        ``(…, Q + N)``, the numbers of the quantiles, then the logits of the mixture.
    naive
        ``(…, N)`` each, the ``values`` and ``barred`` of the mixture.
    target, weight
        ``(…)``, what came, and 0 where it is missing, otherwise 1.
    levels
        ``(Q)``, the quantiles.
    median
        Its place among them.

    Returns
    -------
    loss
        A scalar.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.quantile_loss import quantile_loss
    >>> values, barred = torch.tensor([[1.0, 5.0]]), torch.zeros(1, 2)
    >>> raw, target, levels = torch.zeros(1, 3), torch.tensor([4.0]), torch.tensor([0.5])
    >>> quantile_loss(raw, (values, barred), target, torch.ones(1), levels, 0)
    tensor(0.5000)
    """
    if not _serves(raw, *naive, target, weight, levels):
        numbers, logits = raw.split([len(levels), raw.shape[-1] - len(levels)], dim=-1)
        mixed = mixture(logits, *naive).unsqueeze(-1)
        quantiles = rising_quantiles(torch.cat([numbers[..., :1] + mixed, numbers[..., 1:]], -1), median)
        return pinball_loss(quantiles, target, weight, levels)
    problem = (raw, *naive, target, weight, levels)
    if torch.is_grad_enabled() and raw.requires_grad:
        loss: Tensor = _QuantileLoss.apply(*problem, median)  # type: ignore[no-untyped-call]
        return loss
    return _run(problem, median, None)


def _serves(raw: Tensor, *others: Tensor) -> bool:
    values, barred, target, weight, levels = others
    return (
        raw.is_cpu
        and raw.dtype in (torch.float32, torch.float64)
        and all(other.is_cpu and other.dtype == raw.dtype and not other.requires_grad for other in others)
        and raw.numel() > 0
        and values.numel() > 0
        # PyTorch says what is wrong, or spreads what is smaller.
        and raw.shape[-1] == len(levels) + values.shape[-1]
        and raw.shape[:-1] == values.shape[:-1] == target.shape == weight.shape
        and values.shape == barred.shape
        and not is_traced()
    )


def _run(problem: tuple[Tensor, ...], median: int, gradient: Tensor | None) -> Tensor:
    arrays = [tensor.contiguous() for tensor in problem]
    raw, values, levels = arrays[0], arrays[1], arrays[-1]
    rules = values.shape[-1]
    loss = raw.new_empty(())
    _native.quantile_loss(
        raw.dtype == torch.float64,
        (values.numel() // rules, len(levels), rules, median),
        (*(tensor.data_ptr() for tensor in arrays), loss.data_ptr(), address(gradient)),
        1 if raw.numel() < _WORTH_THREADS else torch.get_num_threads(),
    )
    return loss


class _QuantileLoss(torch.autograd.Function):
    """The loss is linear in each error, so that its gradient falls out on the way."""

    @staticmethod
    def forward(ctx: Any, *problem: Any) -> Tensor:
        *tensors, median = problem
        gradient = torch.empty_like(tensors[0], memory_format=torch.contiguous_format)
        loss = _run(tuple(tensors), median, gradient)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer, *(None,) * 6
