"""The network over labelled sequences: what is past an end changes nothing, and its inputs are those of the paper."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from fastlstm.data.sequences.features import SequenceBatch
from fastlstm.model.convolution import ConvolutionalBranch
from fastlstm.model.sequence import MaskedInputs, SequenceNetwork, SequenceSettings

LENGTHS = [5, 1, 3]
C, S, V, P = 2, 1, 9, 5


def settings(**changes) -> SequenceSettings:
    usual = {
        "channels": C,
        "static": S,
        "tokens": 0,
        "embedding": 3,
        "masked": False,
        "irregular": False,
        "hidden_size": 4,
        "num_layers": 1,
        "bidirectional": True,
        "layer_norm": False,
        "pooling": "mean",
        "convolution": False,
        "dropout": 0.5,
        "outputs": 3,
        "per_step": False,
    }
    return SequenceSettings(**(usual | changes))


def ragged(config: SequenceSettings, lengths: list[int]) -> SequenceBatch:
    """Random sequences, with zeros past their ends as the features lay them out."""
    steps, n = max(lengths), len(lengths)
    within = (torch.arange(steps) < torch.tensor(lengths)[:, None])[..., None]
    none = torch.zeros(n, steps, 0)
    if config.tokens:
        tokens = torch.randint(1, config.tokens, (n, steps)) * within[..., 0]
        return SequenceBatch(torch.tensor(lengths), none, none, none, none, tokens, none[:, 0], none[:, 0])
    return SequenceBatch(
        torch.tensor(lengths),
        torch.randn(n, steps, C) * within,
        (torch.rand(n, steps, C) > 0.4).float() * within if config.masked else none,
        torch.rand(n, steps, C) * within if config.masked else none,
        torch.rand(n, steps, 1) * within if config.irregular else none,
        torch.zeros(n, 0, dtype=torch.long),
        torch.randn(n, 2 * S),
        torch.randn(n, config.summary),
    )


def alone(batch: SequenceBatch, place: int) -> SequenceBatch:
    """One sequence of a batch, without what is past its end."""
    length = int(batch.lengths[place])
    parts = [part[place : place + 1] for part in batch]
    return SequenceBatch(
        *(
            part[:, :length] if part.ndim > 1 and name not in ("static", "summary") else part
            for name, part in zip(batch._fields, parts, strict=True)
        )
    )


def trained_norms(network: SequenceNetwork) -> SequenceNetwork:
    """Batch normalisation with other statistics than those it begins with."""
    if network.branch is not None:
        for norm in network.branch.norms:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(norm.bias)
    return network.eval()


WAYS = [
    *(
        {"pooling": pooling, "bidirectional": both, "masked": masked, "irregular": masked}
        for pooling, both, masked in itertools.product(
            ("last", "mean", "max", "attention"), (False, True), (False, True)
        )
    ),
    {"per_step": True},
    {"per_step": True, "bidirectional": False, "masked": True},
    {"convolution": True},
    {"convolution": True, "per_step": True},
    {"convolution": True, "per_step": True, "bidirectional": False, "masked": True},
    {"convolution": True, "masked": True, "irregular": True, "pooling": "attention"},
    {"masked": True, "summary": P},
    {"num_layers": 2, "layer_norm": True},
    {"tokens": V, "channels": 0, "static": 0, "pooling": "max"},
    {"tokens": V, "channels": 0, "static": 0, "pooling": "attention", "convolution": True},
]


@pytest.mark.parametrize("changes", WAYS, ids=str)
def test_a_sequence_is_answered_as_if_it_were_alone(changes) -> None:
    config = settings(**changes)
    network = trained_norms(SequenceNetwork(config))
    batch = ragged(config, LENGTHS)
    together = network(batch)
    for place, length in enumerate(LENGTHS):
        found = together[place : place + 1]
        if config.per_step:
            found = found[:, :length]
        torch.testing.assert_close(found, network(alone(batch, place)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", WAYS, ids=str)
def test_the_loss_of_short_sequences_reaches_all_that_they_were_read_through(changes) -> None:
    config = settings(**{**changes, "dropout": 0.0})
    network = SequenceNetwork(config)
    network(ragged(config, LENGTHS)).square().sum().backward()
    still = [
        name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert still == []


def test_gradients_do_not_see_what_is_past_an_end() -> None:
    config = settings(masked=True, irregular=True, convolution=True, dropout=0.0, pooling="attention")
    network = trained_norms(SequenceNetwork(config))
    batch = ragged(config, LENGTHS)
    loud = torch.where(batch.steps[..., None] > 0, batch.values, 1e3)
    gradients = []
    for values in (batch.values, loud):
        network.zero_grad()
        # what the features leave as zeros is not looked at by the LSTM; the convolution is given zeros for it
        network(batch._replace(values=values)).square().sum().backward()
        gradients.append([weight.grad.clone() for weight in network.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_batch_norm_in_training_counts_each_step_once_and_none_past_an_end() -> None:
    branch = ConvolutionalBranch(C, filters=(3, 3, 3))
    inputs = torch.randn(2, 6, C)
    steps = (torch.arange(6) < torch.tensor([6, 2])[:, None]).float()
    branch(inputs * steps[..., None], steps)
    found = branch.convolutions[0]((inputs * steps[..., None]).transpose(1, 2)).transpose(1, 2)
    rows = torch.cat([found[0], found[1, :2]])
    torch.testing.assert_close(branch.norms[0].running_mean, 0.1 * rows.mean(0))
    torch.testing.assert_close(branch.norms[0].running_var, 0.9 + 0.1 * rows.var(0))


def test_the_convolution_of_whole_and_of_ragged_batches_is_the_same() -> None:
    branch = ConvolutionalBranch(C, filters=(3, 4, 3)).eval()
    whole = torch.randn(2, 5, C)
    longer = torch.cat([whole, torch.zeros(2, 3, C)], dim=1)
    steps = torch.cat([torch.ones(2, 5), torch.zeros(2, 3)], dim=1)
    torch.testing.assert_close(branch(whole, torch.ones(2, 5)), branch(longer, steps))


def test_a_missing_value_decays_from_the_last_one_as_in_the_paper() -> None:
    inputs = MaskedInputs(C, masked=True, irregular=True).requires_grad_(False)
    inputs.rate.data = torch.tensor([0.7, -0.4])
    inputs.offset.data = torch.tensor([0.05, 0.1])
    batch = ragged(settings(masked=True, irregular=True), LENGTHS)
    found = inputs(batch)
    assert found.shape == (3, 5, inputs.width) == (3, 5, 3 * C + 1)
    for b, t, c in itertools.product(range(3), range(5), range(C)):
        since, seen = float(batch.since[b, t, c]), bool(batch.seen[b, t, c])
        gamma = math.exp(-max(0.0, float(inputs.rate[c]) * since + float(inputs.offset[c])))
        last = float(batch.values[b, t, c])
        expected = last if seen else gamma * last
        assert float(found[b, t, c]) == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(found[..., C : 2 * C], batch.seen)
    torch.testing.assert_close(found[..., 2 * C : 3 * C], batch.since)
    torch.testing.assert_close(found[..., 3 * C :], batch.gap)


def test_what_was_observed_does_not_decay_and_what_was_not_never_grows() -> None:
    inputs = MaskedInputs(1, masked=True, irregular=False)
    inputs.rate.data.fill_(-5.0)  # a rate below zero is held at none
    values = torch.tensor([[[2.0], [2.0]]])
    batch = SequenceBatch(
        torch.tensor([2]),
        values,
        torch.tensor([[[1.0], [0.0]]]),
        torch.tensor([[[0.0], [3.0]]]),
        values[..., :0],
        torch.zeros(1, 0, dtype=torch.long),
        torch.zeros(1, 0),
        torch.zeros(1, 0),
    )
    assert inputs(batch)[0, :, 0].tolist() == [2.0, 2.0]


def test_padding_of_texts_has_no_vector_and_learns_none() -> None:
    config = settings(tokens=V, channels=0, static=0, dropout=0.0)
    network = SequenceNetwork(config)
    network(ragged(config, LENGTHS)).sum().backward()
    gradient: Tensor = network.embed.weight.grad
    assert not network.embed.weight[0].any()
    assert not gradient[0].any()


def test_without_a_backward_direction_a_step_does_not_know_what_follows() -> None:
    for both, convolution in itertools.product((False, True), (False, True)):
        config = settings(per_step=True, bidirectional=both, convolution=convolution, dropout=0.0)
        network = trained_norms(SequenceNetwork(config))
        batch = ragged(config, [5])
        later = batch.values.clone()
        later[:, 3:] += 1
        first, second = network(batch), network(batch._replace(values=later))
        assert torch.equal(first[:, :3], second[:, :3]) is not both
        assert not torch.equal(first[:, 3:], second[:, 3:])
