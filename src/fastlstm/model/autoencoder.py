"""The network that detects anomalies by what it cannot put together again: an LSTM autoencoder over the last rows."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.detector import Expectation, RowBatch
from fastlstm.model.distributions import SMALLEST, StudentTHead
from fastlstm.model.dropout import Dropout
from fastlstm.model.inputs import Categories
from fastlstm.model.naive import NaiveForecasts
from fastlstm.nn import LSTM
from fastlstm.ops.linear import linear

State = tuple[Tensor, Tensor]

ROWS_AT_ONCE = 2**17  # of all windows together, when running over a series


class AutoencoderSettings(BaseModel):
    """How to build the network; ``config.json`` keeps it.

    Parameters
    ----------
    channels : int
        K, what is reconstructed of each row.
    numbers : int
        Width of the numbers that are read at each step, with those of the channels: see :class:`Autoencoder`.
    known : int
        How many of them, the last ones, are known before a row comes.
    categories : tuple of int
        The number of codes of each categorical covariate, with code 0 for missing and unknown.
    look_back : int
        W, how many rows are read, the one that is judged among them.
    code_size : int
        Z, how many numbers are to tell them all.
    hidden_size, num_layers : int
        Of encoder and decoder.
    decoder_size : int
        Units that describe a channel.
    dropout : float
        Share of hidden values set to zero during training.
    layer_norm : bool
        Whether gates and cell are normalised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: PositiveInt
    numbers: PositiveInt
    known: NonNegativeInt
    categories: tuple[int, ...] = ()
    look_back: PositiveInt
    code_size: PositiveInt
    hidden_size: PositiveInt
    num_layers: PositiveInt
    decoder_size: PositiveInt
    dropout: float
    layer_norm: bool

    @property
    def horizons(self) -> tuple[int, ...]:
        """What is told at a step is told of this step: as by a forecast of the row that comes."""
        return (1,)


class Autoencoder(nn.Module):
    """An LSTM reads the last W rows into Z numbers, out of which another LSTM puts them together again, last row first.

    With the rows x_{t-W+1} … x_t, and u_s what was known of row s beforehand::

        h   = LSTM(x_{t-W+1}, …, x_t)           the last state
        z   = W_z h + b_z                       Z numbers, far fewer than W · K
        g_s = LSTM(z, u_s; g_{s+1})             s = t, t - 1, … t - W + 1
        y_s ~ t(μ, σ, ν)(relu(W_d g_s + b_d))   StudentTHead

    Malhotra et al. 2016, "LSTM-based encoder-decoder for multi-sensor anomaly detection" (ICML workshop on anomaly
    detection): what is usual has few ways to be, which the code learns, and what is not does not come out as it went
    in. Learnt is from all rows of a window; judged is the last, which is the first that comes out, so that a row is
    judged as it comes. At each step the network reads: of each channel the value, scaled, 0 where missing; then whether
    there is one; then covariates and the calendar.

    B sequences, T steps, K channels.

    Parameters
    ----------
    settings : AutoencoderSettings
        How to build it.

    Examples
    --------
    >>> settings = AutoencoderSettings(channels=2, numbers=5, known=1, look_back=4, code_size=2, hidden_size=8,
    ...                                num_layers=1, decoder_size=4, dropout=0.0, layer_norm=False)
    >>> network = Autoencoder(settings).eval()
    >>> rows = RowBatch(torch.randn(1, 10, 5), torch.zeros(1, 10, 0, dtype=torch.long))
    >>> whole, state = network.advance(rows, None)
    >>> whole.location.shape, state[0].shape
    (torch.Size([1, 10, 1, 2]), torch.Size([1, 3, 5]))
    """

    reads_itself: ClassVar[bool] = True  # a row is read before it is judged

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = Categories(settings.numbers, settings.categories)

        def recurrent(width: int) -> LSTM:
            return LSTM(
                width,
                settings.hidden_size,
                settings.num_layers,
                batch_first=True,
                dropout=settings.dropout if settings.num_layers > 1 else 0.0,
                layer_norm=settings.layer_norm,
            )

        self.encoder = recurrent(self.inputs.width)
        self.code = nn.Linear(settings.hidden_size, settings.code_size)
        self.decoder = recurrent(settings.code_size + settings.known)
        self.dropout = Dropout(settings.dropout)
        self.describe = nn.Linear(settings.hidden_size, settings.channels * settings.decoder_size)
        self.head = StudentTHead(settings.decoder_size, [0.5], rules=1)

    @property
    def blind(self) -> tuple[int, ...]:
        """How many first rows of a series are not told: those before which fewer than W - 1 came."""
        return (self.settings.look_back - 1,)

    def forward(self, rows: RowBatch, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the loss: the mean negative logarithm of the likelihood of what was read.

        Parameters
        ----------
        rows : RowBatch
            B windows of rows.
        target, weight : Tensor
            (B, T, 1, K), what came, scaled; 0 where it is missing or does not count, otherwise 1.

        Returns
        -------
        Tensor
            A scalar.
        """
        return self._loss(self._reconstruct(rows, rows.numbers.shape[1]), target.flip(1), weight.flip(1))

    def run_loss(
        self, rows: RowBatch, target: Tensor, weight: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Compute the loss of each row as the last of its window, running on from a state.

        Parameters
        ----------
        rows : RowBatch
            One sequence of T steps.
        target, weight : Tensor
            (1, T, 1, K)
        state : tuple of Tensor, optional
            Of the call before; rows of nothing where there was none.

        Returns
        -------
        tuple
            The loss, and the state after the last step.
        """
        raw, state = self._run(rows, state)
        return self._loss(raw, target, weight), state

    def advance(self, rows: RowBatch, state: State | None) -> tuple[Expectation, State]:
        """Put each row together again, as the last of its window, running on from a state.

        Parameters
        ----------
        rows : RowBatch
            One sequence of T steps.
        state : tuple of Tensor, optional
            Of the call before: what was read of the W - 1 rows before these. Rows of nothing where there was none.

        Returns
        -------
        Expectation
            (1, T, 1, K)
        state : tuple of Tensor
            After the last step.
        """
        raw, state = self._run(rows, state)
        found = self.head.corrected(raw, self._usual(raw))[:, :, None]
        location, deviation, freedom = found.unbind(-1)
        return Expectation(location, F.softplus(deviation) + SMALLEST, 2 + F.softplus(freedom)), state

    def step(self, rows: RowBatch, state: State | None) -> tuple[Expectation, State]:
        """Take one step: what ``advance`` gives for T = 1.

        Parameters
        ----------
        rows : RowBatch
            One sequence of one step.
        state : tuple of Tensor, optional
            Of the call before.
        """
        return self.advance(rows, state)

    def _run(self, rows: RowBatch, state: State | None) -> tuple[Tensor, State]:
        """Return the head's (1, T, K, 3 + rules) of each row as the last of its window, and the last W - 1 rows."""
        before = self.settings.look_back - 1
        numbers, codes = rows
        if state is None:
            state = (
                numbers.new_zeros(1, before, numbers.shape[2]),
                codes.new_zeros(1, before, codes.shape[2]),
            )
        numbers, codes = torch.cat([state[0], numbers], dim=1), torch.cat([state[1], codes], dim=1)
        within = torch.arange(before + 1, device=numbers.device)
        steps = torch.arange(numbers.shape[1] - before, device=numbers.device)[:, None]
        raw = [
            self._reconstruct(RowBatch(numbers[0, part + within], codes[0, part + within]), 1)
            for part in steps.split(max(1, ROWS_AT_ONCE // len(within)))
        ]
        end = numbers.shape[1] - before
        return torch.cat(raw).transpose(0, 1), (numbers[:, end:], codes[:, end:])

    def _reconstruct(self, windows: RowBatch, count: int) -> Tensor:
        """Return the head's (B, count, K, 3 + rules) of the last rows of windows, the last first."""
        settings = self.settings
        hidden = self.encoder(self.inputs(*windows))[1][0][-1]
        code = self.code(self.dropout(hidden))[:, None].expand(-1, count, -1)
        numbers = windows.numbers
        known = numbers[:, numbers.shape[1] - count :, settings.numbers - settings.known :].flip(1)
        decoded = self.decoder(torch.cat([code, known], dim=2))[0]
        described = linear(self.dropout(decoded), self.describe.weight, self.describe.bias, relu=True)
        raw: Tensor = self.head(described.view(*decoded.shape[:2], settings.channels, settings.decoder_size))
        return raw

    def _loss(self, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        one = target.new_ones(len(target), 1)
        scale = WindowScale(torch.zeros_like(one), one)  # rows are scaled already
        return self.head.loss(raw, self._usual(raw), target.flatten(2), weight.flatten(2), scale)

    def _usual(self, raw: Tensor) -> NaiveForecasts:
        """Return the only rule: the usual level."""
        zeros = raw.new_zeros(*raw.shape[:-1], 1)
        return NaiveForecasts(zeros, zeros)
