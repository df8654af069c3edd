"""The network over labelled sequences: one answer for each, or one for every step."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fastlstm.data.sequences.features import SequenceBatch
from fastlstm.model.convolution import ConvolutionalBranch
from fastlstm.model.dropout import Dropout
from fastlstm.model.phrases import Phrases
from fastlstm.model.pooling import Pooling, PoolingKind
from fastlstm.nn import LSTM

SUMMARY = 64  # units that describe what was observed of a sequence


class SequenceSettings(BaseModel):
    """All that it takes to build the network again; ``config.json`` keeps it.

    Parameters
    ----------
    channels : int
        C, numbers a step.
    static : int
        S, numbers a sequence.
    tokens : int
        V, size of the vocabulary; 0 where steps are numbers.
    embedding : int
        Width of a token's vector.
    masked, irregular : bool
        Whether it is read what is missing, and how far rows lie apart.
    hidden_size, num_layers : int
        H, and how many layers.
    bidirectional, layer_norm : bool
        Of the LSTM.
    pooling : {"last", "mean", "max", "attention"}
        How steps become one vector.
    convolution : bool
        Whether convolutions stand beside the LSTM.
    dropout : float
        Share of the inputs of the last layer, of embeddings, and between layers, that is set to zero in training.
    outputs : int
        K.
    per_step : bool
        Whether there is an answer for every step.
    summary : int
        P, numbers that sum up what was observed of a sequence.
    phrases : int
        Words and pairs of words that are evidence of their own, once training is over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int
    static: int
    tokens: int
    embedding: int
    masked: bool
    irregular: bool
    hidden_size: int
    num_layers: int
    bidirectional: bool
    layer_norm: bool
    pooling: PoolingKind
    convolution: bool
    dropout: float
    outputs: int
    per_step: bool
    summary: int = 0
    phrases: int = 0


class MaskedInputs(nn.Module):
    """Numbers, what is missing of them, and since when.

    A value that is missing decays from the one seen last to the mean of the training part (0), each channel at a rate
    of its own (Che et al. 2018, "Recurrent neural networks for multivariate time series with missing values", equations
    10 and 11)::

        γ_t = exp(-max(0, w δ_t + b))
        x̂_t = m_t x_t + (1 - m_t) γ_t x_last

    δ is the logarithm of one plus the time since then. The mask m and δ are read beside x̂, and so is the time since the
    row before.

    Parameters
    ----------
    channels : int
        C.
    masked, irregular : bool
        Whether it is read what is missing, and how far rows lie apart.
    """

    def __init__(self, channels: int, *, masked: bool, irregular: bool) -> None:
        super().__init__()
        self.masked = masked
        self.width = channels * (3 if masked else 1) + irregular
        if masked:
            self.rate = nn.Parameter(torch.full((channels,), 0.1))
            self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Lay out a batch; (B, T, width)."""
        parts = [batch.values]
        if self.masked:
            decay = torch.exp(-torch.relu(self.rate * batch.since + self.offset))
            parts = [batch.values * (batch.seen + (1 - batch.seen) * decay), batch.seen, batch.since]
        if batch.gap.shape[2]:
            parts.append(batch.gap)
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]


class SequenceNetwork(nn.Module):
    """An LSTM over a sequence, pooling, and a linear layer; or the linear layer at every step.

    B sequences, T steps, K outputs.

    Parameters
    ----------
    settings : SequenceSettings
        Sizes.

    Examples
    --------
    >>> settings = SequenceSettings(
    ...     channels=0, static=0, tokens=50, embedding=8, masked=False, irregular=False, hidden_size=6, num_layers=1,
    ...     bidirectional=True, layer_norm=False, pooling="mean", convolution=False, dropout=0.0, outputs=3,
    ...     per_step=False,
    ... )
    >>> none = torch.zeros(2, 4, 0)
    >>> tokens = torch.tensor([[2, 3, 4, 5], [2, 3, 0, 0]])
    >>> batch = SequenceBatch(torch.tensor([4, 2]), none, none, none, none, tokens, none[:, 0], none[:, 0])
    >>> SequenceNetwork(settings)(batch).shape
    torch.Size([2, 3])
    """

    def __init__(self, settings: SequenceSettings) -> None:
        super().__init__()
        self.settings = settings
        self.embed: nn.Embedding | None = None
        self.inputs: MaskedInputs | None = None
        if settings.tokens:
            self.embed = nn.Embedding(settings.tokens, settings.embedding, padding_idx=0)
            nn.init.normal_(self.embed.weight.data[1:], std=0.1)
            width = settings.embedding
        else:
            self.inputs = MaskedInputs(
                settings.channels, masked=settings.masked, irregular=settings.irregular
            )
            width = self.inputs.width
        self.lstm = LSTM(
            width,
            settings.hidden_size,
            settings.num_layers,
            batch_first=True,
            bidirectional=settings.bidirectional,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            layer_norm=settings.layer_norm,
        )
        hidden = settings.hidden_size * (1 + settings.bidirectional)
        self.pool = (
            None
            if settings.per_step
            else Pooling(settings.pooling, hidden, bidirectional=settings.bidirectional)
        )
        self.branch: ConvolutionalBranch | None = None
        if settings.convolution:
            ahead = (
                settings.bidirectional or not settings.per_step
            )  # else a step knows nothing of those after it
            self.branch = ConvolutionalBranch(width, per_step=settings.per_step, causal=not ahead)
            hidden += self.branch.width
        self.dropout = Dropout(settings.dropout)
        self.summary: nn.Module | None = None
        if settings.summary:
            self.summary = nn.Sequential(
                Dropout(settings.dropout), nn.Linear(settings.summary, SUMMARY), nn.ReLU()
            )
            hidden += SUMMARY
        self.head = nn.Linear(hidden + 2 * settings.static, settings.outputs)
        self.phrases = Phrases(settings.phrases, settings.outputs) if settings.phrases else None

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Answer.

        Parameters
        ----------
        batch : SequenceBatch
            B sequences.

        Returns
        -------
        Tensor
            (B, K), or (B, T, K) with an answer for every step.
        """
        if self.embed is not None:
            inputs = self.dropout(self.embed(batch.tokens))
        else:
            assert self.inputs is not None
            inputs = self.inputs(batch)
        outputs: Tensor = self.lstm(inputs, lengths=batch.lengths)[0]
        steps = batch.steps
        parts = [outputs if self.pool is None else self.pool(outputs, steps)]
        if self.branch is not None:
            parts.append(self.branch(inputs, steps))
        if self.summary is not None:
            parts.append(self.summary(batch.summary))
        static = batch.static
        if self.pool is None:
            static = static[:, None].expand(-1, outputs.shape[1], -1)
        answers: Tensor = self.head(torch.cat([self.dropout(torch.cat(parts, dim=-1)), static], dim=-1))
        if self.phrases is not None and not self.training and self.phrases.is_heard:
            answers = answers + self.phrases(batch.tokens)
        return answers
