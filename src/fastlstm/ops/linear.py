"""A dense layer on the native matrix products, with relu in the same pass where one comes before or after.

PyTorch's products go through MKL, which takes a slow path on some CPUs, and relu and its gradient each walk over the
whole activation again.
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

_WORTH_THREADS = 200_000  # multiply-adds, below which one thread is done sooner


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False, relu_input: bool = False
) -> Tensor:
    r"""Compute :math:`y = x W^T + b`, with ``relu`` :math:`\max(y, 0)`, with ``relu_input`` from :math:`\max(x, 0)`.

    Where the native kernel does not serve (devices other than the CPU, half precision, tracing, ``torch.func``
    transforms), PyTorch's own functions do. The native gradient can be taken once. Under autocast with bfloat16 the
    operands of products are rounded where the CPU multiplies bfloat16 faster, but for relu; y and gradients stay
    float32. PyTorch's products would be prepared anew, and remembered, for each number of rows.

    Parameters
    ----------
    x
        ``(…, K)``
    weight, bias
        ``(M, K)`` and ``(M)``.
    relu
        Whether negative values of y become zero.
    relu_input
        Whether negative values of x count as zero.

    Returns
    -------
    y
        ``(…, M)``

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops.linear import linear
    >>> linear(torch.ones(2, 3), torch.tensor([[1.0, 1.0, 1.0], [-1.0, 0.0, 0.0]]), relu=True)
    tensor([[3., 0.],
            [3., 0.]])
    """
    rounded = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if rounded and x.dtype == torch.bfloat16:
        x = x.float()
    if not _serves(x, weight, bias) or (rounded and not _rounds(x, relu or relu_input)):
        y = F.linear(F.relu(x) if relu_input else x, weight, bias)
        return F.relu(y) if relu else y
    if torch.is_grad_enabled() and (
        x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        y = _Linear.apply(x, weight, bias, (relu_input, relu), rounded)  # type: ignore[no-untyped-call]
    else:
        y = _run(x, weight, bias, (relu_input, relu), rounded)
    return y


def _serves(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        x.is_cpu
        and weight.is_cpu
        and x.dtype in (torch.float32, torch.float64)
        and weight.dtype == x.dtype
        and (bias is None or (bias.is_cpu and bias.dtype == x.dtype and bias.shape == weight.shape[:1]))
        and x.numel() > 0
        and weight.numel() > 0
        and x.shape[-1] == weight.shape[1]  # PyTorch says what is wrong
        and not is_traced()
    )


def _rounds(x: Tensor, relu: bool) -> bool:
    """Say whether products under autocast are the kernel's."""
    wanted = torch.get_autocast_dtype("cpu") == torch.bfloat16
    return wanted and _native.has_bfloat16() and x.dtype == torch.float32 and not relu


def _sizes(x: Tensor, weight: Tensor) -> tuple[int, int, int]:
    outputs, inputs = weight.shape
    return x.numel() // inputs, inputs, outputs


def _threads(sizes: tuple[int, int, int]) -> int:
    return 1 if sizes[0] * sizes[1] * sizes[2] < _WORTH_THREADS else torch.get_num_threads()


def _run(x: Tensor, weight: Tensor, bias: Tensor | None, relu: tuple[bool, bool], rounded: bool) -> Tensor:
    x, weight, bias = x.contiguous(), weight.contiguous(), None if bias is None else bias.contiguous()
    y = x.new_empty((*x.shape[:-1], weight.shape[0]))
    sizes = _sizes(x, weight)
    addresses = (x.data_ptr(), weight.data_ptr(), address(bias), y.data_ptr())
    _native.linear(x.dtype == torch.float64, sizes, addresses, relu, _threads(sizes), rounded)
    return y


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, relu: tuple[bool, bool], rounded: bool
    ) -> Tensor:
        y = _run(x, weight, bias, relu, rounded)
        ctx.save_for_backward(x, weight, y if relu[1] else None)
        ctx.relu, ctx.rounded = relu, rounded
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y = ctx.saved_tensors
        x, weight, dy = x.contiguous(), weight.contiguous(), dy.contiguous()
        wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        dx = torch.empty_like(x) if wants_x else None
        dw = torch.empty_like(weight) if wants_weight or wants_bias else None
        db = weight.new_empty(weight.shape[0]) if wants_bias else None
        sizes = _sizes(x, weight)
        _native.linear_gradient(
            x.dtype == torch.float64,
            sizes,
            (x.data_ptr(), weight.data_ptr(), 0, address(y)),
            ctx.relu,
            _threads(sizes),
            ctx.rounded,
            (dy.data_ptr(), address(dx), address(dw), address(db)),
        )
        return dx, dw if wants_weight else None, db, None, None
