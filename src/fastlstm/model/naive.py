"""The naive forecasts of a window, which a network mixes and corrects instead of starting from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastlstm.model.lookup import places_in

MOST_SEASONS = 7  # that a seasonal mean is of
MOST_GROWTH = 4.0  # of a level in a season


class NaiveForecasts(NamedTuple):
    """What simple rules forecast, from each origin of each window.

    B windows, K origins, L steps ahead, N rules.

    Attributes
    ----------
    values : Tensor
        (B, K, L, N), in the scale of the windows, 0 where there is nothing to forecast from.
    barred : Tensor
        (B, K, L, N), -inf there, otherwise 0.
    """

    values: Tensor
    barred: Tensor

    @classmethod
    def of(
        cls,
        target: Tensor,
        observed: Tensor,
        origins: Tensor,
        *,
        context: int,
        horizon: int,
        seasons: Sequence[int],
        ratio: bool = False,
    ) -> NaiveForecasts:
        """Forecast by rule.

        The rules are: 0, where the window's scale has its zero; the last observed value; the mean of those up to
        the origin; and for each season m that fits into the context the value a season before,
        ``y_{j + l - m ⌈l / m⌉}`` with the origin j (FPP3, section 5.2), and, where two fit, the mean over the last
        ones, at most seven, and the value a season before moved by how far the level has moved since: the mean of
        the last quarter of a season beside that of the same quarter a season before, their ratio where the scale
        has the target's own zero, otherwise their difference. Where the horizon is longer than the longest of those
        seasons, the value is also moved as often as there are seasons between.

        Parameters
        ----------
        target, observed : Tensor
            (B, W), scaled, 0 where missing; 1 where observed.
        origins : Tensor
            (B, K) int64, steps of the context.
        context, horizon : int
            C and L.
        seasons : sequence of int
            In steps, at most C.
        ratio : bool
            Whether levels are compared by their ratio.

        Examples
        --------
        >>> target = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0, 0.0]])
        >>> found = NaiveForecasts.of(
        ...     target, (target > 0).float(), torch.tensor([[3]]), context=4, horizon=2, seasons=(2,)
        ... )
        >>> found.values[0, 0]
        tensor([[0.0000, 4.0000, 2.5000, 3.0000, 2.0000, 5.0000],
                [0.0000, 4.0000, 2.5000, 4.0000, 3.0000, 6.0000]])
        """
        ahead = torch.arange(1, horizon + 1, device=target.device)
        shape = (*origins.shape, horizon)
        sums, counts = (F.pad(part.cumsum(1), (1, 0)) for part in (target, observed))
        total, count = (part.gather(1, origins + 1) for part in (sums, counts))
        row = places_in(counts, count) - 1  # where the count became what it is
        last = target.gather(1, row.clamp_(min=0))[..., None].expand(shape)
        known = count.clamp(max=1)[..., None].expand(shape)
        mean = total / count.clamp(min=1)
        values = [torch.zeros_like(last), last, mean[..., None].expand(shape)]
        usable = [torch.ones_like(last), known, known]
        longest = _moving_on(seasons, context, horizon)
        for season in seasons:
            seasons_back = torch.arange(min(context // season, MOST_SEASONS), device=target.device)[:, None]
            steps = ahead - season * (-(-ahead // season) + seasons_back)
            rows = origins[:, :, None, None] + steps
            at = rows.clamp(min=0).flatten(1)
            seen = observed.gather(1, at).view(rows.shape).mul_(rows >= 0)
            value = target.gather(1, at).view(rows.shape).mul_(seen)
            values.append(value[:, :, 0])
            usable.append(seen[:, :, 0])
            if context >= 2 * season:
                total, count = value.sum(2), seen.sum(2)
                values.append(total / count.clamp(min=1))
                usable.append(count.clamp(max=1))
                quarter = max(1, season // 4)
                now, seen_now = _level(sums, counts, origins, quarter)
                then, seen_then = _level(sums, counts, origins - season, quarter)
                before, known = values[-2], usable[-2] * (seen_now & seen_then)[..., None]
                if ratio:
                    known = known * (then > 0)[..., None]
                    growth = (now / then.clamp(min=1e-6)).clamp(max=MOST_GROWTH)[..., None]
                else:
                    growth = (now - then)[..., None]
                between = torch.ceil(ahead / season)
                for times in (1.0, between)[: 1 + (season == longest)]:
                    moved = before * growth**times if ratio else before + growth * times
                    values.append(moved * known)
                    usable.append(known)
        barred = torch.stack(usable, dim=3).log_()
        return cls(torch.stack(values, dim=3), barred)

    def split(self, size: int) -> list[NaiveForecasts]:
        """Cut the batch into batches of so many windows, the last of what is left.

        Parameters
        ----------
        size : int
            Windows of each.
        """
        return [NaiveForecasts(*part) for part in zip(*(field.split(size) for field in self), strict=True)]


def _level(sums: Tensor, counts: Tensor, ends: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the mean of some steps up to each end (B, K), and whether anything of them was observed."""
    last, first = (ends + 1).clamp(min=0), (ends + 1 - steps).clamp(min=0)
    count = counts.gather(1, last) - counts.gather(1, first)
    return (sums.gather(1, last) - sums.gather(1, first)) / count.clamp(min=1), count > 0


def count_rules(seasons: Sequence[int], context: int, horizon: int) -> int:
    """How many naive forecasts there are.

    Parameters
    ----------
    seasons : sequence of int
        In steps, at most C.
    context, horizon : int
        C and L.

    Examples
    --------
    >>> count_rules((24, 168), 200, 24), count_rules((24, 168), 200, 48), count_rules((24, 168), 336, 48)
    (7, 8, 9)
    """
    moved = sum(1 + 2 * (context >= 2 * season) for season in seasons)
    return 3 + moved + (_moving_on(seasons, context, horizon) is not None)


def _moving_on(seasons: Sequence[int], context: int, horizon: int) -> int | None:
    """Return the season whose movement goes on with every season ahead: the longest of which two fit.

    A level that rises from year to year rises on; from day to day of a week it does not.
    """
    longest = max((season for season in seasons if context >= 2 * season), default=horizon)
    return longest if horizon > longest else None
