"""The configuration of a detector, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from fastlstm.data.series.schema import Schema
from fastlstm.data.tables.frames import Kind
from fastlstm.tasks.detect.calibration import Tail
from fastlstm.tasks.detect.inputs import DetectorScaling
from fastlstm.tasks.detect.running import NetworkSettings
from fastlstm.tasks.detect.scoring import Scorer
from fastlstm.tasks.parameters import EstimatorSettings, TrainingParameters

Method = Literal["forecast", "reconstruction"]


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; :class:`Detector` says what they mean."""

    method: Method
    false_alarms: PositiveFloat | None
    window: Annotated[int, Field(ge=2)]
    hold: Annotated[int, Field(ge=0)] | None
    hidden_size: PositiveInt
    num_layers: PositiveInt
    layer_norm: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    stretch: Annotated[int, Field(ge=2)]
    batch_size: PositiveInt
    max_steps: PositiveInt
    learning_rate: PositiveFloat


class RunSettings(EstimatorSettings):
    """What ``config.json`` holds of a detector.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : DetectorSettings or AutoencoderSettings
        How to build the network.
    scaling : DetectorScaling
        Of what it reads.
    scorer, learnt_scorer : Scorer
        From what was expected to scores, of rows that the network has not learnt from, and of those that it has.
    baseline : list of Tail
        Of the rolling z-score: of each channel, and of the greatest.
    table : Schema
        How tables are read.
    names : list
        The series whose ends are kept.
    ticks : list of int
        Where they end on the time axis.
    kind : {"file", "pandas", "polars", "pyarrow"}
        The kind of table that was fitted.
    """

    parameters: Parameters
    network: NetworkSettings
    scaling: DetectorScaling
    scorer: Scorer
    learnt_scorer: Scorer
    baseline: list[Tail]
    table: Schema
    names: list[int | str | None]
    ticks: list[int]
    kind: Kind
