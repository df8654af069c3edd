"""Cross-entropy with smoothed labels, with its gradient in the same pass over the logits.

Over a vocabulary of thousands the loss reads and writes more memory than all else in a language model does:
PyTorch's takes it apart into several passes, each way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Compute the mean of :math:`-\sum_v q_v \log p_v` with :math:`q = (1 - ε) δ_y + ε / V`.

    Label smoothing is Szegedy et al. 2016, "Rethinking the Inception architecture", section 7. The gradient by the
    logits, :math:`(p - q) / N`, can be taken once.

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

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.smoothed_loss import smoothed_cross_entropy
    >>> smoothed_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]), 0.1)
    tensor(1.3863)
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    loss: Tensor = _SmoothedCrossEntropy.apply(logits, targets, smoothing)  # type: ignore[no-untyped-call]
    return loss


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        p = logits.softmax(1)
        # The largest probability is 1 / V at least, so that its logarithm loses nothing.
        log_sum = logits.amax(1) - p.amax(1).log()
        places = targets[:, None]
        loss = log_sum - (1 - smoothing) * logits.gather(1, places).squeeze(1)
        if smoothing:
            loss = loss - smoothing * logits.mean(1)
        if ctx.needs_input_grad[0]:
            if smoothing:
                p.sub_(smoothing / logits.shape[1])
            p.scatter_add_(1, places, p.new_full(places.shape, smoothing - 1))
            ctx.save_for_backward(p)
        return loss.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (difference,) = ctx.saved_tensors
        return (
            difference.mul_(gradient / len(difference)),
            None,
            None,
        )  # in place: it is as large as the logits
