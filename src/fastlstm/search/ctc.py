"""Connectionist temporal classification: from how likely each token is at each step to the tokens that were said.

A network gives for each of S steps the probabilities y of V tokens, of which token 0 is the *blank*. A path is a token
for each step; what it says is what is left of it once runs of one token are taken together and blanks are taken out.
The probability of tokens is the sum over all paths that say them (Graves, Fernández, Gomez & Schmidhuber 2006,
equations 2 and 3)::

    p(path) = Π_s y_s(path_s)          p(tokens) = Σ p(path)   over the paths that say the tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from fastlstm.data.series.rows import Integers
from fastlstm.search.contract import StepModel

Array = npt.NDArray[np.float64]

BLANK = 0  # a tokenizer's padding, which no text holds


@dataclass(frozen=True)
class Prior:
    """A language model, and how much it has to say.

    Hypotheses are then ordered by ``ln p(tokens) + weight · ln p_model(tokens) + bonus · length``: Hannun, Maas,
    Jurafsky & Ng 2014, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs",
    section 2.

    Parameters
    ----------
    model : StepModel
        Of the text.
    context : object
        What its ``start`` takes, for one row.
    first : int
        The token of the model that it reads before the first one of a text.
    ids : numpy.ndarray
        (V,) the model's token for each of the network's; that of the blank is not looked at.
    weight : float
        How much the model's logarithms count.
    bonus : float
        What each token gains; without it a model shortens what was said, as every word makes a text less likely.
    """

    model: StepModel[Any, Any]
    context: Any
    first: int
    ids: Integers
    weight: float
    bonus: float = 0.0


class CtcHypothesis(NamedTuple):
    """What may have been said.

    Attributes
    ----------
    tokens : tuple of int
        Without blanks.
    score : float
        ``ln p(tokens)``, and what a language model adds.
    """

    tokens: tuple[int, ...]
    score: float


def collapsed(path: Integers, last: int = BLANK) -> Integers:
    """Return what a path says: without repetitions, then without blanks.

    Parameters
    ----------
    path : numpy.ndarray
        (S,)
    last : int
        The token of the step before it.

    Examples
    --------
    >>> collapsed(np.array([0, 2, 2, 0, 2, 3, 3]))
    array([2, 2, 3])
    """
    before = np.append(last, path)[:-1]
    found: Integers = path[(path != before) & (path != BLANK)]
    return found


class GreedySearch:
    """The tokens of the likeliest path, taken as it comes.

    Examples
    --------
    >>> search = GreedySearch()
    >>> search.advance(np.log([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]))
    >>> search.advance(np.log([[0.1, 0.7, 0.2]]))
    >>> search.tokens
    (1, 1)
    """

    def __init__(self) -> None:
        self._last = BLANK
        self._tokens: list[int] = []

    def advance(self, log_probabilities: npt.ArrayLike) -> None:
        """Move on by some steps.

        Parameters
        ----------
        log_probabilities : array_like
            (S, V)
        """
        found = np.asarray(log_probabilities)
        if len(found):
            path = found.argmax(-1)
            self._tokens += collapsed(path, self._last).tolist()
            self._last = int(path[-1])

    @property
    def tokens(self) -> tuple[int, ...]:
        """What was said so far."""
        return tuple(self._tokens)

    @property
    def gain(self) -> float:
        """What a language model adds to their score: there is none."""
        return 0.0


class _Prefix(NamedTuple):
    """What is known of the tokens of one hypothesis: the model's logarithm of them, and what it says comes next."""

    tokens: tuple[int, ...]
    logarithm: float
    following: Array | None
    state: Any  # of several hypotheses …
    row: int  # … of which it is this one


class PrefixBeamSearch:
    """The likeliest tokens, of which the sum over paths is taken as far as the beam reaches.

    Each prefix keeps the probabilities of all paths that say it and end in a blank, and of those that do not; prefixes
    that become the same are added up (Hannun et al. 2014, algorithm 1). A beam as large as there are prefixes gives the
    exact answer.

    Parameters
    ----------
    beam_size : int
        How many prefixes go on from each step.
    prior : Prior, optional
        A language model.

    Examples
    --------
    Two paths say "1", each less likely than the blanks, both together likelier (Graves et al. 2006):

    >>> search, greedy = PrefixBeamSearch(4), GreedySearch()
    >>> steps = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> greedy.advance(steps)
    >>> search.advance(steps)
    >>> greedy.tokens, search.tokens, round(float(np.exp(search.hypotheses[0].score)), 2)
    ((), (1,), 0.64)
    """

    def __init__(self, beam_size: int, prior: Prior | None = None) -> None:
        self.beam_size = beam_size
        self.prior = prior
        self._prefixes = [self._beginning()]
        self._blank = np.zeros(1)  # ln p of the paths that end in a blank …
        self._token = np.full(1, -np.inf)  # … and in the last token

    @property
    def hypotheses(self) -> list[CtcHypothesis]:
        """The beam, the best first."""
        scores = np.logaddexp(self._blank, self._token) + self._gains()
        order = np.argsort(-scores, kind="stable")
        return [CtcHypothesis(self._prefixes[place].tokens, float(scores[place])) for place in order]

    @property
    def tokens(self) -> tuple[int, ...]:
        """What was most likely said so far."""
        return self.hypotheses[0].tokens

    @property
    def gain(self) -> float:
        """What the language model adds to the score of ``tokens``."""
        gains = dict(zip((prefix.tokens for prefix in self._prefixes), self._gains(), strict=True))
        return float(gains[self.tokens])

    def advance(self, log_probabilities: npt.ArrayLike) -> None:
        """Move on by some steps.

        Parameters
        ----------
        log_probabilities : array_like
            (S, V)
        """
        for step in np.asarray(log_probabilities, np.float64):
            self._advance(step)

    def _advance(self, step: Array) -> None:
        prefixes = self._prefixes
        count, tokens = len(prefixes), len(step)
        both = np.logaddexp(self._blank, self._token)
        last = np.array([prefix.tokens[-1] if prefix.tokens else BLANK for prefix in prefixes])
        stay_blank = both + step[BLANK]
        stay_token = np.where(last == BLANK, -np.inf, self._token + step[last])
        # A token that comes again goes on with the same one, unless a blank parts the two.
        longer = np.where(last[:, None] == np.arange(tokens), self._blank[:, None], both[:, None]) + step
        longer[:, BLANK] = -np.inf
        places = {prefix.tokens: place for place, prefix in enumerate(prefixes)}
        for place, prefix in enumerate(prefixes):
            parent = places.get(prefix.tokens[:-1]) if prefix.tokens else None
            if parent is not None:
                stay_token[place] = np.logaddexp(stay_token[place], longer[parent, last[place]])
                longer[parent, last[place]] = -np.inf
        gains = self._gains()
        scores = np.concatenate(
            [np.logaddexp(stay_blank, stay_token) + gains, (longer + self._onward(gains, tokens)).ravel()]
        )
        kept = np.argsort(-scores, kind="stable")[: self.beam_size]
        kept = kept[scores[kept] > -np.inf]
        parents, said = np.divmod(kept - count, tokens)
        stays = kept < count
        chosen = [prefixes[place] for place in kept[stays]]
        self._prefixes = chosen + self._extend(parents[~stays], said[~stays])
        self._blank = np.concatenate([stay_blank[kept[stays]], np.full((~stays).sum(), -np.inf)])
        self._token = np.concatenate([stay_token[kept[stays]], longer[parents[~stays], said[~stays]]])

    def _beginning(self) -> _Prefix:
        if self.prior is None:
            return _Prefix((), 0.0, None, None, 0)
        following, state = _step(
            self.prior, np.array([self.prior.first]), self.prior.model.start(self.prior.context)
        )
        return _Prefix((), 0.0, following[0], state, 0)

    def _extend(self, parents: Integers, said: Integers) -> list[_Prefix]:
        """Return prefixes with one token more, of which the model reads those of one state at once."""
        found: list[_Prefix | None] = [None] * len(parents)
        before = [self._prefixes[place] for place in parents]
        if self.prior is None:
            return [
                _Prefix((*prefix.tokens, token), 0.0, None, None, 0)
                for prefix, token in zip(before, said.tolist(), strict=True)
            ]
        for state in {id(prefix.state): prefix.state for prefix in before}.values():
            rows = [place for place, prefix in enumerate(before) if prefix.state is state]
            read = self.prior.ids[said[rows]]
            selected = state.select(torch.tensor([before[place].row for place in rows]))
            following, after = _step(self.prior, read, selected)
            for row, place in enumerate(rows):
                prefix = before[place]
                assert prefix.following is not None
                logarithm = prefix.logarithm + float(prefix.following[read[row]])
                found[place] = _Prefix(
                    (*prefix.tokens, int(said[place])), logarithm, following[row], after, row
                )
        return [prefix for prefix in found if prefix is not None]

    def _gains(self) -> Array:
        """Return what the prior adds to each prefix, (count,)."""
        if self.prior is None:
            return np.zeros(len(self._prefixes))
        return np.array(
            [
                self.prior.weight * prefix.logarithm + self.prior.bonus * len(prefix.tokens)
                for prefix in self._prefixes
            ]
        )

    def _onward(self, gains: Array, tokens: int) -> Array:
        """Return what the prior adds to each prefix with each token behind it, (count, V)."""
        if self.prior is None:
            return np.zeros((len(gains), tokens))
        following = np.stack(
            [prefix.following[self.prior.ids] for prefix in self._prefixes if prefix.following is not None]
        )
        found: Array = gains[:, None] + self.prior.weight * following + self.prior.bonus
        return found


def log_likelihood(log_probabilities: npt.ArrayLike, tokens: Sequence[int]) -> float:
    """Return ``ln p(tokens)``, over all paths that say them.

    Parameters
    ----------
    log_probabilities : array_like
        (S, V)
    tokens : sequence of int
        Without blanks; minus infinity comes of more than the steps can say.

    Examples
    --------
    >>> steps = np.log([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
    >>> round(float(np.exp(log_likelihood(steps, [1]))), 3)  # 0.3 · 0.6 + 0.5 · 0.3 + 0.3 · 0.3
    0.42
    """
    steps = torch.from_numpy(np.asarray(log_probabilities, np.float64))
    if not tokens:
        return float(steps[:, BLANK].sum())
    sizes = torch.tensor([len(steps)]), torch.tensor([len(tokens)])
    return -float(F.ctc_loss(steps[:, None], torch.tensor([tokens]), *sizes, blank=BLANK, reduction="sum"))


def align(log_probabilities: npt.ArrayLike, tokens: Sequence[int]) -> Integers:
    """Find at which steps each token is said, on the likeliest path that says all of them.

    Parameters
    ----------
    log_probabilities : array_like
        (S, V)
    tokens : sequence of int
        L of them, without blanks.

    Returns
    -------
    numpy.ndarray
        (L, 2) int64: the first step of each token, and the one after its last.

    Raises
    ------
    ValueError
        If there are too few steps for the tokens: see :func:`fewest_steps`.

    Examples
    --------
    >>> steps = np.log([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    >>> align(steps, [1, 2])
    array([[0, 2],
           [3, 4]])
    """
    steps = np.asarray(log_probabilities, np.float64)
    if not len(tokens):
        return np.zeros((0, 2), np.int64)
    needed = fewest_steps(tokens)
    if len(steps) < needed:
        raise ValueError(f"{len(steps)} steps cannot say {len(tokens)} tokens, which need {needed}")
    # Blanks stand between all tokens and at both ends; a path stays, goes on by one, or skips a blank between two
    # tokens that differ (Graves et al. 2006, section 4.1, with the largest summand for the sum).
    path = np.full(2 * len(tokens) + 1, BLANK)
    path[1::2] = tokens
    skips = np.zeros(len(path), bool)
    skips[3::2] = path[3::2] != path[1:-2:2]
    best = np.full(len(path), -np.inf)
    best[:2] = steps[0, path[:2]]
    came = np.zeros((len(steps), len(path)), np.int8)  # of an hour of speech they are billions
    for place in range(1, len(steps)):
        options = np.full((3, len(path)), -np.inf)
        options[0], options[1, 1:] = best, best[:-1]
        options[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        came[place] = options.argmax(0)
        best = options.max(0) + steps[place, path]
    at = len(path) - 1 - int(best[-2] > best[-1])
    found = np.zeros((len(tokens), 2), np.int64)
    for place in range(len(steps) - 1, -1, -1):
        if at % 2:
            token = at // 2
            found[token, 0] = place
            found[token, 1] = max(found[token, 1], place + 1)
        at -= int(came[place, at])
    return found


def fewest_steps(tokens: npt.ArrayLike) -> int:
    """Tell how many steps it takes to say tokens: one each, and a blank between two that are the same.

    Parameters
    ----------
    tokens : array_like
        Without blanks.

    Examples
    --------
    >>> fewest_steps([5, 3, 3, 2])
    5
    """
    said = np.asarray(tokens)
    return len(said) + int((said[1:] == said[:-1]).sum())


def _step(prior: Prior, tokens: Integers, state: Any) -> tuple[Array, Any]:
    with torch.no_grad():
        found, after = prior.model.step(torch.from_numpy(tokens), state)
    return found.double().cpu().numpy(), after
