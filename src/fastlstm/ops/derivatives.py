"""The ops' derivatives, of every order and mode: what stands between the dispatcher and the kernels.

=========================  ============================================================
asked for                  what runs
=========================  ============================================================
gradients                  the kernel's backward pass
gradients of gradients     the equations of :mod:`.reference`
forward-mode derivatives   the equations
=========================  ============================================================

Under ``torch.func`` each level of ``grad``, ``vjp`` and ``jvp`` asks for itself: the dispatcher walks through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fastlstm.ops import native, private
from fastlstm.ops.call import CALL_LENGTH, OPTIONS, TENSOR_OPTIONS, Call, equations, gradients

_op, _backward_op = torch.ops.fastlstm.sequence, torch.ops.fastlstm.sequence_backward
_Maybe = Tensor | None


class _SequenceOfOneLevel(private.SingleLevelFunction):
    """:class:`native._Sequence` on one level of ``torch.func``."""

    @staticmethod
    def forward(ctx: Any, options: tuple[Any, ...], *tensors: _Maybe) -> tuple[Tensor, ...]:
        with _recording_below():
            return native._Sequence.forward(ctx, options, *tensors)

    backward = staticmethod(native._Sequence.backward)


class _SequenceBackward(torch.autograd.Function):
    """The backward op, whose own derivative is the layer's second one."""

    @staticmethod
    def forward(ctx: Any, rest: tuple[Any, ...], *tensors: Any) -> tuple[Tensor, ...]:
        dy, dhn, dcn, x, h0, c0, *weights = tensors
        *options, states, reserve, wanted = rest
        with private.below_autograd():
            found = _backward_op(x, h0, c0, weights, *options, states, reserve, dy, dhn, dcn, wanted)
        ctx.save_for_backward(*tensors, *options[:TENSOR_OPTIONS])
        ctx.options, ctx.wanted = options[TENSOR_OPTIONS:], wanted
        ctx.set_materialize_grads(False)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *second: _Maybe) -> tuple[_Maybe, ...]:
        tensors, fixed = ctx.saved_tensors[:-TENSOR_OPTIONS], ctx.saved_tensors[-TENSOR_OPTIONS:]
        places = [place for place, tensor in enumerate(tensors) if tensor is not None]

        def first(*leaves: Tensor) -> list[Tensor]:
            own = dict(zip(places, leaves, strict=True))
            dy, dhn, dcn, x, h0, c0, *weights = (own.get(place) for place in range(len(tensors)))
            return gradients(Call._make([x, h0, c0, weights, *fixed, *ctx.options]), dy, dhn, dcn, ctx.wanted)

        found, pull_back, *_ = torch.func.vjp(first, *(tensors[place] for place in places))
        given = [torch.zeros_like(f) if s is None else s for f, s in zip(found, second, strict=True)]
        own = dict(zip(places, pull_back(given), strict=True))
        needs = enumerate(ctx.needs_input_grad[1:])
        return None, *(own.get(place) if need else None for place, need in needs)


class _SequenceBackwardOfOneLevel(private.SingleLevelFunction):
    @staticmethod
    def forward(ctx: Any, rest: tuple[Any, ...], *tensors: _Maybe) -> tuple[Tensor, ...]:
        with _recording_below():
            return _SequenceBackward.forward(ctx, rest, *tensors)

    backward = staticmethod(_SequenceBackward.backward)


@contextmanager
def _recording_below() -> Iterator[None]:
    """Let the levels below record derivatives of their own, which a function's forward is kept from by default."""
    with torch.enable_grad(), private.forward_mode_enabled(True):
        yield


def backward(
    call: Call, states: Tensor, reserve: Tensor, outer: tuple[_Maybe, _Maybe, _Maybe], wanted: Sequence[bool]
) -> list[_Maybe]:
    """Give a call's gradients, as the backward op does, to who may differentiate them again, in either mode."""
    if torch.compiler.is_compiling() or not _in_forward_mode():  # compiled autograd knows no forward mode
        found: list[_Maybe] = _backward_op(*call, states, reserve, *outer, wanted)
        return found
    # A function that vjp gave may be called when its level is no more.
    weights = private.unwrap_dead_wrappers(tuple(call.weights))
    alive = Call._make(private.unwrap_dead_wrappers(call._replace(weights=weights)))
    return [*gradients(alive, *outer, wanted)]


def _in_forward_mode() -> bool:
    """Whether tangents may be attached to what is computed."""
    return private.in_forward_mode() or private.is_transformed_by_jvp()


def _apply(plain: Any, of_one_level: Any, *arguments: Any) -> tuple[Tensor, ...]:
    if not private.is_transformed():
        return tuple(plain.apply(*arguments))
    with private.enable_single_level_autograd_function():
        return tuple(of_one_level.apply(*arguments))


def _autograd_forward(*arguments: Any) -> tuple[Tensor, ...]:
    call = Call(*arguments[:-1])
    if _in_forward_mode():
        nothing = call.x.new_empty(0)
        return *equations(call), nothing, nothing
    if torch.is_grad_enabled() and native.needs_gradient(call):
        rest = tuple(call[OPTIONS:])
        return _apply(native._Sequence, _SequenceOfOneLevel, rest, *call[:3], *call.weights)
    with private.below_autograd():
        return tuple(_op(*arguments))


def _autograd_backward(*arguments: Any) -> list[Tensor]:
    call = Call(*arguments[:CALL_LENGTH])
    states, reserve, dy, dhn, dcn, wanted = arguments[CALL_LENGTH:]
    if _in_forward_mode():
        raise NotImplementedError(
            "fastlstm::sequence_backward: call the layer's backward, not the op, in forward mode"
        )
    tensors = (dy, dhn, dcn, *call[:3], *call.weights)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        rest = (*call[OPTIONS:], states, reserve, wanted)
        return list(_apply(_SequenceBackward, _SequenceBackwardOfOneLevel, rest, *tensors))
    with private.below_autograd():
        return list(_backward_op(*arguments))


def register() -> None:
    """Tell the dispatcher."""
    native._library.impl("sequence", _autograd_forward, "Autograd")
    native._library.impl("sequence_backward", _autograd_backward, "Autograd")
