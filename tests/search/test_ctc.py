"""CTC's searches against all paths there are, one by one."""

from itertools import groupby, pairwise, product

import numpy as np
import pytest
import torch

from fastlstm.search.ctc import GreedySearch, PrefixBeamSearch, Prior, align, fewest_steps, log_likelihood

EVERYTHING = 10_000  # a beam that no prefix falls out of


def said(path):
    """What a path says, as Graves et al. 2006 define it."""
    return tuple(token for token, _ in groupby(path) if token)


def random_steps(steps, tokens, seed):
    scores = np.random.default_rng(seed).normal(0, 2, (steps, tokens))
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def all_paths(steps):
    for path in product(range(steps.shape[1]), repeat=len(steps)):
        yield path, sum(steps[place, token] for place, token in enumerate(path))


def all_texts(steps):
    """ln p of every text that can be said, by the sum over all paths that say it."""
    found = {}
    for path, logarithm in all_paths(steps):
        found[said(path)] = np.logaddexp(found.get(said(path), -np.inf), logarithm)
    return found


class Bigrams:
    """A step model that goes by the last token alone, and counts how often it is asked."""

    def __init__(self, tokens, seed):
        self.table = torch.randn(tokens, tokens, generator=torch.Generator().manual_seed(seed)).log_softmax(1)
        self.asked = 0

    def start(self, context):
        return Last(torch.zeros(len(context), dtype=torch.int64))

    def step(self, tokens, state):
        assert len(tokens) == len(state.tokens)
        self.asked += 1
        return self.table[tokens], Last(tokens)


class Last:
    def __init__(self, tokens):
        self.tokens = tokens

    def select(self, rows):
        return Last(self.tokens[rows])


@pytest.mark.parametrize(("steps", "tokens"), [(1, 3), (5, 2), (6, 3), (5, 4)])
def test_a_beam_without_end_sums_over_all_paths(steps, tokens):
    given = random_steps(steps, tokens, seed=steps)
    search = PrefixBeamSearch(EVERYTHING)
    search.advance(given)
    expected = all_texts(given)
    found = {hypothesis.tokens: hypothesis.score for hypothesis in search.hypotheses}
    assert found.keys() == expected.keys()
    for text, logarithm in expected.items():
        assert found[text] == pytest.approx(logarithm, abs=1e-9)
    assert search.tokens == max(expected, key=expected.get)
    assert np.exp(list(found.values())).sum() == pytest.approx(1)


def test_the_sum_is_that_of_torch():
    """Of one text: minus torch's loss."""
    given = random_steps(7, 4, seed=0)
    search = PrefixBeamSearch(EVERYTHING)
    search.advance(given)
    found = {hypothesis.tokens: hypothesis.score for hypothesis in search.hypotheses}
    for text in [(1, 2), (3, 3, 1), (2,)]:
        assert found[text] == pytest.approx(log_likelihood(given, text), abs=1e-9)
    assert found[()] == pytest.approx(log_likelihood(given, ()), abs=1e-9)
    assert log_likelihood(given, [1] * 5) == -np.inf  # and a blank between any two: nine steps


def test_a_small_beam_finds_what_is_clear_and_bits_of_it_make_the_whole():
    given = random_steps(40, 6, seed=3) * 3
    given -= np.log(np.exp(given).sum(1, keepdims=True))
    whole, parts = PrefixBeamSearch(8), PrefixBeamSearch(8)
    whole.advance(given)
    for part in np.split(given, [1, 1, 17]):
        parts.advance(part)
    assert whole.hypotheses == parts.hypotheses
    greedy = GreedySearch()
    greedy.advance(given[:13])
    greedy.advance(given[13:])
    assert greedy.tokens == said(given.argmax(1).tolist())
    scores = dict(whole.hypotheses)
    assert whole.hypotheses[0].score == max(scores.values())
    assert scores.get(greedy.tokens, -np.inf) <= whole.hypotheses[0].score


@pytest.mark.parametrize(("weight", "bonus"), [(0.7, 0.0), (1.5, 0.8)])
def test_a_language_model_counts_as_the_equation_says(weight, bonus):
    given = random_steps(5, 4, seed=1)
    ids = np.array([0, 3, 1, 2])  # the model numbers the same tokens otherwise
    model = Bigrams(5, seed=2)
    search = PrefixBeamSearch(EVERYTHING, Prior(model, torch.zeros(1, 0), 4, ids, weight, bonus))
    search.advance(given)
    table = model.table.double().numpy()

    def judged(text, logarithm):
        read = [4, *ids[list(text)]]
        prior = sum(table[before, after] for before, after in pairwise(read))
        return logarithm + weight * prior + bonus * len(text)

    expected = {text: judged(text, logarithm) for text, logarithm in all_texts(given).items()}
    found = {hypothesis.tokens: hypothesis.score for hypothesis in search.hypotheses}
    assert found.keys() == expected.keys()
    for text, score in expected.items():
        assert found[text] == pytest.approx(score, abs=1e-5)  # the model is of float32
    assert search.tokens == max(expected, key=expected.get)
    own = log_likelihood(given, search.tokens)
    assert search.gain == pytest.approx(expected[search.tokens] - own, abs=1e-5)


def test_the_model_is_asked_for_prefixes_together():
    model = Bigrams(5, seed=2)
    prior = Prior(model, torch.zeros(1, 0), 4, np.arange(4), 0.5)
    search = PrefixBeamSearch(16, prior)
    search.advance(random_steps(10, 4, seed=1))
    assert model.asked < 10 * 16


@pytest.mark.parametrize("seed", range(5))
def test_the_alignment_is_the_likeliest_path(seed):
    given = random_steps(6, 3, seed)
    for text in [(1,), (2, 1), (1, 1), (2, 2, 1)]:
        best, _ = max((pair for pair in all_paths(given) if said(pair[0]) == text), key=lambda pair: pair[1])
        spans, place = [], 0
        for token, run in groupby(best):
            count = len(list(run))
            if token:
                spans.append([place, place + count])
            place += count
        assert align(given, text).tolist() == spans


def test_an_alignment_needs_a_step_for_each_token_and_between_equal_ones():
    assert fewest_steps((1, 1, 1)) == 5
    with pytest.raises(ValueError, match=r"4 steps cannot say 3 tokens, which need 5"):
        align(random_steps(4, 2, 0), (1, 1, 1))
    assert align(random_steps(5, 2, 0), (1, 1, 1)).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert align(random_steps(5, 2, 0), ()).shape == (0, 2)


def test_nothing_heard_is_nothing_said():
    for search in (GreedySearch(), PrefixBeamSearch(4)):
        search.advance(np.zeros((0, 3)))
        assert search.tokens == ()


class Elsewhere(torch.Tensor):
    """A tensor on another device, which makes no array before it is copied from there."""

    def numpy(self, **_):
        raise TypeError("copy the tensor to host memory first")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


class BigramsElsewhere(Bigrams):
    def step(self, tokens, state):
        told, after = super().step(tokens, state)
        return told.as_subclass(Elsewhere), after


def test_a_language_model_may_be_on_another_device():
    steps = random_steps(5, 4, seed=2)
    told = []
    for kind in (Bigrams, BigramsElsewhere):
        search = PrefixBeamSearch(4, Prior(kind(4, seed=0), torch.zeros(1, 0), 0, np.arange(4), 0.5, 0.0))
        search.advance(steps)
        told.append((search.tokens, search.gain))
    assert told[0] == told[1]
