"""Log-mel features: what arithmetic says of sines, of noise and of the scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data.speech.log_mel import LogMel, LogMelStream, hertz_to_mel, mel_to_hertz


def sine(hertz, rate, seconds=0.5, size=1.0):
    return (size * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def by_definition(samples, mel, frame):
    """The power of one frame in each band, sum by sum, in float64."""
    count, points = mel.window_samples, mel.points
    n = np.arange(count)
    window = np.sin(np.pi * (n + 0.5) / count) ** 2
    x = samples[frame * mel.hop_samples :][:count].astype(float) * window
    k = np.arange(points // 2 + 1)
    spectrum = np.exp(-2j * np.pi * np.outer(k, n) / points) @ x
    power = np.abs(spectrum) ** 2 / points / (window**2).sum()
    power[1:-1] *= 2
    mels = 2595 * np.log10(1 + k * mel.rate / points / 700)
    ends = [2595 * np.log10(1 + hertz / 700) for hertz in (mel.lowest, mel.rate / 2)]
    corners = np.linspace(*ends, mel.bands + 2)
    return [
        np.interp(mels, corners[band : band + 3], [0, 1, 0], left=0, right=0) @ power
        for band in range(mel.bands)
    ]


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_features_are_what_the_equations_say(rate):
    mel = LogMel.of_rate(rate)
    samples = np.random.default_rng(0).normal(0, 0.1, rate // 4).astype(np.float32)
    found = mel(samples)
    assert found.shape == (mel.count(len(samples)), mel.bands)
    for frame in (0, 7, len(found) - 1):
        # float32 samples and spectra: 24 bits of the largest, and what is least is some thousand times smaller
        np.testing.assert_allclose(np.exp(found[frame]), by_definition(samples, mel, frame), rtol=1e-3)


@pytest.mark.parametrize("hertz", [300, 1000, 2500])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_sine_falls_into_its_band_with_half_the_square_of_its_size(hertz, rate):
    mel = LogMel.of_rate(rate)
    frames = mel(sine(hertz, rate, size=0.5))
    nearest = np.abs(hertz_to_mel(mel.centres) - hertz_to_mel(hertz)).argmin()
    assert set(frames.argmax(1)) <= {nearest - 1, nearest, nearest + 1}
    np.testing.assert_allclose(
        np.exp(frames).sum(1), 0.5**2 / 2, rtol=0.01
    )  # the window's sidelobes, and the floor


def test_white_noise_has_its_variance_but_for_the_ends():
    """Parseval: the triangles leave out what lies below the first centre and above the last."""
    mel = LogMel(rate=8000)
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    total = np.exp(mel(noise)).sum(1).mean()
    below, above = mel.centres[0], 4000 - mel.centres[-1]
    inside = 1 - (below + above) / 4000
    outside = (
        ((mel.centres[0] - mel.edges[0]) + (mel.edges[-1] - mel.centres[-1])) / 2 / 4000
    )  # half of the slopes
    assert total == pytest.approx(0.01 * (inside + outside), rel=0.02)


def test_triangles_add_up_to_one_between_the_centres():
    mel = LogMel(rate=16000, bands=64)
    hertz = np.arange(mel.points // 2 + 1) * 16000 / mel.points
    inside = (hertz >= mel.centres[0]) & (hertz <= mel.centres[-1])
    np.testing.assert_allclose(mel.weights[inside].sum(1), 1)
    assert (mel.weights.sum(0) > 0).all()  # no band is between two frequencies


def test_the_scale():
    assert hertz_to_mel(1000) == pytest.approx(1000, abs=0.05)  # what the scale is made for
    assert mel_to_hertz(hertz_to_mel([40, 440, 7000])) == pytest.approx([40, 440, 7000])


def test_silence_is_the_floor_and_loudness_an_offset():
    mel = LogMel(rate=8000)
    assert (mel(np.zeros(800, np.float32)) == np.float32(np.log(np.float32(1e-9)))).all()
    noise = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    np.testing.assert_allclose(mel(noise) - mel(noise / 10), 2 * np.log(10), rtol=1e-3)


def test_what_is_shorter_than_a_window_is_a_frame():
    mel = LogMel(rate=8000)
    short = sine(1000, 8000, 0.01)
    np.testing.assert_array_equal(mel(short), mel(np.pad(short, (0, 120))))


@given(
    st.integers(1, 3000),
    st.lists(st.integers(0, 900), max_size=8),
    st.sampled_from([8000, 11025]),
)
def test_frames_of_chunks_are_those_of_the_whole(count, cuts, rate):
    mel = LogMel(rate=rate)
    samples = np.random.default_rng(count).normal(0, 0.1, count).astype(np.float32)
    stream = LogMelStream(mel)
    parts = [stream.push(part) for part in np.split(samples, np.minimum(np.cumsum(cuts), count))]
    found = np.concatenate([*parts, stream.finish()])
    whole = mel(samples)
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, atol=1e-4)  # the product of a matrix goes by its size
