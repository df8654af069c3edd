"""Chunks of any size give the text of the whole."""

import numpy as np
import pytest

from fastlstm import Transcriber
from fastlstm.errors import DataError, InputError
from tests.spoken import RATE, recordings, say, texts


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    manifest = recordings(tmp_path_factory.mktemp("whistles"), "train", 120, seed=0)
    sizes = {
        "hidden_size": 32,
        "num_layers": 2,
        "channels": 8,
        "max_steps": 240,
        "learning_rate": 0.01,
    }
    return Transcriber(live=True, augmentation=False, progress=False, **sizes).fit(manifest)


def spoken(seed, count=6):
    generator = np.random.default_rng(seed)
    return np.concatenate([say(text, generator) for text in texts(count, generator)])


@pytest.mark.parametrize("rate", [RATE, 2 * RATE, 11025])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_random_chunks_give_the_text_of_the_whole(live, beam_size, rate):
    samples = spoken(seed=rate)
    count = int(len(samples) * rate / RATE)
    samples = np.interp(np.arange(count) * RATE / rate, np.arange(len(samples)), samples).astype(np.float32)
    whole = live.predict((samples, rate), beam_size=beam_size)["text"].item()
    assert len(whole.split()) > 3
    generator = np.random.default_rng(beam_size)
    for _ in range(4):
        stream = live.stream(rate, beam_size=beam_size)
        cuts = np.sort(generator.integers(0, count, generator.integers(1, 60)))
        for part in np.split(samples, cuts):
            stream.push(part)
        assert stream.finish() == whole
        assert stream.text == whole


def test_single_samples_too(live):
    samples = spoken(seed=3, count=1)
    stream = live.stream()
    for sample in samples:
        stream.push([float(sample)])
    assert stream.finish() == live.predict((samples, RATE))["text"].item() != ""


def test_text_comes_while_one_speaks(live):
    samples = spoken(seed=4)
    stream = live.stream()
    first = stream.push(samples[: len(samples) // 2])
    assert first
    assert stream.push(samples[len(samples) // 2 :]).startswith(first)
    assert stream.finish().startswith(first)


def test_less_than_a_window(live):
    samples = spoken(seed=4)[:120]
    stream = live.stream()
    assert stream.push(samples) == ""
    assert stream.finish() == live.predict((samples, RATE))["text"].item()
    assert live.stream().finish() == ""


def test_a_rate_is_a_number(live):
    with pytest.raises(
        InputError, match="rate is '8000': give samples a second, a whole number, 1,000 or more"
    ):
        live.stream("8000")


def test_several_streams_do_not_disturb_each_other(live):
    first, second = spoken(seed=5), spoken(seed=6)
    expected = [live.predict((samples, RATE))["text"].item() for samples in (first, second)]
    streams = [live.stream(), live.stream()]
    for place in range(0, max(len(first), len(second)), 1000):
        for stream, samples in zip(streams, (first, second), strict=True):
            stream.push(samples[place : place + 1000])
    assert [stream.finish() for stream in streams] == expected


def test_what_is_wrong_is_said(live):
    stream = live.stream()
    with pytest.raises(DataError, match=r"the chunk: sample 1 is \[nan\], no finite number"):
        stream.push([0.0, np.nan])
    stream.finish()
    with pytest.raises(InputError, match="was ended by finish"):
        stream.push([0.0])
    with pytest.raises(InputError, match="rate is 8: give samples a second"):
        live.stream(8)
