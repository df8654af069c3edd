"""Normalised features: what a loudness and a microphone add is taken away."""

import numpy as np
import torch

from fastlstm.data.speech.features import SpeechFeatures, SpeechScaling


def parts(seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(3, 2, (count, 5)).astype(np.float32) for count in (7, 3, 12)]


def test_the_training_part_has_mean_0_and_deviation_1():
    given = parts()
    scaling = SpeechScaling.fit(given, by_recording=False)
    features, lengths = SpeechFeatures([np.concatenate(given)], torch.device("cpu")).gather(torch.tensor([0]))
    found = scaling(features, lengths)[0]
    torch.testing.assert_close(found.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(5))


def test_what_is_constant_along_a_recording_does_not_matter():
    given = parts()
    scaling = SpeechScaling.fit(given, by_recording=True)
    louder = [part + np.float32(3 * place) for place, part in enumerate(given)]
    which = torch.tensor([2, 0, 1])
    one, lengths = SpeechFeatures(given, torch.device("cpu")).gather(which)
    other, _ = SpeechFeatures(louder, torch.device("cpu")).gather(which)
    found, expected = scaling(other, lengths), scaling(one, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length], atol=1e-5, rtol=0)


def test_loud_frames_count_by_the_square_root_of_their_power():
    frames = np.log(np.array([[4.0, 12.0], [1.0, 3.0]], np.float32))  # powers 16 and 4, weights 4 and 2
    mean = (4 * frames[0] + 2 * frames[1]) / 6
    scaling = SpeechScaling(by_recording=True, mean=(0.0, 0.0), deviation=(1.0, 1.0))
    padded = torch.from_numpy(np.concatenate([frames, frames[:1] + 5]))[None]
    found = scaling(padded, torch.tensor([2]))[0, :2]
    torch.testing.assert_close(found, torch.from_numpy(frames - mean))


def test_silence_around_words_does_not_matter():
    word = np.random.default_rng(0).normal(-5, 1, (40, 8)).astype(np.float32)
    silence = np.full((200, 8), -20.0, np.float32)  # 65 dB below
    scaling = SpeechScaling.fit([word], by_recording=True)
    alone, lengths = SpeechFeatures([word], torch.device("cpu")).gather(torch.tensor([0]))
    within, longer = SpeechFeatures([np.concatenate([silence, word])], torch.device("cpu")).gather(
        torch.tensor([0])
    )
    torch.testing.assert_close(
        scaling(within, longer)[0, 200:], scaling(alone, lengths)[0], atol=0.05, rtol=0
    )


def test_a_band_without_any_change_is_not_blown_up():
    scaling = SpeechScaling.fit([np.full((4, 2), 7, np.float32)], by_recording=False)
    assert scaling.deviation == (0.1, 0.1)
    assert scaling(torch.full((1, 4, 2), 7.0), torch.tensor([4])).abs().max() == 0
