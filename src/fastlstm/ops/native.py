"""The native CPU kernels as ``torch.library`` ops, with shapes for tracing and the first derivative.

``fastlstm::sequence`` runs one layer in one or both directions and keeps what its backward pass needs in one tensor;
``fastlstm::sequence_backward`` is an op too, so that a compiled graph holds both. What the dispatcher has to know of
derivatives stands in :mod:`.derivatives`. Eager calls on plain tensors go straight to the kernel: the dispatcher's way
through Python takes longer than a small layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import onnx
from fastlstm.ops.call import CALL_LENGTH, KERNEL_WEIGHTS, OPTIONS, Call, cell_of
from fastlstm.ops.call import TENSOR_OPTIONS as _FIXED
from fastlstm.ops.cell import Cell

DTYPES = (torch.float32, torch.float64)
_KERNELS = {"lstm": 0, "coupled lstm": 1, "gru": 2, "rnn_tanh": 3, "rnn_relu": 4}

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
# Memory that was given back begins at 0, parts of it further on. Few programs have theirs so low, and are asked more.
_FREED_BELOW = 2**32
_Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
_Gradient = Tensor | None


class _Kernel(NamedTuple):
    """What the kernel is told of a cell."""

    cell: Cell
    code: int
    weights_per_direction: int
    # Where among a direction's weights each of those that the kernel knows stands.
    order: tuple[int | None, ...]


@lru_cache
def _weight_shapes(
    kind: str, variants: tuple[bool, ...], inputs: int, hidden: int, outputs: int, directions: int
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(cell_of(kind, variants).weight_shapes(inputs, hidden, outputs).items()) * directions


@lru_cache
def _kernel_of(kind: str, variants: tuple[bool, ...]) -> _Kernel:
    cell = cell_of(kind, variants)
    names = cell.weight_names
    order = tuple(names.index(name) if name in names else None for name in KERNEL_WEIGHTS)
    return _Kernel(cell, _kernel(cell), cell.weights_per_direction, order)


def _kernel(cell: Cell) -> int:
    return _KERNELS["coupled lstm" if cell.coupled else cell.kind]


class _Layer:
    """A call's sizes and the tensors that the kernel reads and writes."""

    def __init__(self, call: Call) -> None:
        self.call = call
        x, weights = call.x, call.weights
        self.kernel = _kernel_of(call.kind, tuple(call.variants))
        self.cell = self.kernel.cell
        self.directions = len(weights) // self.kernel.weights_per_direction
        self.hidden = weights[0].shape[0] // self.cell.gates
        self.outputs = weights[1].shape[-1]
        self.is_double = x.dtype == torch.float64
        self.dtype = torch.float64 if self.is_double else torch.float32  # of the weights and of c
        if call.batch_sizes is None:
            self.steps, self.batch = x.shape[call.layout], x.shape[1 - call.layout]
            self.rows = self.steps * self.batch
        else:
            self.steps, self.batch, self.rows = call.batch_sizes.shape[0], call.packed_batch, x.shape[0]

    def sizes(self) -> _native.Sizes:
        call, cell = self.call, self.cell
        return (
            self.steps, self.batch, call.x.shape[-1], self.hidden, self.outputs, self.directions, call.layout,
            self.rows, int(cell.projected), self.kernel.code, int(cell.layer_norm), int(call.reverse),
            int(call.rounded),
        )  # fmt: skip

    def empty_outputs(self) -> Tensor:
        """Make room for every step's output."""
        x = self.call.x
        return x.new_empty((*x.shape[:-1], self.directions * self.outputs))

    def empty_states(self) -> tuple[Tensor, Tensor]:
        """Make room for the last states."""
        x, D, B = self.call.x, self.directions, self.batch
        cells = (D, B, self.hidden) if self.cell.has_cell_state else (0,)
        return x.new_empty((D, B, self.outputs)), x.new_empty(cells)

    def kept(self, values: int) -> Tensor:
        """Make a vector that no caller sees, on memory that an earlier one may have left."""
        return (_native.empty64 if self.is_double else _native.empty32)(values)

    def reserve_size(self) -> int:
        values = _native.reserve_values(self.is_double, self.kernel.code, self.cell.layer_norm, self.hidden)
        return self.directions * self.rows * values + _native.RESERVE_HEADER

    def arrays(
        self, states: Tensor, hn: Tensor | None, cn: Tensor | None, reserve: Tensor | None
    ) -> list[Tensor | None]:
        """Lay every tensor out as the kernel reads it; whoever takes the addresses must hold on to the list."""
        call = self.call
        lengths, offsets = call.lengths, None
        if call.batch_sizes is not None:
            sizes = call.batch_sizes.to(device="cpu", dtype=torch.int64).contiguous()
            offsets, lengths = sizes.new_empty(self.steps), sizes.new_empty(self.batch)
            if not _native.read_batch_sizes(
                sizes.data_ptr(), self.steps, self.batch, self.rows, offsets.data_ptr(), lengths.data_ptr()
            ):
                raise ValueError(
                    f"batch_sizes: expected numbers of sequences that never rise, at most {self.batch}, for the "
                    f"{self.rows} rows of the input, got {sizes.tolist()}"
                )
        elif lengths is not None:
            lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
            if lengths.shape != (self.batch,):
                raise ValueError(f"lengths: expected shape ({self.batch},), got {tuple(lengths.shape)}")
            if not _native.lengths_fit(lengths.data_ptr(), self.batch, self.steps):
                raise ValueError(
                    f"lengths must lie in 0 … {self.steps} (the time steps), got {lengths.tolist()}"
                )
        given = (call.h0, call.c0, call.reset, call.recurrent_mask, call.seed)
        x = _dense(call.x)
        self._require("the input", x, tuple(x.shape), x.dtype)
        h0, c0, reset, mask, seed = (None if t is None else _dense(t) for t in given)
        for name, tensor, shape, dtype in (
            ("h0", h0, (self.directions, self.batch, self.outputs), call.x.dtype),
            ("c0", c0, (self.directions, self.batch, self.hidden), self.dtype),
            ("reset", reset, call.x.shape[:-1], torch.bool),
            ("recurrent_mask", mask, (self.directions, self.batch, self.outputs), self.dtype),
            ("seed", seed, (1,), torch.int64),
        ):
            if tensor is not None:
                self._require(name, tensor, shape, dtype)
        return [lengths, offsets, x, h0, c0, states, hn, cn, reserve, reset, mask, seed]

    def kernel_weights(self) -> list[Tensor | None]:
        """Those of each direction in the kernels' order; raise for what the kernel cannot read."""
        weights, each, order = self.call.weights, self.kernel.weights_per_direction, self.kernel.order
        call, inputs = self.call, self.call.x.shape[-1]
        outputs = self.outputs if self.cell.projected else self.hidden
        sizes = (inputs, self.hidden, outputs, self.directions)
        shapes = _weight_shapes(call.kind, tuple(call.variants), *sizes)
        for weight, (name, shape) in zip(weights, shapes, strict=True):
            self._require(name, weight, shape, self.dtype)
        return [
            None if place is None else _dense(weights[first + place])
            for first in range(0, len(weights), each)
            for place in order
        ]

    @staticmethod
    def _require(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        if tensor.dtype == dtype and tensor.shape == shape and tensor.is_cpu:
            if tensor.data_ptr() < _FREED_BELOW and tensor.numel() and _is_freed(tensor):
                raise RuntimeError(f"{name}, of shape {shape}, has no memory to be read")
            return
        raise RuntimeError(
            f"{name}: expected {dtype} of shape {shape} on cpu, as the input and the other weights ask for, got "
            f"{tensor.dtype} of shape {tuple(tensor.shape)} on {tensor.device}"
        )


def _is_freed(tensor: Tensor) -> bool:
    return not tensor.data_ptr() or not tensor.untyped_storage().data_ptr()


def _dense(tensor: Tensor) -> Tensor:
    """Lay values out as they count: without gaps, and not as a view that only notes that their signs are turned."""
    return (tensor.resolve_neg() if tensor.is_neg() else tensor).contiguous()


def address(tensor: Tensor | None) -> int:
    """Return where a tensor's values lie, 0 where there is none."""
    return 0 if tensor is None else tensor.data_ptr()


def _addresses(tensors: Sequence[Tensor | None]) -> tuple[int, ...]:
    # An empty tensor's address is 0 already.
    return tuple([0 if tensor is None else tensor.data_ptr() for tensor in tensors])


def _run(call: Call, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Give the outputs that are read, the last states, all outputs where they differ, and what is kept, if asked."""
    layer = _Layer(call)
    hn, cn = layer.empty_states()
    if call.read_steps is None:
        states = layer.empty_outputs()
    else:
        width = layer.directions * layer.outputs
        states = layer.kept(layer.rows * width).view(*call.x.shape[:-1], width)
    reserve = layer.kept(layer.reserve_size()) if keep else None
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
        return states, hn, cn, None, reserve
    return read(states, call.layout, call.read_steps), hn, cn, states, reserve


def read(states: Tensor, dim: int, read_steps: Tensor) -> Tensor:
    """Give the outputs at some of the steps, which lie along a dimension, or say that there are no such steps."""
    try:
        return states.index_select(dim, read_steps)
    except IndexError:
        raise ValueError(
            f"output_steps: expected numbers in 0 … {states.shape[dim] - 1}, got {read_steps.tolist()}"
        ) from None


def _forward(*arguments: Any) -> _Outputs:
    call = Call(*arguments[:-1])
    y, hn, cn, states, reserve = _run(call, arguments[-1])
    nothing = call.x.new_empty
    return (
        y,
        hn,
        cn,
        nothing(0) if states is None else states,
        nothing(0) if reserve is None else reserve,
    )


def _fake_forward(*arguments: Any) -> _Outputs:
    call, keep = Call(*arguments[:-1]), arguments[-1]
    devices = {t.device.type for t in (*call[:3], *call.weights) if t is not None}
    if len(devices) > 1:
        raise RuntimeError(
            f"the input, the state and the weights lie on several devices: {', '.join(sorted(devices))}"
        )
    layer = _Layer(call)
    states, (hn, cn) = layer.empty_outputs(), layer.empty_states()
    reserve = call.x.new_empty(layer.reserve_size() if keep else 0)
    if call.read_steps is None:
        return states, hn, cn, call.x.new_empty(0), reserve
    return states.index_select(call.layout, call.read_steps), hn, cn, states, reserve


def _run_backward(
    call: Call,
    states: Tensor,
    reserve: Tensor,
    outer: tuple[_Gradient, _Gradient, _Gradient],
    wanted: Sequence[bool],
) -> list[_Gradient]:
    """Give the gradients of x, h0, c0, and of each direction's weights in the kernels' order: None where not wanted."""
    layer = _Layer(call)
    gradients = _empty_gradients(call, layer, wanted)
    if not layer.batch:
        return [None if gradient is None else gradient.zero_() for gradient in gradients]
    arrays, weights = layer.arrays(states, None, None, reserve), layer.kernel_weights()
    dtype = call.x.dtype
    dy, dhn, dcn = (None if gradient is None else _dense(gradient.to(dtype)) for gradient in outer)
    read_steps = None if call.read_steps is None else call.read_steps.to(torch.int64).contiguous()
    _native.backward(
        layer.is_double,
        layer.sizes(),
        _addresses(arrays),
        (call.zoneout[0], call.zoneout[1]),
        _addresses(weights),
        _addresses((dy, read_steps, dhn, dcn, *gradients[:3])),
        0 if read_steps is None else len(read_steps),
        _addresses(gradients[3:]),
    )
    return gradients


def _empty_gradients(call: Call, layer: _Layer, wanted: Sequence[bool]) -> list[_Gradient]:
    x, D, B = call.x, layer.directions, layer.batch
    gradients: list[_Gradient] = [
        x.new_empty(x.shape) if wanted[0] else None,
        x.new_empty((D, B, layer.outputs)) if wanted[1] else None,
        x.new_empty((D, B, layer.hidden)) if wanted[2] else None,
    ]
    order = layer.kernel.order
    if not wanted[3]:
        return gradients + [None] * (D * len(order))
    shared = layer.cell.kind != "gru"  # b_hh's gradient is then that of b_ih
    for first in range(0, len(call.weights), layer.cell.weights_per_direction):
        gradients += [
            None
            if place is None or (shared and name == "b_hh")
            else x.new_empty(call.weights[first + place].shape)
            for name, place in zip(KERNEL_WEIGHTS, order, strict=True)
        ]
    return gradients


def _backward(*arguments: Any) -> list[Tensor]:
    """As the op's schema has it: empty where not wanted."""
    call = Call(*arguments[:CALL_LENGTH])
    states, reserve, *outer, wanted = arguments[CALL_LENGTH:]
    if reserve.shape[0] != _Layer(call).reserve_size():
        raise ValueError(
            "fastlstm::sequence_backward: the reserve is not that of a forward call of these sizes"
        )
    gradients = _run_backward(call, states, reserve, (outer[0], outer[1], outer[2]), wanted)
    return [call.x.new_empty(0) if gradient is None else gradient for gradient in gradients]


def _fake_backward(*arguments: Any) -> list[Tensor]:
    call = Call(*arguments[:CALL_LENGTH])
    gradients = _empty_gradients(call, _Layer(call), arguments[-1])
    return [call.x.new_empty(0) if gradient is None else gradient for gradient in gradients]


def _for_each_weight(kernel: _Kernel, dweights: Sequence[_Gradient]) -> list[_Gradient]:
    """From the kernels' order to one gradient a weight, b_hh's that of b_ih where it goes with it."""
    gradients: list[_Gradient] = []
    order = kernel.order
    shared = kernel.cell.kind != "gru" and kernel.cell.has_bias
    for first in range(0, len(dweights), len(order)):
        own = [
            gradient
            for gradient, place in zip(dweights[first : first + len(order)], order, strict=True)
            if place is not None
        ]
        if shared and own[2] is not None:
            own[3] = own[2].clone()  # whoever changes one does not change the other
        gradients += own
    return gradients


class _Sequence(torch.autograd.Function):
    """The op's derivative; :class:`_Direct` is the same without the op."""

    @staticmethod
    def forward(ctx: Any, options: tuple[Any, ...], *tensors: Tensor | None) -> _Outputs:
        x, h0, c0, *weights = tensors
        with torch._C._AutoDispatchBelowAutograd():
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
    def backward(
        ctx: Any, dy: _Gradient, dhn: _Gradient, dcn: _Gradient, *_: _Gradient
    ) -> tuple[_Gradient, ...]:
        *given, states, reserve = ctx.saved_tensors
        weights = given[3:-_FIXED]
        call = Call._make([*given[:3], weights, *given[-_FIXED:], *ctx.options])
        needs = ctx.needs_input_grad
        wanted = [*needs[1:4], any(needs[4:])]
        if ctx.direct and not torch.is_grad_enabled() and not is_traced() and _are_plain(dy, dhn, dcn):
            dx, dh0, dc0, *dweights = _run_backward(call, states, reserve, (dy, dhn, dcn), wanted)
        else:
            from fastlstm.ops import derivatives  # which stands on this module

            found = derivatives.backward(call, states, reserve, (dy, dhn, dcn), wanted)
            dx, dh0, dc0 = (g if need else None for g, need in zip(found, wanted[:3], strict=False))
            dweights = found[3:]
        if not wanted[3]:
            return None, dx, dh0, dc0, *[None] * len(weights)
        kernel = _kernel_of(call.kind, tuple(call.variants))
        return None, dx, dh0, dc0, *_for_each_weight(kernel, dweights)


class _Direct(_Sequence):
    """Straight to the kernel: the dispatcher's way through Python takes longer than a small layer."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        y, hn, cn, states, reserve = _run(call, keep=True)
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
        y, hn, cn, _, _ = _run(call, keep=False)
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


def run_bfloat16(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Run a call that :func:`serves_bfloat16`; its tensors may be float32, y and hn come in bfloat16, cn in float32."""
    x, h0, c0 = call.x.bfloat16(), call.h0, call.c0
    layer = _Layer(
        call._replace(
            x=x,
            h0=None if h0 is None else h0.bfloat16(),
            c0=None if c0 is None else c0.float(),
            weights=[weight.float() for weight in call.weights],
        )
    )
    y, (hn, cn) = layer.empty_outputs(), layer.empty_states()
    cn = cn.float()
    if layer.batch:
        arrays, weights = layer.arrays(y, hn, cn, None), layer.kernel_weights()
        _native.forward16(layer.sizes(), _addresses(arrays), _addresses(weights), torch.get_num_threads())
    return (y if call.read_steps is None else read(y, call.layout, call.read_steps)), hn, cn


def layers_at_once(call: Call, layers: int, threads: int) -> bool:
    """Say whether so many layers are better run by :func:`run_stack` than one by one; ``call`` is the first's."""
    layer = _Layer(call)
    return bool(layer.batch) and _native.layers_at_once(layer.sizes(), layers, threads)


def empty_outputs(call: Call) -> Tensor:
    """Make room for every step's output of a call."""
    return _Layer(call).empty_outputs()


def run_stack(calls: Sequence[Call], y: Tensor, threads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run layers at once, without gradients: each call's x after the first is where the one before leaves its outputs.

    Parameters
    ----------
    calls
        Of one direction each, checked.
    y
        Where the last leaves its outputs.
    threads
        How many there are.
    """
    ends = [*(call.x for call in calls[1:]), y]
    layers, held, last = [], [], []
    for call, end in zip(calls, ends, strict=True):
        layer = _Layer(call)
        states = layer.empty_states()
        arrays, weights = layer.arrays(end, *states, None), layer.kernel_weights()
        held += [arrays, weights]  # until they have been read
        last.append(states)
        layers.append((layer.sizes(), _addresses(arrays), _addresses(weights)))
    first = calls[0]
    zoneout = (first.zoneout[0], first.zoneout[1])
    _native.forward_stack(first.x.dtype == torch.float64, layers, zoneout, threads)
    del held
    h, c = (torch.cat(states) for states in zip(*last, strict=True))
    return y, h, c


def is_traced() -> bool:
    """Say whether someone between the caller and the kernel wants to see the op: a compiler, a mode, a transform."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or torch._C._is_tracing()
        or torch.autograd.forward_ad._current_level >= 0
    )


def _are_plain(*outer: _Gradient) -> bool:
    """Whether a kernel may read them; not under ``torch.autograd.grad(…, is_grads_batched=True)``, a ``vmap``."""
    first = next((gradient for gradient in outer if gradient is not None), None)
    is_mapped = first is not None and torch._C._functorch.is_legacy_batchedtensor(first)
    return not is_mapped and _PLAIN.issuperset(map(type, outer))


def needs_gradient(call: Call) -> bool:
    """Say whether something of a call asks for a gradient."""
    return any(t is not None and t.requires_grad for t in (*call[:3], *call.weights))


_library.impl("sequence", _forward, "CPU")
_library.impl("sequence", _fake_forward, "Meta")
_library.impl("sequence_backward", _backward, "CPU")
_library.impl("sequence_backward", _fake_backward, "Meta")
