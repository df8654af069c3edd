"""Language models on fastlstm.LSTM against the same models on torch.nn.LSTM: training, and writing.

    python -m benchmarks.language [--rounds N]

All sides are one network with the same weights, and take turns; medians. One has torch.nn.LSTM in the place of its
layers and all else as fastlstm has it; another has PyTorch's dense layer and loss too. Training is a whole step:
forward, loss, backward, clipping, AdamW; in float32, and with the forward pass under autocast in bfloat16, which
fastlstm trains in by default where the CPU is faster so. Writing is fastlstm's own loop for both sides, one text, a
character at a time, on vocabularies of the size of a text's characters; ours with the weights of the LSTM as so many
bits, of which bfloat16 is the default.
"""

from __future__ import annotations

import argparse
import copy
import time
from contextlib import ExitStack
from itertools import islice
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import machine, medians
from fastlstm.model.language import LanguageNetwork, LanguageSettings
from fastlstm.model.language_steps import LanguageSteps
from fastlstm.search.sampling import Sampling, sample
from fastlstm.training.update import WeightUpdate

TURN = 0.2  # seconds
CHARACTERS = 67  # of tiny Shakespeare
# name: H, layers, vocabulary, lanes, window, tied
TRAINED = {
    "characters, H 512, 2 layers": (512, 2, CHARACTERS, 32, 64, False),
    "characters, H 256, 2 layers": (256, 2, CHARACTERS, 32, 64, False),
    "pieces, H 512, 2 layers": (512, 2, 8000, 32, 64, True),
}
WRITTEN = {"H 512, 2 layers": (512, 2), "H 256, 2 layers": (256, 2), "H 128, 1 layer": (128, 1)}


class TorchLayer(nn.LSTM):
    """PyTorch's layer, with a step that its users write."""

    @torch.inference_mode()
    def step(self, x: Any, state: Any, weights: None = None) -> tuple[Any, Any]:
        del weights  # it has none but its own
        y, state = self(torch.from_numpy(x)[None], state)
        return y[0].numpy(), state


def network(hidden: int, layers: int, tokens: int, *, tied: bool = False) -> LanguageNetwork:
    torch.manual_seed(0)
    return LanguageNetwork(
        LanguageSettings(
            tokens=tokens,
            embedding=hidden if tied else 128,
            hidden_size=hidden,
            num_layers=layers,
            dropout=0.4,
            recurrent_dropout=0.0,
            weight_drop=0.0,
            tied=tied,
            cutoffs=(),
        )
    )


def on_torch(ours: LanguageNetwork) -> LanguageNetwork:
    """Copy a network, with PyTorch's layers."""
    other = copy.deepcopy(ours)
    for place, layer in enumerate(other.stack):
        known = TorchLayer(layer.input_size, layer.hidden_size)
        known.load_state_dict(layer.state_dict())
        other.layers[place] = known
    return other


TORCHS_OWN = {
    "fastlstm.model.language.linear": F.linear,
    "fastlstm.model.language.smoothed_cross_entropy": F.cross_entropy,
}


def training_step(
    model: LanguageNetwork,
    tokens: Tensor,
    following: Tensor,
    patches: dict[str, Any] | None = None,
    *,
    bfloat16: bool = False,
) -> Any:
    model.train()
    update = WeightUpdate(model.parameters(), weight_decay=0.01, clip=0.5)

    def step() -> None:
        with ExitStack() as stack:
            for name, function in (patches or {}).items():
                stack.enter_context(patch(name, function))
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):  # as the training loop has it
                loss, _ = model(tokens, None, following)
            update(loss, 0.0)

    return step


def writing_speed(steps: LanguageSteps) -> float:
    """Measure characters a second, over a fifth of one."""
    tokens = sample(steps, torch.zeros(1, 0, dtype=torch.int64), torch.tensor([1]), Sampling(0.8))
    list(islice(tokens, 10))
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < TURN:
        next(tokens)
        count += 1
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    print(machine())
    print(
        f"\n{'training, tokens a second':32}{'all torch':>10}{'its layers':>12}{'fastlstm':>10}{'ratio to':>10}"
        f"{'and to':>8}{'torch bf16':>12}{'fastlstm':>10}{'ratio':>7}"
    )
    for name, (hidden, layers, tokens, lanes, window, tied) in TRAINED.items():
        ours = network(hidden, layers, tokens, tied=tied)
        rows = torch.randint(tokens, (window + 1, lanes))
        batch = rows[:-1], rows[1:]
        sides = {
            "all torch": training_step(on_torch(ours), *batch, TORCHS_OWN),
            "torch": training_step(on_torch(ours), *batch),
            "fastlstm": training_step(ours, *batch),
            "all torch, bf16": training_step(on_torch(ours), *batch, TORCHS_OWN, bfloat16=True),
            "fastlstm, bf16": training_step(copy.deepcopy(ours), *batch, bfloat16=True),
        }
        whole, layers_alone, our, narrow, our_narrow = medians(sides, seconds=0.0, least=rounds).values()
        count = window * lanes
        line = f"{name:32}{count / whole:10,.0f}{count / layers_alone:12,.0f}{count / our:10,.0f}"
        line += f"{whole / our:10.2f}{layers_alone / our:8.2f}"
        print(
            f"{line}{count / narrow:12,.0f}{count / our_narrow:10,.0f}{narrow / our_narrow:7.2f}", flush=True
        )
    print(f"\n{'writing, characters a second':32}{'torch':>10}", end="")
    print("".join(f"{name:>10}{'ratio':>7}" for name in ("float32", "bfloat16", "int8")))
    for name, (hidden, layers) in WRITTEN.items():
        ours = network(hidden, layers, CHARACTERS).eval()
        sides = [(on_torch(ours).eval(), None), (ours, None), (ours, "bfloat16"), (ours, "int8")]
        speeds: list[list[float]] = [[] for _ in sides]
        for _ in range(rounds):
            for (model, weights), found in zip(sides, speeds, strict=True):
                found.append(writing_speed(LanguageSteps(model, weights)))
        theirs, *our = (sorted(found)[rounds // 2] for found in speeds)
        cells = "".join(f"{speed:10,.0f}{speed / theirs:7.1f}" for speed in our)
        print(f"{name:32}{theirs:10,.0f}{cells}", flush=True)


if __name__ == "__main__":
    main()
