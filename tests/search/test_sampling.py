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
    told = np.log(np.array([[0.4, 0.3, 0.2, 0.1]]))[:, order]
    before = told.copy()
    np.testing.assert_allclose(sampling.probabilities(told)[0], np.array(expected)[order], atol=1e-12)
    np.testing.assert_array_equal(told, before)


def test_a_tiny_temperature_stays_finite():
    found = Sampling(temperature=1e-9).probabilities(np.log([[0.3, 0.7]]))
    np.testing.assert_array_equal(found, [[0, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1: give 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0: give 1 or more"),
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
        log_probabilities = CHAIN.matrix[last].log().numpy()[None]
        chances = sampling.probabilities(log_probabilities)[0]
        number = numbers.random()
        last = next(place for place in range(3) if chances[: place + 1].sum() > number)
        expected.append(last)
    assert drawn(60, sampling, seed=5)[:, 0].tolist() == expected
