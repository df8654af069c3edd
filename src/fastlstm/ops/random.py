"""Masks from a counter: kernels and reference draw the same bits, in any order and on any number of threads.

Each row of H units has a key, the low half of splitmix64 (Steele et al. 2014, "Fast splittable pseudorandom number
generators") at the row's counter; each unit mixes its number into the key with the finaliser of MurmurHash3
(Appleby 2011). A generator's state would have had to be walked through in one order; a hash is asked wherever one is.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

HIDDEN_STATE, CELL_STATE = 0, 1
GOLDEN_GAMMA: Final = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio, made odd
_UNIT_STEP: Final = 0x9E3779B1  # the same of 2^32
_LOW_HALF: Final = 0xFFFFFFFF


def _signed(value: int) -> int:
    """Give the int64 with the bits of an unsigned 64-bit integer: torch's int64 wraps likewise."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; torch's own shift repeats the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def splitmix64(z: Tensor) -> Tensor:
    """Mix the bits of 64-bit integers.

    Parameters
    ----------
    z
        int64 of any shape, read as unsigned.

    Returns
    -------
    mixed
        int64 of the same shape.

    Examples
    --------
    >>> import torch
    >>> hex(splitmix64(torch.tensor([1])).item())
    '0x5692161d100b05e5'
    """
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shifted(z, 31)


def shifted_seed(seed: Tensor, steps: int, batch: int) -> Tensor:
    """Give the seed with which a sequence that is cut after ``steps`` steps goes on with the masks of the whole one.

    Parameters
    ----------
    seed
        int64 ``(1,)``.
    steps, batch
        How many steps lie before the cut; B.
    """
    return seed + _signed(GOLDEN_GAMMA * 4 * steps * batch)


def row_keys(seed: Tensor, steps: int, batch: int, direction: int, which: int) -> Tensor:
    r"""Give each row of a sequence its key.

    .. math::
        \mathrm{key}_{tb} = \mathrm{splitmix64}(\mathrm{seed} + \gamma \cdot
            ((((t B + b) \cdot 2 + \mathrm{direction}) \cdot 2 + \mathrm{which}) + 1)) \bmod 2^{32}

    Parameters
    ----------
    seed
        int64 ``(1,)``, on the device on which the keys are wanted.
    steps, batch
        T, B.
    direction
        0 forwards, 1 from the end to the beginning.
    which
        :data:`HIDDEN_STATE` or :data:`CELL_STATE`.

    Returns
    -------
    keys
        int64 ``(T, B)``, in 0 … 2³² − 1.
    """
    rows = torch.arange(steps * batch, device=seed.device).view(steps, batch)
    return splitmix64(seed + (rows * 4 + (2 * direction + which + 1)) * _signed(GOLDEN_GAMMA)) & _LOW_HALF


def keeps_old(keys: Tensor, units: int, rate: float) -> Tensor:
    """Decide for each unit whether it keeps its old value.

    Parameters
    ----------
    keys
        int64 ``(..., )`` of :func:`row_keys`.
    units
        H.
    rate
        The probability with which a unit keeps its old value, in 0 … 1.

    Returns
    -------
    keeps
        bool ``(..., H)``.

    Examples
    --------
    >>> import torch
    >>> keys = row_keys(torch.tensor([7]), steps=2, batch=3, direction=0, which=HIDDEN_STATE)
    >>> keeps_old(keys, 4, rate=0.5).shape
    torch.Size([2, 3, 4])
    """
    numbers = (torch.arange(units, device=keys.device) * _UNIT_STEP) & _LOW_HALF
    v = keys.unsqueeze(-1) ^ numbers
    # MurmurHash3's fmix32. The values stay in 0 … 2^32 - 1, so torch's shift fills with zeros; a product modulo 2^64
    # has the low half of the exact one.
    v = ((v ^ (v >> 16)) * 0x85EBCA6B) & _LOW_HALF
    v = ((v ^ (v >> 13)) * 0xC2B2AE35) & _LOW_HALF
    v = v ^ (v >> 16)
    return v < int(rate * 2**32)
