"""Beam search against all texts there are, over alphabets small enough to write them down."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.errors import InputError
from fastlstm.search.beam import beam_search, length_penalty


class Table:
    """A model whose answers hang on the row and on all that was written: random, but always the same."""

    def __init__(self, alphabet, seeds, sharpness=2.0, sources=3):
        self.alphabet, self.seeds, self.sharpness, self.sources = alphabet, seeds, sharpness, sources

    @property
    def boundary(self):
        return self.alphabet - 1

    def answer(self, seed, written):
        """(V,) log-probabilities, and (S,) attention."""
        number = seed * 7919 + sum((token + 1) * 31**place for place, token in enumerate(written))
        generator = torch.Generator().manual_seed(number)
        logits = torch.randn(self.alphabet, generator=generator, dtype=torch.float64) * self.sharpness
        weights = torch.rand(self.sources, generator=generator, dtype=torch.float64).softmax(0)
        return logits.log_softmax(0), weights

    def start(self, context):
        rows = self.seeds if context is None else context
        return TableState([(seed, None) for seed in rows], torch.zeros(len(rows), self.sources))

    def step(self, tokens, state):
        rows = [
            (seed, () if written is None else (*written, token))
            for (seed, written), token in zip(state.rows, tokens.tolist(), strict=True)
        ]
        answers = [self.answer(*row) for row in rows]
        attended = state.attended + torch.stack([weights for _, weights in answers])
        return torch.stack([found for found, _ in answers]), TableState(rows, attended)


class TableState:
    def __init__(self, rows, attended):
        self.rows, self.attended = rows, attended

    def select(self, rows):
        return TableState([self.rows[row] for row in rows.tolist()], self.attended[rows])

    @property
    def coverage(self):
        return self.attended.clamp(max=1).log().sum(1)


def every_text(model, seed, longest, normalisation, coverage):
    """Every text with up to ``longest`` tokens and its score, the best first, by the definition alone."""
    found = []
    for length in range(longest + 1):
        for text in itertools.product(range(model.boundary), repeat=length):
            total, attended = 0.0, torch.zeros(model.sources)
            for place, token in enumerate((*text, model.boundary)):
                log_probabilities, weights = model.answer(seed, text[:place])
                total += float(log_probabilities[token])
                attended = attended + weights
            penalty = sum(math.log(min(float(value), 1)) for value in attended)
            score = total / ((5 + length + 1) / 6) ** normalisation + coverage * penalty
            found.append((score, text, total))
    return sorted(found, key=lambda one: -one[0])


@given(
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4),
    alphabet=st.integers(2, 4),
    longest=st.integers(0, 3),
    normalisation=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    coverage=st.sampled_from([0.0, 0.3]),
    n_best=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_a_beam_that_holds_all_texts_finds_the_best(
    seeds, alphabet, longest, normalisation, coverage, n_best
):
    model = Table(alphabet, seeds)
    size = sum((alphabet - 1) ** length for length in range(longest + 1))
    found = beam_search(
        model,
        None,
        [longest] * len(seeds),
        boundary=model.boundary,
        beam_size=max(size, n_best),
        n_best=n_best,
        length_normalisation=normalisation,
        coverage_penalty=coverage,
    )
    for seed, hypotheses in zip(seeds, found, strict=True):
        expected = every_text(model, seed, longest, normalisation, coverage)[:n_best]
        assert [one.tokens for one in hypotheses] == [text for _, text, _ in expected]
        for one, (score, _, total) in zip(hypotheses, expected, strict=True):
            # The search adds up float32 where the sum above is of float64.
            assert one.score == pytest.approx(score, rel=1e-5, abs=1e-5)
            assert one.log_probability == pytest.approx(total, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_a_batch_is_searched_as_its_rows_one_by_one(beam_size):
    seeds, longest = list(range(8)), [0, 1, 2, 3, 4, 6, 8, 8]
    model = Table(5, seeds)
    options = {"boundary": model.boundary, "beam_size": beam_size, "n_best": beam_size}
    together = beam_search(model, None, longest, **options)
    alone = [
        beam_search(model, [seed], [most], **options)[0] for seed, most in zip(seeds, longest, strict=True)
    ]
    assert [[one.tokens for one in row] for row in together] == [[one.tokens for one in row] for row in alone]
    for row, other in zip(together, alone, strict=True):
        assert [one.score for one in row] == pytest.approx([one.score for one in other], rel=1e-6)


def test_a_beam_of_one_is_greedy():
    for seed in range(30):
        model, written = Table(5, [seed]), []
        while len(written) < 10:
            token = int(model.answer(seed, tuple(written))[0].argmax())
            if token == model.boundary:
                break
            written.append(token)
        (found,) = beam_search(model, None, [10], boundary=model.boundary, beam_size=1)
        assert found[0].tokens == tuple(written)


def test_a_model_that_never_ends_is_ended():
    class Endless:
        def select(self, rows):
            return self

        def start(self, context):
            return self

        def step(self, tokens, state):
            return torch.tensor([0.0, -50.0]).expand(len(tokens), 2), state

    (found,) = beam_search(Endless(), None, [7], boundary=1, beam_size=2)
    assert found[0].tokens == (0,) * 7
    assert found[0].log_probability == -50.0


def test_a_text_that_is_cut_need_not_end():
    """Ending at once has 0.01; going on has nearly 1 at every step, so that a cut text is the likeliest."""

    class Long:
        def select(self, rows):
            return self

        def start(self, context):
            return self

        def step(self, tokens, state):
            return torch.tensor([0.99, 0.01]).log().expand(len(tokens), 2), state

    (ending,), (cut,) = (
        beam_search(Long(), None, [3], boundary=1, beam_size=2, length_normalisation=0.0, cut=cut)
        for cut in (False, True)
    )
    assert ending[0].tokens == ()
    assert cut[0].tokens == (0,) * 3
    assert cut[0].log_probability == pytest.approx(3 * math.log(0.99))


def test_what_ends_late_can_win_over_what_ends_early():
    """With log-probabilities by hand: the end at once has 0.5, going on 0.4, and then it surely ends after 8 steps."""

    class Late:
        def __init__(self, place=0):
            self.place = place

        def select(self, rows):
            return self

        def start(self, context):
            return self

        def step(self, tokens, state):
            answer = {0: [0.4, 0.1, 0.5], 8: [0.0, 0.0, 1.0]}.get(state.place, [1.0, 0.0, 0.0])
            return torch.tensor(answer).log().expand(len(tokens), 3), Late(state.place + 1)

    def best(normalisation):
        (found,) = beam_search(
            Late(), None, [20], boundary=2, beam_size=3, length_normalisation=normalisation
        )
        return found[0]

    assert best(0.0).tokens == ()
    # ln 0.5 = -0.693 at length 1; ln 0.4 / ((5 + 9) / 6) = -0.393 at length 9.
    assert best(1.0).tokens == (0,) * 8
    assert best(1.0).score == pytest.approx(math.log(0.4) / (14 / 6), rel=1e-5)


def test_coverage_is_asked_for_only_where_it_counts():
    class Coin:
        def select(self, rows):
            return self

        def start(self, context):
            return self

        def step(self, tokens, state):
            return torch.tensor([0.5, 0.5]).log().expand(len(tokens), 2), state

    assert beam_search(Coin(), None, [1], boundary=1)[0][0].tokens == ()
    with pytest.raises(InputError, match="does not tell what it attends to"):
        beam_search(Coin(), None, [1], boundary=1, coverage_penalty=0.2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beam_size": 0}, "beam_size is 0: give a whole number, 1 or more"),
        ({"beam_size": 2, "n_best": 3}, "n_best is 3: give 1 to 2, the beam_size"),
        ({"length_normalisation": -1.0}, "length_normalisation is -1.0: give 0 or more"),
        ({"coverage_penalty": math.nan}, "coverage_penalty is nan: give 0 or more"),
    ],
)
def test_arguments_out_of_range(options, told):
    with pytest.raises(InputError, match=told):
        beam_search(Table(3, [0]), None, [2], boundary=2, **options)


def test_the_length_penalty_is_that_of_the_paper():
    """Wu et al. 2016, equation 14: (5 + |Y|)^α / (5 + 1)^α."""
    for length in (1, 5, 40):
        for strength in (0.0, 0.2, 1.0):
            assert length_penalty(length, strength) == pytest.approx((5 + length) ** strength / 6**strength)
