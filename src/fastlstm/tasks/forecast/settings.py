"""The configuration of a forecaster, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from fastlstm.data.schema import Schema
from fastlstm.data.table import Kind
from fastlstm.data.windows import CovariateScaling
from fastlstm.errors import InputError
from fastlstm.model.distributions import HeadKind
from fastlstm.model.forecaster import NetworkSettings

Level = Annotated[float, Field(gt=0, lt=1)]


class Parameters(BaseModel):
    """The constructor's arguments, with their types and bounds; :class:`Forecaster` says what they mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    patience: PositiveInt
    validation_windows: PositiveInt | None
    test_windows: Annotated[int, Field(ge=0)]
    device: str | None
    precision: Literal["no", "bf16", "fp16"]
    seed: Annotated[int, Field(ge=0)]
    progress: bool

    @field_validator("quantiles")
    @classmethod
    def _rising(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if 0.5 not in quantiles or any(low >= high for low, high in pairwise(quantiles)):
            raise ValueError("quantiles must rise, with 0.5 among them")
        return quantiles

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> Self:
        """Check the constructor's arguments.

        Parameters
        ----------
        arguments : mapping
            What ``get_params`` gives.

        Raises
        ------
        InputError
            If one is out of its bounds or of another type; the message names it.
        """
        try:
            return cls.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            reason = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
            raise InputError(f"{name} is {arguments[name]!r}: it {reason}") from None


class ForecastSettings(BaseModel):
    """What ``config.json`` holds of a forecaster.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : NetworkSettings
        How to build the network.
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: Parameters
    network: NetworkSettings
    scaling: CovariateScaling
    table: Schema
    names: list[int | str | None]
    kind: Kind
    season: PositiveInt
