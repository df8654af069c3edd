"""The sequence ops: one function a cell, and the choice of the kernel that serves a call.

===========  ==================================================================  =====================
kernel       serves                                                              implemented in
===========  ==================================================================  =====================
native       the CPU; float32, float64, and half precision computed in float32   :mod:`.native`
torch        other devices, without ``lengths``: PyTorch's own kernel            ``torch.lstm``
reference    everything else                                                     :mod:`.reference`
===========  ==================================================================  =====================
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import native, reference

__all__ = ["explain", "lstm"]

_HALF_PRECISION = (torch.bfloat16, torch.float16)
_NATIVE_DEVICES = ("cpu", "meta")


def lstm(
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *,
    has_bias: bool = True,
    projected: bool = False,
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    packed_batch: int = 0,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one LSTM layer in one or both directions; :mod:`.reference` states the equations.

    T time steps, B sequences, I inputs, H hidden units, P outputs a step (= H without a projection), D directions.

    Parameters
    ----------
    x
        ``(T, B, I)``; ``(B, T, I)`` with ``batch_first``; ``(rows, I)`` with ``batch_sizes``.
    h0, c0
        ``(D, B, P)`` and ``(D, B, H)``; None means zeros.
    weights
        For each direction ``w_ih (4H, I)``, ``w_hh (4H, P)``, with ``has_bias`` ``b_ih (4H)`` and ``b_hh (4H)``, and
        with ``projected`` ``w_hr (P, H)``, one after the other.
    lengths
        ``(B,)`` integers in 0 … T, in any order: outputs past them are zero, the last state is the one at the end.
    batch_sizes, packed_batch
        ``(T,)`` and the number of sequences of a :class:`~torch.nn.utils.rnn.PackedSequence`.

    Returns
    -------
    y, hn, cn
        Shaped as ``x`` with D·P values a row, ``(D, B, P)``, ``(D, B, H)``.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops import lstm
    >>> w_ih, w_hh = torch.zeros(8, 3), torch.zeros(8, 2)
    >>> y, hn, cn = lstm(torch.ones(5, 4, 3), None, None, [w_ih, w_hh], has_bias=False)
    >>> y.shape, hn.shape, cn.shape
    (torch.Size([5, 4, 2]), torch.Size([1, 4, 2]), torch.Size([1, 4, 2]))
    """
    kernel = _choose(x, lengths)
    if kernel == "reference":
        return reference.lstm(x, h0, c0, weights, has_bias, projected, lengths, batch_sizes, batch_first)
    if kernel == "torch":
        return _torch_lstm(x, h0, c0, weights, has_bias, projected, batch_sizes, packed_batch, batch_first)
    dtype = x.dtype
    if dtype in _HALF_PRECISION:
        x, h0, c0 = x.float(), None if h0 is None else h0.float(), None if c0 is None else c0.float()
        weights = [weight.float() for weight in weights]
    layout = native.PACKED if batch_sizes is not None else int(batch_first)
    y, hn, cn, _ = torch.ops.fastlstm.lstm(
        x, h0, c0, weights, lengths, batch_sizes, layout, packed_batch, has_bias, projected, False
    )
    return (y, hn, cn) if y.dtype == dtype else (y.to(dtype), hn.to(dtype), cn.to(dtype))


def explain(x: Tensor, lengths: Tensor | None = None) -> str:
    """Say which kernel serves a call with this input, and why.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops import explain
    >>> explain(torch.zeros(5, 4, 3, dtype=torch.int64))
    'reference: no kernel takes torch.int64'
    """
    kernel = _choose(x, lengths)
    if kernel == "torch":
        return f"torch: PyTorch has its own kernel for {x.device.type}"
    if kernel == "reference":
        served = x.device.type in _NATIVE_DEVICES
        return f"reference: no kernel takes {x.dtype if served else f'lengths on {x.device.type}'}"
    in_float32 = ", computed in float32" if x.dtype in _HALF_PRECISION else ""
    return f"native: {x.dtype} on the CPU{in_float32} with {_native.instruction_set()} instructions"


def _choose(x: Tensor, lengths: Tensor | None) -> str:
    if x.device.type not in _NATIVE_DEVICES:
        return "torch" if lengths is None else "reference"
    return "native" if x.dtype in native.DTYPES or x.dtype in _HALF_PRECISION else "reference"


def _torch_lstm(
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    has_bias: bool,
    projected: bool,
    batch_sizes: Tensor | None,
    packed_batch: int,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    directions = len(weights) // (2 + 2 * has_bias + projected)
    batch = packed_batch if batch_sizes is not None else x.shape[0 if batch_first else 1]
    h0 = x.new_zeros(directions, batch, weights[1].shape[1]) if h0 is None else h0
    c0 = x.new_zeros(directions, batch, weights[0].shape[0] // 4) if c0 is None else c0
    # One layer, no dropout; in training mode always, because only then do all devices allow a backward pass.
    options = (list(weights), has_bias, 1, 0.0, True, directions == 2)
    if batch_sizes is not None:
        return torch.lstm(x, batch_sizes, (h0, c0), *options)
    return torch.lstm(x, (h0, c0), *options, batch_first)
