"""The native CPU kernels as ``torch.library`` ops: shapes for tracing, autograd, and higher derivatives.

``fastlstm::sequence`` runs one layer in one or both directions and keeps what its backward pass needs in one tensor;
``fastlstm::sequence_backward`` is an op too, so that a compiled graph holds both. The derivative of the latter, which
double backward asks for, is taken through :mod:`fastlstm.ops.reference`. Eager calls on plain tensors go straight to
the kernel: the dispatcher's way through Python takes longer than a small layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import reference
from fastlstm.ops.cell import Cell

TIME_MAJOR, BATCH_FIRST, PACKED = 0, 1, 2
DTYPES = (torch.float32, torch.float64)
_KERNELS = {"lstm": 0, "coupled lstm": 1, "gru": 2, "rnn_tanh": 3, "rnn_relu": 4}
# The weights that kernels know, in their order.
_KERNEL_WEIGHTS = (
    "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "w_peephole", "gain_ih", "gain_hh", "gain_c", "bias_c",
)  # fmt: skip

_SHARED = (
    "Tensor x, Tensor? h0, Tensor? c0, Tensor[] weights, Tensor? lengths, Tensor? batch_sizes, Tensor? reset, "
    "Tensor? recurrent_mask, Tensor? seed, Tensor? read_steps, str kind, bool[] variants, int layout, "
    "SymInt packed_batch, float[] zoneout, bool reverse"
)
_library = torch.library.Library("fastlstm", "DEF")
_library.define(
    f"sequence({_SHARED}, bool keep) -> (Tensor y, Tensor hn, Tensor cn, Tensor states, Tensor reserve)"
)
_library.define(
    f"sequence_backward({_SHARED}, Tensor states, Tensor reserve, Tensor? dy, Tensor? dhn, Tensor? dcn, "
    "bool[] wanted) -> Tensor[]"
)

_Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
_Gradient = Tensor | None


class Call(NamedTuple):
    """The arguments that both ops share, in their schemas' order; :func:`fastlstm.ops.sequence` tells their shapes."""

    x: Tensor
    h0: Tensor | None
    c0: Tensor | None
    weights: Sequence[Tensor]
    lengths: Tensor | None
    batch_sizes: Tensor | None
    reset: Tensor | None
    recurrent_mask: Tensor | None
    seed: Tensor | None
    read_steps: Tensor | None
    kind: str
    variants: Sequence[bool]
    layout: int
    packed_batch: int  # the number of sequences in the packed layout, which the shape of x does not tell
    zoneout: Sequence[float]
    reverse: bool


_CALL_LENGTH = len(Call._fields)
_OPTIONS = Call._fields.index("lengths")  # from there on nothing has a gradient


@lru_cache
def _cell(kind: str, variants: tuple[bool, ...]) -> Cell:
    return Cell(kind, *variants)


class _Layer:
    """A call's sizes and the tensors that the kernel reads and writes."""

    def __init__(self, call: Call) -> None:
        self.call = call
        x, weights = call.x, call.weights
        self.cell = _cell(call.kind, tuple(call.variants))
        self.directions = len(weights) // self.cell.weights_per_direction
        self.hidden = weights[0].shape[0] // self.cell.gates
        self.outputs = weights[1].shape[1]
        self.is_double = x.dtype == torch.float64
        if call.batch_sizes is None:
            self.steps, self.batch = x.shape[call.layout], x.shape[1 - call.layout]
            self.rows = self.steps * self.batch
        else:
            self.steps, self.batch, self.rows = call.batch_sizes.shape[0], call.packed_batch, x.shape[0]

    @cached_property
    def kernel(self) -> int:
        return _KERNELS["coupled lstm" if self.cell.coupled else self.cell.kind]

    def sizes(self) -> _native.Sizes:
        call, cell = self.call, self.cell
        return (self.steps, self.batch, call.x.shape[-1], self.hidden, self.outputs, self.directions, call.layout,
                self.rows, int(cell.projected), self.kernel, int(cell.layer_norm), int(call.reverse))  # fmt: skip

    def empty_states(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every step's output, and the last states."""
        x, D, B = self.call.x, self.directions, self.batch
        cells = (D, B, self.hidden) if self.cell.has_cell_state else (0,)
        return (
            x.new_empty((*x.shape[:-1], D * self.outputs)),
            x.new_empty((D, B, self.outputs)),
            x.new_empty(cells),
        )

    def reserve_size(self) -> int:
        values = _native.reserve_values(self.is_double, self.kernel, self.cell.layer_norm, self.hidden)
        return self.directions * self.rows * values + _native.RESERVE_HEADER

    def arrays(
        self, states: Tensor, hn: Tensor | None, cn: Tensor | None, reserve: Tensor
    ) -> list[Tensor | None]:
        """Lay every tensor out as the kernel reads it; whoever takes the addresses must hold on to the list."""
        call = self.call
        lengths, offsets = call.lengths, None
        if call.batch_sizes is not None:
            batch_sizes = call.batch_sizes.to(torch.int64)
            offsets = torch.cumsum(batch_sizes, 0) - batch_sizes
            lengths = (batch_sizes.unsqueeze(1) > torch.arange(self.batch)).sum(0)
        elif lengths is not None:
            lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
            if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= self.steps:
                raise ValueError(
                    f"lengths must lie in 0 … {self.steps} (the time steps), got {lengths.tolist()}"
                )
        given = (call.h0, call.c0, call.reset, call.recurrent_mask, call.seed)
        h0, c0, reset, mask, seed = (None if t is None else t.contiguous() for t in given)
        return [lengths, offsets, call.x.contiguous(), h0, c0, states, hn, cn, reserve, reset, mask, seed]

    def kernel_weights(self) -> list[Tensor | None]:
        """Those of each direction in the kernels' order."""
        names = self.cell.weight_names
        weights: list[Tensor | None] = []
        for first in range(0, len(self.call.weights), len(names)):
            own = dict(zip(names, self.call.weights[first:], strict=False))
            weights += [own[name].contiguous() if name in own else None for name in _KERNEL_WEIGHTS]
        return weights


def _addresses(tensors: Sequence[Tensor | None]) -> tuple[int, ...]:
    # An empty tensor's address is 0 already.
    return tuple([0 if tensor is None else tensor.data_ptr() for tensor in tensors])


def _forward(*arguments: Any) -> _Outputs:
    call, keep = Call(*arguments[:-1]), arguments[-1]
    layer = _Layer(call)
    states, hn, cn = layer.empty_states()
    empty = _native.empty64 if layer.is_double else _native.empty32
    reserve = empty(layer.reserve_size()) if keep else call.x.new_empty(0)
    if layer.batch:
        arrays, weights = layer.arrays(states, hn, cn, reserve), layer.kernel_weights()
        _native.forward(
            layer.is_double,
            layer.sizes(),
            _addresses(arrays),
            (call.zoneout[0], call.zoneout[1]),
            _addresses(weights),
            torch.get_num_threads(),
        )
    if call.read_steps is None:
        return states, hn, cn, call.x.new_empty(0), reserve
    return states.index_select(call.layout, call.read_steps), hn, cn, states, reserve


def _fake_forward(*arguments: Any) -> _Outputs:
    call, keep = Call(*arguments[:-1]), arguments[-1]
    layer = _Layer(call)
    states, hn, cn = layer.empty_states()
    reserve = call.x.new_empty(layer.reserve_size() if keep else 0)
    if call.read_steps is None:
        return states, hn, cn, call.x.new_empty(0), reserve
    return states.index_select(call.layout, call.read_steps), hn, cn, states, reserve


def _backward(*arguments: Any) -> list[Tensor]:
    """Gradients of x, h0, c0, and of each direction's weights in the kernels' order: empty where not wanted."""
    call = Call(*arguments[:_CALL_LENGTH])
    states, reserve, dy, dhn, dcn, _ = arguments[_CALL_LENGTH:]
    gradients = _fake_backward(*arguments)
    layer = _Layer(call)
    if not layer.batch:
        for gradient in gradients:
            gradient.zero_()
        return gradients
    arrays, weights = layer.arrays(states, None, None, reserve), layer.kernel_weights()
    given = [
        None if gradient is None else gradient.to(call.x.dtype).contiguous() for gradient in (dy, dhn, dcn)
    ]
    read_steps = None if call.read_steps is None else call.read_steps.contiguous()
    _native.backward(
        layer.is_double,
        layer.sizes(),
        _addresses(arrays),
        (call.zoneout[0], call.zoneout[1]),
        _addresses(weights),
        _addresses([given[0], read_steps, *given[1:], *gradients[:3]]),
        0 if read_steps is None else len(read_steps),
        _addresses(gradients[3:]),
    )
    return gradients


def _fake_backward(*arguments: Any) -> list[Tensor]:
    call = Call(*arguments[:_CALL_LENGTH])
    wants_x, wants_h0, wants_c0, wants_weights = arguments[-1]
    layer = _Layer(call)
    x, D, B = call.x, layer.directions, layer.batch

    def empty(wanted: bool, *shape: int) -> Tensor:
        return x.new_empty(shape if wanted else (0,))

    shapes = layer.cell.weight_shapes(x.shape[-1], layer.hidden, layer.outputs)
    if layer.cell.kind != "gru":
        shapes.pop("b_hh", None)  # its gradient is that of b_ih
    return [
        empty(wants_x, *x.shape),
        empty(wants_h0, D, B, layer.outputs),
        empty(wants_c0, D, B, layer.hidden),
        *(
            empty(wants_weights and name in shapes, *shapes.get(name, ()))
            for _ in range(D)
            for name in _KERNEL_WEIGHTS
        ),
    ]


def _for_each_weight(cell: Cell, dweights: Sequence[_Gradient], shared: _Gradient | bool) -> list[_Gradient]:
    """From the kernels' order to one gradient for each weight; ``shared`` is b_hh's where it goes with b_ih's."""
    gradients: list[_Gradient] = []
    for first in range(0, len(dweights), len(_KERNEL_WEIGHTS)):
        own = dict(zip(_KERNEL_WEIGHTS, dweights[first:], strict=False))
        if cell.kind != "gru":
            own["b_hh"] = own["b_ih"] if shared is True else None
        gradients += [own[name] for name in cell.weight_names]
    return gradients


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Any, options: tuple[Any, ...], *tensors: Tensor | None) -> _Outputs:
        x, h0, c0, *weights = tensors
        with torch._C._AutoDispatchBelowAutograd():
            y, hn, cn, states, reserve = run(x, h0, c0, weights, *options, True)
        fixed = Call._fields.index("kind") - _OPTIONS
        ctx.save_for_backward(
            *tensors, *options[:fixed], states if options[fixed - 1] is not None else y, reserve
        )
        ctx.options = options[fixed:]
        ctx.direct = run is _forward
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(states, reserve)
        return y, hn, cn, states, reserve

    @staticmethod
    def backward(
        ctx: Any, dy: _Gradient, dhn: _Gradient, dcn: _Gradient, *_: _Gradient
    ) -> tuple[_Gradient, ...]:
        x, h0, c0, *weights, lengths, batch_sizes, reset, mask, seed, read_steps, states, reserve = (
            ctx.saved_tensors
        )
        call = Call(x, h0, c0, weights, lengths, batch_sizes, reset, mask, seed, read_steps, *ctx.options)
        needs = ctx.needs_input_grad[2:]
        wanted = [*needs[:3], any(needs[3:])]
        arguments = (*call, states, reserve, dy, dhn, dcn, wanted)
        if ctx.direct and not torch.is_grad_enabled():
            dx, dh0, dc0, *dweights = _backward(*arguments)
        else:
            dx, dh0, dc0, *dweights = torch.ops.fastlstm.sequence_backward(*arguments)
        given = (gradient if need else None for gradient, need in zip((dx, dh0, dc0), wanted, strict=False))
        cell = _cell(call.kind, tuple(call.variants))
        return (
            None,
            None,
            *given,
            *(_for_each_weight(cell, dweights, shared=True) if wanted[3] else [None] * len(weights)),
        )


class _SequenceBackward(torch.autograd.Function):
    """The op's own derivative, which is the second one of the layer: taken through the reference."""

    @staticmethod
    def forward(ctx: Any, rest: tuple[Any, ...], *tensors: Any) -> tuple[Tensor, ...]:
        dy, dhn, dcn, x, h0, c0, *weights = tensors
        *options, states, reserve, wanted = rest
        call = Call(x, h0, c0, weights, *options)
        with torch._C._AutoDispatchBelowAutograd():
            gradients = torch.ops.fastlstm.sequence_backward(*call, states, reserve, dy, dhn, dcn, wanted)
        fixed = Call._fields.index("kind") - _OPTIONS
        ctx.save_for_backward(*tensors, *options[:fixed])
        ctx.fixed, ctx.options = fixed, options[fixed:]
        ctx.set_materialize_grads(False)
        return tuple(gradients)

    @staticmethod
    def backward(ctx: Any, *second: _Gradient) -> tuple[_Gradient, ...]:
        saved = ctx.saved_tensors
        tensors, fixed = saved[: -ctx.fixed], saved[-ctx.fixed :]
        with torch.enable_grad():
            # Partial derivatives: dy may itself depend on x, so each tensor enters under a name of its own. Where one
            # needs no gradient, the first gradients are still taken with respect to it.
            leaves: list[Any] = [
                None if t is None else t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
                for t in tensors
            ]
            dy, dhn, dcn, x, h0, c0, *weights = leaves
            call = Call(x, h0, c0, weights, *fixed, *ctx.options)
            layer = _Layer(call)
            _, hn, cn = layer.empty_states()
            h0 = torch.zeros_like(hn).requires_grad_() if h0 is None else h0
            c0 = torch.zeros_like(cn).requires_grad_() if c0 is None else c0
            outputs = _reference(call._replace(h0=h0, c0=c0 if layer.cell.has_cell_state else None))
            inputs = [x, h0, c0, *weights]
            given = [(y, dy_) for y, dy_ in zip(outputs, (dy, dhn, dcn), strict=True) if dy_ is not None]
            first = torch.autograd.grad(
                [y for y, _ in given],
                inputs,
                [dy_ for _, dy_ in given],
                create_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
            # What reaches the gradient that both biases share is counted once.
            dweights = _for_each_weight(layer.cell, second[3:], shared=None)
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


def _reference(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    y, hn, cn = reference.sequence(
        _cell(call.kind, tuple(call.variants)), call.x, call.h0, call.c0, call.weights, lengths=call.lengths,
        batch_sizes=call.batch_sizes, batch_first=call.layout == BATCH_FIRST, reset=call.reset,
        recurrent_mask=call.recurrent_mask, zoneout=(call.zoneout[0], call.zoneout[1]), seed=call.seed,
        reverse=call.reverse,
    )  # fmt: skip
    return (y if call.read_steps is None else y.index_select(call.layout, call.read_steps)), hn, cn


def run(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Run a call: y at the steps that are read, and the last states.

    Parameters
    ----------
    call
        Its tensors on the CPU, of a type in ``DTYPES``; checked.
    """
    if call.x.is_meta or _is_traced():
        y, hn, cn, _, _ = torch.ops.fastlstm.sequence(*call, False)
    elif torch.is_grad_enabled() and _needs_gradient(call):
        y, hn, cn, _, _ = _Sequence.apply(_forward, tuple(call[_OPTIONS:]), *call[:3], *call.weights)
    else:
        y, hn, cn, _, _ = _forward(*call, False)
    return y, hn, cn


def _is_traced() -> bool:
    """Whether someone between the caller and the kernel wants to see the op: a compiler, a mode, a transform."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def _needs_gradient(call: Call) -> bool:
    return any(t is not None and t.requires_grad for t in (*call[:3], *call.weights))


def _autograd_forward(*arguments: Any) -> _Outputs:
    call = Call(*arguments[:-1])
    if torch.is_grad_enabled() and _needs_gradient(call):
        op = torch.ops.fastlstm.sequence
        outputs: _Outputs = _Sequence.apply(op, tuple(call[_OPTIONS:]), *call[:3], *call.weights)
    else:
        with torch._C._AutoDispatchBelowAutograd():
            outputs = torch.ops.fastlstm.sequence(*arguments)
    return outputs


def _autograd_backward(*arguments: Any) -> list[Tensor]:
    call = Call(*arguments[:_CALL_LENGTH])
    states, reserve, dy, dhn, dcn, wanted = arguments[_CALL_LENGTH:]
    tensors = (dy, dhn, dcn, call.x, call.h0, call.c0, *call.weights)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return list(_SequenceBackward.apply((*call[_OPTIONS:], states, reserve, wanted), *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        return list(torch.ops.fastlstm.sequence_backward(*arguments))


_library.impl("sequence", _forward, "CPU")
_library.impl("sequence", _autograd_forward, "Autograd")
_library.impl("sequence", _fake_forward, "Meta")
_library.impl("sequence_backward", _backward, "CPU")
_library.impl("sequence_backward", _autograd_backward, "Autograd")
_library.impl("sequence_backward", _fake_backward, "Meta")
