"""The configuration of a transcriber, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from fastlstm.data.speech.audio import LOWEST_RATE
from fastlstm.data.speech.features import SpeechScaling
from fastlstm.data.speech.log_mel import LogMel
from fastlstm.data.speech.manifest import SpeechKind, SpeechSchema
from fastlstm.data.texts.tokens import Level
from fastlstm.model.transcriber import SpeechSettings
from fastlstm.tasks.parameters import EstimatorSettings, TrainingParameters


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; :class:`Transcriber` says what they mean."""

    live: bool
    level: Level | None
    vocabulary_size: PositiveInt | None
    rate: Annotated[int, Field(ge=LOWEST_RATE)] | None
    subsampling: Literal[2, 4] | None
    channels: PositiveInt
    hidden_size: PositiveInt
    num_layers: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    members: PositiveInt | None
    augmentation: bool | None
    batch_size: PositiveInt
    max_steps: PositiveInt | None
    learning_rate: PositiveFloat

    @model_validator(mode="after")
    def _one_listens(self) -> Self:
        if self.live and (self.members or 1) > 1:
            raise ValueError(
                f"members is {self.members}: what listens while one speaks is one network; leave members or live out"
            )
        return self


class RunSettings(EstimatorSettings):
    """What ``config.json`` holds of a transcriber.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : SpeechSettings
        How to build each network.
    members : int
        How many there are.
    mel : LogMel
        From samples to features.
    scaling : SpeechScaling
        How features are normalised.
    usual : str
        The most frequent text of the training part.
    speech : SpeechSchema
        How manifests are read.
    kind : str
        The kind of data that was fitted.
    """

    parameters: Parameters
    network: SpeechSettings
    members: int
    mel: LogMel
    scaling: SpeechScaling
    usual: str
    speech: SpeechSchema
    kind: SpeechKind
