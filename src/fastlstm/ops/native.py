"""The kernels of :mod:`.kernel` as ``torch.library`` ops, with shapes for tracing and the first derivative.

``fastlstm::sequence`` runs one layer in one or both directions and keeps what its backward pass needs in one tensor;
``fastlstm::sequence_backward`` is an op too, so that a compiled graph holds both. What the dispatcher has to know of
derivatives stands in :mod:`.derivatives`. Eager calls on plain tensors go straight to the kernel: the dispatcher's way
through Python takes longer than a small layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import kernel, onnx, private
from fastlstm.ops.call import CALL_LENGTH, OPTIONS, Call
from fastlstm.ops.call import TENSOR_OPTIONS as _FIXED
from fastlstm.ops.cell import Cell
from fastlstm.ops.kernel import Gradient

_SHARED = (
    "Tensor x, Tensor? h0, Tensor? c0, Tensor[] weights, Tensor? lengths, Tensor? batch_sizes, Tensor? reset, "
    "Tensor? recurrent_mask, Tensor? seed, Tensor? read_steps, str kind, int[] variants, int layout, "
    "SymInt packed_batch, float[] zoneout, bool reverse, bool rounded"
)
# keep: 0 for nothing, 1 for what a backward pass needs, 2 where that will be asked for gradients of weights.
_library = torch.library.Library("fastlstm", "DEF")
_library.define(
    f"sequence({_SHARED}, int keep) -> (Tensor y, Tensor hn, Tensor cn, Tensor states, Tensor reserve)"
)
_library.define(
    f"sequence_backward({_SHARED}, Tensor states, Tensor reserve, Tensor? dy, Tensor? dhn, Tensor? dcn, "
    "bool[] wanted) -> Tensor[]"
)

# Of other tensors (distributed, quantized …) the dispatcher knows what they are; they may have no memory to read.
_PLAIN = frozenset((Tensor, torch.nn.Parameter, type(None)))
_Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def _forward(*arguments: Any) -> _Outputs:
    call = Call(*arguments[:-1])
    y, hn, cn, states, reserve = kernel.forward(call, arguments[-1])
    nothing = call.x.new_empty
    return y, hn, cn, nothing(0) if states is None else states, nothing(0) if reserve is None else reserve


def _fake_forward(*arguments: Any) -> _Outputs:
    call, keep = Call(*arguments[:-1]), arguments[-1]
    devices = {t.device.type for t in (*call[:3], *call.weights) if t is not None}
    if len(devices) > 1:
        raise RuntimeError(
            f"the input, the state and the weights lie on several devices: {', '.join(sorted(devices))}"
        )
    layer = kernel.Layer(call)
    states, (hn, cn) = layer.empty_outputs(), layer.empty_states()
    reserve = call.x.new_empty(layer.reserve_size() if keep else 0)
    if call.read_steps is None:
        return states, hn, cn, call.x.new_empty(0), reserve
    return states.index_select(call.layout, call.read_steps), hn, cn, states, reserve


def _backward(*arguments: Any) -> list[Tensor]:
    """As the op's schema has it: empty where not wanted."""
    call = Call(*arguments[:CALL_LENGTH])
    states, reserve, *outer, wanted = arguments[CALL_LENGTH:]
    if reserve.shape[0] != kernel.Layer(call).reserve_size():
        raise ValueError(
            "fastlstm::sequence_backward: the reserve is not that of a forward call of these sizes"
        )
    gradients = kernel.backward(call, states, reserve, (outer[0], outer[1], outer[2]), wanted)
    return [call.x.new_empty(0) if gradient is None else gradient for gradient in gradients]


def _fake_backward(*arguments: Any) -> list[Tensor]:
    call = Call(*arguments[:CALL_LENGTH])
    gradients = kernel.empty_gradients(call, kernel.Layer(call), arguments[-1])
    return [call.x.new_empty(0) if gradient is None else gradient for gradient in gradients]


class _Sequence(torch.autograd.Function):
    """The op's derivative; :class:`_Direct` is the same without the op."""

    @staticmethod
    def forward(ctx: Any, options: tuple[Any, ...], *tensors: Tensor | None) -> _Outputs:
        x, h0, c0, *weights = tensors
        with private.below_autograd():
            keep = 2 if any(ctx.needs_input_grad[4:]) else 1
            y, hn, cn, states, reserve = torch.ops.fastlstm.sequence(x, h0, c0, weights, *options, keep)
        ctx.save_for_backward(
            *tensors, *options[:_FIXED], y if options[_FIXED - 1] is None else states, reserve
        )
        ctx.options, ctx.direct = options[_FIXED:], False
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(states, reserve)
        return y, hn, cn, states, reserve

    @staticmethod
    def backward(ctx: Any, dy: Gradient, dhn: Gradient, dcn: Gradient, *_: Gradient) -> tuple[Gradient, ...]:
        *given, states, reserve = ctx.saved_tensors
        weights = given[3:-_FIXED]
        call = Call._make([*given[:3], weights, *given[-_FIXED:], *ctx.options])
        needs = ctx.needs_input_grad
        wanted = [*needs[1:4], any(needs[4:])]
        if ctx.direct and not torch.is_grad_enabled() and not is_traced() and _are_plain(dy, dhn, dcn):
            dx, dh0, dc0, *dweights = kernel.backward(call, states, reserve, (dy, dhn, dcn), wanted)
        else:
            from fastlstm.ops import derivatives  # which stands on this module

            found = derivatives.backward(call, states, reserve, (dy, dhn, dcn), wanted)
            dx, dh0, dc0 = (g if need else None for g, need in zip(found, wanted[:3], strict=False))
            dweights = found[3:]
        if not wanted[3]:
            return None, dx, dh0, dc0, *[None] * len(weights)
        return None, dx, dh0, dc0, *kernel.for_each_weight(call, dweights)


class _Direct(_Sequence):
    """Straight to the kernel: the dispatcher's way through Python takes longer than a small layer."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        y, hn, cn, states, reserve = kernel.forward(call, keep=True)
        ctx.save_for_backward(
            *tensors, *call[OPTIONS : OPTIONS + _FIXED], y if states is None else states, reserve
        )
        ctx.options, ctx.direct = call[OPTIONS + _FIXED :], True
        ctx.set_materialize_grads(False)
        return y, hn, cn


# What Function.apply calls after it has looked for the wrappers of torch.func's transforms, which run() excludes.
_apply_direct = super(torch.autograd.Function, _Direct).apply


def run(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Run a call: y at the steps that are read, and the last states.

    Parameters
    ----------
    call
        Its tensors on the CPU, of a type in ``DTYPES``; checked.
    """
    if not is_plain(call):
        if onnx.under_way():
            return onnx.sequence(call)
        y, hn, cn, _, _ = torch.ops.fastlstm.sequence(*call, 0)
    elif torch.is_grad_enabled() and needs_gradient(call):
        y, hn, cn = _apply_direct(call, *call[:3], *call.weights)
    else:
        y, hn, cn, _, _ = kernel.forward(call, keep=False)
    return y, hn, cn


def is_plain(call: Call) -> bool:
    """Say whether the kernel may read a call's tensors without asking the dispatcher, and nobody wants to see it."""
    if is_traced():  # first: a compiler cannot look into the rest
        return False
    tensors = (*call[:3], *call.weights, *call[OPTIONS : OPTIONS + _FIXED])
    return not call.x.is_meta and _PLAIN.issuperset(map(type, tensors))


def serves_bfloat16(call: Call, cell: Cell) -> bool:
    """Say whether a call without gradients has a kernel that multiplies in bfloat16 and sums up in float32."""
    return (
        is_plain(call)  # first: a compiler cannot look into what is native
        and _native.has_bfloat16()
        and not (cell.projected or cell.layer_norm or call.recurrent_mask is not None or any(call.zoneout))
        and call.x.shape[-1] % 2 == 0
        and call.weights[1].shape[1] % 2 == 0
        and not (torch.is_grad_enabled() and needs_gradient(call))
    )


def is_traced() -> bool:
    """Say whether someone between the caller and the kernel wants to see the op: a compiler, a mode, a transform."""
    return (
        torch.compiler.is_compiling()
        or private.count_modes() > 0
        or private.is_transformed()
        or private.is_traced_by_jit()
        or private.in_forward_mode()
    )


def _are_plain(*outer: Gradient) -> bool:
    """Whether a kernel may read them; not under ``torch.autograd.grad(…, is_grads_batched=True)``, a ``vmap``."""
    first = next((gradient for gradient in outer if gradient is not None), None)
    is_mapped = first is not None and private.is_legacy_mapped(first)
    return not is_mapped and _PLAIN.issuperset(map(type, outer))


def needs_gradient(call: Call) -> bool:
    """Say whether something of a call asks for a gradient."""
    return any(t is not None and t.requires_grad for t in (*call[:3], *call.weights))


_library.impl("sequence", _forward, "CPU")
_library.impl("sequence", _fake_forward, "Meta")
_library.impl("sequence_backward", _backward, "CPU")
_library.impl("sequence_backward", _fake_backward, "Meta")
