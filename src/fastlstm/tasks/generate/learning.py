"""The language model as the training loop's learner, and its judgement of long texts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fastlstm.data.sequences.batches import batches_of_like_length
from fastlstm.data.series.rows import Integers
from fastlstm.data.texts.streams import StreamBatch, TokenStreams
from fastlstm.data.texts.tokens import PADDING
from fastlstm.model.language import LanguageNetwork, LanguageState
from fastlstm.training.learner import Learner

Floats = npt.NDArray[np.float64]

JUDGED_AT_ONCE = 2**22  # outputs, of tokens times their vocabulary, so that memory stays small
LANES = 32  # in which a long text is judged side by side …
CONTEXT = 256  # … and how many tokens each reads before its own
SHORT = 4 * CONTEXT  # tokens up to which texts are judged side by side instead


class LanguageLearning:
    """Windows, losses and validation.

    Parameters
    ----------
    streams : TokenStreams
        Of the training part.
    held : numpy.ndarray
        (M,) tokens of what chooses the weights.
    """

    def __init__(self, streams: TokenStreams, held: Integers) -> None:
        self.streams = streams
        self.held = held
        self.state: LanguageState | None = None

    def learner(self, network: nn.Module) -> Learner[StreamBatch]:
        """Return what the training loop asks for."""
        return Learner(
            network,
            self.streams.draw,
            self.loss,
            self.validate,
            self.describe,
            unit="tokens",
            size=lambda batch: batch.tokens.numel(),
            carried=self.carried,
            carry=self.carry,
        )

    def loss(self, network: nn.Module, batch: StreamBatch) -> Tensor:
        """Compute the mean loss of a window, and carry the state on."""
        loss, state = network(batch.tokens, None if batch.first else self.state, batch.following)
        self.state = LanguageState(tuple(tuple(part.detach() for part in layer) for layer in state.layers))
        return cast(Tensor, loss)

    def validate(self, network: nn.Module) -> float:
        """Compute the mean loss of what is held out."""
        return float(token_losses(language_network(network), self.held).mean())

    def describe(self, network: nn.Module, batch: StreamBatch) -> str:
        """Say what a batch holds."""
        del network  # the loss is one number for all of them
        length, lanes = batch.tokens.shape
        return f"{lanes} stretches of {length} tokens"

    def carried(self) -> dict[str, Tensor]:
        """Return the state of every lane."""
        if self.state is None:
            return {}
        return {
            f"{name}{place}": part
            for place, layer in enumerate(self.state.layers)
            for name, part in zip("hc", layer, strict=True)
        }

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what ``carried`` gave."""
        if tensors:
            layers = range(len(tensors) // 2)
            device = self.streams.tokens.device
            self.state = LanguageState(
                tuple((tensors[f"h{place}"].to(device), tensors[f"c{place}"].to(device)) for place in layers)
            )


def language_network(network: nn.Module) -> LanguageNetwork:
    """Return the network itself, where it is wrapped for several devices.

    Parameters
    ----------
    network : torch.nn.Module
        What the loop hands out.
    """
    inner = getattr(network, "module", network)
    assert isinstance(inner, LanguageNetwork)
    return inner


def token_losses(network: LanguageNetwork, tokens: Integers) -> Tensor:
    """Return minus the logarithm of the probability of each token after the first.

    A long row is judged in lanes side by side, each of which reads the tokens before its own first. With 256 of them
    the numbers are those of one lane to four digits, and are there twenty times as soon.

    Parameters
    ----------
    network : LanguageNetwork
        In evaluation mode.
    tokens : numpy.ndarray
        (N,) the row, from its beginning.

    Returns
    -------
    Tensor
        (N - 1,) float64, nats.
    """
    device = network.embed.weight.device
    row = torch.from_numpy(tokens).to(device)
    count = len(row) - 1
    lanes = max(1, min(LANES, count // (4 * CONTEXT)))
    length = -(-count // lanes)
    context = CONTEXT if lanes > 1 else 0
    # Lane l judges what follows the tokens from l · length on. The first has nothing to read before: it reads the last
    # tokens of the row, and then begins anew. What the last reads beyond the end is not counted.
    ring = torch.cat([row[len(row) - context :], row, row.new_zeros(lanes * length - count)])
    starts = torch.arange(lanes, device=device) * length
    places = starts + torch.arange(context + length + 1, device=device)[:, None]
    laid_out = ring[places]
    window = max(1, JUDGED_AT_ONCE // (lanes * network.settings.tokens))
    losses = torch.zeros(length, lanes, dtype=torch.float64)
    with torch.inference_mode():
        state = network.start(laid_out[:context].T)
        for layer in state.layers:
            for part in layer:
                part[:, 0] = 0
        for first in range(0, length, window):
            last = min(first + window, length)
            features, state = network(laid_out[context + first : context + last], state)
            following = laid_out[context + first + 1 : context + last + 1]
            losses[first:last] = network.loss(features, following).double().cpu()
    return losses.T.flatten()[:count]


def text_losses(network: LanguageNetwork, ids: Integers, offsets: Integers, beginning: Integers) -> Floats:
    """Return minus the logarithm of the probability of each text, from its beginning, without that of its end.

    Parameters
    ----------
    network : LanguageNetwork
        In evaluation mode.
    ids, offsets : numpy.ndarray
        (N,) and (n + 1,), as a tokenizer encodes n texts.
    beginning : numpy.ndarray
        (P,) what is read before each text.

    Returns
    -------
    numpy.ndarray
        (n,) float64, nats.
    """
    given = len(beginning) - 1  # foretold of what is only read
    rows = [np.concatenate([beginning, ids[first:last]]) for first, last in pairwise(offsets)]
    lengths = np.array([len(row) for row in rows], np.int64)
    found = np.zeros(len(rows))
    for place in np.flatnonzero(lengths > SHORT):
        found[place] = float(token_losses(network, rows[place])[given:].sum())
    short = np.flatnonzero(lengths <= SHORT)
    for part in batches_of_like_length(lengths[short], JUDGED_AT_ONCE // network.settings.tokens):
        places = short[part]
        found[places] = _side_by_side(network, [rows[place] for place in places], given)
    return found


def _side_by_side(network: LanguageNetwork, rows: list[Integers], given: int) -> Floats:
    """Return the losses of short rows, without those of the first tokens, which are given."""
    device = network.embed.weight.device
    laid_out = pad_sequence([torch.from_numpy(row) for row in rows], padding_value=PADDING).to(device)
    counts = torch.tensor([len(row) - 1 for row in rows], device=device)
    steps = torch.arange(len(laid_out) - 1, device=device)[:, None]
    with torch.inference_mode():
        features, _ = network(laid_out[:-1], network.start(laid_out[:0].T))
        losses = network.loss(features, laid_out[1:]).double()
    told: Floats = losses.where((steps >= given) & (steps < counts), 0).sum(0).cpu().numpy()
    return told
