"""Normalised features: what a loudness and a microphone add is taken away."""

import numpy as np
import torch

from fastlstm.data.speech_features import SpeechFeatures, SpeechScaling


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
    louder = [part + np.arange(5, dtype=np.float32) * place for place, part in enumerate(given)]
    which = torch.tensor([2, 0, 1])
    one, lengths = SpeechFeatures(given, torch.device("cpu")).gather(which)
    other, _ = SpeechFeatures(louder, torch.device("cpu")).gather(which)
    found, expected = scaling(other, lengths), scaling(one, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length], atol=1e-5, rtol=0)
        torch.testing.assert_close(found[row, :length].mean(0), torch.zeros(5), atol=1e-5, rtol=0)


def test_a_band_without_any_change_is_not_blown_up():
    scaling = SpeechScaling.fit([np.full((4, 2), 7, np.float32)], by_recording=False)
    assert scaling.deviation == (0.1, 0.1)
    assert scaling(torch.full((1, 4, 2), 7.0), torch.tensor([4])).abs().max() == 0
