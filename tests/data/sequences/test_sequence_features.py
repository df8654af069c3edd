"""What a network reads of sequences, against a loop over sequences, channels and steps."""

import math

import numpy as np
import pytest
import torch

from fastlstm.data import read_sequences
from fastlstm.data.sequences.features import (
    FARTHEST,
    SequenceFeatures,
    SequenceScaling,
    TokenFeatures,
    _last_known,
)

CPU = torch.device("cpu")


def gappy(seed: int = 0, n: int = 7, channels: int = 3):
    """Sequences of unequal lengths at unequal times, half of their cells missing."""
    generator = np.random.default_rng(seed)
    arrays, times = [], []
    for _ in range(n):
        length = int(generator.integers(1, 9))
        values = generator.normal(3, 2, (length, channels))
        values[generator.random((length, channels)) < 0.5] = np.nan
        values[generator.integers(length), generator.integers(channels)] = 1.0  # none is empty
        arrays.append(values)
        times.append(np.cumsum(generator.choice([0.5, 1.0, 4.0], length)))
    return arrays, times


@pytest.mark.parametrize("seed", range(5))
def test_values_masks_and_times_are_those_of_a_loop(seed: int) -> None:
    arrays, times = gappy(seed)
    sequences = read_sequences(arrays, label=["a", "b"] * 3 + ["a"], time=times)
    scaling = SequenceScaling(
        mean=(3.0, 2.0, 1.0), deviation=(2.0, 1.0, 0.5), unit=0.5, masked=True, irregular=True
    )
    order = [3, 0, 6, 1, 2, 5, 4]
    batch = SequenceFeatures(sequences, scaling, CPU).gather(torch.tensor(order))
    assert batch.lengths.tolist() == [len(arrays[place]) for place in order]
    assert batch.values.shape == batch.seen.shape == batch.since.shape == (7, max(map(len, arrays)), 3)
    for row, place in enumerate(order):
        for channel in range(3):
            last, when = 0.0, times[place][0]
            for step, value in enumerate(arrays[place][:, channel]):
                known = not math.isnan(value)
                if known:
                    last = (value - scaling.mean[channel]) / scaling.deviation[channel]
                    last, when = float(np.clip(last, -FARTHEST, FARTHEST)), times[place][step]
                since = math.log(1 + (times[place][step] - when) / 0.5)
                assert float(batch.values[row, step, channel]) == pytest.approx(last, rel=1e-5, abs=1e-5)
                assert bool(batch.seen[row, step, channel]) == known
                assert float(batch.since[row, step, channel]) == pytest.approx(since, rel=1e-5, abs=1e-6)
        for step, time in enumerate(times[place]):
            before = times[place][max(0, step - 1)]
            assert float(batch.gap[row, step, 0]) == pytest.approx(
                math.log(1 + (time - before) / 0.5), rel=1e-5
            )
        length = len(arrays[place])
        for part in (batch.values, batch.seen, batch.since, batch.gap):
            assert not part[row, length:].any()


@pytest.mark.parametrize("seed", range(3))
def test_what_was_observed_is_summed_up_as_by_a_loop(seed: int) -> None:
    """Each channel with gaps, standardised by the training part; the one without has no summary."""
    arrays, times = gappy(seed, n=9)
    arrays = [np.concatenate([array, np.ones((len(array), 1))], axis=1) for array in arrays]
    arrays[4][:, 1] = np.nan  # a channel that is never observed
    sequences = read_sequences(arrays, label=["a", "b", "b"] * 3, time=times)
    scaling = SequenceScaling.fit(sequences)
    assert scaling.summary is not None
    assert scaling.summary.channels == (0, 1, 2)
    found = SequenceFeatures(sequences, scaling, CPU).gather(torch.arange(9)).summary
    expected = np.full((9, 7, 3), np.nan)
    for place, channel in np.ndindex(9, 3):
        values = (arrays[place][:, channel] - scaling.mean[channel]) / scaling.deviation[channel]
        seen = values[~np.isnan(values)]
        expected[place, 0, channel] = math.log(1 + len(seen))
        if len(seen):
            own = [seen[0], seen[-1], seen.mean(), seen.std(), seen.min(), seen.max()]
            expected[place, 1:, channel] = own
    expected = expected.reshape(9, 21)
    deviation = np.nanstd(expected, axis=0)
    expected = (expected - np.nanmean(expected, axis=0)) / np.where(deviation < 1e-6, 1, deviation)
    np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-4)
    assert not found[4, [4, 7, 10, 13, 16, 19]].any()
    alone = sequences.subset([4, 2])
    np.testing.assert_allclose(
        SequenceFeatures(alone, scaling, CPU).gather(torch.arange(2)).summary, found[[4, 2]]
    )


def test_where_each_step_has_a_label_nothing_is_summed_up() -> None:
    """The sum would tell a step what comes after it."""
    arrays, _ = gappy()
    labels = [np.arange(len(array)) % 2 for array in arrays]
    sequences = read_sequences(arrays, label=labels, per_step=True)
    scaling = SequenceScaling.fit(sequences)
    assert scaling.masked
    assert scaling.summary is None


def test_the_row_last_known_never_comes_from_the_sequence_before() -> None:
    generator = np.random.default_rng(1)
    codes = np.repeat(np.arange(20), generator.integers(1, 6, 20))
    known = generator.random((len(codes), 4)) < 0.4
    found = _last_known(known, codes)
    for row, channel in np.ndindex(known.shape):
        last = max(
            (at for at in range(row + 1) if codes[at] == codes[row] and known[at, channel]), default=-1
        )
        assert found[row, channel] == last


def test_the_scale_is_that_of_what_was_observed_and_no_typing_error_moves_it() -> None:
    generator = np.random.default_rng(0)
    arrays = [generator.normal(5, 2, (50, 1)) for _ in range(100)]
    clean = SequenceScaling.fit(read_sequences(arrays, label=[0, 1] * 50))
    arrays[3][7] = 1e9
    arrays[4][:10] = np.nan
    soiled = SequenceScaling.fit(read_sequences(arrays, label=[0, 1] * 50))
    assert (clean.mean[0], clean.deviation[0]) == (pytest.approx(5, abs=0.1), pytest.approx(2, abs=0.1))
    assert soiled.mean[0] == pytest.approx(clean.mean[0], abs=0.02)
    assert soiled.deviation[0] == pytest.approx(clean.deviation[0], abs=0.02)
    assert (clean.masked, soiled.masked) == (False, True)


def test_what_is_far_out_and_constant_channels_stay_finite() -> None:
    sequences = read_sequences([[[1.0, 7.0], [3.0, 7.0]], [[2.0, 7.0]]], label=[0, 1])
    scaling = SequenceScaling.fit(sequences)
    far = read_sequences([[[1e30, 7.0], [-1e30, 8.0]]], schema=sequences.schema, labelled=False)
    values = SequenceFeatures(far, scaling, CPU).values
    assert values.isfinite().all()
    assert values[:, 0].tolist() == [FARTHEST, -FARTHEST]


@pytest.mark.parametrize(
    ("times", "irregular", "unit"),
    [
        ([[0, 2, 4], [1, 3]], False, 2.0),
        ([[0, 2, 4], [1, 7, 9, 11]], True, 2.0),
        ([[5], [6]], False, 1.0),
        ([[0, 10, 20], [0, 10.05]], False, 10.0),
    ],
)
def test_rows_are_irregular_where_their_distances_differ_within_a_sequence(times, irregular, unit) -> None:
    arrays = [np.arange(1.0, len(when) + 1) for when in times]
    scaling = SequenceScaling.fit(read_sequences(arrays, label=[0, 1], time=times))
    assert (scaling.irregular, scaling.unit) == (irregular, unit)


def test_static_numbers_have_a_channel_that_tells_where_they_are_missing() -> None:
    sequences = read_sequences(
        [[1.0], [2.0], [3.0]], label=[0, 1, 0], static=np.array([[10.0], [np.nan], [30.0]])
    )
    batch = SequenceFeatures(sequences, SequenceScaling.fit(sequences), CPU).gather(torch.tensor([2, 1, 0]))
    assert batch.static.shape == (3, 2)
    assert batch.static[:, 0].tolist() == [1.0, 0.0, -1.0]
    assert len(set(batch.static[:, 1].tolist())) == 2
    assert batch.static[0, 1] == batch.static[2, 1]


def test_what_does_not_apply_has_no_width() -> None:
    sequences = read_sequences([[1.0, 2.0], [3.0]], label=[0, 1])
    batch = SequenceFeatures(sequences, SequenceScaling.fit(sequences), CPU).gather(torch.tensor([0, 1]))
    widths = [part.shape[-1] for part in (batch.seen, batch.since, batch.gap, batch.tokens, batch.static)]
    widths.append(batch.summary.shape[-1])
    assert widths == [0, 0, 0, 0, 0, 0]
    assert batch.steps.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_texts_are_cut_off_after_the_longest() -> None:
    texts = TokenFeatures(np.arange(1, 10), np.array([0, 5, 6, 9]), 3, CPU)
    batch = texts.gather(torch.tensor([2, 0, 1]))
    assert batch.tokens.tolist() == [[7, 8, 9], [1, 2, 3], [6, 0, 0]]
    assert batch.lengths.tolist() == [3, 3, 1]
    assert batch.steps.tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]
