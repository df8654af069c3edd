"""The recurrent trunks, over points and over segments: which LSTM the networks are built on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastlstm.nn import LSTM
from fastlstm.ops.linear import linear

State = tuple[Tensor, Tensor]


class Trunk(nn.Module):
    """A stack of LSTM layers over every step of the context.

    B windows, T steps, I inputs, H hidden units.

    Parameters
    ----------
    input_size : int
        I.
    hidden_size : int
        H.
    num_layers : int
        Layers on one another.
    dropout : float
        Share of the hidden values set to zero between layers, during training.
    static_size : int
        Width of what is known of a series as a whole; it sets the state that the LSTM starts from.
    layer_norm : bool
        Whether gates and cell are normalised.

    Examples
    --------
    >>> import torch
    >>> trunk = Trunk(3, 8, num_layers=2)
    >>> trunk(torch.zeros(4, 10, 3), torch.zeros(4, 0)).shape
    torch.Size([4, 10, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        static_size: int = 0,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.lstm = LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=between, layer_norm=layer_norm
        )
        self.initial = nn.Linear(static_size, 2 * num_layers * hidden_size) if static_size else None

    def forward(self, inputs: Tensor, static: Tensor, steps: Tensor | None = None) -> Tensor:
        """Run over the steps.

        Parameters
        ----------
        inputs : Tensor
            (B, T, I)
        static : Tensor
            (B, static_size)
        steps : Tensor, optional
            (K,) int64, the steps whose outputs are wanted; all by default.

        Returns
        -------
        Tensor
            (B, T, H) or (B, K, H), the top layer's output at those steps.
        """
        output: Tensor = self.lstm(inputs, self.start(static), output_steps=steps)[0]
        return output

    def start(self, static: Tensor) -> State | None:
        """Return the state that the LSTM starts from, None for zeros.

        Parameters
        ----------
        static : Tensor
            (B, static_size)
        """
        if self.initial is None:
            return None
        hidden, cell = self.initial(static).view(static.shape[0], 2, self.lstm.num_layers, -1).unbind(1)
        return hidden.transpose(0, 1).tanh(), cell.transpose(0, 1).contiguous()

    def advance(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run on from a state.

        Parameters
        ----------
        inputs : Tensor
            (B, T, I)
        state : tuple of Tensor, optional
            From ``start``, or from the call before.

        Returns
        -------
        output : Tensor
            (B, T, H)
        state : tuple of Tensor
            Hidden and cell state after the last step, (layers, B, H) each.
        """
        output, reached = self.lstm(inputs, state)
        return output, reached


class SegmentTrunk(nn.Module):
    """An LSTM over pieces of the context instead of its steps, and over those of the horizon.

    A context of C steps is cut into ⌈C / S⌉ segments of S steps, the first filled up with zeros on its left; each is
    one step of the LSTM, which so looks back further in fewer steps and less time::

        e_n = relu(W_e x_n + b_e)                        x_n: the segment's S · I inputs
        h_n, c_n = LSTM(e_n, h_{n-1}, c_{n-1})           n = 1 … N
        s_m = LSTM(p_m + W_s s, h_N, c_N)                m = 1 … ⌈L / S⌉

    The segments of the horizon do not wait for each other: each starts from the end of the context, and a learnt
    vector p_m, with what is known of the series as a whole, s, says which one it is. Lin et al. 2023, "SegRNN: Segment
    recurrent neural network for long-term time series forecasting", with an LSTM for the GRU.

    B windows, I inputs, H hidden units, M = ⌈L / S⌉ segments of the horizon.

    Parameters
    ----------
    input_size : int
        I.
    hidden_size : int
        H.
    segment : int
        S, in steps.
    horizon : int
        L.
    num_layers : int
        Layers on one another.
    dropout : float
        Share of the hidden values set to zero between layers, during training.
    static_size : int
        Width of what is known of a series as a whole.
    layer_norm : bool
        Whether gates and cell are normalised.

    Examples
    --------
    >>> import torch
    >>> trunk = SegmentTrunk(3, 8, segment=4, horizon=6)
    >>> trunk(torch.zeros(5, 10, 3), torch.zeros(5, 0)).shape
    torch.Size([5, 1, 2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        segment: int,
        horizon: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        static_size: int = 0,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.segment = segment
        self.embedding = nn.Linear(segment * input_size, hidden_size)
        self.lstm = LSTM(
            hidden_size, hidden_size, num_layers, batch_first=True, dropout=between, layer_norm=layer_norm
        )
        self.position = nn.Parameter(torch.randn(-(-horizon // segment), hidden_size))
        self.static = nn.Linear(static_size, hidden_size, bias=False) if static_size else None

    def forward(self, inputs: Tensor, static: Tensor) -> Tensor:
        """Run over the segments.

        Parameters
        ----------
        inputs : Tensor
            (B, C, I)
        static : Tensor
            (B, static_size)

        Returns
        -------
        Tensor
            (B, 1, M, H), a state for each segment of the horizon.
        """
        whole = F.pad(inputs, (0, 0, -inputs.shape[1] % self.segment, 0))
        segments = whole.reshape(inputs.shape[0], -1, self.segment * inputs.shape[2])
        embedded = linear(segments, self.embedding.weight, self.embedding.bias, relu=True)
        state = self.lstm(embedded)[1]
        ahead = self.position.expand(inputs.shape[0], -1, -1)
        if self.static is not None:
            ahead = ahead + self.static(static)[:, None]
        places = ahead.shape[1]
        state = tuple(part.repeat_interleave(places, 1) for part in state)
        reached: Tensor = self.lstm(ahead.reshape(-1, 1, ahead.shape[2]), state)[0]
        return reached.view(ahead.shape)[:, None]
