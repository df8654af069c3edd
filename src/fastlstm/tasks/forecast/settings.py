"""The configuration of a forecaster, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from fastlstm.data.series.schema import Schema
from fastlstm.data.series.windows import CovariateScaling
from fastlstm.data.tables.frames import Kind
from fastlstm.model.distributions import HeadKind
from fastlstm.model.forecaster import NetworkSettings
from fastlstm.tasks.parameters import EstimatorSettings, TrainingParameters

Level = Annotated[float, Field(gt=0, lt=1)]


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; :class:`Forecaster` says what they mean."""

    horizon: PositiveInt
    context: PositiveInt | None
    quantiles: tuple[Level, ...]
    trunk: Literal["points", "segments"] | None
    segment: PositiveInt | None
    head: HeadKind | None
    decoding: Literal["direct", "paths"]
    hidden_size: PositiveInt | None
    num_layers: PositiveInt
    layer_norm: bool
    members: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_size: PositiveInt | None
    origins: PositiveInt
    max_steps: PositiveInt | None
    learning_rate: PositiveFloat | None
    validation_windows: PositiveInt | None
    test_windows: Annotated[int, Field(ge=0)]

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if 0.5 not in quantiles or any(low >= high for low, high in pairwise(quantiles)):
            raise ValueError("must rise, with 0.5 among them")
        return quantiles


class ForecastSettings(EstimatorSettings):
    """What ``config.json`` holds of a forecaster.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : NetworkSettings
        How to build each network.
    members : int
        How many there are.
    scaling : CovariateScaling
        Of the covariates.
    table : Schema
        How tables are read.
    names : list
        The ids of the series whose ends are kept.
    kind : {"file", "pandas", "polars", "pyarrow"}
        The kind of table that was fitted.
    season : int
        Of seasonal-naive and MASE, in steps.
    """

    parameters: Parameters
    network: NetworkSettings
    members: PositiveInt
    scaling: CovariateScaling
    table: Schema
    names: list[int | str | None]
    kind: Kind
    season: PositiveInt
