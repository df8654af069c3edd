"""The native CPU kernel as ``torch.library`` ops: shapes for tracing, autograd, and higher derivatives.

``fastlstm::lstm`` runs one layer in one or both directions and keeps what its backward pass needs in one tensor;
``fastlstm::lstm_backward`` is an op too, so that a compiled graph holds both. The derivative of the latter, which
double backward asks for, is taken through :mod:`fastlstm.ops.reference`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import reference

TIME_MAJOR, BATCH_FIRST, PACKED = 0, 1, 2
DTYPES = (torch.float32, torch.float64)

_SHARED = (
    "Tensor x, Tensor? h0, Tensor? c0, Tensor[] weights, Tensor? lengths, Tensor? batch_sizes, int layout, "
    "SymInt packed_batch, bool has_bias, bool projected"
)
_library = torch.library.Library("fastlstm", "DEF")
_library.define(f"lstm({_SHARED}, bool keep) -> (Tensor y, Tensor hn, Tensor cn, Tensor reserve)")
_library.define(
    f"lstm_backward({_SHARED}, Tensor y, Tensor reserve, Tensor? dy, Tensor? dhn, Tensor? dcn, bool[4] wanted)"
    " -> Tensor[]"
)

_Outputs = tuple[Tensor, Tensor, Tensor, Tensor]
_Gradient = Tensor | None


class _Call(NamedTuple):
    """The arguments that both ops share, in their schemas' order; :func:`fastlstm.ops.lstm` tells their shapes."""

    x: Tensor
    h0: Tensor | None
    c0: Tensor | None
    weights: Sequence[Tensor]
    lengths: Tensor | None
    batch_sizes: Tensor | None
    layout: int
    packed_batch: int  # the number of sequences in the packed layout, which the shape of x does not tell
    has_bias: bool
    projected: bool

    @property
    def weights_per_direction(self) -> int:
        return 2 + 2 * self.has_bias + self.projected

    @property
    def directions(self) -> int:
        return len(self.weights) // self.weights_per_direction

    @property
    def hidden(self) -> int:
        return self.weights[0].shape[0] // 4

    @property
    def outputs(self) -> int:
        return self.weights[1].shape[1]

    @property
    def rows(self) -> int:
        return self.x.shape[0] if self.layout == PACKED else self.x.shape[0] * self.x.shape[1]

    @property
    def batch(self) -> int:
        return self.packed_batch if self.layout == PACKED else self.x.shape[1 - self.layout]

    @property
    def steps(self) -> int:
        return self.x.shape[self.layout] if self.batch_sizes is None else self.batch_sizes.shape[0]

    @property
    def is_double(self) -> bool:
        return self.x.dtype == torch.float64

    def sizes(self) -> _native.Sizes:
        return (self.steps, self.batch, self.x.shape[-1], self.hidden, self.outputs, self.directions, self.layout,
                self.rows, int(self.projected))  # fmt: skip

    def empty_outputs(self) -> tuple[Tensor, Tensor, Tensor]:
        x, D, B = self.x, self.directions, self.batch
        return (
            x.new_empty((*x.shape[:-1], D * self.outputs)),
            x.new_empty((D, B, self.outputs)),
            x.new_empty((D, B, self.hidden)),
        )

    def reserve_size(self) -> int:
        values = _native.reserve_values(self.is_double, self.hidden)
        return self.directions * self.rows * values + _native.RESERVE_HEADER

    def dense(self) -> _Call:
        """Lay every tensor out as the kernel reads it."""
        lengths, offsets = self.lengths, None
        if self.batch_sizes is not None:
            batch_sizes = self.batch_sizes.to(torch.int64)
            offsets = torch.cumsum(batch_sizes, 0) - batch_sizes
            lengths = (batch_sizes.unsqueeze(1) > torch.arange(self.batch)).sum(0)
        elif lengths is not None:
            lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
            if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= self.steps:
                raise ValueError(
                    f"lengths must lie in 0 … {self.steps} (the time steps), got {lengths.tolist()}"
                )
        return self._replace(
            x=self.x.contiguous(),
            h0=None if self.h0 is None else self.h0.contiguous(),
            c0=None if self.c0 is None else self.c0.contiguous(),
            weights=[weight.contiguous() for weight in self.weights],
            lengths=lengths,
            batch_sizes=offsets,
        )

    def addresses(self, y: Tensor, hn: Tensor | None, cn: Tensor | None, reserve: Tensor) -> tuple[int, ...]:
        arrays = (self.lengths, self.batch_sizes, self.x, self.h0, self.c0, y, hn, cn, reserve)
        return tuple(map(_address, arrays))

    def weight_addresses(self) -> tuple[int, ...]:
        """Five a direction: w_ih, w_hh, b_ih, b_hh, w_hr."""
        addresses: list[int] = []
        for first in range(0, len(self.weights), self.weights_per_direction):
            own = [weight.data_ptr() for weight in self.weights[first : first + self.weights_per_direction]]
            biases = own[2:4] if self.has_bias else [0, 0]
            addresses += [*own[:2], *biases, own[-1] if self.projected else 0]
        return tuple(addresses)


_CALL_LENGTH = len(_Call._fields)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None or tensor.numel() == 0 else tensor.data_ptr()


def _forward(*arguments: Any) -> _Outputs:
    call, keep = _Call(*arguments[:-1]), arguments[-1]
    y, hn, cn = call.empty_outputs()
    empty = _native.empty64 if call.is_double else _native.empty32
    reserve = empty(call.reserve_size()) if keep else call.x.new_empty(0)
    if call.batch:
        dense = call.dense()
        addresses, weights = dense.addresses(y, hn, cn, reserve), dense.weight_addresses()
        _native.lstm_forward(call.is_double, call.sizes(), addresses, weights, torch.get_num_threads())
    return y, hn, cn, reserve


def _fake_forward(*arguments: Any) -> _Outputs:
    call, keep = _Call(*arguments[:-1]), arguments[-1]
    return *call.empty_outputs(), call.x.new_empty(call.reserve_size() if keep else 0)


def _backward(*arguments: Any) -> list[Tensor]:
    """Gradients of x, h0, c0, and for each direction of w_ih, w_hh, the bias, w_hr: empty where not wanted."""
    call = _Call(*arguments[:_CALL_LENGTH])
    y, reserve, dy, dhn, dcn, _ = arguments[_CALL_LENGTH:]
    gradients = _fake_backward(*arguments)
    if not call.batch:
        for gradient in gradients:
            gradient.zero_()
        return gradients
    dense = call.dense()
    given = [
        None if gradient is None else gradient.to(call.x.dtype).contiguous() for gradient in (dy, dhn, dcn)
    ]
    _native.lstm_backward(
        call.is_double,
        call.sizes(),
        dense.addresses(y, None, None, reserve),
        dense.weight_addresses(),
        tuple(map(_address, (*given, *gradients[:3]))),
        tuple(map(_address, gradients[3:])),
    )
    return gradients


def _fake_backward(*arguments: Any) -> list[Tensor]:
    call = _Call(*arguments[:_CALL_LENGTH])
    wants_x, wants_h0, wants_c0, wants_weights = arguments[-1]
    x, D, H, P = call.x, call.directions, call.hidden, call.outputs

    def empty(wanted: bool, *shape: int) -> Tensor:
        return x.new_empty(shape if wanted else (0,))

    gradients = [
        empty(wants_x, *x.shape),
        empty(wants_h0, D, call.batch, P),
        empty(wants_c0, D, call.batch, H),
    ]
    for _ in range(D):
        gradients += [
            empty(wants_weights, 4 * H, x.shape[-1]),
            empty(wants_weights, 4 * H, P),
            empty(wants_weights and call.has_bias, 4 * H),
            empty(wants_weights and call.projected, P, H),
        ]
    return gradients


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rest: tuple[Any, ...], *tensors: Tensor | None) -> _Outputs:
        x, h0, c0, *weights = tensors
        with torch._C._AutoDispatchBelowAutograd():
            y, hn, cn, reserve = torch.ops.fastlstm.lstm(x, h0, c0, weights, *rest, True)
        ctx.save_for_backward(*tensors, *rest[:2], y, reserve)
        ctx.rest = rest[2:]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(reserve)
        return y, hn, cn, reserve

    @staticmethod
    def backward(
        ctx: Any, dy: _Gradient, dhn: _Gradient, dcn: _Gradient, _: _Gradient
    ) -> tuple[_Gradient, ...]:
        x, h0, c0, *weights, lengths, batch_sizes, y, reserve = ctx.saved_tensors
        call = _Call(x, h0, c0, weights, lengths, batch_sizes, *ctx.rest)
        needs = ctx.needs_input_grad[1:]
        wanted = [*needs[:3], any(needs[3:])]
        dx, dh0, dc0, *dweights = torch.ops.fastlstm.lstm_backward(*call, y, reserve, dy, dhn, dcn, wanted)
        states = (gradient if need else None for gradient, need in zip((dx, dh0, dc0), wanted, strict=False))
        return None, *states, *(_for_each_weight(call, dweights) if wanted[3] else [None] * len(weights))


def _for_each_weight(call: _Call, dweights: Sequence[Tensor]) -> list[Tensor]:
    """From four a direction (w_ih, w_hh, bias, w_hr) to one for each weight: both biases have the same gradient."""
    gradients: list[Tensor] = []
    for d in range(call.directions):
        w_ih, w_hh, bias, w_hr = dweights[4 * d : 4 * d + 4]
        gradients += [
            w_ih,
            w_hh,
            *([bias, bias] if call.has_bias else []),
            *([w_hr] if call.projected else []),
        ]
    return gradients


class _LstmBackward(torch.autograd.Function):
    """The op's own derivative, which is the second one of the layer: taken through the reference."""

    @staticmethod
    def forward(ctx: Any, rest: tuple[Any, ...], *tensors: Any) -> tuple[Tensor, ...]:
        dy, dhn, dcn, x, h0, c0, *weights = tensors
        lengths, batch_sizes, *options, y, reserve, wanted = rest
        call = _Call(x, h0, c0, weights, lengths, batch_sizes, *options)
        with torch._C._AutoDispatchBelowAutograd():
            gradients = torch.ops.fastlstm.lstm_backward(*call, y, reserve, dy, dhn, dcn, wanted)
        ctx.save_for_backward(*tensors, lengths, batch_sizes)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return tuple(gradients)

    @staticmethod
    def backward(ctx: Any, *second: _Gradient) -> tuple[_Gradient, ...]:
        *tensors, lengths, batch_sizes = ctx.saved_tensors
        with torch.enable_grad():
            # Partial derivatives: dy may itself depend on x, so each tensor enters under a name of its own. Where one
            # needs no gradient, the first gradients are still taken with respect to it.
            leaves: list[Any] = [
                None if t is None else t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
                for t in tensors
            ]
            dy, dhn, dcn, x, h0, c0, *weights = leaves
            call = _Call(x, h0, c0, weights, lengths, batch_sizes, *ctx.options)
            h0, c0 = (_zero_state(call, i) if state is None else state for i, state in enumerate((h0, c0)))
            outputs = reference.lstm(x, h0, c0, weights, call.has_bias, call.projected, lengths, batch_sizes,
                                     call.layout == BATCH_FIRST)  # fmt: skip
            inputs = [x, h0, c0, *weights]
            given = [(y, dy_) for y, dy_ in zip(outputs, (dy, dhn, dcn), strict=True) if dy_ is not None]
            first = torch.autograd.grad(
                [y for y, _ in given],
                inputs,
                [dy_ for _, dy_ in given],
                create_graph=True,
                materialize_grads=True,
            )
            dweights = _second_for_each_weight(call, second[3:])
            pairs = [
                (gradient, second_)
                for gradient, second_ in zip(first, (*second[:3], *dweights), strict=True)
                if second_ is not None and second_.numel()
            ]
            wanted = [
                t for t, need in zip(leaves, ctx.needs_input_grad[1:], strict=True) if need and t is not None
            ]
        gradients = iter(
            torch.autograd.grad(
                [gradient for gradient, _ in pairs],
                wanted,
                [second_ for _, second_ in pairs],
                allow_unused=True,
                create_graph=torch.is_grad_enabled(),
            )
            if pairs
            else [None] * len(wanted)
        )
        needs = zip(leaves, ctx.needs_input_grad[1:], strict=True)
        return None, *(next(gradients) if need and t is not None else None for t, need in needs)


def _zero_state(call: _Call, which: int) -> Tensor:
    width = call.hidden if which else call.outputs
    return call.x.new_zeros(call.directions, call.batch, width).requires_grad_()


def _second_for_each_weight(call: _Call, second: Sequence[_Gradient]) -> list[_Gradient]:
    """As ``_for_each_weight``; what reaches the shared bias gradient is counted once."""
    gradients: list[_Gradient] = []
    for d in range(call.directions):
        w_ih, w_hh, bias, w_hr = second[4 * d : 4 * d + 4]
        gradients += [
            w_ih,
            w_hh,
            *([bias, None] if call.has_bias else []),
            *([w_hr] if call.projected else []),
        ]
    return gradients


def _autograd_forward(*arguments: Any) -> _Outputs:
    x, h0, c0, weights, *rest = arguments[:-1]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, h0, c0, *weights)):
        outputs: _Outputs = _Lstm.apply(tuple(rest), x, h0, c0, *weights)
    else:
        with torch._C._AutoDispatchBelowAutograd():
            outputs = torch.ops.fastlstm.lstm(*arguments)
    return outputs


def _autograd_backward(*arguments: Any) -> list[Tensor]:
    call = _Call(*arguments[:_CALL_LENGTH])
    y, reserve, dy, dhn, dcn, wanted = arguments[_CALL_LENGTH:]
    tensors = (dy, dhn, dcn, call.x, call.h0, call.c0, *call.weights)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return list(_LstmBackward.apply((*call[4:], y, reserve, wanted), *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        return list(torch.ops.fastlstm.lstm_backward(*arguments))


_library.impl("lstm", _forward, "CPU")
_library.impl("lstm", _autograd_forward, "Autograd")
_library.impl("lstm", _fake_forward, "Meta")
_library.impl("lstm_backward", _backward, "CPU")
_library.impl("lstm_backward", _autograd_backward, "Autograd")
_library.impl("lstm_backward", _fake_backward, "Meta")
