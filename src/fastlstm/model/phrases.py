"""Words and pairs of words, each as evidence of its own, beside what an LSTM makes of a whole text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastlstm.model.lookup import places_in
from fastlstm.ops import onnx

NONE = -1  # in the place of a phrase, where there is none


class Phrases(nn.Module):
    """A linear model on which words and pairs of words a text holds.

    K outputs: ``share · (bias + Σ weights of the P phrases that are there)``, each counted once. Nothing of it is
    learnt by gradients: :mod:`fastlstm.tasks.labelled.evidence` finds the weights.

    Parameters
    ----------
    count : int
        P.
    outputs : int
        K.

    Examples
    --------
    >>> phrases = Phrases(2, 1)
    >>> phrases.set(torch.tensor([5, (5 << 32) + 7]), torch.tensor([[1.0], [10.0]]), torch.tensor([0.5]))
    >>> phrases.share.fill_(2.0)
    tensor(2.)
    >>> phrases(torch.tensor([[5, 7, 5], [7, 5, 0], [7, 0, 0]]))
    tensor([[23.],
            [ 3.],
            [ 1.]])
    """

    keys: Tensor
    weights: Tensor
    bias: Tensor
    share: Tensor

    def __init__(self, count: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(count, outputs))
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("share", torch.zeros(()))

    def set(self, keys: Tensor, weights: Tensor, bias: Tensor) -> None:
        """Take what was found.

        Parameters
        ----------
        keys : Tensor
            (P,) int64, as :func:`phrase_keys` numbers phrases, rising.
        weights : Tensor
            (P, K)
        bias : Tensor
            (K,)
        """
        self.keys.copy_(keys)
        self.weights.copy_(weights)
        self.bias.copy_(bias)

    @property
    def is_heard(self) -> bool:
        """Whether its share is more than nothing, of which a graph does not ask."""
        return onnx.under_way() or bool(self.share)

    def forward(self, tokens: Tensor) -> Tensor:
        """Weigh what is there; (B, K).

        Parameters
        ----------
        tokens : Tensor
            (B, T) int64, 0 past a text's end.
        """
        found = phrase_keys(tokens)
        place = places_in(self.keys, found).clamp(max=len(self.keys) - 1)
        known = self.keys[place] == found
        sums: Tensor = (self.weights[place] * known[..., None]).sum(1)
        return self.share * (self.bias + sums)


def phrase_keys(tokens: Tensor) -> Tensor:
    """Give a number to each word that a text holds, and to each pair of them.

    Parameters
    ----------
    tokens : Tensor
        (B, T) int64, 0 past a text's end.

    Returns
    -------
    Tensor
        (B, 2 T - 1) int64: a word by its token, a pair by both of its, each once, -1 where there is none.

    Examples
    --------
    >>> phrase_keys(torch.tensor([[3, 4, 0], [3, 3, 3]])).tolist()
    [[-1, -1, 3, 4, 12884901892], [3, -1, -1, 12884901891, -1]]
    """
    words = torch.where(tokens > 0, tokens, NONE)
    pairs = torch.where(tokens[:, 1:] > 0, (tokens[:, :-1] << 32) + tokens[:, 1:], NONE)
    found = torch.cat([words, pairs], dim=1).sort(1).values
    found[:, 1:].masked_fill_(found[:, 1:] == found[:, :-1], NONE)
    return found
