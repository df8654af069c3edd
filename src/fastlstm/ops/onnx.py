"""A call as one node of ONNX: ``torch.onnx.export`` finds it in the graph that it draws.

https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html and onnx__RNN.html are the equations that the nodes stand
for. Their gates come in another order, and their two biases in one tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from fastlstm.ops import private
from fastlstm.ops.call import BATCH_FIRST, PACKED, Call
from fastlstm.ops.cell import Cell, Weights

# Which of our gates ONNX's are; None: a block of zeros. Ours are i, f, g, o; i, g, o; r, z, n.
GATES: Final = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}  # i, o, f, c; z, r, h
_COUPLED: Final = (0, 2, None, 1)
_PEEPHOLES: Final = (0, 2, 1)  # i, o, f of ours: i, f, o
_COUPLED_PEEPHOLES: Final = (0, 1, None)  # of ours: i, o
_NODES: Final = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


def under_way() -> bool:
    """Whether ``torch.onnx.export`` draws its graph now."""
    return torch.onnx.is_in_onnx_export()


# A compiler takes is_in_onnx_export for a constant False, also in the strict export that torch.onnx.export tries last.
# This is torch.compiler.assume_constant_result, which would import the compiler: as long again as torch itself takes.
under_way._dynamo_marked_constant = True  # type: ignore[attr-defined]


def sequence(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Put a node for a call into the graph.

    Raises
    ------
    ValueError
        Where ONNX has no node for it, with the mend.
    """
    cell = Cell(call.kind, *call.variants)
    _check(call, cell)
    x = call.x.transpose(0, 1) if call.layout == BATCH_FIRST else call.x
    directions = cell.directions(call.weights)
    hidden, count = directions[0].w_hh.shape[1], len(directions)
    steps, batch = x.shape[:2]
    lengths = None if call.lengths is None else call.lengths.to(torch.int32)
    attributes: dict[str, Any] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if count == 2 else "reverse" if call.reverse else "forward",
    }
    inputs = [x, *_weights(cell, directions), lengths, call.h0]
    shapes: list[Sequence[Any]] = [(steps, count, batch, hidden), (count, batch, hidden)]
    if cell.has_cell_state:
        inputs += [call.c0, _peepholes(cell, directions)]
        shapes.append((count, batch, hidden))
        if cell.coupled:
            attributes["input_forget"] = 1
    elif cell.kind == "gru":
        attributes["linear_before_reset"] = 1
    else:
        attributes["activations"] = ["Tanh" if cell.kind == "rnn_tanh" else "Relu"] * count
    outputs = torch.onnx.ops.symbolic_multi_out(
        _NODES[cell.kind], inputs, attributes, dtypes=[x.dtype] * len(shapes), shapes=shapes
    )
    hn, cn = outputs[1], outputs[2] if cell.has_cell_state else call.x.new_empty(0)
    if lengths is not None:  # ONNX Runtime gives zeros as the state of a sequence of no steps
        is_empty = (lengths == 0).unsqueeze(-1)
        hn = hn if call.h0 is None else torch.where(is_empty, call.h0, hn)
        cn = cn if call.c0 is None else torch.where(is_empty, call.c0, cn)
    y = outputs[0].squeeze(1) if count == 1 else outputs[0].transpose(1, 2).flatten(2)
    y = y.transpose(0, 1) if call.layout == BATCH_FIRST else y
    if call.read_steps is not None:
        y = y.index_select(call.layout, call.read_steps)
    return y, hn, cn


def _check(call: Call, cell: Cell) -> None:
    if private.is_traced_by_jit():
        raise ValueError(
            "torch.onnx.export: not with dynamo=False, which knows no ops but PyTorch's: use dynamo=True"
        )
    found = {
        "layer_norm": cell.layer_norm,
        "proj_size": cell.projected,
        "zoneout": any(call.zoneout),
        "recurrent_dropout in training (call eval() first)": call.recurrent_mask is not None,
        "reset": call.reset is not None,
    }
    if call.layout == PACKED:
        raise ValueError("torch.onnx.export: ONNX has no PackedSequence: give the padded tensor and lengths=")
    refused = [name for name, there in found.items() if there]
    if refused:
        none = ", no ".join(refused)
        raise ValueError(
            f"torch.onnx.export: ONNX's {_NODES[cell.kind]} has no {none}, which torch.export takes"
        )


def _in_order(blocks: Tensor, order: Sequence[int | None]) -> Tensor:
    """Put the blocks along dimension 1 into another order."""
    if None in order:
        blocks = torch.cat([blocks, torch.zeros_like(blocks[:, :1])], dim=1)
    last = blocks.shape[1] - 1
    places = [last if place is None else place for place in order]
    return blocks.index_select(1, torch.tensor(places, device=blocks.device))


def _weights(cell: Cell, directions: Sequence[Weights]) -> list[Tensor | None]:
    """Give W, R and B: ``(D, G·H, I)``, ``(D, G·H, H)`` and ``(D, 2·G·H)``."""
    order = _COUPLED if cell.coupled else GATES[cell.kind.partition("_")[0]]

    def in_order(name: str) -> Tensor | None:
        own = [getattr(direction, name) for direction in directions]
        if own[0] is None:
            return None
        return _in_order(torch.stack(own).unflatten(1, (cell.gates, -1)), order).flatten(1, 2)

    b_ih, b_hh = in_order("b_ih"), in_order("b_hh")
    bias = None if b_ih is None or b_hh is None else torch.cat([b_ih, b_hh], dim=1)
    return [in_order("w_ih"), in_order("w_hh"), bias]


def _peepholes(cell: Cell, directions: Sequence[Weights]) -> Tensor | None:
    """Give P, ``(D, 3·H)``."""
    own = [direction.w_peephole for direction in directions if direction.w_peephole is not None]
    if not own:
        return None
    order, gates = (_COUPLED_PEEPHOLES, 2) if cell.coupled else (_PEEPHOLES, 3)
    return _in_order(torch.stack(own).unflatten(1, (gates, -1)), order).flatten(1)
