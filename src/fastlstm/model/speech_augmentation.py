"""Speech as others would have said it, elsewhere, and with gaps: what training makes of log-mel features.

Voices differ in how long the vocal tract is, which moves the formants, in pitch and in pace; rooms in what they add.
Few speakers show little of that, so each utterance is warped anew whenever it comes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fastlstm.data.speech.log_mel import LogMel, hertz_to_mel

BEND = 0.6  # of half the rate, where the warp of the spectrum begins to come back to it (Jaitly & Hinton: 4.8 of 8 kHz)


class SpeechAugmentation(BaseModel):
    """How much training changes its recordings.

    Parameters
    ----------
    pace : float
        Utterances become longer or shorter by a factor drawn up to 1 + pace, or its inverse.
    voice : float
        Frequencies are multiplied by a factor drawn likewise.
    noise : float
        Share of the utterances that noise is added to …
    lowest_ratio, highest_ratio : float
        … whose power is below that of the utterance by so many decibels.
    bands : int
        SpecAugment: the widest mask of mel bands; there are two.
    frames : float
        SpecAugment: the longest mask of frames, as a share of the utterance; there are two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pace: float = 0.25
    voice: float = 0.2
    noise: float = 0.5
    lowest_ratio: float = 5.0
    highest_ratio: float = 35.0
    bands: int = 8
    frames: float = 0.15


def vary(
    features: Tensor,
    lengths: Tensor,
    fewest: Tensor,
    mel: LogMel,
    augmentation: SpeechAugmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Say utterances faster or slower, with another voice, in noise.

    Frequencies are warped as in Jaitly & Hinton 2013, "Vocal tract length perturbation (VTLP) improves speech
    recognition", equation 1: multiplied by α up to 0.6 of half the rate, and from there on a straight line back to it.

    Parameters
    ----------
    features : Tensor
        (B, T, M) log-mel, anything past the ends.
    lengths : Tensor
        (B,) int64
    fewest : Tensor
        (B,) int64, frames that an utterance must keep.
    mel : LogMel
        What the features are.
    augmentation : SpeechAugmentation
        How much.
    generator : torch.Generator
        Of the draws, on the CPU.

    Returns
    -------
    features : Tensor
        (B, T', M), anything past the ends.
    lengths : Tensor
        (B,) int64
    """
    count, _, bands = features.shape
    device = features.device
    draw = torch.rand(4, count, generator=generator)
    rates = (1 + augmentation.pace) ** (2 * draw[0] - 1)
    alphas = (1 + augmentation.voice) ** (2 * draw[1] - 1)
    changed = torch.maximum((lengths.cpu() * rates).round().long(), fewest.cpu()).clamp(min=1)
    changed = torch.minimum(changed, torch.maximum(lengths.cpu() * 2, fewest.cpu())).to(device)
    longest = int(changed.max())
    step = (lengths / changed)[:, None]
    times = ((torch.arange(longest, device=device) + 0.5) * step - 0.5).clamp(min=0)
    times = torch.minimum(times, (lengths - 1)[:, None])
    sources = _warped_bands(mel, alphas).to(device)
    grid = torch.stack(
        [
            _unit(sources, bands)[:, None, :].expand(-1, longest, -1),
            _unit(times, features.shape[1])[:, :, None].expand(-1, -1, bands),
        ],
        dim=-1,
    )
    warped = F.grid_sample(features[:, None], grid, align_corners=True, padding_mode="border")[:, 0]
    noisy = (draw[2] < augmentation.noise).to(device)
    if bool(noisy.any()):
        noise = _noise(warped, changed, draw[3].to(device), augmentation, generator)
        warped = torch.where(noisy[:, None, None], torch.logaddexp(warped, noise), warped)
    return warped, changed


def mask(
    features: Tensor, lengths: Tensor, augmentation: SpeechAugmentation, generator: torch.Generator
) -> Tensor:
    """Hide bands and stretches of time: SpecAugment (Park et al. 2019), section 2, two masks of each kind.

    A mask of bands is f wide, f drawn evenly from 0 to ``bands``, and begins at a band drawn evenly from 0 to M - f;
    one of frames likewise, with the share ``frames`` of the utterance. What is hidden is 0, the mean of normalised
    features.

    Parameters
    ----------
    features : Tensor
        (B, T, M), normalised.
    lengths : Tensor
        (B,) int64
    augmentation : SpeechAugmentation
        How much.
    generator : torch.Generator
        Of the draws, on the CPU.

    Returns
    -------
    Tensor
        (B, T, M)
    """
    count, longest, bands = features.shape
    device = features.device
    draw = torch.rand(2, 2, 2, count, 1, generator=generator).to(device)
    kept = torch.ones(count, longest, bands, dtype=torch.bool, device=device)
    for size, place in draw[0]:
        wide = (size * (min(augmentation.bands, bands) + 1)).floor()
        begin = (place * (bands - wide + 1)).floor()
        at = torch.arange(bands, device=device)
        kept &= ~((at >= begin) & (at < begin + wide))[:, None, :]
    for size, place in draw[1]:
        wide = (size * (lengths[:, None] * augmentation.frames + 1)).floor()
        begin = (place * (lengths[:, None] - wide + 1)).floor()
        at = torch.arange(longest, device=device)
        kept &= ~((at >= begin) & (at < begin + wide))[:, :, None]
    return features * kept


def _warped_bands(mel: LogMel, alphas: Tensor) -> Tensor:
    """Return, for each band of the warped spectrum, the band (B, M), with fractions, that it is read from."""
    half = mel.rate / 2
    frequencies = torch.from_numpy(mel.centres).float() / half
    alphas = alphas[:, None]
    bend = BEND * alphas.clamp(max=1) / alphas
    top = (1 - bend * alphas) / (1 - bend)
    warped = torch.where(frequencies <= bend, frequencies * alphas, 1 - top * (1 - frequencies)) * half
    mels = torch.from_numpy(hertz_to_mel(warped.numpy())).float()
    ends = hertz_to_mel(mel.centres[[0, -1]])
    places = (mels - float(ends[0])) / float(ends[1] - ends[0]) * (mel.bands - 1)
    return places.clamp(0, mel.bands - 1)


def _unit(places: Tensor, count: int) -> Tensor:
    """Turn places 0 … count - 1 into the -1 … 1 that ``grid_sample`` counts in."""
    return places * (2 / max(1, count - 1)) - 1


def _noise(
    features: Tensor,
    lengths: Tensor,
    draw: Tensor,
    augmentation: SpeechAugmentation,
    generator: torch.Generator,
) -> Tensor:
    """Return the log power (B, T, M) of noise whose spectrum slopes and that is no louder than it should be.

    The power of Gaussian noise in one cell of a spectrogram is distributed exponentially.
    """
    count, longest, bands = features.shape
    within = torch.arange(longest, device=features.device) < lengths[:, None]
    power = (features.exp().sum(2) * within).sum(1) / lengths
    ratio = augmentation.lowest_ratio + draw * (augmentation.highest_ratio - augmentation.lowest_ratio)
    slope = (
        torch.rand(count, 1, generator=generator) * 2 - 1
    ) * 3.0  # e³ in power from one end to the other, at most
    shape = torch.softmax(slope * torch.linspace(-1, 1, bands), dim=1).to(features)
    level = (power * 10 ** (-ratio / 10))[:, None] * shape
    cells = -torch.log1p(-torch.rand(count, longest, bands, generator=generator)).to(features)
    return (level[:, None] * cells + 1e-12).log()
