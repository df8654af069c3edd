"""Time training steps of the translator, and of the same model on torch.nn.LSTM, in target tokens a second.

All sides train one model at the estimator's default sizes on the same batches of Multi30k (a table of pairs of
sentences of like length, made up, where FASTLSTM_DATA is not set), with the same update. One side has torch.nn.LSTM,
on a packed sequence where lengths differ, and all else as fastlstm has it; another has PyTorch's dense layers and loss
too. The sides take turns in one process.

    python -m benchmarks.translator_training [--seconds 120] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.measure import machine, medians
from fastlstm.data.texts.pair_tokens import PairFeatures
from fastlstm.data.texts.pairs import PairSet, read_pairs
from fastlstm.model.translator import TranslatorNetwork, TranslatorSettings
from fastlstm.nn import LSTM
from fastlstm.tasks.translate import Translator
from fastlstm.tasks.translate.fitting import default_batch_tokens, default_sizes, learn_vocabulary
from fastlstm.tasks.translate.settings import Parameters
from fastlstm.tasks.translate.translating import batch_loss
from fastlstm.training.update import WeightUpdate

BATCHES = 4  # of different lengths, one after the other, are a turn


class Packed(nn.Module):
    """torch.nn.LSTM with the ``lengths`` of fastlstm's."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        y, state = self.layer(packed)
        return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state


def torchs(layer: LSTM) -> nn.LSTM:
    """Return torch.nn.LSTM with the same sizes and weights."""
    twin = nn.LSTM(
        layer.input_size, layer.hidden_size, layer.num_layers, batch_first=True, dropout=layer.dropout,
        bidirectional=layer.bidirectional,
    )  # fmt: skip
    twin.load_state_dict(layer.state_dict())
    return twin


def on_torch(network: TranslatorNetwork) -> TranslatorNetwork:
    """Put torch.nn.LSTM in the place of every LSTM of a translator."""
    network.encoder = Packed(torchs(network.encoder))
    network.lower = torchs(network.lower)
    if network.upper is not None:
        network.upper = torchs(network.upper)
    return network


def torchs_own() -> dict[str, Callable[..., Tensor]]:
    """Return what PyTorch has in the place of fastlstm's other functions."""
    return {
        "fastlstm.model.translator.linear": F.linear,
        "fastlstm.model.attention.linear": F.linear,
        "fastlstm.tasks.translate.translating.smoothed_cross_entropy": lambda logits, targets, smoothing: (
            F.cross_entropy(logits, targets, label_smoothing=smoothing)
        ),
    }


def sample() -> PairSet:
    folder = os.environ.get("FASTLSTM_DATA")
    if folder:
        return read_pairs(Path(folder) / "text" / "multi30k_train.de-en.tsv", source="de", target="en")
    generator = np.random.default_rng(0)
    words = np.array([f"word{place}" for place in range(8000)])
    # Zipf's law: the r-th most frequent word comes 1 / r as often as the first.
    shares = 1 / np.arange(1, len(words) + 1)
    texts = [
        [" ".join(generator.choice(words, length, p=shares / shares.sum())) for length in lengths]
        for lengths in generator.integers(6, 20, (2, 29_000))
    ]
    return read_pairs(pl.DataFrame({"source": texts[0], "target": texts[1]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="about how long in all")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pairs = sample()
    parameters = Parameters.check(Translator().get_params())
    vocabulary = learn_vocabulary(parameters, pairs)
    features = PairFeatures(pairs, vocabulary, torch.device("cpu"))
    tokens = int(features.target_lengths.sum())
    sizes = default_sizes(tokens)
    settings = TranslatorSettings(
        source_tokens=vocabulary.source_tokens, target_tokens=vocabulary.target_tokens, shared=True,
        embedding=sizes.embedding,
        scale=1.0, hidden_size=sizes.hidden_size, num_layers=parameters.num_layers,
        attention=parameters.attention, input_feeding=False, dropout=sizes.dropout, recurrent_dropout=0.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    drawn = features.batches(torch.arange(len(pairs)), default_batch_tokens(tokens), generator)[:BATCHES]
    batches = [features.gather(which) for which in drawn]

    def side(
        change: Callable[[TranslatorNetwork], TranslatorNetwork],
        patches: dict[str, Callable[..., Tensor]],
        bfloat16: bool = False,
    ) -> Callable[[], None]:
        torch.manual_seed(0)
        network = change(TranslatorNetwork(settings)).train()
        update = WeightUpdate(network.parameters(), weight_decay=1e-4, clip=1.0)

        def turn() -> None:
            for name, function in patches.items():
                patch(name, function).start()
            try:
                for batch in batches:
                    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                        loss = batch_loss(network, batch, parameters.label_smoothing)
                    update(loss, 1e-4)
            finally:
                patch.stopall()

        return turn

    times = medians(
        {
            "fastlstm": side(lambda network: network, {}),
            "torch.nn.LSTM, else the same": side(on_torch, {}),
            "all of it PyTorch's": side(on_torch, torchs_own()),
            "fastlstm, bf16": side(lambda network: network, {}, bfloat16=True),
            "all of it PyTorch's, bf16": side(on_torch, torchs_own(), bfloat16=True),
        },
        seconds=given.seconds,
    )
    told = sum(len(batch.after) for batch in batches)
    print(
        f"{vocabulary.target_tokens:,} tokens, embedding {sizes.embedding}, hidden {sizes.hidden_size}, "
        f"{parameters.num_layers} layers, {told / BATCHES:,.0f} target tokens a step, {len(pairs):,} pairs"
    )
    print(f"{machine()}\n")
    print(f"{'':30}{'ms a step':>12}{'tokens a second':>18}{'times fastlstm':>17}")
    for name, seconds in times.items():
        ratio = seconds / times["fastlstm"]
        print(f"{name:30}{1000 * seconds / BATCHES:>12.1f}{told / seconds:>18,.0f}{ratio:>17.2f}")


if __name__ == "__main__":
    main()
