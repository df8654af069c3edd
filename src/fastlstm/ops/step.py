"""The step kernel: one time step of all layers, in microseconds.

``native/step.h`` is its contract. Full weights are read where the parameters have them, at every call; reduced ones are
copies, made anew when torch's count of changes, the address or a sample of the values says that a parameter changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.utils import _pytree

from fastlstm import _native
from fastlstm.ops.call import KERNEL_WEIGHTS
from fastlstm.ops.cell import Cell
from fastlstm.ops.kernel import code_of

__all__ = ["REDUCED", "State", "handle", "take_step"]

REDUCED: Final = ("bfloat16", "int8")

State = _native.State
Sequence.register(State)
torch.serialization.add_safe_globals([tuple])  # as which a state is pickled: torch.load takes it by default
# Trees of tensors (torch.func, tree_map) hold its h and c, and a tuple of what becomes of them.
_pytree.register_pytree_node(State, lambda state: (list(state), None), lambda parts, _: tuple(parts))

take_step = _native.take_step
"""``take_step(module, x, state, reset, weights)`` by the :func:`handle` that is the module's ``_step_handle``.

Returns the output and the state, or ``NotImplemented`` where the kernel does not take what it is given.
"""


def handle(
    cell: Cell,
    inputs: int,
    hidden: int,
    outputs: int,
    names: Sequence[Sequence[str]],
    zoneout: tuple[float, float],
    learns_initial_state: bool,
) -> _native.StepHandle:
    """Prepare a stack's steps: everything but the weights.

    Parameters
    ----------
    cell
        Of every layer.
    inputs, hidden, outputs
        I, H and P.
    names
        For each layer, what its parameters are called in the module, in the order of ``cell.weight_names``.
    zoneout
        The shares of h and c that units keep of their old value. The module's own, the same object.
    learns_initial_state
        Whether the module has parameters ``h0``, and ``c0`` where there is a cell, to begin with.

    Returns
    -------
    handle
        For :func:`take_step`. It is no part of the module: pickled or copied with it, it becomes None.

    Examples
    --------
    >>> import torch
    >>> from fastlstm import RNN
    >>> from fastlstm.ops.step import handle, take_step
    >>> rnn = RNN(3, 2).eval()
    >>> names = [["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]]
    >>> rnn._step_handle = handle(rnn.cell, 3, 2, 2, names, rnn.zoneout, False)
    >>> y, h = take_step(rnn, torch.ones(3), None, None, None)
    >>> torch.allclose(y, rnn(torch.ones(1, 3))[0][0])
    True
    """
    slots = tuple(
        tuple(dict(zip(cell.weight_names, layer, strict=True)).get(weight) for weight in KERNEL_WEIGHTS)
        for layer in names
    )
    return _native.StepHandle(code_of(cell), (inputs, hidden, outputs), slots, zoneout, learns_initial_state)
