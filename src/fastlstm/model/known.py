"""What is known ahead, with what came just before it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class RecentKnown(nn.Module):
    """Features of the last steps of what is known ahead.

    The decoder forecasts each step of the horizon by itself. That it has rained for three hours, that a price
    fell the day before, or that the holiday began yesterday shows only in the steps before, which this gives
    it: with R steps of reach::

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
