"""Which sequences meet in a batch: all of them, in time, and those of like length."""

from collections import Counter

import pytest
import torch

from fastlstm.data.sequences.batches import batches_at_random

LENGTHS = torch.arange(1, 64)


def drawn(times: int, **options):
    generator = torch.Generator().manual_seed(0)
    return [batches_at_random(LENGTHS, generator, **options) for _ in range(times)]


def test_full_batches_leave_others_out_each_time() -> None:
    epochs = drawn(50, most=16, full=True)
    assert {len(batch) for batches in epochs for batch in batches} == {16}
    seen = Counter(place for batches in epochs for batch in batches for place in batch.tolist())
    # 48 of 63 an epoch: 38 of 50 on average, with a deviation of 3, the longest as often as the shortest.
    assert min(seen[place] for place in range(63)) > 25
    for batches in epochs:
        assert len(torch.cat(batches).unique()) == 48


@pytest.mark.parametrize("options", [{"most": 16}, {"steps": 100}, {"steps": 100, "most": 4}])
def test_otherwise_every_sequence_is_in_one_batch(options) -> None:
    for batches in drawn(3, **options):
        assert torch.cat(batches).sort().values.tolist() == list(range(63))
        for batch in batches:
            assert len(batch) <= options.get("most", 63)
            assert len(batch) == 1 or len(batch) * LENGTHS[batch].max() <= options.get("steps", 63 * 63)


def test_what_meets_and_when_is_drawn() -> None:
    first, second = drawn(2, most=16)
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    spread = [int(LENGTHS[batch].max() - LENGTHS[batch].min()) for batch in first]
    assert max(spread) < 20  # of like length
