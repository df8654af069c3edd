"""The masks from a counter: bit for bit as plain integers give them, and as random as they claim."""

import by_hand
import pytest
import torch

from fastlstm.ops import random

SEEDS = [0, 1, -1, 2**63 - 1, -(2**63), 0x0123456789ABCDEF]


@pytest.mark.parametrize("seed", SEEDS)
def test_bit_for_bit_as_plain_integers(seed):
    T, B, H, rate = 7, 3, 11, 0.35
    for direction in (0, 1):
        for which in (random.HIDDEN_STATE, random.CELL_STATE):
            keys = random.row_keys(torch.tensor([seed]), T, B, direction, which)
            expected = [[by_hand.key(seed, t, B, b, direction, which) for b in range(B)] for t in range(T)]
            assert keys.tolist() == expected
            masks = random.keeps_old(keys, H, rate)
            assert masks.tolist() == [
                [[by_hand.keeps(k, u, rate) for u in range(H)] for k in row] for row in expected
            ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shifted_seed_goes_on(seed):
    seed = torch.tensor([seed])
    whole = random.row_keys(seed, 9, 4, 1, 0)
    assert torch.equal(random.row_keys(random.shifted_seed(seed, 5, 4), 4, 4, 1, 0), whole[5:])


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.99])
def test_the_share_that_is_kept(rate):
    masks = random.keeps_old(random.row_keys(torch.tensor([3]), 200, 50, 0, 0), 100, rate).double()
    # The mean of n = 10^6 draws is off by more than five standard deviations in fewer than one seed of a million.
    assert abs(masks.mean().item() - rate) <= 5 * (rate * (1 - rate) / masks.numel()) ** 0.5
    for dims in ((0, 1), (1, 2), (0, 2)):  # each unit, each step, each sequence
        share = masks.mean(dims)
        assert (share - rate).abs().max() <= 6 * (rate * (1 - rate) / (masks.numel() / len(share))) ** 0.5


def test_no_two_of_unit_step_sequence_direction_state_go_together():
    seed = torch.tensor([5])
    T, B, H = 60, 40, 64
    masks = torch.stack(
        [
            random.keeps_old(random.row_keys(seed, T, B, direction, which), H, 0.5)
            for direction in (0, 1)
            for which in (0, 1)
        ]
    ).double()
    signs = 2 * masks - 1
    for dim in range(4):
        for shift in (1, 2):
            correlation = (signs * signs.roll(shift, dim)).mean().item()
            assert abs(correlation) <= 5 / signs.numel() ** 0.5


def test_seeds_differ():
    first, second = (random.row_keys(torch.tensor([s]), 50, 20, 0, 0) for s in (0, 1))
    agree = random.keeps_old(first, 64, 0.5) == random.keeps_old(second, 64, 0.5)
    assert abs(agree.double().mean().item() - 0.5) <= 5 * 0.5 / agree.numel() ** 0.5
