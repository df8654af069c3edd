"""The generator's configuration, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from fastlstm.data.texts.tokens import Level
from fastlstm.model.language import LanguageSettings
from fastlstm.tasks.parameters import EstimatorSettings, Share, TrainingParameters


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; the estimator says what they mean."""

    level: Level
    vocabulary_size: PositiveInt | None
    hidden_size: PositiveInt | None
    num_layers: PositiveInt
    embedding: PositiveInt | None
    dropout: Share | None
    recurrent_dropout: Share
    weight_drop: Share
    tied: bool | None
    adaptive: bool | None
    lanes: PositiveInt
    window: Annotated[int, Field(ge=2)]
    max_steps: PositiveInt | None
    learning_rate: PositiveFloat | None

    @model_validator(mode="after")
    def _one_way_out(self) -> Self:
        if self.tied and self.adaptive:
            raise ValueError(
                "tied and adaptive exclude each other: tied weights are of one width; give one of them"
            )
        return self


class RunSettings(EstimatorSettings):
    """What ``config.json`` holds of a generator.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : LanguageSettings
        How the network is built.
    ends : bool
        Whether it learnt from several texts, and so where one ends.
    counts : tuple of int
        How often each token came in the training part; of the boundary last.
    text : str, optional
        The column of texts that was named.
    """

    parameters: Parameters
    network: LanguageSettings
    ends: bool
    counts: tuple[int, ...]
    text: str | None
