"""A call of the op: its arguments, and the equations that it stands for, forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from fastlstm.ops import reference
from fastlstm.ops.cell import Cell

BATCH_FIRST, PACKED = 1, 2  # layouts; 0 is time-major
# The weights that kernels know, in their order.
KERNEL_WEIGHTS: Final = (
    "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "w_peephole", "gain_ih", "gain_hh", "gain_c", "bias_c",
)  # fmt: skip


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
    rounded: (
        bool  # whether products may be of operands rounded to bfloat16, where the CPU multiplies those faster
    )


CALL_LENGTH: Final = len(Call._fields)
OPTIONS: Final = Call._fields.index("lengths")  # from there on nothing has a gradient
TENSOR_OPTIONS: Final = (
    Call._fields.index("kind") - OPTIONS
)  # and so many of these are tensors, read_steps the last


@lru_cache
def cell_of(kind: str, variants: tuple[bool, ...]) -> Cell:
    """Give the cell that two of a call's arguments describe."""
    # The schema calls the variants integers: torch.jit.trace knows no list of bools.
    return Cell(kind, *map(bool, variants))


def equations(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Compute y at the steps that are read, and the last states, in operations that PyTorch has every derivative of."""
    y, hn, cn = reference.sequence(
        cell_of(call.kind, tuple(call.variants)), call.x, call.h0, call.c0, call.weights, lengths=call.lengths,
        batch_sizes=call.batch_sizes, batch_first=call.layout == BATCH_FIRST, reset=call.reset,
        recurrent_mask=call.recurrent_mask, zoneout=(call.zoneout[0], call.zoneout[1]), seed=call.seed,
        reverse=call.reverse,
    )  # fmt: skip
    return (y if call.read_steps is None else y.index_select(call.layout, call.read_steps)), hn, cn


def gradients(
    call: Call, dy: Tensor | None, dhn: Tensor | None, dcn: Tensor | None, wanted: Sequence[bool]
) -> list[Tensor]:
    """Compute what ``fastlstm::sequence_backward`` gives, in such operations too.

    Returns
    -------
    gradients
        Of x, h0, c0, and of each direction's weights in the kernels' order: empty where not wanted or not there, and
        for b_hh where its gradient is that of b_ih.
    """
    cell = cell_of(call.kind, tuple(call.variants))
    places = [place for place, tensor in enumerate((*call[:3], *call.weights)) if tensor is not None]

    def run(*leaves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = dict(zip(places, leaves, strict=True))
        x, h0, c0, *weights = (own.get(place) for place in range(3 + len(call.weights)))
        return equations(Call(x, h0, c0, weights, *call[OPTIONS:]))  # type: ignore[arg-type]

    outputs, pull_back, *_ = torch.func.vjp(run, *(t for t in (*call[:3], *call.weights) if t is not None))
    given = tuple(
        torch.zeros_like(output) if gradient is None else gradient
        for output, gradient in zip(outputs, (dy, dhn, dcn), strict=True)
    )
    own: dict[int, Any] = dict(zip(places, pull_back(given), strict=True))

    def given_back(place: int, is_wanted: bool) -> Tensor:
        gradient: Tensor = own[place] if is_wanted and place in own else call.x.new_empty(0)
        return gradient

    names = cell.weight_names
    shared = cell.kind != "gru"
    return [given_back(place, wanted[place]) for place in range(3)] + [
        given_back(first + names.index(name), wanted[3] and not (shared and name == "b_hh"))
        if name in names
        else call.x.new_empty(0)
        for first in range(3, 3 + len(call.weights), len(names))
        for name in KERNEL_WEIGHTS
    ]
