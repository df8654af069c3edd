"""The LSTM layer: ``torch.nn.LSTM``'s interface and the variants that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastlstm import ops
from fastlstm.nn.recurrent import Recurrent
from fastlstm.ops import reference

State = tuple[Tensor, Tensor]


class Trace(NamedTuple):
    """What went on inside an LSTM at every step of every layer.

    Each is ``(num_layers, T, B, D·H)``, with ``batch_first`` ``(num_layers, B, T, D·H)``, of a single sequence
    ``(num_layers, T, D·H)``; of h, with P in the place of H. The forward direction comes first. Past the ends of
    sequences, all is zero.
    """

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTM(Recurrent):
    r"""A multi-layer Long Short-Term Memory network: a drop-in replacement of :class:`torch.nn.LSTM`.

    For each step of each layer, with :math:`\sigma` the logistic function and :math:`\odot` the elementwise product,

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000). With ``proj_size`` the hidden state is
    :math:`h_t = W_{hr} (o_t \odot \tanh(c_t))` (Sak et al. 2014). The equations of the variants, which go together with
    each other, stand at :func:`fastlstm.ops.reference.lstm_step`.

    Parameter names and shapes, the order of the gates (i, f, g, o), initial weights for a given seed, ``state_dict``
    and errors are those of :class:`torch.nn.LSTM`; what a variant adds comes after them. Parameters are read at every
    call, so parametrizations, pruning, weight norm and ``torch.func.functional_call`` take effect.

    Parameters
    ----------
    input_size
        I, the number of values a step.
    hidden_size
        H, the number of hidden units.
    num_layers
        Layers, each reading the outputs of the one before.
    bias
        Whether the layers have the biases ``b_ih`` and ``b_hh``.
    batch_first
        Whether sequences come as ``(B, T, I)`` rather than ``(T, B, I)``. Either is read without a copy.
    dropout
        The probability with which outputs of all layers but the last are set to zero in training.
    bidirectional
        Whether each layer also reads its input from the end to the beginning.
    proj_size
        P, the size of the projected hidden state; 0 for none.
    device, dtype
        Of the parameters.
    layer_norm
        Whether the gates' sums and the cell are normalised (Ba et al. 2016). Adds ``gain_ih_l0 (G·H)``,
        ``gain_hh_l0 (G·H)``, ``gain_c_l0 (H)`` and ``bias_c_l0 (H)``, with G gates, to each layer and direction.
    peephole
        Whether the gates see the cell through diagonal weights (Gers & Schmidhuber 2000). Adds ``weight_ch_l0 (3H)`` in
        the order i, f, o, coupled ``(2H)`` in the order i, o.
    coupled
        Whether the forget gate is one minus the input gate (Greff et al. 2017). There are three gates then, i, g, o,
        and weights of 3H rows.
    recurrent_dropout
        The probability with which values of h are set to zero on their way into the recurrent product in training, by
        one mask for the whole sequence (Gal & Ghahramani 2016).
    zoneout
        The probability with which units of h and c keep their old value in training, or one for each of the two
        (Krueger et al. 2017). In evaluation they move by the expected part of the way.
    forget_bias
        What the bias of the forget gate starts from (Gers et al. 2000; 1 is usual): ``bias_ih`` is set to it and
        ``bias_hh`` to zero. Coupled, the input gate's bias starts from its negative.
    learn_initial_state
        Whether the state before the first step is learnt, where none is given: parameters ``h0`` and ``c0``
        ``(num_layers · D, 1, P or H)``, zero at first.
    checkpoint_every
        Keep only the state after each k-th step for the backward pass and compute the steps between again: the memory
        for T steps is that of T / k states and k steps, at the price of a second forward pass.

    Raises
    ------
    ValueError, TypeError
        For arguments out of their range, and for what makes no sense together, with the reason: ``zoneout`` with
        ``proj_size``, ``forget_bias`` without biases.

    Examples
    --------
    >>> import torch
    >>> from fastlstm import LSTM
    >>> lstm = LSTM(10, 20, num_layers=2)
    >>> y, (h, c) = lstm(torch.randn(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))
    >>> list(LSTM(10, 20, peephole=True, learn_initial_state=True).state_dict())
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0', 'weight_ch_l0', 'h0', 'c0']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
        peephole: bool = False,
        coupled: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        forget_bias: float | None = None,
        learn_initial_state: bool = False,
        checkpoint_every: int | None = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype, layer_norm=layer_norm, peephole=peephole, coupled=coupled,
            recurrent_dropout=recurrent_dropout, zoneout=zoneout, forget_bias=forget_bias,
            learn_initial_state=learn_initial_state, checkpoint_every=checkpoint_every,
        )  # fmt: skip

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:  # noqa: A002
        """Tell the shape of the cell state that belongs to an input: ``(num_layers · D, B, H)``."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: State, batch_sizes: Tensor | None) -> None:  # type: ignore[override]  # noqa: A002
        """Raise what ``torch.nn.LSTM`` raises where the input or the state has the wrong size."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        expected = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[1], expected, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: State, permutation: Tensor | None) -> State:  # type: ignore[override]
        """Reorder the sequences of a state."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _pair(self, hx: Any) -> tuple[Tensor, Tensor | None]:
        if isinstance(hx, Tensor) or not hasattr(hx, "__getitem__") or isinstance(hx, dict):
            found = "one tensor" if isinstance(hx, Tensor) else type(hx).__name__
            raise TypeError(f"hx: the state of LSTM is the pair (h, c), got {found}")
        if len(hx) != 2:
            raise RuntimeError(f"lstm expects two hidden states, the pair (h, c), got {len(hx)}")
        h, c = hx[0], hx[1]
        if not (isinstance(h, Tensor) and isinstance(c, Tensor)):
            found = f"({type(h).__name__}, {type(c).__name__})"
            raise TypeError(f"hx: the state of LSTM is the pair (h, c) of tensors, got {found}")
        return h, c

    def trace(
        self,
        input: Tensor,  # noqa: A002
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Trace:
        """Run the layer and tell its gates, cells and outputs at every step: to look inside.

        It is computed by the equations' reference, in float32 where the layer has half precision, and can be
        differentiated. In training, masks are drawn as in :meth:`forward`.

        Parameters
        ----------
        input, hx, lengths, reset, generator
            As :meth:`forward` takes them, but for a packed sequence: give the padded tensor and its lengths.

        Returns
        -------
        trace
            i, f, g, o, c and h of every layer; the last layer's h is the output of :meth:`forward`. With zoneout, c
            and h are what the units hold, whether old or new.

        Raises
        ------
        ValueError, RuntimeError
            As :meth:`forward` does.

        Examples
        --------
        >>> import torch
        >>> from fastlstm import LSTM
        >>> lstm, x = LSTM(10, 20, num_layers=2), torch.randn(5, 3, 10)
        >>> trace = lstm.trace(x)
        >>> trace.f.shape
        torch.Size([2, 5, 3, 20])
        >>> torch.allclose(trace.o[-1] * trace.c[-1].tanh(), lstm(x)[0], atol=1e-6)
        True
        """
        if not isinstance(input, Tensor):
            raise ValueError(
                f"trace: expected a tensor, got {type(input).__name__}: of a packed sequence, give the padded tensor "
                "and lengths="
            )
        inside: list[tuple[Tensor, ...]] = []

        def run(
            cell: ops.Cell,
            x: Tensor,
            h0: Tensor | None,
            c0: Tensor | None,
            weights: list[Tensor],
            **options: Any,
        ) -> tuple[Tensor, Tensor, Tensor]:
            gates: list[reference.Gates] = []
            # What autocast and half precision would round is computed in whole.
            options.pop("rounded", None)
            wide = torch.promote_types(weights[0].dtype, torch.float32)
            if options.get("recurrent_mask") is not None:
                options["recurrent_mask"] = options["recurrent_mask"].to(wide)
            h0, c0 = (None if state is None else state.to(wide) for state in (h0, c0))
            weights = [weight.to(wide) for weight in weights]
            y, h, c = reference.sequence(cell, x.to(wide), h0, c0, weights, **options, inside=gates)
            of_gates = (torch.cat(of_directions, dim=-1) for of_directions in zip(*gates, strict=True))
            inside.append((*of_gates, y))
            return y, h, c

        self._forward_padded(partial(self._run_layers, run), input, hx, lengths, reset, generator)
        trace = Trace(*(torch.stack(layers) for layers in zip(*inside, strict=True)))
        if input.dim() == 2:
            trace = Trace(*(values.squeeze(1 if self.batch_first else 2) for values in trace))
        return trace
