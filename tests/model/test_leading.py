"""Past covariates beside the steps that they lead to."""

import torch
from torch import nn

from fastlstm.model.leading import LeadingPast


def leading() -> LeadingPast:
    torch.manual_seed(0)
    return LeadingPast(2, 5, features=3, reach=4)  # two numbers, where they are missing, and an embedding


def test_each_step_ahead_reads_what_came_each_lag_before_it() -> None:
    part, past = leading(), torch.randn(2, 9, 5)
    found = part(past, torch.tensor([5, 8]), 3)
    weight = part.convolution.weight  # (G, F, R), the longest lag first
    for place, origin in enumerate((5, 8)):
        for ahead in (1, 2, 3):
            step = origin + ahead
            rows = [
                past[:, step - lag] if ahead <= lag else part.unknown.expand(2, -1) for lag in (4, 3, 2, 1)
            ]
            expected = sum(row @ weight[..., at].T for at, row in enumerate(rows))
            torch.testing.assert_close(found[:, place, ahead - 1], expected)


def test_nothing_behind_the_origin_is_looked_at() -> None:
    part, past = leading(), torch.randn(1, 9, 5)
    origins = torch.tensor([0, 4])
    changed = past.clone()
    changed[:, 5:] = torch.nan
    torch.testing.assert_close(part(changed, origins, 6), part(past, origins, 6))


def test_what_is_not_known_yet_counts_as_missing() -> None:
    part = leading()
    nn.init.zeros_(part.convolution.weight)
    with torch.no_grad():
        part.convolution.weight[0, 2] = 1  # counts the steps at which the first number is missing
    found = part(torch.zeros(1, 6, 5), torch.tensor([5]), 6)
    assert found[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 4]
