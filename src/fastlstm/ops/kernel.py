"""The native CPU kernels, called directly: a call laid out as they read it, forwards and backwards.

Nothing here is recorded or dispatched; :mod:`.native` does that. The tensors are on the CPU, of a type in ``DTYPES``,
and of classes whose memory may be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops.call import KERNEL_WEIGHTS, Call, cell_of
from fastlstm.ops.cell import Cell

DTYPES = (torch.float32, torch.float64)
_KERNELS = {"lstm": 0, "coupled lstm": 1, "gru": 2, "rnn_tanh": 3, "rnn_relu": 4}

# Memory that was given back begins at 0, parts of it further on. Few programs have theirs so low, and are asked more.
_FREED_BELOW = 2**32
Gradient = Tensor | None


class Kernel(NamedTuple):
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
def kernel_of(kind: str, variants: tuple[bool, ...]) -> Kernel:
    """Give what the kernel is told of the cell that two of a call's arguments describe."""
    cell = cell_of(kind, variants)
    names = cell.weight_names
    order = tuple(names.index(name) if name in names else None for name in KERNEL_WEIGHTS)
    return Kernel(cell, code_of(cell), cell.weights_per_direction, order)


def code_of(cell: Cell) -> int:
    """Give the number by which the kernels know a cell."""
    return _KERNELS["coupled lstm" if cell.coupled else cell.kind]


class Layer:
    """A call's sizes and the tensors that the kernel reads and writes."""

    def __init__(self, call: Call) -> None:
        self.call = call
        x, weights = call.x, call.weights
        self.kernel = kernel_of(call.kind, tuple(call.variants))
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
        """Give the sizes and switches in the order in which the kernels take them."""
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
        """Count the values that are kept for a backward pass."""
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


def forward(call: Call, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Give the outputs that are read, the last states, all outputs where they differ, and what is kept, if asked."""
    layer = Layer(call)
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
    return outputs_at(states, call.layout, call.read_steps), hn, cn, states, reserve


def outputs_at(states: Tensor, dim: int, read_steps: Tensor) -> Tensor:
    """Give the outputs at some of the steps, which lie along a dimension, or say that there are no such steps."""
    try:
        return states.index_select(dim, read_steps)
    except IndexError:
        raise ValueError(
            f"output_steps: expected numbers in 0 … {states.shape[dim] - 1}, got {read_steps.tolist()}"
        ) from None


def backward(
    call: Call,
    states: Tensor,
    reserve: Tensor,
    outer: tuple[Gradient, Gradient, Gradient],
    wanted: Sequence[bool],
) -> list[Gradient]:
    """Give the gradients of x, h0, c0, and of each direction's weights in the kernels' order: None where not wanted."""
    layer = Layer(call)
    gradients = empty_gradients(call, layer, wanted)
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


def empty_gradients(call: Call, layer: Layer, wanted: Sequence[bool]) -> list[Gradient]:
    """Make room for the gradients of x, h0, c0, and of the weights in the kernels' order: None where not wanted."""
    x, D, B = call.x, layer.directions, layer.batch
    gradients: list[Gradient] = [
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


def for_each_weight(call: Call, dweights: Sequence[Gradient]) -> list[Gradient]:
    """From the kernels' order to one gradient a weight of a call, b_hh's that of b_ih where it goes with it."""
    kernel = kernel_of(call.kind, tuple(call.variants))
    gradients: list[Gradient] = []
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


def run_bfloat16(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Run a call that :func:`serves_bfloat16`; its tensors may be float32, y and hn come in bfloat16, cn in float32."""
    x, h0, c0 = call.x.bfloat16(), call.h0, call.c0
    layer = Layer(
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
    return (y if call.read_steps is None else outputs_at(y, call.layout, call.read_steps)), hn, cn


def layers_at_once(call: Call, layers: int, threads: int) -> bool:
    """Say whether so many layers are better run by :func:`run_stack` than one by one; ``call`` is the first's."""
    layer = Layer(call)
    return bool(layer.batch) and _native.layers_at_once(layer.sizes(), layers, threads)


def empty_outputs(call: Call) -> Tensor:
    """Make room for every step's output of a call."""
    return Layer(call).empty_outputs()


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
        layer = Layer(call)
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
