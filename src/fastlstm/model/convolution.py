"""Convolutions beside the LSTM: short shapes, wherever they lie."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionalBranch(nn.Module):
    """Three convolutions with batch normalisation, and the mean over the steps, or all of them.

    The fully convolutional branch of LSTM-FCN (Karim et al. 2018, "LSTM fully convolutional networks for time series
    classification", section III). Sequences of unequal lengths do not disturb each other: what is past the end counts
    as zeros in the convolutions and not at all in the normalisation.

    B sequences, T steps, I inputs.

    Parameters
    ----------
    input_size : int
        I.
    filters : tuple of int
        Of each convolution; the last is the width of the result.
    widths : tuple of int
        Steps that each convolution spans.
    per_step : bool
        Whether all steps are wanted rather than their mean.
    causal : bool
        Whether a step is to know nothing of those after it.

    Examples
    --------
    >>> branch = ConvolutionalBranch(3, filters=(8, 16, 8))
    >>> branch(torch.randn(4, 20, 3), torch.ones(4, 20)).shape
    torch.Size([4, 8])
    """

    def __init__(
        self,
        input_size: int,
        filters: tuple[int, int, int] = (64, 128, 64),
        widths: tuple[int, int, int] = (7, 5, 3),
        *,
        per_step: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.per_step = per_step
        self.before = [
            width - 1 if causal else 0 for width in widths
        ]  # zeros, in the place of what comes after
        sizes = (input_size, *filters)
        self.width = filters[-1]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inner, outer, width, padding=0 if causal else "same", bias=False)
            for inner, outer, width in zip(sizes[:-1], filters, widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in filters)

    def forward(self, inputs: Tensor, steps: Tensor) -> Tensor:
        """Convolve, and take the mean unless all steps are wanted.

        Parameters
        ----------
        inputs : Tensor
            (B, T, I)
        steps : Tensor
            (B, T), 1 at the steps of a sequence, 0 past its end.

        Returns
        -------
        Tensor
            (B, last of filters), or (B, T, last of filters).
        """
        there = steps > 0
        # What is normalised counts in training alone; otherwise what is past an end is taken away again.
        whole = not self.training or bool(there.all())
        # As images of one row whose channels lie side by side, which is how inputs lie, and quickest by a third.
        hidden = (inputs * steps[..., None]).transpose(1, 2).unsqueeze(2)
        for convolution, norm, before in zip(self.convolutions, self.norms, self.before, strict=True):
            assert isinstance(convolution, nn.Conv1d)
            padded = F.pad(hidden, (before, 0)) if before else hidden
            found = F.conv2d(padded, convolution.weight.unsqueeze(2), padding=convolution.padding)
            if whole:
                hidden = F.relu(norm(found))
                hidden = hidden if self.training else hidden * steps[:, None, None]
            else:
                rows = found.squeeze(2).transpose(1, 2)
                kept = F.relu(norm(rows[there][..., None, None]))
                hidden = torch.zeros_like(rows).masked_scatter(there[..., None], kept)
                hidden = hidden.transpose(1, 2).unsqueeze(2)
        hidden = hidden.squeeze(2).transpose(1, 2)
        if self.per_step:
            return hidden
        return hidden.sum(1) / steps.sum(1, keepdim=True).clamp(min=1)
