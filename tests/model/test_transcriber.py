"""The network over speech: batches, chunks, and the equations of its parts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fastlstm.model.transcriber import SpeechNetwork, SpeechSettings


def network(**changes):
    sizes = {
        "bands": 21,
        "subsampling": 4,
        "channels": 3,
        "hidden_size": 5,
        "num_layers": 2,
        "bidirectional": True,
        "dropout": 0.2,
    }
    return SpeechNetwork(SpeechSettings(**{**sizes, "outputs": 4, **changes})).eval()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_a_padded_batch_gives_what_each_recording_alone_gives(subsampling, bidirectional):
    model = network(subsampling=subsampling, bidirectional=bidirectional)
    lengths = torch.tensor([13, 1, 8, 4, 12])
    features = torch.randn(5, 13, 21)
    with torch.inference_mode():
        together, steps = model(features, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone, count = model(features[row : row + 1, :length], torch.tensor([length]))
            assert steps[row] == count[0] == alone.shape[1] == -(-length // subsampling)
            torch.testing.assert_close(together[row, : steps[row]], alone[0], atol=1e-6, rtol=1e-5)
            assert steps[row] == model.settings.steps(torch.tensor(length))


def test_answers_are_probabilities():
    answers, _ = network()(torch.randn(2, 9, 21), torch.tensor([9, 9]))
    torch.testing.assert_close(answers.exp().sum(2), torch.ones(2, 3))


@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_chunks_give_what_the_whole_gives(subsampling):
    model = network(subsampling=subsampling, bidirectional=False)
    features = torch.randn(37, 21)
    generator = np.random.default_rng(subsampling)
    with torch.inference_mode():
        whole = model(features[None], torch.tensor([37]))[0][0]
        for _ in range(5):
            cuts = sorted(generator.integers(0, 38, generator.integers(1, 12)).tolist())
            listening = model.listen()
            parts = [model.hear(part, listening) for part in torch.tensor_split(features, cuts)]
            torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frame", [5, 8, 12])
def test_a_network_that_listens_knows_nothing_of_what_comes(frame):
    model = network(bidirectional=False, subsampling=2)
    features = torch.randn(1, 16, 21)
    changed = features.clone()
    changed[:, frame:] += 1
    with torch.inference_mode():
        before, after = (model(given, torch.tensor([16]))[0][0] for given in (features, changed))
    known = -(-frame // 2)  # steps of which all frames come before
    assert torch.equal(before[:known], after[:known])
    assert not torch.allclose(before[known], after[known])


def test_the_first_layer_is_torchs_convolution():
    """Of the whole recording with zeros around it, as torch has it with ``padding=1``."""
    model = network(subsampling=2)
    features = torch.randn(1, 12, 21)
    first, second = model.convolutions
    expected = F.relu(F.conv2d(features[:, None], first.weight, first.bias, stride=(2, 2), padding=1))
    expected = F.relu(F.conv2d(expected, second.weight, second.bias, stride=(1, 2), padding=1))
    flat = model.norms[0](expected.transpose(1, 2).flatten(2))
    for layer, norm in zip(model.layers, model.norms[1:], strict=True):
        flat = norm(layer(flat)[0])
    found = model.head(flat).log_softmax(-1)
    torch.testing.assert_close(model(features, torch.tensor([12]))[0], found)
