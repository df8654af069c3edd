"""The configuration of estimators of labels, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from fastlstm.data.sequences.features import SequenceScaling
from fastlstm.data.sequences.schema import SequenceSchema
from fastlstm.data.sequences.sequence_set import SequenceKind
from fastlstm.data.texts.text_set import TextSchema
from fastlstm.model.pooling import PoolingKind
from fastlstm.model.sequence import SequenceSettings
from fastlstm.tasks.labelled.target import Target
from fastlstm.tasks.parameters import EstimatorSettings, TrainingParameters


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; the estimators say what they mean."""

    hidden_size: PositiveInt
    num_layers: PositiveInt
    bidirectional: bool | None
    layer_norm: bool
    pooling: PoolingKind | None
    convolution: bool | None
    dropout: Annotated[float, Field(ge=0, lt=1)] | None
    members: PositiveInt
    class_weight: Literal["balanced"] | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    largest_label: float | None = None
    level: Literal["word", "char", "bpe"]
    vocabulary_size: PositiveInt
    embedding: PositiveInt
    longest: PositiveInt
    augmentation: Annotated[float, Field(ge=0)] | None
    test_share: Annotated[float, Field(ge=0, lt=1)]
    batch_size: PositiveInt | None
    max_steps: PositiveInt | None
    learning_rate: PositiveFloat | None

    @model_serializer(mode="wrap")
    def _given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what the estimator has no argument for: a regressor has no threshold."""
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}


class RunSettings(EstimatorSettings):
    """What ``config.json`` holds of an estimator of labels.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : SequenceSettings
        Of each member.
    members : int
        How many networks.
    target : Target
        What a label is.
    temperature : float
        By which raw outputs are divided.
    threshold : float, optional
        Of two classes.
    scaling : SequenceScaling, optional
        Of numbers.
    sequences : SequenceSchema, optional
        How sequences are read.
    texts : TextSchema, optional
        How texts are read.
    kind : str
        The kind of data that was fitted.
    """

    parameters: Parameters
    network: SequenceSettings
    members: int
    target: Target
    temperature: float
    threshold: float | None
    scaling: SequenceScaling | None
    sequences: SequenceSchema | None
    texts: TextSchema | None
    kind: SequenceKind | Literal["list"]
