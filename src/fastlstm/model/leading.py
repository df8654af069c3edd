"""What came lately of the past covariates, laid beside each step ahead that it may lead to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LeadingPast(nn.Module):
    """Features of past covariates, as many steps before each step ahead as each lag says.

    Orders lead deliveries, rain leads a river: the target follows a covariate by some steps, the same ones wherever
    in the horizon it is. From its state alone the decoder would have to be told the covariate of each of the last
    steps, one by one, and learn for every step ahead which of them it is. With R lags, and the past covariates x,
    marked as missing behind the origin j::

        r_t = W_1 x_{t-1} + W_2 x_{t-2} + … + W_R x_{t-R}        t = j + 1 … j + L

    One weight a lag serves all steps ahead and all origins, as in a transfer function (Box, Jenkins & Reinsel, "Time
    Series Analysis", 3rd edition, chapter 10).

    Parameters
    ----------
    numbers : int
        P, how many of the past features are numbers; as many channels that tell where they are missing follow.
    width : int
        F, the width of the past features, embedded categories included.
    features : int
        G.
    reach : int
        R, in steps.

    Examples
    --------
    >>> leading = LeadingPast(1, 2, features=4, reach=6)
    >>> leading(torch.zeros(2, 20, 2), torch.tensor([0, 19]), 3).shape
    torch.Size([2, 2, 3, 4])
    """

    unknown: Tensor

    def __init__(self, numbers: int, width: int, *, features: int, reach: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, features, reach, bias=False)  # the decoder has one
        self.reach = reach
        unknown = torch.zeros(width)
        unknown[numbers : 2 * numbers] = 1
        self.register_buffer("unknown", unknown, persistent=False)

    def forward(self, past: Tensor, origins: Tensor, horizon: int) -> Tensor:
        """Look back from each step ahead.

        Parameters
        ----------
        past : Tensor
            (B, T, F)
        origins : Tensor
            (K,) int64, steps of it; nothing behind them is looked at.
        horizon : int
            L.

        Returns
        -------
        Tensor
            (B, K, L, G)
        """
        steps = origins[:, None] + torch.arange(1, self.reach + 1, device=origins.device)
        behind = F.pad(past, (0, 0, self.reach, 0)).index_select(1, steps.reshape(-1))
        behind = behind.view(-1, self.reach, past.shape[2])
        ahead = self.unknown.expand(behind.shape[0], horizon - 1, -1)
        found: Tensor = self.convolution(torch.cat([behind, ahead], dim=1).transpose(1, 2))
        return found.transpose(1, 2).reshape(past.shape[0], len(origins), horizon, -1)
