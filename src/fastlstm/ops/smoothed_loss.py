"""Cross-entropy with smoothed labels, with its gradient in the same pass over the logits.

Over a vocabulary of thousands the loss reads and writes more memory than all else in a language model does:
PyTorch's takes it apart into several passes, each way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from fastlstm import _native
from fastlstm.ops.native import is_traced

_WORTH_THREADS = 20_000  # logits, below which one thread is done sooner


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Compute the mean of :math:`-\sum_v q_v \log p_v` with :math:`q = (1 - ε) δ_y + ε / V`.

    Label smoothing is Szegedy et al. 2016, "Rethinking the Inception architecture", section 7. Where the native kernel
    does not serve (devices other than the CPU, tracing, ``torch.func`` transforms), PyTorch's own function does. The
    native gradient by the logits, :math:`(p - q) / N`, can be taken once.

    Parameters
    ----------
    logits
        ``(N, V)``; p is their softmax.
    targets
        ``(N,)`` int64, y.
    smoothing
        ε, from 0 to 1.

    Returns
    -------
    loss
        A scalar, float32 at least.

    Raises
    ------
    IndexError
        If a target is no class. PyTorch's own function leaves out those that are -100.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.smoothed_loss import smoothed_cross_entropy
    >>> smoothed_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]), 0.1)
    tensor(1.3863)
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if not _serves(logits, targets):
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    if torch.is_grad_enabled() and logits.requires_grad:
        loss: Tensor = _SmoothedCrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-untyped-call]
        return loss
    return _run(logits, targets, smoothing, None)


def _serves(logits: Tensor, targets: Tensor) -> bool:
    return (
        logits.is_cpu
        and targets.is_cpu
        and logits.dtype in (torch.float32, torch.float64)
        and targets.dtype == torch.int64
        and logits.dim() == 2
        and logits.numel() > 0
        and targets.shape == logits.shape[:1]
        and not is_traced()
    )


def _run(logits: Tensor, targets: Tensor, smoothing: float, gradient: Tensor | None) -> Tensor:
    logits, targets, loss = logits.contiguous(), targets.contiguous(), logits.new_empty(())
    addresses = (
        logits.data_ptr(), targets.data_ptr(), loss.data_ptr(), 0 if gradient is None else gradient.data_ptr()
    )  # fmt: skip
    threads = 1 if logits.numel() < _WORTH_THREADS else torch.get_num_threads()
    rows, classes = logits.shape
    if not _native.smoothed_loss(logits.dtype == torch.float64, rows, classes, addresses, smoothing, threads):
        raise IndexError(f"targets: expected classes from 0 to {classes - 1}")
    return loss


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        # On memory that an earlier one has left: fresh pages would take longer than the arithmetic.
        empty = _native.empty64 if logits.dtype == torch.float64 else _native.empty32
        gradient = empty(logits.numel()).view(logits.shape)
        loss = _run(logits, targets, smoothing, gradient)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        # Not at all in the usual case: it is as large as the logits.
        return gradient if outer.item() == 1 else gradient * outer, None, None
