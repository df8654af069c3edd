"""What is known ahead, with what came before it: remembered by an LSTM of its own, or looked back at."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fastlstm.nn import LSTM


class KnownMemory(nn.Module):
    """What has become of all that was known up to each step, of the context and of the horizon.

    The decoder forecasts each step of the horizon by itself. How much rain has fallen since the origin, how warm the
    days before were, or that the holiday began yesterday shows only in the steps before, which this gives it. An LSTM
    runs over the known covariates x of the whole window, from its first step to the end of the horizon::

        m_t = LSTM(x_1, …, x_t)

    It knows nothing of the target, so that one pass serves all origins of a window. With weather it is what
    hydrologists model runoff by (Kratzert et al. 2018, "Rainfall–runoff modelling using Long Short-Term Memory
    networks").

    Parameters
    ----------
    known_width : int
        F, the width of what is known ahead.
    features : int
        G, units of the LSTM.

    Examples
    --------
    >>> import torch
    >>> memory = KnownMemory(3, features=4)
    >>> memory(torch.zeros(2, 20, 3)).shape
    torch.Size([2, 20, 4])
    """

    def __init__(self, known_width: int, *, features: int) -> None:
        super().__init__()
        self.lstm = LSTM(known_width, features, batch_first=True)

    def forward(self, known: Tensor) -> Tensor:
        """Remember.

        Parameters
        ----------
        known : Tensor
            (B, W, F)

        Returns
        -------
        Tensor
            (B, W, G)
        """
        remembered: Tensor = self.lstm(known)[0]
        return remembered


class RecentKnown(nn.Module):
    """Features of the last steps of what is known ahead.

    What :class:`KnownMemory` is for, where the horizon is forecast from segments: there the memory came out behind this
    (bike rentals, a week ahead of hours, on the validation part: 36.2 for 34.4). With R steps of reach::

        r_t = relu(b + W_0 x_t + W_1 x_{t-1} + … + W_{R-1} x_{t-R+1})

    A convolution that looks back only, so that the end of the horizon is as well known in forecasting as in
    training.

    Parameters
    ----------
    known_width : int
        F, the width of what is known ahead.
    features : int
        G, how many features.
    reach : int
        R, in steps.

    Examples
    --------
    >>> import torch
    >>> recent = RecentKnown(3, features=4, reach=6)
    >>> recent(torch.zeros(2, 20, 3)).shape
    torch.Size([2, 20, 4])
    """

    def __init__(self, known_width: int, *, features: int, reach: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(known_width, features, reach)
        self.reach = reach

    def forward(self, known: Tensor) -> Tensor:
        """Compute the features.

        Parameters
        ----------
        known : Tensor
            (B, W, F)

        Returns
        -------
        Tensor
            (B, W, G)
        """
        before = F.pad(known.transpose(1, 2), (self.reach - 1, 0))
        return F.relu(self.convolution(before)).transpose(1, 2)
