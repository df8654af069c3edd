"""The network that detects anomalies by: it forecasts every next row, so that what it did not expect shows."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn

from fastlstm.data.series.scaling import WindowScale
from fastlstm.model.distributions import SMALLEST, StudentTHead
from fastlstm.model.dropout import Dropout
from fastlstm.model.inputs import Categories
from fastlstm.model.naive import NaiveForecasts
from fastlstm.model.trunk import State, Trunk
from fastlstm.ops.linear import linear

RULES = 2  # the usual level, and the last value observed


class DetectorSettings(BaseModel):
    """How to build the network; ``config.json`` keeps it.

    Parameters
    ----------
    channels : int
        K, what is forecast of each row.
    horizons : tuple of int
        R of them: each row is forecast so many steps before it comes; 1 is the row that comes next.
    numbers : int
        Width of the numbers that are read at each step, with those of the channels: see :class:`RowBatch`.
    categories : tuple of int
        The number of codes of each categorical covariate, with code 0 for missing and unknown.
    hidden_size : int
        Width of the LSTM.
    num_layers : int
        LSTM layers on one another.
    decoder_size : int
        Units that describe what is expected of a channel.
    dropout : float
        Share of hidden values set to zero during training.
    layer_norm : bool
        Whether gates and cell are normalised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: PositiveInt
    horizons: tuple[PositiveInt, ...]
    numbers: PositiveInt
    categories: tuple[int, ...] = ()
    hidden_size: PositiveInt
    num_layers: PositiveInt
    decoder_size: PositiveInt
    dropout: float
    layer_norm: bool


class RowBatch(NamedTuple):
    """What the network reads: at each step what was before it, and what is known of it beforehand.

    B sequences, T steps.

    Attributes
    ----------
    numbers : Tensor
        (B, T, numbers): of each channel the last value observed before the step, scaled, 0 where there is none; then
        whether there is one; then whether it is of the step before; then covariates and calendar.
    codes : Tensor
        (B, T, categories) int64.
    """

    numbers: Tensor
    codes: Tensor


class Expectation(NamedTuple):
    """What is expected of rows: Student t distributions.

    Attributes
    ----------
    location, deviation, freedom : Tensor
        (B, T, R, K) each; at step t those of the rows t + h - 1, for each horizon h.
    """

    location: Tensor
    deviation: Tensor
    freedom: Tensor


class DetectorNetwork(nn.Module):
    """An LSTM over rows that forecasts each one, with a Student t distribution, from those before it.

    At step t it reads what was up to step t - 1 and what is known of t beforehand::

        h_t, s_t  = LSTM(x_t, s_{t-1})
        d_{t,r,k} = relu(W_{r,k} h_t + b_{r,k})                    for each horizon r and channel k
        y_{t+h_r-1,k} ~ t(μ, σ, ν)(d_{t,r,k})                      StudentTHead

    μ corrects a mixture of the usual level and the last value. Malhotra et al. 2015, "Long short-term memory networks
    for anomaly detection in time series" (ESANN), detect by the errors of such forecasts several steps ahead; the tails
    of Student's t keep the anomalies in the training data from widening what is expected (Lange et al. 1989).

    B sequences, T steps, R horizons, K channels.

    Parameters
    ----------
    settings : DetectorSettings
        How to build it.

    Examples
    --------
    >>> settings = DetectorSettings(channels=2, horizons=(1, 6), numbers=6, hidden_size=8, num_layers=1,
    ...                             decoder_size=4, dropout=0.0, layer_norm=False)
    >>> network = DetectorNetwork(settings).eval()
    >>> rows = RowBatch(torch.randn(3, 10, 6), torch.zeros(3, 10, 0, dtype=torch.long))
    >>> whole, state = network.advance(rows, None)
    >>> whole.location.shape
    torch.Size([3, 10, 2, 2])
    """

    reads_itself: ClassVar[bool] = False  # a row is judged before it is read

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = Categories(settings.numbers, settings.categories)
        self.trunk = Trunk(
            self.inputs.width,
            settings.hidden_size,
            num_layers=settings.num_layers,
            dropout=settings.dropout,
            layer_norm=settings.layer_norm,
        )
        self.dropout = Dropout(settings.dropout)
        forecasts = len(settings.horizons) * settings.channels
        self.decoder = nn.Linear(settings.hidden_size, forecasts * settings.decoder_size)
        self.head = StudentTHead(settings.decoder_size, [0.5], rules=RULES)

    @property
    def blind(self) -> tuple[int, ...]:
        """How many first steps of a series each horizon is not told of: who has seen little sees not far."""
        return (0, *self.settings.horizons[1:])

    def forward(self, rows: RowBatch, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the loss: the mean negative logarithm of the likelihood of what came.

        Parameters
        ----------
        rows : RowBatch
            B sequences of T steps, read from a state of zeros.
        target, weight : Tensor
            (B, T, R, K), what came at step t + h - 1, scaled; 0 where it is missing or does not count, otherwise 1.

        Returns
        -------
        Tensor
            A scalar.
        """
        return self.run_loss(rows, target, weight, None)[0]

    def run_loss(
        self, rows: RowBatch, target: Tensor, weight: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Compute the loss, running on from a state.

        Parameters
        ----------
        rows, target, weight
            As for ``forward``.
        state : tuple of Tensor, optional
            Of the call before; zeros where there was none.

        Returns
        -------
        tuple
            The loss, and the state after the last step.
        """
        hidden, state = self.trunk.advance(self.inputs(*rows), state)
        raw, naive = self._describe(hidden, rows)
        return self.head.loss(raw, naive, target.flatten(2), weight.flatten(2), _unit(target)), state

    def advance(self, rows: RowBatch, state: State | None) -> tuple[Expectation, State]:
        """Run on from a state.

        Parameters
        ----------
        rows : RowBatch
            B sequences of T steps.
        state : tuple of Tensor, optional
            Of the call before; zeros where there was none.

        Returns
        -------
        Expectation
            (B, T, R, K)
        state : tuple of Tensor
            After the last step.
        """
        hidden, state = self.trunk.advance(self.inputs(*rows), state)
        return self._expect(hidden, rows), state

    def step(self, rows: RowBatch, state: State | None) -> tuple[Expectation, State]:
        """Take one step, in microseconds: what ``advance`` gives for T = 1.

        Parameters
        ----------
        rows : RowBatch
            B sequences of one step.
        state : tuple of Tensor, optional
            Of the call before.
        """
        hidden, reached = self.trunk.lstm.step(self.inputs(*rows)[:, 0], state)
        return self._expect(hidden[:, None], rows), reached

    def _describe(self, hidden: Tensor, rows: RowBatch) -> tuple[Tensor, NaiveForecasts]:
        """Return the head's (B, T, R · K, 3 + rules), and what is mixed."""
        settings = self.settings
        B, T, _ = hidden.shape
        K, R = settings.channels, len(settings.horizons)
        described = linear(self.dropout(hidden), self.decoder.weight, self.decoder.bias, relu=True)
        raw: Tensor = self.head(described.view(B, T, R * K, settings.decoder_size))
        last, known = rows.numbers[..., :K], rows.numbers[..., K : 2 * K]
        values = torch.stack([torch.zeros_like(last), last], dim=-1).repeat(1, 1, R, 1)
        barred = torch.stack([torch.ones_like(known), known], dim=-1).log_().repeat(1, 1, R, 1)
        return raw, NaiveForecasts(values, barred)

    def _expect(self, hidden: Tensor, rows: RowBatch) -> Expectation:
        settings = self.settings
        found = self.head.corrected(*self._describe(hidden, rows))
        location, deviation, freedom = found.unflatten(2, (len(settings.horizons), settings.channels)).unbind(
            -1
        )
        return Expectation(location, F.softplus(deviation) + SMALLEST, 2 + F.softplus(freedom))


def _unit(target: Tensor) -> WindowScale:
    """Return the scale of rows that are scaled already."""
    one = target.new_ones(len(target), 1)
    return WindowScale(torch.zeros_like(one), one)
