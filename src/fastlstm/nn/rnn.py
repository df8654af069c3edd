"""The plain recurrent layer: ``torch.nn.RNN``'s interface."""

from __future__ import annotations

import torch

from fastlstm.nn import arguments
from fastlstm.nn.recurrent import Recurrent


class RNN(Recurrent):
    r"""A multi-layer Elman network: a drop-in replacement of :class:`torch.nn.RNN`.

    For each step of each layer, :math:`h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})` with the hyperbolic
    tangent or the rectifier for :math:`\phi` (Elman 1990). Parameter names and shapes, initial weights for a given
    seed, ``state_dict`` and errors are those of :class:`torch.nn.RNN`. The state is one tensor h.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    num_layers
        Layers, each reading the outputs of the one before.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    bias, batch_first, dropout, bidirectional, device, dtype
        As of :class:`fastlstm.LSTM`.
    recurrent_dropout, learn_initial_state, checkpoint_every
        As of :class:`fastlstm.LSTM`.
    zoneout
        The probability with which units of h keep their old value in training (Krueger et al. 2017).

    Raises
    ------
    ValueError, TypeError
        For an unknown nonlinearity, arguments out of their range, and for what only an LSTM has.

    Examples
    --------
    >>> import torch
    >>> from fastlstm import RNN
    >>> y, h = RNN(10, 20, nonlinearity="relu")(torch.randn(5, 3, 10))
    >>> y.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([1, 3, 20]))
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
        checkpoint_every: int | None = None,
        **unknown: object,
    ) -> None:
        arguments.refuse("RNN", unknown)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype, recurrent_dropout=recurrent_dropout, zoneout=zoneout,
            learn_initial_state=learn_initial_state, checkpoint_every=checkpoint_every,
        )  # fmt: skip
