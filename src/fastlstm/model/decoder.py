"""The decoder: from the state at an origin to every step of the horizon at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastlstm.ops.linear import linear


class HorizonDecoder(nn.Module):
    """Hidden values for each step ahead, from the state at the origin and what is known of that step.

    With the state h of an origin, the static covariates s, the position l in the horizon and the known
    covariates x of that step::

        a_l = relu(W_h h + W_s s + p_l + W_x x_l)
        d_l = relu(W a_l + b)

    It is the decoder of MQ-RNN (Wen et al. 2017, "A multi-horizon quantile recurrent forecaster", section
    3.2) with its global part, which tells the steps of the horizon apart, cut down to one learnt vector a
    step, p_l: no step waits for another, and an origin more costs no recurrence.

    Dropout takes a hidden value away from the whole horizon of a forecast, not step by step (Gal & Ghahramani
    2016, "A theoretically grounded application of dropout in recurrent neural networks").

    B windows, K origins in each, L steps ahead, H hidden units, D decoder units.

    Parameters
    ----------
    hidden_size : int
        H.
    width : int
        D.
    known_width : int
        Width of what is known ahead.
    static_width : int
        Width of the static covariates.
    horizon : int
        L.
    segment : int
        S, how many steps ahead share a state, where one state is not for all of them.
    dropout : float
        Share of the hidden values set to zero during training.

    Examples
    --------
    >>> decoder = HorizonDecoder(8, 6, known_width=3, static_width=0, horizon=5)
    >>> decoder(torch.zeros(2, 4, 1, 8), torch.zeros(2, 4, 5, 3), torch.zeros(2, 0)).shape
    torch.Size([2, 4, 5, 6])
    """

    def __init__(
        self,
        hidden_size: int,
        width: int,
        *,
        known_width: int,
        static_width: int,
        horizon: int,
        segment: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.segment = segment
        self.dropout = dropout
        self.state = nn.Linear(hidden_size, width)
        self.known = nn.Linear(known_width, width, bias=False) if known_width else None
        self.static = nn.Linear(static_width, width, bias=False) if static_width else None
        self.position = nn.Parameter(0.1 * torch.randn(horizon, width))
        self.hidden = nn.Linear(width, width)

    def forward(self, state: Tensor, known: Tensor | None, static: Tensor) -> Tensor:
        """Decode.

        Parameters
        ----------
        state : Tensor
            (B, K, 1, H), the LSTM's output at each origin, or (B, K, M, H), one for each segment of the horizon.
        known : Tensor, optional
            (B, K, L, known_width), what is known of each step ahead, where anything is.
        static : Tensor
            (B, static_width)

        Returns
        -------
        Tensor
            (B, K, L, D)
        """
        origin = linear(self._drop(state), self.state.weight, self.state.bias)
        if self.static is not None:
            origin = origin + self.static(static)[:, None, None]
        if origin.shape[2] > 1:
            origin = origin.repeat_interleave(self.segment, 2)[:, :, : len(self.position)]
        hidden = origin + self.position
        if self.known is not None and known is not None:
            hidden = hidden + linear(known, self.known.weight)
        # A share that is dropped or scaled by a positive number may as well be dropped before relu.
        return linear(self._drop(hidden), self.hidden.weight, self.hidden.bias, relu=True, relu_input=True)

    def _drop(self, hidden: Tensor) -> Tensor:
        """Take values away, the same ones all along the horizon where there is one."""
        if not self.training or self.dropout == 0:
            return hidden
        kept = hidden.new_ones(hidden.shape[:2] + (1,) * (hidden.ndim - 3) + hidden.shape[-1:])
        return hidden * F.dropout(kept, self.dropout)
