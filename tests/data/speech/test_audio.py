"""Audio files and arrays: what is read, and what is refused and how."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from fastlstm.data.speech.audio import (
    ResampleStream,
    rate_of,
    read_audio,
    refuse_missing,
    resample,
    take_audio,
    usual_rate,
)
from fastlstm.errors import DataError, InputError


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("wav", "FLOAT"), ("wav", "PCM_24")]
)
def test_files_of_several_kinds(suffix, subtype, tmp_path):
    samples = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples, 22050, subtype=subtype)
    recording = read_audio(path)
    assert (recording.rate, recording.channels, rate_of(path)) == (22050, 1, 22050)
    np.testing.assert_allclose(recording.samples, samples, atol=2**-15)  # a step of 16 bits
    assert recording.seconds == pytest.approx(1000 / 22050)


def test_channels_are_averaged(tmp_path):
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000)
    recording = read_audio(tmp_path / "a.wav")
    assert recording.channels == 2
    np.testing.assert_allclose(recording.samples, 0.125)
    np.testing.assert_allclose(take_audio(np.stack([left, right], axis=1), 8000).samples, 0.125)


def test_files_that_are_no_audio(tmp_path):
    (tmp_path / "text.wav").write_text("this is no audio at all, whatever its name says")
    (tmp_path / "nothing.wav").touch()
    soundfile.write(tmp_path / "whole.flac", np.random.default_rng(0).normal(0, 0.1, 50_000), 8000)
    whole = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    for name, reason in [("text", "cannot be read as audio"), ("nothing", "the file is empty")]:
        with pytest.raises(DataError, match=rf"a\.csv, line 3: .*{name}\.wav.*{reason}"):
            read_audio(tmp_path / f"{name}.wav", "a.csv, line 3")
    with pytest.raises(DataError, match=r"cut\.flac cannot be read as audio"):
        read_audio(tmp_path / "cut.flac")
    soundfile.write(tmp_path / "whole.wav", np.zeros(1000), 8000)
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:1500])
    with pytest.raises(
        DataError, match=r"cut\.wav was cut short: its header tells of 2,044 bytes, and 1,500 are"
    ):
        read_audio(tmp_path / "cut.wav")
    (tmp_path / "live.wav").write_bytes(whole[:4] + b"\xff" * 4 + whole[8:])  # its length was never written
    assert len(read_audio(tmp_path / "live.wav").samples) == 1000
    with pytest.raises(DataError, match=r"none\.wav: no such file"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(DataError, match="is a folder"):
        read_audio(tmp_path)


def test_what_is_not_there_is_listed_at_once():
    with pytest.raises(
        DataError, match=r"^12 audio files are not there: 0\.wav .* and 2 more; check the paths"
    ):
        refuse_missing(
            [Path(f"{place}.wav") for place in range(12)], [f"line {place}" for place in range(12)]
        )


def test_recordings_without_samples_or_with_some_that_are_no_numbers(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"a\.wav holds no samples: it is 0 seconds long"):
        read_audio(tmp_path / "a.wav")
    samples = np.zeros(10, np.float32)
    samples[4] = np.nan
    soundfile.write(tmp_path / "b.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"b\.wav: sample 4 is \[nan\], no finite number"):
        read_audio(tmp_path / "b.wav")


def test_arrays():
    assert take_audio(np.array([-(2**15), 2**14], np.int16), 8000).samples.tolist() == [-1.0, 0.5]
    assert take_audio(np.array([0.25, -1.0]), 8000).samples.tolist() == [0.25, -1.0]
    for wrong in (np.zeros((2, 4000)), np.zeros((2, 2, 2)), np.array([1, 2], np.int64)):
        with pytest.raises(DataError, match=r"the array has shape .*: give samples"):
            take_audio(wrong, 8000)
    with pytest.raises(InputError, match="rate is 8: give samples a second"):
        take_audio(np.zeros(8), 8)


def test_a_sine_stays_one_at_another_rate():
    before = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    after = resample(before, 44100, 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(
        after[200:-200], expected[200:-200], atol=2e-3
    )  # the filter's ripple, scipy's default
    high = np.sin(2 * np.pi * 12_000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(resample(high, 44100, 16000)[200:-200]).max() < 0.01  # above half the rate there is nothing


def test_the_usual_rate_is_at_most_16_kilohertz():
    assert usual_rate([8000, 8000, 48000]) == 8000
    assert usual_rate([48000]) == 16000


@settings(max_examples=40)
@given(
    st.integers(1, 4000),
    st.lists(st.integers(0, 700), max_size=10),
    st.sampled_from([(44100, 16000), (8000, 16000), (16000, 8000), (11025, 8000)]),
)
def test_resampled_chunks_are_the_resampled_whole(count, cuts, rates):
    samples = np.random.default_rng(count).normal(0, 0.3, count).astype(np.float32)
    stream = ResampleStream(*rates)
    parts = [stream.push(part) for part in np.split(samples, np.minimum(np.cumsum(cuts), count))]
    found = np.concatenate([*parts, stream.finish()])
    common = np.gcd(*rates)
    expected = resample_poly(samples, rates[1] // common, rates[0] // common)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 8000.0, np.float64(8000), np.int32(8000)])
def test_a_rate_is_a_whole_number_of_any_type(rate):
    assert take_audio(np.zeros(5), rate, "it").rate == 8000


@pytest.mark.parametrize("rate", [8000.5, float("inf"), float("nan"), "8000", None, True])
def test_what_is_no_rate_is_told(rate):
    with pytest.raises(InputError, match="give samples a second, a whole number, 1,000 or more"):
        take_audio(np.zeros(5), rate, "it")


def test_samples_that_would_overflow_are_refused():
    with pytest.raises(DataError, match="it: samples reach 1e\\+30, where full scale is 1"):
        take_audio(np.array([0.0, -1e30]), 8000, "it")
