"""What training makes of recordings: by arithmetic where there is one."""

import numpy as np
import pytest
import torch

from fastlstm.data.speech.log_mel import LogMel
from fastlstm.model.speech_augmentation import SpeechAugmentation, mask, vary

MEL = LogMel(rate=8000, bands=60)
STILL = {"pace": 0.0, "voice": 0.0, "noise": 0.0}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def tone(hertz, seconds=0.5):
    samples = np.sin(2 * np.pi * hertz * np.arange(int(8000 * seconds)) / 8000)
    return torch.from_numpy(MEL(samples.astype(np.float32)))


def changed(features, seed=0, fewest=1, **amounts):
    count = len(features)
    return vary(
        features[None].expand(40, -1, -1),
        torch.full((40,), count),
        torch.full((40,), fewest),
        MEL,
        SpeechAugmentation(**{**STILL, **amounts}),
        draws(seed),
    )


def test_nothing_asked_for_is_nothing_changed():
    features = torch.randn(30, 60)
    found, lengths = changed(features)
    assert (lengths == 30).all()
    torch.testing.assert_close(found, features.expand(40, -1, -1), atol=1e-4, rtol=0)


def test_pace_changes_the_length_within_its_bounds():
    features = torch.arange(100.0)[:, None].expand(-1, 60)
    found, lengths = changed(features, pace=0.25)
    assert 80 <= lengths.min() < 85
    assert 118 < lengths.max() <= 125
    for row, length in zip(found, lengths.tolist(), strict=True):
        assert row[0, 0] == pytest.approx(
            max(0, 50 / length - 0.5), abs=1e-3
        )  # from the middle of its first frame
        assert row[length // 2, 0] == pytest.approx(50, abs=1)


def test_no_recording_becomes_too_short_for_its_text():
    _, lengths = changed(torch.randn(20, 60), pace=0.5, fewest=19)
    assert lengths.min() == 19
    assert changed(torch.randn(20, 60), pace=0.5, fewest=20)[1].min() == 20


def test_a_voice_is_higher_or_lower_by_one_factor():
    """A tone moves to where the factor takes it; the tone of that frequency has its peak in the same band."""
    found, _ = changed(tone(1000), voice=0.2)
    peaks = MEL.centres[found[:, 20].argmax(1)]
    width = 1000 * 0.06  # of a band
    assert 1000 / 1.2 - width < peaks.min() < 1000 / 1.12
    assert 1000 * 1.12 < peaks.max() < 1000 * 1.2 + width


def test_the_top_of_the_spectrum_stays_where_it_is():
    """Jaitly & Hinton's line ends at half the rate, whatever the factor."""
    features = torch.linspace(0, 1, 60).expand(10, 60)
    found, _ = changed(features, voice=0.2)
    assert (found[:, :, -1] > 0.97).all()
    assert (found.diff(dim=2) >= -1e-6).all()  # no band goes past another one


def test_noise_is_so_many_decibels_below():
    features = tone(1000)
    found, _ = changed(features, noise=1.0, lowest_ratio=10.0, highest_ratio=10.0)
    added = found.exp().sum(2) - features.exp().sum(1)
    ratio = 10 * torch.log10(features.exp().sum(1).mean() / added.mean(1))
    assert ratio.mean() == pytest.approx(10, abs=0.3)
    none, _ = changed(features, noise=0.0)
    torch.testing.assert_close(none[0], features, atol=1e-4, rtol=0)


def test_masks_are_as_wide_as_they_may_be():
    augmentation = SpeechAugmentation(bands=8, frames=0.2)
    lengths = torch.tensor([50, 20] * 200)
    found = mask(torch.ones(400, 50, 60), lengths, augmentation, draws())
    bands = (found[:, :, :].amax(1) == 0).sum(1)
    assert bands.max() in (14, 15, 16)  # two masks of at most 8, which may overlap
    assert bands.float().mean() == pytest.approx(2 * 4, abs=0.6)  # 0 to 8, evenly, less what overlaps
    for length, most in ((50, 20), (20, 8)):
        rows = found[lengths == length]
        hidden = (rows.amax(2) == 0).sum(1)
        assert 0.6 * most < hidden.max() <= most
        if length == 20:
            assert (rows[:, 20:].amax(2) == 1).all()  # masks of time lie within the utterance


def test_the_same_draws_give_the_same():
    features = torch.randn(30, 60)
    first, second = (changed(features, seed=3, pace=0.2, voice=0.2, noise=0.5) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[0], changed(features, seed=4, pace=0.2, voice=0.2, noise=0.5)[0])
