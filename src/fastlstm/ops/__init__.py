"""The sequence op: one function for every cell, and the choice of the kernel that serves a call.

===========  ==================================================================  =====================
kernel       serves                                                              implemented in
===========  ==================================================================  =====================
native       the CPU; float32, float64, half precision computed in float32, and  :mod:`.native`
             bfloat16 without gradients where the CPU multiplies it; with
             gradients its products alone
torch        other devices, where PyTorch's own kernels do what is asked         ``torch.lstm``, …
reference    everything else                                                     :mod:`.reference`
===========  ==================================================================  =====================
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastlstm import _native
from fastlstm.ops import derivatives, native, reference, vmap
from fastlstm.ops.call import PACKED, Call
from fastlstm.ops.cell import Cell
from fastlstm.ops.kernel import DTYPES, run_bfloat16

__all__ = ["Cell", "check", "explain", "multiplies_bfloat16", "sequence"]

_HALF_PRECISION = (torch.bfloat16, torch.float16)
_NATIVE_DEVICES = ("cpu", "meta")
_NO_ZONEOUT = (0.0, 0.0)


derivatives.register()
vmap.register()


def sequence(
    cell: Cell,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *,
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    packed_batch: int = 0,
    batch_first: bool = False,
    reset: Tensor | None = None,
    recurrent_mask: Tensor | None = None,
    zoneout: tuple[float, float] = _NO_ZONEOUT,
    seed: Tensor | None = None,
    reverse: bool = False,
    read_steps: Tensor | None = None,
    in_bfloat16: bool = False,
    rounded: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in one or both directions; :mod:`.reference` states the equations.

    T time steps, B sequences, I inputs, H hidden units, P outputs a step (= H without a projection), D directions.

    Parameters
    ----------
    cell
        Which cell it is.
    x
        ``(T, B, I)``; ``(B, T, I)`` with ``batch_first``; ``(rows, I)`` with ``batch_sizes``.
    h0, c0
        ``(D, B, P)`` and ``(D, B, H)``; None means zeros. ``c0`` is None for a cell without a cell state (GRU, RNN).
    weights
        Those of one direction after the other, each in the order of ``cell.weight_names``;
        :class:`~fastlstm.ops.cell.Weights` tells their shapes.
    lengths
        ``(B,)`` integers in 0 … T, in any order: outputs past them are zero, the last state is the one at the end.
    batch_sizes, packed_batch
        ``(T,)`` and the number of sequences of a :class:`~torch.nn.utils.rnn.PackedSequence`.
    reset
        bool ``(T, B)``; ``(B, T)`` with ``batch_first``; ``(rows,)`` with ``batch_sizes``. Where true, the sequence is
        cut between the step before and this one: the state, an initial one too, is taken as zero and no gradient
        passes. The direction that runs backwards forgets on its way from this step to the one before; a reset at the
        first step has nothing to cut there.
    recurrent_mask
        ``(D, B, P)``: multiplies the hidden state where it enters the recurrent product, the same at every step
        (Gal & Ghahramani 2016). In a GRU it does not touch the state that the update gate carries over.
    zoneout
        The rates, in 0 ≤ rate < 1, at which units of h and of c keep their old value (Krueger et al. 2017). Not with a
        projection: a projected h is a mixture, none of whose values belongs to one unit.
    seed
        int64 ``(1,)`` for zoneout's masks, see :mod:`.random`; without it, masks are replaced by their expectation.
    read_steps
        ``(K,)`` integers in 0 … T - 1: the time steps at which outputs are wanted, in any order. The others cost
        nothing on the way back. Not with ``batch_sizes``.
    reverse
        Whether the weights are those of one direction that runs from the end to the beginning.
    in_bfloat16
        Whether the weight matrices are rounded to bfloat16, whatever the type of the rest, and multiplied so where the
        CPU does and no gradient is kept.
    rounded
        Whether the operands of float32 products may be rounded to bfloat16, forwards and backwards, where the CPU
        multiplies those faster; sums, gates, cells and gradients stay float32. Always for x in bfloat16.

    Returns
    -------
    y, hn, cn
        Shaped as ``x`` with D·P values a row (and K steps), ``(D, B, P)``, ``(D, B, H)``. Without a cell state, ``cn``
        is an empty tensor ``(0,)``.

    Raises
    ------
    ValueError
        For arguments that do not fit the cell, the input, or each other.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops import Cell, sequence
    >>> w_ih, w_hh = torch.zeros(8, 3), torch.zeros(8, 2)
    >>> y, hn, cn = sequence(Cell("lstm", has_bias=False), torch.ones(5, 4, 3), None, None, [w_ih, w_hh])
    >>> y.shape, hn.shape, cn.shape
    (torch.Size([5, 4, 2]), torch.Size([1, 4, 2]), torch.Size([1, 4, 2]))
    """
    if read_steps is not None and batch_sizes is not None:
        raise ValueError("read_steps: packed rows are no time steps; give lengths instead of batch_sizes")
    check(
        cell,
        x,
        c0,
        weights,
        reset=reset,
        recurrent_mask=recurrent_mask,
        zoneout=zoneout,
        seed=seed,
        reverse=reverse,
        batch_sizes=batch_sizes,
        packed_batch=packed_batch,
        batch_first=batch_first,
    )
    kernel, _ = _choose(cell, x, lengths, reset, recurrent_mask, zoneout, reverse)
    if kernel == "torch":
        y, hn, cn = _torch_sequence(cell, x, h0, c0, weights, batch_sizes, packed_batch, batch_first)
        return y if read_steps is None else y.index_select(int(batch_first), read_steps), hn, cn
    dtype = x.dtype
    layout = PACKED if batch_sizes is not None else int(batch_first)

    def call() -> Call:
        return Call(
            x, h0, c0, weights, lengths, batch_sizes, reset, recurrent_mask, seed, read_steps, cell.kind,
            cell.variants, layout, packed_batch, zoneout, reverse, rounded or dtype == torch.bfloat16,
        )  # fmt: skip

    if kernel == "native" and (in_bfloat16 or dtype == torch.bfloat16):
        narrow = call()
        if native.serves_bfloat16(narrow, cell):
            y, hn, cn = run_bfloat16(narrow)
            return y.to(dtype), hn.to(dtype), cn.to(dtype)
    if in_bfloat16:
        weights = [weight.bfloat16().to(weight.dtype) if weight.dim() == 2 else weight for weight in weights]
    if dtype in _HALF_PRECISION:
        x, h0, c0 = x.float(), None if h0 is None else h0.float(), None if c0 is None else c0.float()
        weights = [weight.float() for weight in weights]
        recurrent_mask = None if recurrent_mask is None else recurrent_mask.float()
    if kernel == "native":
        y, hn, cn = native.run(call())
    else:
        y, hn, cn = reference.sequence(
            cell, x, h0, c0, weights, lengths=lengths, batch_sizes=batch_sizes, batch_first=batch_first, reset=reset,
            recurrent_mask=recurrent_mask, zoneout=zoneout, seed=seed, reverse=reverse,
        )  # fmt: skip
        if read_steps is not None:
            y = y.index_select(int(batch_first), read_steps)
    return (y, hn, cn) if y.dtype == dtype else (y.to(dtype), hn.to(dtype), cn.to(dtype))


def explain(
    x: Tensor,
    lengths: Tensor | None = None,
    *,
    cell: Cell = Cell(),  # noqa: B008 it is frozen
    reset: Tensor | None = None,
    recurrent_mask: Tensor | None = None,
    zoneout: tuple[float, float] = _NO_ZONEOUT,
) -> str:
    """Say which kernel serves a call with these arguments, and why.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.ops import explain
    >>> explain(torch.zeros(5, 4, 3, dtype=torch.int64))
    'reference: no kernel takes torch.int64 on cpu'
    """
    device = x.device.type
    kernel, unserved = _choose(cell, x, lengths, reset, recurrent_mask, zoneout, reverse=False)
    if kernel == "reference":
        return f"reference: no kernel takes {', '.join(unserved)} on {device}"
    if kernel == "torch":
        return f"torch: PyTorch has its own kernel for {device}"
    computed = ", computed in float32" if x.dtype in _HALF_PRECISION else ""
    if x.dtype == torch.bfloat16 and multiplies_bfloat16() and not cell.layer_norm:
        computed += " but for products"
    return f"native: {x.dtype} on the CPU{computed} with {_native.instruction_set()} instructions"


def multiplies_bfloat16() -> bool:
    """Say whether this CPU multiplies bfloat16 faster than float32, so that products are of it on request.

    Intel's processors do with AMX, AMD's with AVX512-BF16.
    """
    return _native.has_bfloat16()


def _choose(
    cell: Cell,
    x: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    recurrent_mask: Tensor | None,
    zoneout: tuple[float, float],
    reverse: bool,
) -> tuple[str, list[str]]:
    """Name the kernel that serves a call, and where it is the reference, what the device's own kernel does not take."""
    on_native_device = x.device.type in _NATIVE_DEVICES
    if on_native_device:
        unserved = [] if x.dtype in DTYPES or x.dtype in _HALF_PRECISION else [str(x.dtype)]
    else:  # PyTorch's own kernels
        given = {"lengths": lengths, "reset": reset, "recurrent_mask": recurrent_mask}
        unserved = [name for name, argument in given.items() if argument is not None]
        unserved += ["zoneout"] * (zoneout != _NO_ZONEOUT) + ["reverse"] * reverse
        unserved += [name for name in ("peephole", "coupled", "layer_norm") if getattr(cell, name)]
    if unserved:
        return "reference", unserved
    return ("native" if on_native_device else "torch"), unserved


def check(
    cell: Cell,
    x: Tensor,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *,
    zoneout: tuple[float, float],
    batch_sizes: Tensor | None,
    packed_batch: int,
    batch_first: bool,
    reset: Tensor | None = None,
    recurrent_mask: Tensor | None = None,
    seed: Tensor | None = None,
    reverse: bool = False,
) -> None:
    """Raise for what does not fit together; sizes of x and the states are the layers' business."""
    directions, left_over = divmod(len(weights), cell.weights_per_direction)
    if left_over or directions not in ((1,) if reverse else (1, 2)):
        raise ValueError(
            f"weights: expected {cell.weights_per_direction} for "
            f"{'the one direction' if reverse else 'each of one or two directions'} "
            f"({', '.join(cell.weight_names)}), got {len(weights)}"
        )
    if c0 is not None and not cell.has_cell_state:
        raise ValueError(f"c0: a {cell.kind} cell has no cell state; give None")
    if reset is not None:
        rows = x.shape[:-1]
        if reset.dtype != torch.bool or reset.shape != rows:
            raise ValueError(
                f"reset: expected torch.bool of shape {tuple(rows)}, one a step of each sequence, "
                f"got {reset.dtype} of shape {tuple(reset.shape)}"
            )
    if recurrent_mask is not None:
        batch = packed_batch if batch_sizes is not None else x.shape[0 if batch_first else 1]
        expected = (directions, batch, weights[1].shape[1])
        if recurrent_mask.shape != expected:
            raise ValueError(f"recurrent_mask: expected shape {expected}, got {tuple(recurrent_mask.shape)}")
        if recurrent_mask.requires_grad:
            raise ValueError("recurrent_mask: no gradient is taken of it; give recurrent_mask.detach()")
    if zoneout != _NO_ZONEOUT:
        if not all(0 <= rate < 1 for rate in zoneout):
            raise ValueError(f"zoneout: expected rates in 0 ≤ rate < 1, got {zoneout}")
        if zoneout[1] and not cell.has_cell_state:
            raise ValueError(
                f"zoneout: a {cell.kind} cell has no cell state to keep, but its rate is {zoneout[1]}"
            )
        if cell.projected:
            raise ValueError(
                "zoneout: not with a projection: no value of a projected hidden state belongs to one unit, "
                "whose old value could be kept"
            )
    if seed is not None and (seed.dtype != torch.int64 or seed.shape != (1,)):
        raise ValueError(
            f"seed: expected torch.int64 of shape (1,), got {seed.dtype} of shape {tuple(seed.shape)}"
        )


def _torch_sequence(
    cell: Cell,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None,
    packed_batch: int,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    directions = len(weights) // cell.weights_per_direction
    batch = packed_batch if batch_sizes is not None else x.shape[0 if batch_first else 1]
    h0 = x.new_zeros(directions, batch, weights[1].shape[1]) if h0 is None else h0
    state: Tensor | tuple[Tensor, Tensor] = h0
    if cell.has_cell_state:
        state = h0, x.new_zeros(directions, batch, weights[0].shape[0] // 4) if c0 is None else c0
    run = getattr(torch, cell.kind)
    # One layer, no dropout; in training mode always, because only then do all devices allow a backward pass.
    options = (list(weights), cell.has_bias, 1, 0.0, True, directions == 2)
    packed = batch_sizes is not None
    y, hn, *cn = run(x, batch_sizes, state, *options) if packed else run(x, state, *options, batch_first)
    return y, hn, cn[0] if cn else x.new_empty(0)
