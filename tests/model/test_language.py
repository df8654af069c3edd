"""The language model: step by step as over whole windows, and what its options are to be."""

import pytest
import torch
from torch.nn import functional as F

from fastlstm.model.language import LanguageNetwork, LanguageSettings
from fastlstm.model.language_steps import LanguageSteps

USUAL = {
    "tokens": 30,
    "embedding": 8,
    "hidden_size": 16,
    "num_layers": 2,
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "weight_drop": 0.0,
    "tied": False,
    "cutoffs": (),
}
KINDS = [
    {},
    {"tied": True},
    {"cutoffs": (5, 12)},
    {"num_layers": 1},
    {"recurrent_dropout": 0.3, "dropout": 0.5},
]


def make(**settings):
    torch.manual_seed(1)
    return LanguageNetwork(LanguageSettings(**(USUAL | settings)))


def tokens(length, rows, seed=0):
    return torch.randint(30, (length, rows), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("rows", [3, 9])  # fewer and more than FEW_ROWS
def test_steps_say_what_windows_say(kind, rows):
    network = make(**kind).eval()
    row = tokens(9, rows)
    with torch.no_grad():
        features, _ = network(row)
        whole = network.loss(features[:-1], row[1:])
        steps = LanguageSteps(network)
        state = steps.start(row[:4].T)
        for place in range(4, 8):
            told, state = steps.step(row[place], state)
            torch.testing.assert_close(told.exp().sum(-1), torch.ones(rows))
            torch.testing.assert_close(-told.gather(1, row[place + 1, :, None])[:, 0], whole[place])


@pytest.mark.parametrize("kind", [{}, {"tied": True}, {"cutoffs": (5, 12)}], ids=str)
def test_the_mean_loss_is_the_mean_of_losses(kind):
    network = make(**kind).eval()
    row, following = tokens(5, 3), tokens(5, 3, seed=1)
    found, expected = network(row, None, following)[0], network.loss(network(row)[0], following).mean()
    torch.testing.assert_close(found, expected)
    weights = list(network.parameters())
    pairs = (torch.autograd.grad(loss, weights, retain_graph=True) for loss in (found, expected))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", [{}, {"tied": True}, {"cutoffs": (5, 12)}], ids=str)
def test_the_mean_loss_under_autocast_is_near_it(kind):
    network = make(**kind).eval()
    row, following = tokens(5, 3), tokens(5, 3, seed=1)
    expected = network(row, None, following)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = network(row, None, following)[0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.0)
    (gradient,) = torch.autograd.grad(found, network.vectors)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected, network.vectors)[0], rtol=0.1, atol=0.01
    )


def test_a_state_goes_on_from_window_to_window():
    network = make().eval()
    row = tokens(10, 2)
    whole, _ = network(row)
    first, state = network(row[:6])
    second, _ = network(row[6:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)


def test_rows_of_a_state_can_be_chosen():
    steps = LanguageSteps(make().eval())
    row = tokens(5, 3)
    for taken in (0, 2):  # of whole sequences, and of single steps
        state = steps.start(row[:3].T)
        for place in range(taken):
            _, state = steps.step(row[place], state)
        told, _ = steps.step(row[4], state)
        chosen, _ = steps.step(row[4][[2, 0, 0]], state.select(torch.tensor([2, 0, 0])))
        torch.testing.assert_close(chosen, told[[2, 0, 0]])


def test_tied_weights_are_one():
    network = make(tied=True)
    assert not any(name == "weight" for name, _ in network.named_parameters())
    assert network.layers[-1].hidden_size == USUAL["embedding"]
    features, _ = network(tokens(4, 2))
    network.loss(features, tokens(4, 2, seed=1)).mean().backward()
    assert network.embed.weight.grad.abs().sum() > 0


def test_one_mask_serves_a_whole_window():
    network = make(dropout=0.5).train()
    x = torch.ones(7, 3, 8)
    dropped = network._drop(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:1]).all()
    assert len(dropped[0].unique(dim=0)) > 1  # each sequence has its own


def test_dropped_weights_are_those_of_the_recurrence():
    """With all recurrent weights dropped but a few, the network is one of so small weights."""
    network = make(weight_drop=0.9, num_layers=1).train()
    row = tokens(6, 2)
    torch.manual_seed(3)
    found, _ = network(row)
    layer = network.layers[0]
    torch.manual_seed(3)
    weights = F.dropout(layer.weight_hh_l0.detach(), 0.9)
    assert 0 < (weights != 0).float().mean() < 0.3
    with torch.no_grad():
        layer.weight_hh_l0.copy_(weights)
    network.eval()
    torch.testing.assert_close(found, network(row)[0])


def test_an_adaptive_softmax_is_one_in_training():
    """PyTorch's own log-probabilities are the reference."""
    network = make(cutoffs=(5, 12))
    features = torch.randn(3, 2, USUAL["hidden_size"])
    following = tokens(3, 2)
    expected = -network.adaptive.log_prob(features.flatten(0, 1)).gather(1, following.flatten()[:, None])
    torch.testing.assert_close(network.loss(features, following).flatten(), expected[:, 0])


@pytest.mark.parametrize("rows", [1, 64])
def test_tokens_are_taken_to_where_the_network_is(rows):
    """From the device "meta", which holds nothing, nothing can be taken: that it was tried is what can be seen."""
    steps = LanguageSteps(make())
    state = steps.start(tokens(rows, 2))
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        steps.step(torch.zeros(rows, dtype=torch.int64, device="meta"), state)
