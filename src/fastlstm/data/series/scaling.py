"""Scales: each window's target by its own context, reversibly; numeric covariates by their training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.ops import onnx

Floats = npt.NDArray[np.float32]
Location = Literal["zero", "mean", "last"]

SMALL = 1e-3  # of the level: deviations that are to be looked at twice
NOTHING = 1e-10  # of the level: what rounding leaves of none; one float32 is 6e-8 of its size from the next


class WindowScale(NamedTuple):
    """The scale of the windows of a batch: ``z = (y - location) / scale``.

    B windows.

    Attributes
    ----------
    location : Tensor
        (B, 1), in the target's unit.
    scale : Tensor
        (B, 1), above 0, in the target's unit.
    """

    location: Tensor
    scale: Tensor

    @classmethod
    def of(cls, target: Tensor, observed: Tensor, *, location: Location = "mean") -> Self:
        """Find the scale of each window from its observed context alone.

        The scale is the standard deviation, and the location the mean or the last value; from there a series
        whose level wanders goes on. With the location 0 the scale is the mean absolute value (Salinas et al.
        2020, "DeepAR", section 3.3): growth then changes nothing but the scale, and zero stays zero. A constant
        context is scaled by its size, and one without any observed value by 1.

        Parameters
        ----------
        target : Tensor
            (B, C), 0 where missing.
        observed : Tensor
            (B, C), 1 where observed, 0 where missing.
        location : {"zero", "mean", "last"}
            What to take away.

        Examples
        --------
        >>> context = torch.tensor([[1.0, 3.0, 0.0], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0]])
        >>> observed = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
        >>> scale = WindowScale.of(context, observed)
        >>> scale.location[:, 0].tolist(), scale.scale[:, 0].tolist()
        ([2.0, 5.0, 0.0], [1.0, 5.0, 1.0])
        """
        count = observed.sum(1, keepdim=True).clamp_(min=1)
        if location == "zero":
            scale = target.abs().sum(1, keepdim=True).div_(count)
            return cls(torch.zeros_like(count), scale.masked_fill_(scale == 0, 1.0))
        mean = target.sum(1, keepdim=True).div_(count)
        deviation = torch.addcmul(target, observed, mean, value=-1)
        scale, size = _root_mean_square(deviation, count), mean.abs()
        small = scale <= SMALL * size
        if onnx.under_way() or small.any():  # the mean's own rounding is not small beside such deviations
            rounding = deviation.sum(1, keepdim=True).div_(count)
            exact = _root_mean_square(deviation.addcmul_(observed, rounding, value=-1), count)
            exact = torch.where(exact <= NOTHING * size, size, exact)
            mean, scale = torch.where(small, mean + rounding, mean), torch.where(small, exact, scale)
        scale = scale.masked_fill(scale == 0, 1.0)
        if location == "last":
            steps = torch.arange(target.shape[1], device=target.device)
            mean = target.gather(1, (observed * steps).argmax(1, keepdim=True))
        return cls(mean, scale)

    def apply(self, target: Tensor, observed: Tensor) -> Tensor:
        """Scale targets.

        Parameters
        ----------
        target, observed : Tensor
            (B, W); rows may reach past the context.

        Returns
        -------
        Tensor
            (B, W), 0 where not observed.
        """
        return (target - self.location).div_(self.scale).mul_(observed)

    def invert(self, scaled: Tensor) -> Tensor:
        """Bring forecasts back to the target's unit.

        Parameters
        ----------
        scaled : Tensor
            (B, …). The scale is above 0, so quantiles keep their order.

        Returns
        -------
        Tensor
            (B, …)
        """
        shape = (-1,) + (1,) * (scaled.ndim - 1)
        return scaled * self.scale.view(shape) + self.location.view(shape)


def _root_mean_square(deviation: Tensor, count: Tensor) -> Tensor:
    """(B, 1) of deviations (B, C), 0 where missing."""
    return deviation.square().sum(1, keepdim=True).div_(count).sqrt_()


@dataclass(frozen=True)
class Standardizer:
    """Numeric covariates to mean 0 and variance 1, each with a channel that tells where it is missing.

    Parameters
    ----------
    mean, deviation : tuple of float
        F values each, from the rows that ``fit`` was given.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def fit(cls, values: Floats) -> Self:
        """Learn mean and standard deviation of each column.

        Parameters
        ----------
        values : numpy.ndarray
            (N, F), NaN where missing. A column that is constant, or missing throughout, is only centred.

        Examples
        --------
        >>> Standardizer.fit(np.array([[1, 7], [3, 7], [np.nan, 7]], np.float32))
        Standardizer(mean=(2.0, 7.0), deviation=(1.0, 1.0))
        """
        known = ~np.isnan(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.sum(values, axis=0, where=known, dtype=np.float64) / count
        variance = np.sum(np.square(values - mean), axis=0, where=known, dtype=np.float64) / count
        deviation = np.sqrt(variance)
        constant = deviation <= 1e-6 * np.abs(mean)
        return cls(tuple(mean.tolist()), tuple(np.where(constant, 1.0, deviation).tolist()))

    def transform(self, values: Floats) -> Floats:
        """Standardise, and mark what is missing.

        Parameters
        ----------
        values : numpy.ndarray
            (N, F), NaN where missing.

        Returns
        -------
        numpy.ndarray
            (N, 2 F): the standardised values, 0 where missing, then F channels that are 1 where missing.

        Examples
        --------
        >>> Standardizer((2.0,), (0.5,)).transform(np.array([[3.0], [np.nan]], np.float32))
        array([[2., 0.],
               [0., 1.]], dtype=float32)
        """
        scaled: Floats = self.apply(torch.from_numpy(values)).numpy()
        return scaled

    def apply(self, values: Tensor) -> Tensor:
        """Standardise, and mark what is missing.

        Parameters
        ----------
        values : Tensor
            (…, F), NaN where missing.

        Returns
        -------
        Tensor
            (…, 2 F) float32
        """
        missing = values.isnan()
        mean, deviation = (
            values.new_tensor(part, dtype=torch.float64) for part in (self.mean, self.deviation)
        )
        scaled = ((values - mean) / deviation).float().masked_fill(missing, 0)
        return torch.cat([scaled, missing.to(scaled.dtype)], dim=-1)
