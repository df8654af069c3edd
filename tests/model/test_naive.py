"""The naive forecasts that a network mixes, beside loops."""

import math

import numpy as np
import pytest
import torch

from fastlstm.model.naive import NaiveForecasts, count_rules

B, C, L = 5, 20, 9
SEASONS = (4, 7, 12)  # the last fits once only


def mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def by_hand(
    history: list[float | None],
    step: int,
    *,
    context: int,
    horizon: int,
    seasons: tuple[int, ...],
    ratio: bool,
) -> list[float | None]:
    """What each rule says of a step after a history, None where it says nothing."""
    end = len(history)

    def at(place: int) -> float | None:
        return history[place] if 0 <= place < end else None

    known = [value for value in history if value is not None]
    answer: list[float | None] = [0.0, known[-1] if known else None, mean(history)]
    for season in seasons:
        place = end - 1 + step - season * math.ceil(step / season)
        answer.append(at(place))
        if context < 2 * season:
            continue
        answer.append(mean([at(place - season * back) for back in range(min(context // season, 7))]))
        quarter = max(1, season // 4)
        now = mean([at(end - 1 - back) for back in range(quarter)])
        then = mean([at(end - 1 - season - back) for back in range(quarter)])
        before = at(place)
        longest = max(one for one in seasons if context >= 2 * one)
        for times in (1, math.ceil(step / season))[: 1 + (horizon > season == longest)]:
            if before is None or now is None or then is None or (ratio and then <= 0):
                answer.append(None)
            elif ratio:
                answer.append(before * min(now / then, 4.0) ** times)
            else:
                answer.append(before + (now - then) * times)
    return answer


@pytest.mark.parametrize("ratio", [False, True])
def test_the_rules(ratio: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    observed = (torch.rand(B, C + L, generator=generator) > 0.3).double()
    observed[0, :8] = 0  # begins late
    observed[1] = 1
    observed[2, 10:14] = 0  # a gap as long as a season
    target = torch.rand(B, C + L, generator=generator, dtype=torch.double) * 5 * observed
    target[3, 2:9] = 0  # a level of zero has no ratio
    target[4, :10] /= 100  # and one that has grown more than fourfold
    origins = torch.tensor([[2, 11, 19], [19, 0, 7], [19, 13, 15], [8, 12, 19], [12, 19, 3]])
    found = NaiveForecasts.of(target, observed, origins, context=C, horizon=L, seasons=SEASONS, ratio=ratio)
    assert found.values.shape == (B, 3, L, count_rules(SEASONS, C, L))
    silent = 0
    for b in range(B):
        for k in range(3):
            history = [target[b, t].item() if observed[b, t] else None for t in range(int(origins[b, k]) + 1)]
            for step in range(1, L + 1):
                wanted = by_hand(history, step, context=C, horizon=L, seasons=SEASONS, ratio=ratio)
                barred = [0.0 if value is not None else -math.inf for value in wanted]
                silent += barred.count(-math.inf)
                assert found.barred[b, k, step - 1].tolist() == barred
                assert found.values[b, k, step - 1].tolist() == pytest.approx(
                    [value or 0.0 for value in wanted], rel=1e-9, abs=1e-12
                )
    assert silent > 100


def test_nothing_after_an_origin_is_read() -> None:
    target = torch.rand(2, C + L)
    later = torch.cat([target[:, :11], 100 + target[:, 11:]], dim=1)
    observed = torch.ones_like(target)
    fewer = torch.cat([observed[:, :11], 0 * observed[:, 11:]], dim=1)
    of = {"context": C, "horizon": L, "seasons": SEASONS}
    before = NaiveForecasts.of(target, observed, torch.tensor([[10]] * 2), **of)
    after = NaiveForecasts.of(later * fewer, fewer, torch.tensor([[10]] * 2), **of)
    assert torch.equal(before.values, after.values)
    assert torch.equal(before.barred, after.barred)


def test_at_most_seven_seasons_are_averaged() -> None:
    """Ten seasons of 2 steps, whose first steps are 1 … 10: the mean of the last seven is 7."""
    target = torch.tensor([[value for season in range(1, 11) for value in (float(season), 0.0)] + [0.0]])
    found = NaiveForecasts.of(
        target, torch.ones_like(target), torch.tensor([[19]]), context=20, horizon=1, seasons=(2,)
    )
    assert found.values[0, 0, 0, 4].item() == np.mean(range(4, 11))
