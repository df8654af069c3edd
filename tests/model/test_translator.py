"""Attention and the translating network against their equations, and stepping against running."""

import pytest
import torch

from fastlstm.model.attention import Attention
from fastlstm.model.translation_steps import TranslationSteps
from fastlstm.model.translator import TranslatorNetwork, TranslatorSettings


def network_of(**changed):
    settings = {
        "source_tokens": 11,
        "target_tokens": 13,
        "shared": False,
        "embedding": 6,
        "hidden_size": 8,
        "num_layers": 2,
        "attention": "luong",
        "input_feeding": False,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
    }
    torch.manual_seed(0)
    return TranslatorNetwork(TranslatorSettings(**(settings | changed))).eval()


SOURCE = torch.tensor([[2, 3, 4, 10], [5, 10, 0, 0], [6, 7, 10, 0]])
LENGTHS = torch.tensor([4, 2, 3])
BEFORE = torch.tensor([[12, 2, 3, 4], [12, 5, 0, 0], [12, 6, 7, 2]])


@pytest.mark.parametrize("kind", ["luong", "bahdanau"])
def test_attention_is_its_equation(kind):
    torch.manual_seed(0)
    attention = Attention(kind, 4, 6).double()
    memory, queries = torch.randn(2, 5, 6).double(), torch.randn(2, 3, 4).double()
    steps = torch.tensor([[True] * 5, [True, True, False, False, False]])
    context, weights = attention(queries, memory, attention.keys(memory), steps)
    for row, length in ((0, 5), (1, 2)):
        for query in range(3):
            q, scores = queries[row, query], []
            for m in memory[row, :length]:
                if kind == "luong":
                    scores.append(q @ (attention.of_memory.weight @ m))
                else:
                    inside = attention.of_query.weight @ q + attention.of_memory.weight @ m
                    scores.append(attention.score @ torch.tanh(inside + attention.of_memory.bias))
            expected = torch.stack(scores).softmax(0)
            torch.testing.assert_close(weights[row, query, :length], expected)
            assert weights[row, query, length:].abs().sum() == 0
            torch.testing.assert_close(context[row, query], expected @ memory[row, :length])


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_steps_tell_what_the_whole_target_tells(num_layers, input_feeding, attention):
    network = network_of(num_layers=num_layers, input_feeding=input_feeding, attention=attention)
    whole = network(SOURCE, LENGTHS, BEFORE)
    whole[:, :, :2] = -torch.inf
    steps = TranslationSteps(network)
    state = steps.start((SOURCE, LENGTHS))
    for place in range(BEFORE.shape[1]):
        found, state = steps.step(BEFORE[:, place], state)
        # another order of float32 sums
        torch.testing.assert_close(found, whole[:, place].log_softmax(1), rtol=1e-4, atol=1e-5)
    assert network.decode(BEFORE, *network.encode(SOURCE, LENGTHS)).weights.sum(2).sub(1).abs().max() < 1e-5


@pytest.mark.parametrize("input_feeding", [False, True])
def test_selected_rows_go_on_as_they_would_alone(input_feeding):
    """Rows of one source side by side, of several, repeated, left out, and out of the even order."""
    network = network_of(input_feeding=input_feeding)
    steps = TranslationSteps(network)
    state = steps.start((SOURCE, LENGTHS))
    _, state = steps.step(torch.tensor([12, 12, 12]), state)
    for rows in ([0, 0, 1, 1, 2, 2], [2, 2], [0, 1, 1, 2], [1], [2, 0, 1]):
        which = torch.tensor(rows)
        chosen = state.select(which)
        tokens = torch.arange(2, 2 + len(rows))
        found, after = steps.step(tokens, chosen)
        for place, row in enumerate(rows):
            alone = steps.start((SOURCE[row : row + 1, : LENGTHS[row]], LENGTHS[row : row + 1]))
            _, alone = steps.step(torch.tensor([12]), alone)
            expected, alone = steps.step(tokens[place : place + 1], alone)
            torch.testing.assert_close(found[place], expected[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(after.coverage[place], alone.coverage[0], rtol=1e-4, atol=1e-5)
        again, _ = steps.step(tokens, chosen)  # the state is left as it is
        assert torch.equal(found, again)


def test_padding_changes_nothing():
    network = network_of()
    whole = network(SOURCE, LENGTHS, BEFORE)
    alone = network(SOURCE[1:2, :2], LENGTHS[1:2], BEFORE[1:2, :2])
    torch.testing.assert_close(whole[1, :2], alone[0], rtol=1e-4, atol=1e-5)


def test_coverage_is_its_equation():
    """Wu et al. 2016, equation 14, over what was attended to at each of three tokens."""
    network = network_of()
    steps = TranslationSteps(network)
    state = steps.start((SOURCE, LENGTHS))
    weights = network.decode(BEFORE[:, :3], *network.encode(SOURCE, LENGTHS)).weights
    for place in range(3):
        _, state = steps.step(BEFORE[:, place], state)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = weights[row, :, :length].sum(0).clamp(max=1).log().sum()
        torch.testing.assert_close(state.coverage[row], expected, rtol=1e-4, atol=1e-5)


def test_only_what_is_wanted_is_told():
    network = network_of()
    whole = network(SOURCE, LENGTHS, BEFORE).flatten(0, 1)
    wanted = torch.tensor([0, 3, 5])
    torch.testing.assert_close(network(SOURCE, LENGTHS, BEFORE, wanted), whole[wanted], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changed", [{}, {"input_feeding": True}, {"attention": "bahdanau"}, {"shared": True}]
)
def test_every_weight_learns(changed):
    network = network_of(**(changed | ({"source_tokens": 13} if "shared" in changed else {}))).train()
    network(SOURCE, LENGTHS, BEFORE).log_softmax(2)[:, :, 4].sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad.abs().sum() == 0]
    assert idle == []


def test_dropout_has_one_mask_for_a_text():
    network = network_of(dropout=0.5).train()
    dropped = network._dropped(torch.ones(4, 7, 20))
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 7, -1))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
