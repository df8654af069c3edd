"""The networks over labelled sequences with all that stands before and after them, as one graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fastlstm.data.sequences.features import SequenceBatch, SequenceScaling
from fastlstm.data.sequences.observed import ObservedSummary
from fastlstm.data.series.scaling import Standardizer
from fastlstm.model.lookup import running_maximum


class StandaloneSequences(nn.Module):
    """Answers from a table's own numbers, or from tokens: what :class:`SequenceFeatures` does, and the members' mean.

    B sequences, T steps, C channels, S static numbers, K outputs.

    Parameters
    ----------
    networks : torch.nn.ModuleList
        Members, in evaluation mode.
    answers : callable
        From a member's raw outputs (…, K) to its answers.
    told : callable
        From the mean of the members' answers to what the graph gives.
    scaling : SequenceScaling, optional
        Of numbers.
    longest : int
        Tokens of a text that are read.
    """

    def __init__(
        self,
        networks: nn.ModuleList,
        answers: Callable[[Tensor], Tensor],
        told: Callable[[Tensor], tuple[Tensor, ...]],
        scaling: SequenceScaling | None,
        longest: int,
    ) -> None:
        super().__init__()
        self.networks = networks
        self.answers = answers
        self.told = told
        self.scaling = scaling
        self.longest = longest

    def forward(
        self,
        lengths: Tensor,
        values: Tensor | None = None,
        elapsed: Tensor | None = None,
        static: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Answer.

        Parameters
        ----------
        lengths : Tensor
            (B,) int64, at least 1 and at most T.
        values : Tensor, optional
            (B, T, C), NaN where missing, anything past a sequence's end.
        elapsed : Tensor, optional
            (B, T) float64, when each row is, from any beginning. Default: one apart.
        static : Tensor, optional
            (B, S), NaN where missing.
        tokens : Tensor, optional
            (B, T) int64, of texts.

        Returns
        -------
        tuple of Tensor
            What ``told`` makes of (B, K), or of (B, T, K).
        """
        if tokens is not None:
            batch = self._of_tokens(tokens, lengths.clamp(max=self.longest))
        else:
            assert values is not None
            batch = self._of_numbers(values, lengths, elapsed, static)
        found = torch.stack([self.answers(network(batch)) for network in self.networks])
        return self.told(found.mean(0))

    def _of_tokens(self, tokens: Tensor, lengths: Tensor) -> SequenceBatch:
        none = tokens.new_empty((*tokens.shape, 0), dtype=torch.float32)
        read = tokens * _within(tokens, lengths)
        return SequenceBatch(lengths, none, none, none, none, read, none[:, 0], none[:, 0])

    def _of_numbers(
        self, values: Tensor, lengths: Tensor, elapsed: Tensor | None, static: Tensor | None
    ) -> SequenceBatch:
        scaling = self.scaling
        assert scaling is not None
        within = _within(values, lengths)
        known = within[..., None] & ~values.isnan()
        scaled = scaling.scaled(values.masked_fill(~known, 0))
        steps = torch.arange(values.shape[1])
        clock = steps.double().expand(values.shape[:2]) if elapsed is None else elapsed
        last = running_maximum(torch.where(known, steps[:, None], -1))
        there = last >= 0
        filled = scaled.gather(1, last.clamp(min=0)) * there
        none = filled.new_empty((*values.shape[:2], 0))
        seen = since = gap = none
        unit = torch.tensor(scaling.unit, dtype=torch.float64)  # ONNX's exporter rounds bare floats
        if scaling.masked:
            times = clock[..., None].expand(values.shape)
            then = torch.where(there, times.gather(1, last.clamp(min=0)), times[:, :1])
            seen, since = known, torch.log1p((times - then) / unit)
        if scaling.irregular:
            before = clock.index_select(1, (steps - 1).clamp(min=0))
            gap = torch.log1p((clock - before) / unit)[..., None]
        filled, seen, since, gap = (part.float() * within[..., None] for part in (filled, seen, since, gap))
        summary = none[:, 0].float()
        if scaling.summary is not None:
            summary = _summed_up(scaled, known, scaling.summary)
        if static is None:
            static = values.new_empty(values.shape[0], 0)
        tokens = none.to(torch.int64)[:, 0]
        return SequenceBatch(
            lengths, filled, seen, since, gap, tokens, scaling.of_static.apply(static), summary
        )


def _within(values: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) bool, False past a sequence's end."""
    return torch.arange(values.shape[1]) < lengths[:, None]


def _summed_up(scaled: Tensor, known: Tensor, summary: ObservedSummary) -> Tensor:
    """Return (B, P) of scaled values (B, T, C): :meth:`ObservedSummary.transform`."""
    channels = torch.tensor(summary.channels)
    values, seen = scaled.index_select(2, channels), known.index_select(2, channels)
    steps = torch.arange(values.shape[1])[:, None]
    counts = seen.sum(1, keepdim=True)
    there = counts.clamp(min=1)
    first = torch.where(seen, steps, values.shape[1] - 1).amin(1, keepdim=True)
    last = torch.where(seen, steps, 0).amax(1, keepdim=True)
    mean = (values * seen).sum(1, keepdim=True) / there
    variance = ((values - mean).square() * seen).sum(1, keepdim=True) / there
    parts = [
        values.gather(1, first),
        values.gather(1, last),
        mean,
        variance.sqrt(),
        torch.where(seen, values, torch.inf).amin(1, keepdim=True),
        torch.where(seen, values, -torch.inf).amax(1, keepdim=True),
    ]
    parts = [part.masked_fill(counts == 0, torch.nan) for part in parts]
    found = torch.cat([counts.double().log1p(), *parts], dim=1).float().flatten(1)
    return Standardizer(summary.mean, summary.deviation).apply(found)[:, : found.shape[1]]
