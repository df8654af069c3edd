"""The kernels (``native/lstm.h`` is their contract). Arrays are addresses, 0 for none."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

Sizes = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]
"""T, B, I, H, P, directions, layout (0 time-major, 1 batch-first, 2 packed), rows of x, whether projected, cell
(0 LSTM, 1 coupled LSTM, 2 GRU, 3 RNN with tanh, 4 RNN with relu), whether with layer normalisation, whether the one
direction runs backwards, whether products may be of bfloat16."""

RESERVE_HEADER: int
"""Values that a forward call keeps for its backward call, besides those that go with the rows."""

ROWS_TO_STACK: int
"""Sequences from which layers are run one by one, whatever else they are: :func:`layers_at_once` need not be asked."""

def reserve_values(is_double: bool, cell: int, layer_norm: bool, hidden: int, /) -> int:
    """Count the values that a forward call keeps for its backward call, for each row of x and direction."""

def empty32(values: int, /) -> Tensor:
    """Make a float32 vector on memory that an earlier one may have left: no fresh pages."""

def empty64(values: int, /) -> Tensor:
    """Make a float64 vector likewise."""

def forward(
    is_double: bool,
    sizes: Sizes,
    arrays: tuple[int, ...],
    zoneout: tuple[float, float],
    weights: tuple[int, ...],
    threads: int,
    /,
) -> None:
    """Run ``arrays`` through ``weights``.

    ``arrays`` holds lengths, packed_offsets, x, h0, c0, y, hn, cn, reserve, reset, recurrent_mask, seed; ``weights``
    w_ih, w_hh, b_ih, b_hh, w_hr, peephole, gain_ih, gain_hh, gain_c, bias_c for each direction.
    """

def layers_at_once(sizes: Sizes, layers: int, threads: int, /) -> bool:
    """Say whether so many layers of ``sizes`` are better run by ``forward_stack``."""

def forward_stack(
    is_double: bool,
    layers: list[tuple[Sizes, tuple[int, ...], tuple[int, ...]]],
    zoneout: tuple[float, float],
    threads: int,
    /,
) -> None:
    """Run layers of one direction, each of which reads what the one before writes: sizes, arrays, weights of each.

    Nothing is kept for a backward pass.
    """

def lengths_fit(lengths: int, batch: int, steps: int, /) -> bool:
    """Say whether each int64 of ``lengths (batch)`` is in 0 … steps."""

def read_batch_sizes(
    batch_sizes: int, steps: int, batch: int, rows: int, offsets: int, lengths: int, /
) -> bool:
    """Fill ``offsets (steps)`` and ``lengths (batch)`` from the packed layout's ``batch_sizes (steps)``, all int64.

    False where these rise, are more than the batch or negative, or do not make up the rows.
    """

def has_bfloat16() -> bool:
    """Say whether ``forward16`` can be called: whether the CPU multiplies pairs of bfloat16."""

def forward16(sizes: Sizes, arrays: tuple[int, ...], weights: tuple[int, ...], threads: int, /) -> None:
    """Run as ``forward``, with x, h0, y and hn in bfloat16; c0, cn and the weights in float32.

    I and P are even; there is no projection, layer normalisation, mask, zoneout or reserve.
    """

def backward(
    is_double: bool,
    sizes: Sizes,
    arrays: tuple[int, ...],
    zoneout: tuple[float, float],
    weights: tuple[int, ...],
    gradients: tuple[int, ...],
    reads: int,
    dweights: tuple[int, ...],
    /,
) -> None:
    """Fill ``gradients`` (dy, read_steps, dhn, dcn in; dx, dh0, dc0 out) and ``dweights``, as ``weights``."""

def linear(
    is_double: bool,
    sizes: tuple[int, int, int],
    arrays: tuple[int, int, int, int],
    relu: tuple[bool, bool],
    threads: int,
    rounded: bool,
    /,
) -> None:
    """Fill y of ``arrays`` (x, w, b, y); ``sizes`` are rows, inputs, outputs; relu of x, of y.

    ``rounded``: whether products may be of bfloat16; then there is no relu.
    """

def linear_gradient(
    is_double: bool,
    sizes: tuple[int, int, int],
    arrays: tuple[int, int, int, int],
    relu: tuple[bool, bool],
    threads: int,
    rounded: bool,
    gradients: tuple[int, int, int, int],
    /,
) -> None:
    """Fill dx, dw, db of ``gradients`` (dy, dx, dw, db)."""

def quantile_loss(
    is_double: bool,
    sizes: tuple[int, int, int, int],
    arrays: tuple[int, ...],
    threads: int,
    /,
) -> None:
    """Fill loss and gradient of ``arrays`` (raw, values, barred, target, weight, levels, loss, gradient).

    ``sizes`` are rows, quantiles, rules, place of the median.
    """

def smoothed_loss(
    is_double: bool,
    rows: int,
    classes: int,
    arrays: tuple[int, int, int, int],
    smoothing: float,
    threads: int,
    /,
) -> bool:
    """Fill loss and gradient of ``arrays`` (logits, targets, loss, gradient); False where a target is no class."""

def token_output(x: Any, w: Tensor, b: Tensor | None, /) -> Any:
    """Give ``log softmax(x wᵀ + b)`` in x's kind, float32, or NotImplemented where it is not given dense float32."""

def token_draw(
    told: Any, never: Any, temperature: float, top_k: int, top_p: float, numbers: Any, /
) -> list[int]:
    """Draw a token for each row of ``told (B, V)`` by ``numbers (B)``; ``native/tokens.h`` says how.

    Raises ValueError where a row holds NaN, or nothing that may come.
    """

def instruction_set() -> str:
    """Name the instruction set whose kernels serve the calls."""

def instruction_sets() -> list[str]:
    """Name those of this build that this CPU has."""

def use_instruction_set(name: str, /) -> bool:
    """Switch to one of them; say whether that was possible."""

def fma_peak(threads: int, seconds: float, /) -> float:
    """Measure the float32 FLOP/s of independent multiply-adds."""

def read_rate(size: int, threads: int, seconds: float, /) -> float:
    """Measure the bytes a second at which threads read a buffer of so many, each its share of it, again and again."""

class State:
    """An LSTM's h and c after a step; arrays are made when they are looked at, and share its memory."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...

class StepHandle:
    """What a stack's steps need beside its weights (``native/step.h`` is the kernel's contract)."""

    def __init__(
        self,
        cell: int,
        sizes: tuple[int, int, int],
        names: tuple[tuple[str | None, ...], ...],
        zoneout: tuple[float, float],
        learns_initial_state: bool,
        /,
    ) -> None:
        """Prepare steps of a cell as in ``Sizes``; ``sizes`` are I, H, P; ``names`` in the order of ``weights``."""

    @property
    def zoneout(self) -> tuple[float, float]:
        """What was given, the same object."""

def take_step(module: object, x: Any, state: Any, reset: Any, weights: str | None, /) -> tuple[Any, Any]:
    """Take a step by the ``StepHandle`` in the module's ``_step_handle``; ``NotImplemented`` where it cannot."""

def use_exchange(use: bool, /) -> bool:
    """Choose whether torch's C interface to tensors is used where there is one; say whether it is. For tests."""
