"""What a layer's cell is, and the weights that it has: what the layers, the reference and the kernels agree on.

Letters: I inputs, H hidden units, P outputs a step (= H without a projection), G gates, D directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from torch import Tensor

KINDS: Final = ("lstm", "gru", "rnn_tanh", "rnn_relu")
LAYER_NORM_EPSILON: Final = 1e-5


class Weights(NamedTuple):
    """The weights of one direction under their names; None where the cell has no such weight.

    ==================  ==========================================  =========================================
    name                shape                                       there with
    ==================  ==========================================  =========================================
    w_ih, w_hh          ``(G·H, I)``, ``(G·H, P)``                  always
    b_ih, b_hh          ``(G·H)`` each                              ``has_bias``
    w_hr                ``(P, H)``                                  ``projected``
    w_peephole          ``(3·H)``: i, f, o; coupled ``(2·H)``: i, o  ``peephole``
    gain_ih, gain_hh    ``(G·H)`` each                              ``layer_norm``
    gain_c, bias_c      ``(H)`` each                                ``layer_norm``
    ==================  ==========================================  =========================================
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None
    w_peephole: Tensor | None = None
    gain_ih: Tensor | None = None
    gain_hh: Tensor | None = None
    gain_c: Tensor | None = None
    bias_c: Tensor | None = None


@dataclass(frozen=True)
class Cell:
    """A kind of cell and its variants; :mod:`.reference` states their equations.

    Parameters
    ----------
    kind
        ``"lstm"``, ``"gru"``, ``"rnn_tanh"`` or ``"rnn_relu"``.
    has_bias
        Whether there are ``b_ih`` and ``b_hh``.
    projected
        Whether the hidden state is projected to P values (Sak et al. 2014); LSTM only, as are all that follow.
    peephole
        Whether gates see the cell through diagonal weights (Gers & Schmidhuber 2000).
    coupled
        Whether the forget gate is one minus the input gate (Greff et al. 2017).
    layer_norm
        Whether sums and cell are normalised (Ba et al. 2016).

    Raises
    ------
    ValueError
        For an unknown kind, or a variant of the LSTM asked of another kind.

    Examples
    --------
    >>> from fastlstm.ops.cell import Cell
    >>> Cell("lstm", coupled=True, peephole=True).weight_names
    ('w_ih', 'w_hh', 'b_ih', 'b_hh', 'w_peephole')
    >>> Cell("gru").gates
    3
    """

    kind: str = "lstm"
    has_bias: bool = True
    projected: bool = False
    peephole: bool = False
    coupled: bool = False
    layer_norm: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        for variant in ("projected", "peephole", "coupled", "layer_norm"):
            if getattr(self, variant) and self.kind != "lstm":
                raise ValueError(f"{variant}: only an LSTM cell has this variant, not {self.kind!r}")

    @property
    def variants(self) -> tuple[bool, ...]:
        """What may be chosen beside the kind, as ``Cell(kind, *variants)`` takes it."""
        return (self.has_bias, self.projected, self.peephole, self.coupled, self.layer_norm)

    @property
    def gates(self) -> int:
        """G, the blocks of H rows that ``w_ih`` and ``w_hh`` have.

        4 of an LSTM (i, f, g, o), 3 of a coupled one (i, g, o), 3 of a GRU (r, z, n), 1 of a plain RNN.
        """
        if self.kind == "lstm":
            return 3 if self.coupled else 4
        return 3 if self.kind == "gru" else 1

    @property
    def has_cell_state(self) -> bool:
        """Whether there is a state c beside h: in LSTM cells alone."""
        return self.kind == "lstm"

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The weights of one direction, in the order in which every op takes them."""
        names: tuple[str, ...] = ("w_ih", "w_hh")
        if self.has_bias:
            names += ("b_ih", "b_hh")
        if self.projected:
            names += ("w_hr",)
        if self.peephole:
            names += ("w_peephole",)
        if self.layer_norm:
            names += ("gain_ih", "gain_hh", "gain_c", "bias_c")
        return names

    @property
    def weights_per_direction(self) -> int:
        """How many weights a direction has."""
        return 2 + 2 * self.has_bias + self.projected + self.peephole + 4 * self.layer_norm

    def weight_shapes(self, inputs: int, hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
        """Tell the shape of each weight of one direction.

        Parameters
        ----------
        inputs, hidden, outputs
            I, H, P.

        Returns
        -------
        shapes
            By name, in the order in which ops take the weights.
        """
        rows = self.gates * hidden
        shapes: dict[str, tuple[int, ...]] = {
            "w_ih": (rows, inputs),
            "w_hh": (rows, outputs),
            "b_ih": (rows,),
            "b_hh": (rows,),
            "w_hr": (outputs, hidden),
            "w_peephole": ((2 if self.coupled else 3) * hidden,),
            "gain_ih": (rows,),
            "gain_hh": (rows,),
            "gain_c": (hidden,),
            "bias_c": (hidden,),
        }
        return {name: shapes[name] for name in self.weight_names}

    def directions(self, weights: Sequence[Tensor]) -> list[Weights]:
        """Give the weights of each direction their names.

        Raises
        ------
        ValueError
            Where their number is not that of one or two directions.
        """
        each = self.weights_per_direction
        if len(weights) not in (each, 2 * each):
            raise ValueError(
                f"weights: expected {each} for each of one or two directions ({', '.join(self.weight_names)}), "
                f"got {len(weights)}"
            )
        return [
            Weights(**dict(zip(self.weight_names, weights[first : first + each], strict=True)))
            for first in range(0, len(weights), each)
        ]
