"""The GRU layer: ``torch.nn.GRU``'s interface."""

from __future__ import annotations

import torch

from fastlstm.nn import arguments
from fastlstm.nn.recurrent import Recurrent


class GRU(Recurrent):
    r"""A multi-layer network of gated recurrent units: a drop-in replacement of :class:`torch.nn.GRU`.

    For each step of each layer,

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    (Cho et al. 2014, with the reset gate after the product). Parameter names and shapes, the order of the gates
    (r, z, n), initial weights for a given seed, ``state_dict`` and errors are those of :class:`torch.nn.GRU`. The state
    is one tensor h.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As of :class:`fastlstm.LSTM`.
    recurrent_dropout
        As of :class:`fastlstm.LSTM`; the h that the update gate carries over is not touched.
    zoneout
        The probability with which units of h keep their old value in training (Krueger et al. 2017).
    learn_initial_state, checkpoint_every
        As of :class:`fastlstm.LSTM`.

    Raises
    ------
    ValueError, TypeError
        For arguments out of their range, and for what only an LSTM has.

    Examples
    --------
    >>> import torch
    >>> from fastlstm import GRU
    >>> y, h = GRU(10, 20, bidirectional=True)(torch.randn(5, 3, 10))
    >>> y.shape, h.shape
    (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]))
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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
        checkpoint_every: int | None = None,
        **unknown: object,
    ) -> None:
        arguments.refuse("GRU", unknown)
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device,
            dtype, recurrent_dropout=recurrent_dropout, zoneout=zoneout,
            learn_initial_state=learn_initial_state, checkpoint_every=checkpoint_every,
        )  # fmt: skip
