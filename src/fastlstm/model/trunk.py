"""The recurrent trunk: the one place that says which LSTM the networks are built on."""

from __future__ import annotations

from torch import Tensor, nn

from fastlstm.nn import LSTM


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
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.lstm = LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=between)
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
        state = None
        if self.initial is not None:
            hidden, cell = self.initial(static).view(len(static), 2, self.lstm.num_layers, -1).unbind(1)
            state = (hidden.transpose(0, 1).tanh(), cell.transpose(0, 1).contiguous())
        output: Tensor = self.lstm(inputs, state, output_steps=steps)[0]
        return output
