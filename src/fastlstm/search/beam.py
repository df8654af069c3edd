"""Beam search: the best continuations of several texts at once, a few of each kept at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastlstm.checks import require_whole
from fastlstm.errors import InputError
from fastlstm.search.contract import Context, Covering, State, StateT, StepModel


class BeamHypothesis(NamedTuple):
    """A text that ended.

    Attributes
    ----------
    tokens : tuple of int
        Without the boundary.
    score : float
        By which it was ranked.
    log_probability : float
        Of its tokens and the boundary.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float


def length_penalty(length: float, strength: float) -> float:
    r"""Compute what a log-probability is divided by, :math:`((5 + n) / 6)^α` (Wu et al. 2016, equation 14).

    Parameters
    ----------
    length : float
        n, tokens with the boundary.
    strength : float
        α: 0 ranks by the log-probability itself, 1 about by its mean over the tokens.

    Examples
    --------
    >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
    (1.0, 2.0)
    """
    return float(((5 + length) / 6) ** strength)


def beam_search(
    model: StepModel[Context, StateT],
    context: Context,
    longest: Sequence[int],
    *,
    boundary: int,
    beam_size: int = 5,
    n_best: int = 1,
    length_normalisation: float = 0.6,
    coverage_penalty: float = 0.0,
    cut: bool = False,
) -> list[list[BeamHypothesis]]:
    r"""Search for the texts with the highest scores.

    At every step the ``beam_size`` likeliest continuations of a row's hypotheses that do not end are kept. One that
    ends is noted if it is among the ``beam_size`` likeliest of all; a beam of one is so greedy search. What ended is
    ranked by Wu et al. 2016, "Google's neural machine translation system", equation 14,

    .. math:: s = \log P / ((5 + n) / 6)^α + β \sum_s \log \min(\sum_t a_{ts}, 1)

    A row is done when none of its hypotheses can still get into its n best (log-probabilities only fall, and coverage
    never lifts a score), or ``beam_size`` have ended and none that goes on is ahead of the n best of them.

    Parameters
    ----------
    model : StepModel
        What goes token by token. Where ``coverage_penalty`` is not 0 its states are
        :class:`~fastlstm.search.contract.Covering`.
    context
        What ``model.start`` takes, of B rows.
    longest : sequence of int
        (B,) the most tokens of each row's text, the boundary not counted: only that may follow then.
    boundary : int
        The token that begins and ends a text.
    beam_size : int
        K.
    n_best : int
        How many texts a row to return, K at most.
    length_normalisation : float
        α, 0 or more.
    coverage_penalty : float
        β, 0 or more.
    cut : bool
        Whether a text of ``longest`` tokens is cut there, as likely as it is so far; else it has to end there, as
        likely as that is.

    Returns
    -------
    list of list of BeamHypothesis
        For each row its ``n_best``, the best first; fewer only where there are no more.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    A model of two letters and the boundary, 2, whose answers hang on nothing:

    >>> class Coin:
    ...     def select(self, rows): return self
    ...     def start(self, context): return self
    ...     def step(self, tokens, state):
    ...         return torch.tensor([0.6, 0.3, 0.1]).log().expand(len(tokens), 3), state
    >>> found = beam_search(Coin(), None, [1], boundary=2, beam_size=3, n_best=3, length_normalisation=0.0)
    >>> [(hypothesis.tokens, round(hypothesis.log_probability, 3)) for hypothesis in found[0]]
    [((), -2.303), ((0,), -2.813), ((1,), -3.507)]
    """
    beam_size = require_whole("beam_size", beam_size, least=1)
    if require_whole("n_best", n_best, least=1) > beam_size:
        raise InputError(f"n_best is {n_best}: give 1 to {beam_size}, the beam_size")
    for name, value in (
        ("length_normalisation", length_normalisation),
        ("coverage_penalty", coverage_penalty),
    ):
        if not value >= 0:
            raise InputError(f"{name} is {value}: give 0 or more")
    search = _Search(list(longest), boundary, beam_size, n_best, length_normalisation, coverage_penalty, cut)
    return search.run(model, context)


class _Search:
    """One call of :func:`beam_search`. Its K hypotheses a row lie side by side; those with -inf are none."""

    def __init__(
        self,
        longest: list[int],
        boundary: int,
        beam_size: int,
        n_best: int,
        length_normalisation: float,
        coverage_penalty: float,
        cut: bool,
    ) -> None:
        self.longest = longest
        self.boundary = boundary
        self.beam_size = beam_size
        self.n_best = n_best
        self.length_normalisation = length_normalisation
        self.coverage_penalty = coverage_penalty
        self.cut = cut
        self.ended: list[list[BeamHypothesis]] = [[] for _ in longest]

    def run(self, model: StepModel[Context, StateT], context: Context) -> list[list[BeamHypothesis]]:
        rows, K = len(self.longest), self.beam_size
        state = model.start(context).select(torch.arange(rows).repeat_interleave(K))
        live = torch.arange(rows)  # which rows are not done
        totals = torch.full((rows, K), -torch.inf)
        totals[:, 0] = 0.0
        written = torch.full((rows, K, 1), self.boundary)
        while len(live):
            log_probabilities, state = model.step(written[:, :, -1].flatten(), state)
            found, places = self._continue(totals, log_probabilities.cpu(), live, written.shape[2] - 1)
            vocabulary = log_probabilities.shape[1]
            tokens = places % vocabulary
            origins = places // vocabulary + torch.arange(len(live))[:, None] * K
            ending = (tokens == self.boundary) & (found > -torch.inf)
            self._end(ending[:, :K], found, written, origins, live, state)
            # Each hypothesis ends in one way only: of 2 K continuations, K go on.
            going = found.masked_fill(tokens == self.boundary, -torch.inf).topk(K, 1)
            totals, origins, tokens = (
                going.values,
                origins.gather(1, going.indices),
                tokens.gather(1, going.indices),
            )
            kept = torch.tensor(
                [
                    self._goes_on(row, best, written.shape[2])
                    for row, best in zip(live.tolist(), totals.amax(1).tolist(), strict=True)
                ],
                dtype=torch.bool,
            )
            if not kept.any():
                break
            live, totals, origins, tokens = live[kept], totals[kept], origins[kept].flatten(), tokens[kept]
            state = state.select(origins)
            before = written.flatten(0, 1)[origins].view(len(live), K, -1)
            written = torch.cat([before, tokens[:, :, None]], 2)
        return [sorted(found, key=lambda one: -one.score)[: self.n_best] for found in self.ended]

    def _continue(
        self, totals: Tensor, log_probabilities: Tensor, live: Tensor, length: int
    ) -> tuple[Tensor, Tensor]:
        """Return the likeliest continuations (rows, 2 K): their log-probabilities, and places in (K · V)."""
        rows, K = totals.shape
        follow = totals[:, :, None] + log_probabilities.view(rows, K, -1)
        full = torch.tensor([self.longest[row] <= length for row in live.tolist()])
        if full.any():
            only = totals[full] if self.cut else follow[full][:, :, self.boundary].clone()
            follow[full] = -torch.inf
            follow[full.nonzero().squeeze(1), :, self.boundary] = only
        found = follow.flatten(1).topk(min(2 * K, follow[0].numel()), 1)
        return found.values, found.indices

    def _end(
        self, ending: Tensor, found: Tensor, written: Tensor, origins: Tensor, live: Tensor, state: State
    ) -> None:
        """Note the hypotheses that end with this step."""
        if not ending.any():
            return
        length = written.shape[2]  # with the boundary at the end instead of that at the beginning
        lasting = written.flatten(0, 1)[:, 1:]
        if self.coverage_penalty:
            if not isinstance(state, Covering):
                raise InputError("coverage_penalty is not 0, but the model does not tell what it attends to")
            covered = state.coverage.cpu()
        for place, slot in ending.nonzero().tolist():
            origin, total = int(origins[place, slot]), float(found[place, slot])
            score = total / length_penalty(length, self.length_normalisation)
            if self.coverage_penalty:
                score += self.coverage_penalty * float(covered[origin])
            self.ended[int(live[place])].append(BeamHypothesis(tuple(lasting[origin].tolist()), score, total))

    def _goes_on(self, row: int, best: float, length: int) -> bool:
        """Whether a row's hypotheses of ``length`` tokens are to go on; the best has log-probability ``best``."""
        if best == -torch.inf:
            return False
        found = self.ended[row]
        if len(found) < self.n_best:
            return True
        bound = best / length_penalty(self.longest[row] + 1, self.length_normalisation)
        if bound <= sorted((one.score for one in found), reverse=True)[self.n_best - 1]:
            return False
        if len(found) < self.beam_size:
            return True
        plain = sorted(
            (
                one.log_probability / length_penalty(len(one.tokens) + 1, self.length_normalisation)
                for one in found
            ),
            reverse=True,
        )
        return best / length_penalty(length, self.length_normalisation) > plain[self.n_best - 1]
