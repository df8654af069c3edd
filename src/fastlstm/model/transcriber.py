"""The network over speech: convolutions that thin frames out, an LSTM, and for each step how likely each token is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from fastlstm.model.dropout import Dropout
from fastlstm.nn import LSTM

SPAN = 3  # frames, and bands, that a convolution sees
STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}  # subsampling: how far each convolution goes on in time


class SpeechSettings(BaseModel):
    """All that it takes to build the network again; ``config.json`` keeps it.

    Parameters
    ----------
    bands : int
        M, numbers a frame.
    subsampling : {1, 2, 4}
        Frames a step.
    channels : int
        Of the convolutions.
    hidden_size, num_layers : int
        H, and how many layers.
    bidirectional : bool
        Whether the LSTM also runs backwards, and convolutions see what comes next; without it the network can listen
        while one speaks.
    dropout : float
        Share of the values before, between and after the LSTM's layers that is set to zero in training.
    outputs : int
        V, tokens with the blank.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: int
    subsampling: Literal[1, 2, 4]
    channels: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    dropout: float
    outputs: int

    def steps(self, frames: Tensor) -> Tensor:
        """Tell how many steps so many frames become: ceil(frames / subsampling).

        Parameters
        ----------
        frames : Tensor
            (…) int64
        """
        return (frames + self.subsampling - 1) // self.subsampling


@dataclass
class Listening:
    """What a network that listens has heard: what its convolutions still need, and the states of its LSTMs."""

    kept: list[Tensor]
    states: list[Any]


class SpeechNetwork(nn.Module):
    """Two convolutions over time and bands, an LSTM, and a linear layer with log-softmax.

    B utterances, T frames, M bands, S steps, V tokens with the blank.

    Parameters
    ----------
    settings : SpeechSettings
        Sizes.

    Examples
    --------
    >>> settings = SpeechSettings(
    ...     bands=40, subsampling=2, channels=4, hidden_size=8, num_layers=1, bidirectional=True, dropout=0.0, outputs=5
    ... )
    >>> log_probabilities, steps = SpeechNetwork(settings)(torch.randn(3, 21, 40), torch.tensor([21, 8, 1]))
    >>> log_probabilities.shape, steps
    (torch.Size([3, 11, 5]), tensor([11,  4,  1]))
    """

    def __init__(self, settings: SpeechSettings) -> None:
        super().__init__()
        self.settings = settings
        channels, bands = 1, settings.bands
        self.convolutions = nn.ModuleList()
        for stride in STRIDES[settings.subsampling]:
            self.convolutions.append(
                nn.Conv2d(channels, settings.channels, SPAN, stride=(stride, 2), padding=(0, SPAN // 2))
            )
            channels, bands = settings.channels, (bands + 1) // 2
        # Outputs of an LSTM are small at first and hardly vary; without a norm behind each layer, the head sees nothing
        # to tell steps apart by, and hundreds of training steps go by in which all that is learnt is the blank.
        width = settings.hidden_size * (1 + settings.bidirectional)
        widths = [channels * bands, *[width] * settings.num_layers]
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in widths)
        self.layers = nn.ModuleList(
            LSTM(size, settings.hidden_size, batch_first=True, bidirectional=settings.bidirectional)
            for size in widths[:-1]
        )
        self.dropout = Dropout(settings.dropout)
        self.head = nn.Linear(width, settings.outputs)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Say how likely each token is at each step.

        Parameters
        ----------
        features : Tensor
            (B, T, M), anything past the ends.
        lengths : Tensor
            (B,) int64, frames, 1 or more each.

        Returns
        -------
        log_probabilities : Tensor
            (B, S, V), natural logarithms; past the ends anything.
        steps : Tensor
            (B,) int64
        """
        hidden = features[:, None]
        # What a convolution sees before the first and after the last frame is zeros, whatever else is in the batch.
        ends = (SPAN - 1, 0) if not self.settings.bidirectional else (SPAN // 2, SPAN // 2)
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            places = torch.arange(hidden.shape[2], device=hidden.device)
            within = (places < lengths[:, None])[:, None, :, None]
            hidden = F.relu(convolution(F.pad(hidden * within, (0, 0, *ends))))
            stride = convolution.stride[0]
            lengths = (lengths + stride - 1) // stride
        outputs = self._flat(hidden)
        for layer, norm in zip(self.layers, self._after, strict=True):
            outputs = self.dropout(norm(layer(outputs, lengths=lengths)[0]))
        return self._answers(outputs), lengths

    def listen(self) -> Listening:
        """Begin to hear an utterance bit by bit."""
        assert not self.settings.bidirectional
        bands = [self.settings.bands, (self.settings.bands + 1) // 2]
        channels = [1, self.settings.channels]
        sample = next(self.parameters())
        kept = [
            sample.new_zeros(1, count, SPAN - 1, width) for count, width in zip(channels, bands, strict=True)
        ]
        return Listening(kept, [None] * len(self.layers))

    def hear(self, features: Tensor, listening: Listening) -> Tensor:
        """Hear some more frames; all of them together give what :meth:`forward` gives of the whole.

        Parameters
        ----------
        features : Tensor
            (T, M), any number.
        listening : Listening
            What was heard; it moves on.

        Returns
        -------
        Tensor
            (S, V), the log-probabilities of the steps that are complete.
        """
        hidden = features[None, None]
        for place, convolution in enumerate(self.convolutions):
            assert isinstance(convolution, nn.Conv2d)
            seen = torch.cat([listening.kept[place], hidden], dim=2)
            stride = convolution.stride[0]
            count = max(0, (seen.shape[2] - SPAN) // stride + 1)
            listening.kept[place] = seen[:, :, count * stride :]
            if not count:
                return features.new_zeros(0, self.settings.outputs)
            hidden = F.relu(convolution(seen))
        outputs = []
        for step in self._flat(hidden)[0]:
            x = step[None]
            for place, (layer, norm) in enumerate(zip(self.layers, self._after, strict=True)):
                assert isinstance(layer, LSTM)
                x, listening.states[place] = layer.step(x, listening.states[place])
                x = norm(x)
            outputs.append(x)
        return self._answers(torch.cat(outputs))

    @property
    def _after(self) -> list[nn.Module]:
        """The norms behind the LSTMs."""
        return list(self.norms)[1:]

    def _flat(self, hidden: Tensor) -> Tensor:
        flat: Tensor = self.dropout(self.norms[0](hidden.transpose(1, 2).flatten(2)))
        return flat

    def _answers(self, outputs: Tensor) -> Tensor:
        found: Tensor = F.log_softmax(self.head(outputs), dim=-1)
        return found
