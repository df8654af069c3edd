"""``vmap`` of the ops: what is mapped becomes part of the batch.

A call whose sequences differ along the mapped dimension is folded: one call on V·B sequences, where V is the size of
the dimension. Where the weights, or what else all sequences of a call share, are mapped, there is a call for each
place. So there is for gradients of weights that are not mapped, as ``vmap(grad(…))`` asks for: each place has a sum of
its own, and the products that a folded call would leave to do cost more than what it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm.ops import native, private
from fastlstm.ops.call import BATCH_FIRST, CALL_LENGTH, PACKED, Call

_FOR_WEIGHTS = 2  # what to keep
_op, _backward_op = torch.ops.fastlstm.sequence, torch.ops.fastlstm.sequence_backward


class _Mapped(NamedTuple):
    """A call whose tensors have one dimension more here and there, and which dimension that is."""

    size: int  # V, of the dimension
    call: Call
    dims: Any  # of the call's arguments, by the same names

    @property
    def folds(self) -> bool:
        """Whether all that is mapped belongs to one sequence or another."""
        common = (*self.dims.weights, self.dims.batch_sizes, self.dims.seed, self.dims.read_steps)
        draws = self.call.seed is not None and any(self.call.zoneout)  # by a sequence's number in the batch
        return self.call.layout != PACKED and not draws and all(dim is None for dim in common)

    def rows(self, tensor: Any, dim: int | None) -> Any:
        """From rows of one layout, some values each, to ``(V·B, T, …)``."""
        if tensor is None:
            return None
        tensor = _in_front(tensor, dim, self.size)
        if self.call.layout != BATCH_FIRST:
            tensor = tensor.transpose(1, 2)
        return tensor.reshape(-1, *tensor.shape[2:])

    def unfolded_rows(self, folded: Tensor) -> Tensor:
        tensor: Tensor = folded.unflatten(0, (self.size, -1))
        return tensor if self.call.layout == BATCH_FIRST else tensor.transpose(1, 2)

    def state(self, tensor: Any, dim: int | None) -> Any:
        """From ``(D, B, …)`` to ``(D, V·B, …)``."""
        if tensor is None:
            return None
        tensor = _in_front(tensor, dim, self.size).transpose(0, 1)
        return tensor.reshape(tensor.shape[0], -1, tensor.shape[-1])

    def unfolded_state(self, folded: Tensor) -> Tensor:
        tensor: Tensor = folded.unflatten(1, (self.size, -1))
        return tensor.transpose(0, 1)

    def folded(self) -> Call:
        call, dims = self.call, self.dims
        lengths = call.lengths
        return call._replace(
            x=self.rows(call.x, dims.x),
            h0=self.state(call.h0, dims.h0),
            c0=self.state(call.c0, dims.c0),
            lengths=None if lengths is None else _in_front(lengths, dims.lengths, self.size).flatten(),
            reset=self.rows(call.reset, dims.reset),
            recurrent_mask=self.state(call.recurrent_mask, dims.recurrent_mask),
            layout=BATCH_FIRST,
        )

    def places(self) -> Iterable[Call]:
        """Give the calls of which it consists."""
        return map(Call._make, _each(self.call, self.dims, self.size))


def _in_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _each(arguments: Iterable[Any], dims: Iterable[Any], size: int) -> Iterable[tuple[Any, ...]]:
    """Give the arguments at each place."""
    along = [
        list(_each(argument, dim, size))
        if isinstance(dim, (list, tuple))
        else repeat(argument, size)
        if dim is None
        else argument.unbind(dim)
        for argument, dim in zip(arguments, dims, strict=True)
    ]
    return zip(*along, strict=True)


def _stacked(places: Sequence[Sequence[Tensor]]) -> tuple[list[Tensor], list[int]]:
    outputs = [torch.stack(tensors) for tensors in zip(*places, strict=True)]
    return outputs, [0] * len(outputs)


def _run(call: Call, keep: int) -> Sequence[Tensor]:
    """Run a call on the levels below; where there is none, past the dispatcher, whose way is long for a small call."""
    if _is_plain(call):
        return native._forward(*call, keep)
    outputs: Sequence[Tensor] = _op(*call, keep)
    return outputs


def _run_backward(call: Call, *rest: Any) -> Sequence[Tensor]:
    if _is_plain(call):
        return native._backward(*call, *rest)
    gradients: Sequence[Tensor] = _backward_op(*call, *rest)
    return gradients


def _is_plain(call: Call) -> bool:
    return (
        len(private.transform_levels()) <= 1
        and not call.x.is_meta
        and not torch.compiler.is_compiling()
        and private.count_modes() == 0
        and not private.in_forward_mode()
        and not (torch.is_grad_enabled() and native.needs_gradient(call))
    )


def _vmap_forward(info: Any, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    mapped = _Mapped(info.batch_size, Call(*arguments[:-1]), Call(*dims[:-1]))
    keep = arguments[-1]
    if not mapped.folds or keep == _FOR_WEIGHTS:
        return _stacked([_run(call, keep) for call in mapped.places()])
    y, hn, cn, states, reserve = _run(mapped.folded(), keep)
    has_cell_state, has_states = cn.dim() > 1, mapped.call.read_steps is not None
    outputs = (
        mapped.unfolded_rows(y),
        mapped.unfolded_state(hn),
        mapped.unfolded_state(cn) if has_cell_state else cn,
        mapped.unfolded_rows(states) if has_states else states,
        _in_front(reserve, None, mapped.size),  # for each place the whole of it
    )
    return outputs, (0, 0, 0 if has_cell_state else None, 0 if has_states else None, 0)


def _vmap_backward(info: Any, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    mapped = _Mapped(info.batch_size, Call(*arguments[:CALL_LENGTH]), Call(*dims[:CALL_LENGTH]))
    *given, wanted = arguments[CALL_LENGTH:]
    *given_dims, _ = dims[CALL_LENGTH:]
    if not mapped.folds or wanted[3]:
        places = zip(mapped.places(), _each(given, given_dims, mapped.size), strict=True)
        return _stacked([_run_backward(call, *place, wanted) for call, place in places])
    states, reserve, dy, dhn, dcn = given
    states_dim, reserve_dim, dy_dim, dhn_dim, dcn_dim = given_dims
    call = mapped.folded()
    if reserve_dim is None:  # the forward pass was the same for all places
        y, _, _, states, reserve = _run(call, 1)
        states = y if call.read_steps is None else states
    else:
        states, reserve = mapped.rows(states, states_dim), reserve.select(reserve_dim, 0)
    of_cells = None if dcn is None or dcn.dim() < 2 else mapped.state(dcn, dcn_dim)
    of_rows, of_states = mapped.rows(dy, dy_dim), mapped.state(dhn, dhn_dim)
    dx, dh0, dc0, *dweights = _run_backward(call, states, reserve, of_rows, of_states, of_cells, wanted)
    gradients = [
        mapped.unfolded_rows(dx) if wanted[0] else dx,
        *(mapped.unfolded_state(d) if want else d for d, want in zip((dh0, dc0), wanted[1:3], strict=True)),
        *dweights,
    ]
    return gradients, [*(0 if want else None for want in wanted[:3]), *(None for _ in dweights)]


def _legacy_vmap_backward(*arguments: Any) -> list[Tensor]:
    """Serve the ``vmap`` of ``torch.autograd.grad(…, is_grads_batched=True)``, which is not that of ``torch.func``."""
    size = 0

    def unwrapped(argument: Any) -> tuple[Any, Any]:
        nonlocal size
        if isinstance(argument, list) and argument and isinstance(argument[0], Tensor):
            tensors, dims = zip(*map(unwrapped, argument), strict=True)
            return list(tensors), list(dims)
        if not isinstance(argument, Tensor) or not private.is_legacy_mapped(argument):
            return argument, None
        tensor = private.remove_legacy_dimension(argument)
        size = tensor.shape[0]
        return tensor, 0

    tensors, dims = zip(*map(unwrapped, arguments), strict=True)
    found, found_dims = _vmap_backward(SimpleNamespace(batch_size=size), dims, *tensors)
    return [
        gradient if dim is None else private.add_legacy_dimension(gradient, dim)
        for gradient, dim in zip(found, found_dims, strict=True)
    ]


def register() -> None:
    """Tell the dispatcher."""
    library = native._library
    library.impl("sequence_backward", _legacy_vmap_backward, "Batched")
    torch.library.register_vmap("fastlstm::sequence", _vmap_forward, lib=library)
    torch.library.register_vmap("fastlstm::sequence_backward", _vmap_backward, lib=library)
