"""Sampling: probabilities by arithmetic, draws by their frequencies."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from fastlstm.errors import InputError
from fastlstm.search.sampling import Sampling, sample


class Place(NamedTuple):
    rows: torch.Tensor

    def select(self, rows):
        return Place(self.rows[rows])


class Chain:
    """A Markov chain: what comes next hangs on the token alone."""

    def __init__(self, matrix):
        self.matrix = torch.tensor(matrix)

    def start(self, context):
        return Place(torch.zeros(len(context)))

    def step(self, tokens, state):
        return self.matrix[tokens].log(), state


CHAIN = Chain([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])


def drawn(count, sampling=None, rows=1, first=0, **options):
    found = sample(CHAIN, [None] * rows, torch.full((rows,), first), sampling or Sampling(), **options)
    return np.stack([next(found) for _ in range(count)])


def test_draws_come_as_often_as_they_should():
    tokens = drawn(1, rows=20_000)[0]
    found = np.bincount(tokens, minlength=3) / len(tokens)
    np.testing.assert_allclose(found, [0.1, 0.6, 0.3], atol=4 * 0.5 / np.sqrt(20_000))


def test_a_seed_repeats_and_another_does_not():
    np.testing.assert_array_equal(drawn(50, seed=1), drawn(50, seed=1))
    assert (drawn(50, seed=1) != drawn(50, seed=2)).any()


def test_temperature_zero_is_the_likeliest():
    assert drawn(4, Sampling(temperature=0), first=0)[:, 0].tolist() == [1, 0, 1, 0]


def test_what_never_comes_does_not():
    assert 2 not in drawn(300, never=[2])
    assert 0 not in drawn(1, rows=200, first=2)[0]  # of probability 0


def plain_chances(sampling, told):
    """The probabilities of one row, by the definitions."""
    told = told.astype(np.float64)
    if sampling.temperature == 0:
        return (np.arange(len(told)) == told.argmax()).astype(float)
    shares = np.exp((told - told.max()) / sampling.temperature)
    if sampling.top_k is not None and sampling.top_k < len(told):
        shares[shares < np.sort(shares)[-sampling.top_k]] = 0
    if sampling.top_p is not None:
        order = (-shares).argsort(kind="stable")
        sums = shares[order].cumsum()
        shares[order[sums - shares[order] >= sampling.top_p * sums[-1]]] = 0
    return shares / shares.sum()


def shares_drawn(sampling, told, never=()):
    """How often each token is drawn by numbers that are spread evenly."""
    count = 10_000
    numbers = (np.arange(count) + 0.5) / count
    tokens = sampling.draw(np.repeat(told[None].astype(np.float32), count, 0), numbers, never)
    return np.bincount(tokens, minlength=len(told)) / count


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(top_k=1), [1, 0, 0, 0]),
        (Sampling(top_k=3), [4 / 9, 3 / 9, 2 / 9, 0]),
        (Sampling(top_k=9), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(top_p=0.39), [1, 0, 0, 0]),
        (Sampling(top_p=0.41), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_p=1), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Sampling(temperature=0.5, top_k=2), [16 / 25, 9 / 25, 0, 0]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
    ],
    ids=str,
)
def test_probabilities_by_arithmetic(sampling, expected):
    order = [2, 0, 3, 1]  # not sorted to begin with
    told = np.log(np.array([0.4, 0.3, 0.2, 0.1]))[order]
    np.testing.assert_allclose(shares_drawn(sampling, told), np.array(expected)[order], atol=2e-4)
    np.testing.assert_allclose(plain_chances(sampling, told), np.array(expected)[order], atol=1e-12)


@pytest.mark.parametrize("tokens", [1, 2, 16, 67, 1000])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(0.3),
        Sampling(top_k=5),
        Sampling(1.5, top_p=0.9),
        Sampling(top_k=9, top_p=0.4),
        Sampling(0),
    ],
    ids=str,
)
def test_probabilities_of_many_tokens(tokens, sampling, instruction_set):
    told = np.random.default_rng(tokens).normal(size=tokens).astype(np.float32) * 3
    told[::7] = told[0]  # equally likely
    np.testing.assert_allclose(shares_drawn(sampling, told), plain_chances(sampling, told), atol=2e-4)


def test_what_is_barred_leaves_its_share_to_the_others():
    told = np.log(np.array([0.4, 0.3, 0.2, 0.1]))
    np.testing.assert_allclose(shares_drawn(Sampling(), told, [1, 3]), [2 / 3, 0, 1 / 3, 0], atol=2e-4)
    np.testing.assert_allclose(shares_drawn(Sampling(top_k=1), told, [0]), [0, 1, 0, 0])
    with pytest.raises(IndexError, match="no token 4"):
        shares_drawn(Sampling(), told, [4])


@pytest.mark.parametrize("temperature", [0, 0.5])
def test_what_is_no_number_is_refused(temperature):
    for told in ([0.1, np.nan, 0.3], [-np.inf, -np.inf, -np.inf]):
        with pytest.raises(ValueError, match="no numbers, or bar every token"):
            Sampling(temperature).draw(np.array([told], np.float32), np.array([0.5]))


def test_a_tiny_temperature_stays_finite():
    np.testing.assert_array_equal(shares_drawn(Sampling(1e-9), np.log(np.array([0.3, 0.7]))), [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1: give 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0: give a whole number, 1 or more"),
        ({"top_p": 0}, "top_p is 0: give more than 0 and at most 1"),
        ({"top_p": 1.1}, "top_p is 1.1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Sampling(**options)


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(0.7, top_k=2), Sampling(top_p=0.8), Sampling(0)], ids=str
)
def test_draws_are_those_of_the_plain_way(sampling):
    """One number a token from PCG64, and the first token whose sum of probabilities is above it."""
    numbers, last, expected = np.random.default_rng(5), 0, []
    for _ in range(60):
        chances = plain_chances(sampling, CHAIN.matrix[last].log().numpy())
        number = numbers.random()
        last = next(place for place in range(3) if chances[: place + 1].sum() > number)
        expected.append(last)
    assert drawn(60, sampling, seed=5)[:, 0].tolist() == expected
