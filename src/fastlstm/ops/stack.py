"""Layers on one another, all on the way at once: a wavefront through layers and time.

Where a layer has too few sequences to share among threads, each layer runs on a thread of its own, some steps behind
the one whose outputs it reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastlstm import _native, ops
from fastlstm.ops import kernel, native
from fastlstm.ops.call import PACKED, Call
from fastlstm.ops.cell import Cell

__all__ = ["MOST_SEQUENCES", "stack"]

MOST_SEQUENCES = _native.ROWS_TO_STACK - 1  # with more, layers run one by one: the kernel need not be asked


def stack(
    cell: Cell,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    layers: Sequence[Sequence[Tensor]],
    *,
    batch_first: bool = False,
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    packed_batch: int = 0,
    reset: Tensor | None = None,
    zoneout: tuple[float, float] = (0.0, 0.0),
    rounded: bool = False,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Run layers of one direction without gradients, where it is faster to run them at once.

    Parameters
    ----------
    cell
        Of every layer.
    x
        As for :func:`fastlstm.ops.sequence`, as are the options.
    h0, c0
        ``(L, B, P)`` and ``(L, B, H)``, or None for zeros.
    layers
        The weights of each of L layers, in the order of ``cell.weight_names``.

    Returns
    -------
    y, hn, cn
        Of the last layer, and the last states of all: shaped as ``x`` with P values a row, ``(L, B, P)`` and
        ``(L, B, H)`` (``(0,)`` without a cell state). None where layers are better run one by one.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops import Cell
    >>> from fastlstm.ops.stack import stack
    >>> threads = torch.get_num_threads()
    >>> torch.set_num_threads(2)
    >>> layer = [torch.zeros(400, 100), torch.zeros(400, 100), torch.ones(400), torch.zeros(400)]
    >>> y, hn, cn = stack(Cell(), torch.ones(200, 1, 100), None, None, [layer, layer])
    >>> torch.set_num_threads(threads)
    >>> y.shape, hn.shape
    (torch.Size([200, 1, 100]), torch.Size([2, 1, 100]))
    """
    threads = torch.get_num_threads()
    if threads < 2 or rounded or x.dtype not in kernel.DTYPES or x.device.type != "cpu":
        return None
    layout = PACKED if batch_sizes is not None else int(batch_first)
    calls: list[Call] = []
    for place, weights in enumerate(layers):
        h, c = (None if state is None else state[place : place + 1] for state in (h0, c0))
        call = Call(
            x, h, c, weights, lengths, batch_sizes, reset, None, None, None, cell.kind, cell.variants, layout,
            packed_batch, zoneout, False, False,
        )  # fmt: skip
        if not native.is_plain(call) or (torch.is_grad_enabled() and native.needs_gradient(call)):
            return None
        ops.check(
            cell,
            x,
            call.c0,
            weights,
            reset=reset,
            zoneout=zoneout,
            batch_sizes=batch_sizes,
            packed_batch=packed_batch,
            batch_first=batch_first,
        )
        if not calls and not kernel.layers_at_once(call, len(layers), threads):
            return None
        calls.append(call)
        x = kernel.empty_outputs(call)
    return kernel.run_stack(calls, x, threads)
