"""The autoencoder over the last rows: what it sees, and that running on gives what windows of their own give."""

import pytest
import torch

from fastlstm.model.autoencoder import Autoencoder, AutoencoderSettings
from fastlstm.model.detector import RowBatch

K, KNOWN, CODES, W = 2, 1, 3, 5


def built(**changes) -> Autoencoder:
    usual = {
        "channels": K,
        "numbers": 2 * K + KNOWN,
        "known": KNOWN,
        "categories": (CODES,),
        "look_back": W,
        "code_size": 2,
        "hidden_size": 6,
        "num_layers": 1,
        "decoder_size": 3,
        "dropout": 0.5,
        "layer_norm": False,
    }
    return Autoencoder(AutoencoderSettings(**(usual | changes)))


def rows(steps: int, sequences: int = 1) -> RowBatch:
    numbers = torch.randn(sequences, steps, 2 * K + KNOWN)
    return RowBatch(numbers, torch.randint(0, CODES, (sequences, steps, 1)))


def cut(batch: RowBatch, first: int, end: int) -> RowBatch:
    return RowBatch(batch.numbers[:, first:end], batch.codes[:, first:end])


@pytest.mark.parametrize("layers", [1, 2])
def test_running_on_gives_what_the_whole_gives(layers: int) -> None:
    network = built(num_layers=layers).eval()
    batch = rows(12)
    whole, end = network.advance(batch, None)
    state, parts = None, []
    for first, last in [(0, 3), (3, 4), (4, 11), (11, 12)]:
        part, state = network.advance(cut(batch, first, last), state)
        parts.append(part)
    for place, expected in enumerate(whole):
        found = torch.cat([part[place] for part in parts], dim=1)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state, end)


def test_a_row_is_told_by_the_last_rows_alone_and_itself_among_them() -> None:
    network = built().eval()
    batch = rows(12)
    before = network.advance(batch, None)[0].location[0, -1]
    for back, seen in [(0, True), (W - 1, True), (W, False)]:
        changed = batch.numbers.clone()
        changed[0, 11 - back, 0] += 1
        after = network.advance(batch._replace(numbers=changed), None)[0].location[0, -1]
        assert torch.equal(before, after) is not seen


def test_the_loss_of_a_window_is_of_all_its_rows_and_of_a_run_of_the_last_of_each() -> None:
    """In a run of one window's length, from a window of nothing, the last row's loss is that of the window's last."""
    network = built().eval()
    batch, target = rows(W), torch.randn(1, W, 1, K)
    last = torch.zeros(1, W, 1, K)
    last[:, -1] = 1
    alone = network(batch, target, last)
    run, _ = network.run_loss(batch, target, last, None)
    torch.testing.assert_close(run, alone)
    assert not torch.isclose(network(batch, target, torch.ones_like(last)), alone)


def test_rows_that_do_not_count_change_no_loss() -> None:
    network = built().eval()
    batch, target, weight = rows(W, 3), torch.randn(3, W, 1, K), torch.ones(3, W, 1, K)
    weight[1, 2] = 0
    other = target.clone()
    other[1, 2] = 9
    torch.testing.assert_close(network(batch, target, weight), network(batch, other, weight))


def test_the_loss_reaches_every_weight() -> None:
    network = built(dropout=0.0)
    network(rows(W, 16), torch.randn(16, W, 1, K), torch.ones(16, W, 1, K)).backward()
    still = [
        name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert still == []
