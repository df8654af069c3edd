"""Time from data in memory to an accuracy: JapaneseVowels, beside an LSTM-FCN in a plain PyTorch loop.

One network each, of the same widths, with as many steps at the same rates: the classifier's as ``fit`` trains it with
one member, its own validation included, and LSTM-FCN (Karim et al. 2018) on torch.nn.LSTM over packed sequences,
torch's convolutions over what is filled up with zeros, and AdamW, as one writes it. The given test part is looked at
twenty times as training goes, off the clock; that says how long an accuracy took, and chooses nothing. The sides take
turns, a seed each.

    FASTLSTM_DATA=… python -m benchmarks.time_to_accuracy [--seeds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.measure import machine
from fastlstm import Classifier
from fastlstm.data import read_sequences
from fastlstm.data.sequences.features import SequenceFeatures, SequenceScaling
from fastlstm.data.sequences.sequence_set import SequenceSet
from fastlstm.tasks.labelled.fitting import USUAL, fit_examples
from fastlstm.tasks.labelled.learning import answer
from fastlstm.tasks.labelled.settings import Parameters
from fastlstm.tasks.labelled.target import ClassTarget
from fastlstm.training.learner import Hooks

STEPS, LOOKS, BATCH = 400, 20, 32
GOALS = (0.95, 0.97, 0.98)
Curve = list[tuple[float, float]]  # seconds, accuracy


class Watch:
    """Accuracies as they come, and when, without the time that looking took."""

    def __init__(self, look: Callable[[nn.Module], float]) -> None:
        self.look, self.curve = look, Curve()
        self.off, self.began = 0.0, time.perf_counter()

    def __call__(self, step: int, network: nn.Module) -> None:
        del step  # at equal distances
        stopped = time.perf_counter()
        self.curve.append((stopped - self.began - self.off, self.look(network)))
        self.off += time.perf_counter() - stopped


class LSTMFCN(nn.Module):
    """LSTM-FCN as one writes it: the last states of both directions, and three convolutions with their mean."""

    def __init__(self, channels: int, classes: int, hidden: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, batch_first=True, bidirectional=True)
        sizes, widths = (channels, 64, 128, 64), (7, 5, 3)
        blocks = [
            nn.Sequential(nn.Conv1d(a, b, width, padding="same", bias=False), nn.BatchNorm1d(b), nn.ReLU())
            for a, b, width in zip(sizes[:-1], sizes[1:], widths, strict=True)
        ]
        self.convolutions = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * hidden + sizes[-1], classes)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
        last = self.lstm(packed)[1][0]
        found = self.convolutions(values.transpose(1, 2)).mean(2)
        whole: Tensor = self.head(self.dropout(torch.cat([last[0], last[1], found], dim=1)))
        return whole


def plain(learnt: SequenceSet, test: SequenceSet, labels: list[np.ndarray], seed: int) -> tuple[Curve, float]:
    """Train as one writes it."""
    torch.manual_seed(seed)
    scaling = SequenceScaling.fit(learnt)
    inputs = []
    for part in (learnt, test):
        whole = SequenceFeatures(part, scaling, torch.device("cpu")).gather(torch.arange(len(part)))
        inputs.append((whole.values, whole.lengths))
    truth = [torch.from_numpy(part).long() for part in labels]
    network = LSTMFCN(len(learnt.channels), int(truth[0].max()) + 1)

    def look(model: nn.Module) -> float:
        model.eval()
        with torch.inference_mode():
            right = (model(*inputs[1]).argmax(1) == truth[1]).double().mean()
        model.train()
        return float(right)

    watch = Watch(look)
    update = torch.optim.AdamW(network.parameters(), lr=USUAL, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(update, USUAL, total_steps=STEPS, pct_start=0.1)
    for step, which in enumerate(drawn(len(learnt)), start=1):
        values, lengths = inputs[0][0][which], inputs[0][1][which]
        loss = F.cross_entropy(network(values, lengths), truth[0][which])
        update.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        update.step()
        schedule.step()
        if step % (STEPS // LOOKS) == 0:
            watch(step, network)
        if step == STEPS:
            break
    return watch.curve, time.perf_counter() - watch.began - watch.off


def drawn(count: int) -> Iterator[Tensor]:
    """Give batches without end, each sequence once before any comes twice."""
    while True:
        yield from torch.randperm(count)[: count // BATCH * BATCH].split(BATCH)


def ours(learnt: SequenceSet, test: SequenceSet, labels: list[np.ndarray], seed: int) -> tuple[Curve, float]:
    """Train as the classifier does, one member."""
    assert learnt.labels is not None
    target = ClassTarget.fit(learnt.labels, learnt.source)
    features = SequenceFeatures(test, SequenceScaling.fit(learnt), torch.device("cpu"))
    which = np.arange(len(test))
    watch = Watch(lambda network: float((answer(network, features, which).argmax(1) == labels[1]).mean()))
    asked = Classifier(
        members=1, max_steps=STEPS, batch_size=BATCH, patience=LOOKS, seed=seed, progress=False
    )
    parameters = Parameters.check(asked.get_params())
    fit_examples(parameters, learnt, target, hooks=Hooks(validated=watch))
    return watch.curve, time.perf_counter() - watch.began - watch.off


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder = Path(os.environ.get("FASTLSTM_DATA", "../shared/data")) / "classify"
    learnt = read_sequences(folder / "JapaneseVowels_TRAIN.ts")
    test = read_sequences(folder / "JapaneseVowels_TEST.ts", schema=learnt.schema, labelled=True)
    assert learnt.labels is not None
    assert test.labels is not None
    target = ClassTarget.fit(learnt.labels, learnt.source)
    labels = [target.encode(part.labels, part.source) for part in (learnt, test)]
    sides = {"fastlstm": ours, "plain PyTorch": plain}
    found: dict[str, list[tuple[Curve, float]]] = {name: [] for name in sides}
    for seed in range(given.seeds):
        for name, side in sides.items():
            found[name].append(side(learnt, test, labels, seed))
    print(f"{machine()}; seeds 0 … {given.seeds - 1}, medians; {STEPS} steps of {BATCH} sequences at most")
    heads = "".join(f"{f's to {goal:g}':>12}" for goal in GOALS)
    print(f"{'':16}{heads}{'s in all':>12}{'ms a step':>12}{'highest':>12}{'last':>9}")
    for name, runs in found.items():
        cells = ""
        for goal in GOALS:
            times = [
                next((seconds for seconds, reached in curve if reached >= goal), float("inf"))
                for curve, _ in runs
            ]
            middle = statistics.median(times)
            cells += f"{middle:12.2f}" if middle < float("inf") else f"{'not':>12}"
        whole = statistics.median(seconds for _, seconds in runs)
        rate = statistics.median(1000 * seconds / (len(curve) * STEPS / LOOKS) for curve, seconds in runs)
        highest = statistics.median(max(reached for _, reached in curve) for curve, _ in runs)
        last = statistics.median(curve[-1][1] for curve, _ in runs)
        print(f"{name:16}{cells}{whole:12.2f}{rate:12.2f}{highest:12.4f}{last:9.4f}")


if __name__ == "__main__":
    main()
