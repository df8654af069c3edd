"""A language model token by token, as a search asks for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fastlstm.model.language import LanguageNetwork, LanguageState
from fastlstm.ops.linear import linear
from fastlstm.ops.tokens import log_probabilities

FEW_ROWS = 8


class LanguageSteps:
    """A network in evaluation mode, one token a row at a time, without gradients.

    Parameters
    ----------
    network : LanguageNetwork
        In evaluation mode.
    weights : {"bfloat16", "int8"}, optional
        Take steps with the LSTM's weights in so few bits. Default: as they were learnt.

    Examples
    --------
    >>> from fastlstm.model.language import LanguageSettings
    >>> network = LanguageNetwork(LanguageSettings(
    ...     tokens=7, embedding=4, hidden_size=8, num_layers=2, dropout=0.0, recurrent_dropout=0.0, weight_drop=0.0,
    ...     tied=False, cutoffs=())).eval()
    >>> steps = LanguageSteps(network)
    >>> state = steps.start(torch.tensor([[1, 2], [3, 4]]))
    >>> log_probabilities, state = steps.step(torch.tensor([5, 6]), state)
    >>> log_probabilities.shape, state.layers[0][0].shape
    (torch.Size([2, 7]), torch.Size([1, 2, 8]))
    """

    def __init__(self, network: LanguageNetwork, weights: str | None = None) -> None:
        self.network = network
        self.weights = weights
        # A step is a matter of ten microseconds, and a module takes one each time that it is asked for a part.
        self._layers = tuple(network.stack)
        self._embedding = network.embed.weight.detach()
        plain = self._embedding.device.type == "cpu" and self._embedding.dtype == torch.float32
        self._rows = self._embedding.numpy() if plain else None
        self._vectors = network.vectors.detach()
        self._bias = None if network.bias is None else network.bias.detach()

    @torch.inference_mode()
    def start(self, context: Tensor) -> LanguageState:
        """Read the beginnings of texts, but for the token that :meth:`step` is to read first.

        Parameters
        ----------
        context : Tensor
            (B, P) int64; P may be 0.
        """
        return self.network.start(context)

    def step(self, tokens: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """Read a token a row, and say how likely each is to come next.

        Parameters
        ----------
        tokens : Tensor
            (B,) int64, on any device.
        state : LanguageState
            Of B rows.

        Returns
        -------
        log_probabilities : Tensor
            (B, V)
        state : LanguageState
            After the tokens.
        """
        tokens = tokens.to(self._embedding.device)
        if self._rows is None or len(tokens) >= FEW_ROWS:
            with torch.inference_mode():
                x, after = self._run(self._embedding.index_select(0, tokens), state)
                return self._log_probabilities(x), after
        # Arrays go through the same kernels as tensors do, and what else is to be done with them takes less.
        x, after = self._run(self._rows.take(tokens.numpy(), 0), state)
        told = NotImplemented
        if not self.network.settings.cutoffs:
            told = log_probabilities(x, self._vectors, self._bias)
        if told is NotImplemented:
            with torch.inference_mode():
                return self._log_probabilities(torch.from_numpy(x)), after
        return torch.from_numpy(told), after

    def _run(self, x: Any, state: LanguageState) -> tuple[Any, LanguageState]:
        after = []
        for layer, before in zip(self._layers, state.layers, strict=True):
            x, reached = layer.step(x, before, weights=self.weights)
            after.append(reached)
        return x, LanguageState(tuple(after))

    def _log_probabilities(self, features: Tensor) -> Tensor:
        if self.network.settings.cutoffs:
            assert self.network.adaptive is not None
            found: Tensor = self.network.adaptive.log_prob(features)
            return found
        # Of few rows PyTorch's product is done sooner than ours has begun.
        product = F.linear if len(features) < FEW_ROWS else linear
        return product(features, self._vectors, self._bias).log_softmax(-1)
