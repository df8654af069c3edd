"""The translator's configuration, checked, and all that a run folder keeps of one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from fastlstm.data.texts.pairs import PairSchema
from fastlstm.data.texts.text_set import TextKind
from fastlstm.data.texts.tokens import Level
from fastlstm.model.attention import AttentionKind
from fastlstm.model.translator import TranslatorSettings
from fastlstm.tasks.parameters import EstimatorSettings, Share, TrainingParameters


class Parameters(TrainingParameters):
    """The constructor's arguments, with their types and bounds; :class:`Translator` says what they mean."""

    hidden_size: Annotated[int, Field(gt=0, multiple_of=2)] | None
    num_layers: PositiveInt
    embedding: PositiveInt | None
    attention: AttentionKind
    input_feeding: bool
    dropout: Share | None
    recurrent_dropout: Share
    label_smoothing: Share
    level: Level | None
    vocabulary_size: PositiveInt | None
    shared_vocabulary: bool
    longest: PositiveInt | None
    batch_tokens: PositiveInt | None
    max_steps: PositiveInt | None
    learning_rate: PositiveFloat | None


class RunSettings(EstimatorSettings):
    """What ``config.json`` holds of a translator.

    Parameters
    ----------
    parameters : Parameters
        The constructor's arguments.
    network : TranslatorSettings
        Of the network.
    pairs : PairSchema
        How pairs are read.
    kind : str
        The kind of data that was fitted.
    longest : int
        Tokens of a text that are read, or written at most.
    growth : float
        Target tokens a source token, of which nearly all pairs have fewer.
    """

    parameters: Parameters
    network: TranslatorSettings
    pairs: PairSchema
    kind: TextKind
    longest: int
    growth: float
