"""Attention of a decoder over what an encoder read."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from fastlstm.ops.linear import linear

AttentionKind = Literal["luong", "bahdanau"]


class Attention(nn.Module):
    r"""How much each step of the source counts, for each of several queries, and their mean by these weights.

    ``luong`` is the product (Luong, Pham and Manning 2015, "Effective approaches to attention-based neural machine
    translation", section 3.1, "general"), ``bahdanau`` the sum (Bahdanau, Cho and Bengio 2015, "Neural machine
    translation by jointly learning to align and translate", appendix A.1.2)::

        score(q, m_s) = q · W m_s                   luong
        score(q, m_s) = v · tanh(U q + W m_s + b)   bahdanau
        a_s = softmax_s(score(q, m_s)),  context = Σ_s a_s m_s

    B rows, T queries a row, S steps of the source, Q, M and A the widths of query, memory and of what is compared.

    Parameters
    ----------
    kind : {"luong", "bahdanau"}
        Which.
    query_size, memory_size : int
        Q and M. A is Q of ``luong``, M of ``bahdanau``.

    Examples
    --------
    >>> attention = Attention("luong", 4, 6)
    >>> memory, steps = torch.randn(2, 3, 6), torch.tensor([[True, True, True], [True, False, False]])
    >>> context, weights = attention(torch.randn(2, 5, 4), memory, attention.keys(memory), steps)
    >>> context.shape, weights[1, 0]
    (torch.Size([2, 5, 6]), tensor([1., 0., 0.], grad_fn=<SelectBackward0>))
    """

    def __init__(self, kind: AttentionKind, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.kind = kind
        width = query_size if kind == "luong" else memory_size
        self.of_memory = nn.Linear(memory_size, width, bias=kind == "bahdanau")
        nn.init.xavier_uniform_(self.of_memory.weight)
        if kind == "bahdanau":
            self.of_query = nn.Linear(query_size, width, bias=False)
            nn.init.xavier_uniform_(self.of_query.weight)
            self.score = nn.Parameter(
                torch.empty(width).uniform_(-1 / math.sqrt(width), 1 / math.sqrt(width))
            )

    def keys(self, memory: Tensor) -> Tensor:
        """Compute what all queries are compared with.

        Parameters
        ----------
        memory : Tensor
            (B, S, M)

        Returns
        -------
        Tensor
            (B, S, A)
        """
        return linear(memory, self.of_memory.weight, self.of_memory.bias)

    def forward(self, queries: Tensor, memory: Tensor, keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        queries : Tensor
            (B, T, Q)
        memory : Tensor
            (B, S, M)
        keys : Tensor
            (B, S, A), from :meth:`keys`.
        steps : Tensor
            (B, S) bool, which steps there are; one at least in every row.

        Returns
        -------
        context : Tensor
            (B, T, M)
        weights : Tensor
            (B, T, S), their sum over S is 1.
        """
        kept = self.of_memory.weight.dtype == torch.float32
        if queries.device.type == "cpu" and torch.is_autocast_enabled("cpu") and kept:
            # PyTorch's products of half precision would be prepared anew for each shape.
            with torch.autocast("cpu", enabled=False):
                return self._attend(queries.float(), memory.float(), keys.float(), steps)
        return self._attend(queries, memory, keys, steps)

    def _attend(self, queries: Tensor, memory: Tensor, keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "luong":
            scores = queries @ keys.transpose(1, 2)
        else:
            asked = linear(queries, self.of_query.weight)
            scores = (asked[:, :, None] + keys[:, None]).tanh() @ self.score
        weights = scores.masked_fill(~steps[:, None], -torch.inf).softmax(2)
        return weights @ memory, weights
