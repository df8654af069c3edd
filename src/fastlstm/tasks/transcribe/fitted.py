"""What a fitted transcriber does: predict, stream, be judged, be saved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import nn
from typing_extensions import override

from fastlstm.checks import require_whole
from fastlstm.data.ragged import codes_of
from fastlstm.data.speech.audio import check_rate
from fastlstm.data.speech.manifest import (
    AUDIO_COLUMNS,
    SpeechKind,
    SpeechSchema,
    SpeechSet,
    is_audio,
    is_pair,
    read_speech,
)
from fastlstm.data.tables.frames import give_back
from fastlstm.data.tables.table import refuse_names
from fastlstm.data.texts.text_set import TEXT_COLUMN
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import InputError
from fastlstm.model.transcriber import SpeechNetwork
from fastlstm.runs import NETWORK, VOCABULARY, Run
from fastlstm.search.ctc import Prior
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents
from fastlstm.tasks.transcribe.evaluation import SpeechEvaluation
from fastlstm.tasks.transcribe.fitting import OF_WORDS, Fitted, sound_notes
from fastlstm.tasks.transcribe.model import SpeechModel, Transcript
from fastlstm.tasks.transcribe.prior import make_prior
from fastlstm.tasks.transcribe.report import SpeechReport
from fastlstm.tasks.transcribe.settings import Parameters, RunSettings
from fastlstm.tasks.transcribe.stream import Stream

NOTHING = (None, None, None)  # in the place of word, start and end
LANGUAGE_WEIGHT = 0.5  # unless said
BEAM = 16  # prefixes, where a language model is given and nothing else said


class FittedTranscriber(ResumableEstimator):
    """The methods of a transcriber that was fitted or loaded; :class:`Transcriber` adds configuration and ``fit``."""

    task = "transcribe"
    run_settings = RunSettings
    fitted_by = "model_"

    model_: SpeechModel
    usual_: str
    speech_: SpeechSchema
    kind_: SpeechKind
    report_: SpeechReport | None

    def predict(
        self,
        *audio: Any,
        beam_size: int | None = None,
        language_model: Any | None = None,
        language_weight: float = LANGUAGE_WEIGHT,
        insertion_bonus: float = 0.0,
        timestamps: bool = False,
    ) -> Any:
        """Write down what is said in recordings.

        Parameters
        ----------
        *audio : path, pair or DataFrame
            Recordings, one or several: wav, flac and other files, or pairs (samples, rate) as ``soundfile.read`` gives
            them; or a manifest, that is a table with the column of files that ``fit``'s had.
        beam_size : int, optional
            How many beginnings of a text go on from step to step. Default: 1, the likeliest path; with a language model
            16.
        language_model : path or Generator, optional
            A generator, or its run folder, of the same level as this transcriber: how likely texts are in themselves.
        language_weight : float
            How much its logarithms count beside those of what was heard.
        insertion_bonus : float
            What each token gains, in nats; more than 0 where a language model leaves words out.
        timestamps : bool
            Whether to tell when each word was said: a row is a word then.

        Returns
        -------
        DataFrame
            A row a recording: ``audio`` and ``text``, of a manifest under its own names. With ``timestamps`` a row a
            word: also ``word``, ``start`` and ``end``, in seconds (missing where no word was heard). Of the kind that a
            manifest is, a pandas frame for files and pairs.

        Raises
        ------
        InputError
            If nothing is given, or an argument is out of its range.
        DataError
            If a recording is not there (all that are missing are named), is no audio, or empty.
        """
        self._require_fitted()
        speech = self._take_audio(audio)
        transcripts = self._transcribe(
            speech,
            self._search(beam_size, language_model, language_weight, insertion_bonus),
            timestamps=timestamps,
        )
        names = [speech.schema.audio, speech.schema.text]
        if speech.kind == "list":
            names = [AUDIO_COLUMNS[0], TEXT_COLUMN]
        if not timestamps:
            columns = [speech.names, [transcript.text for transcript in transcripts]]
            frame = pl.DataFrame(
                dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String)
            )
        else:
            refuse_names(speech.source, names, OF_WORDS)
            frame = _word_frame(names, speech.names, transcripts)
        words = [max(1, len(transcript.words or ())) for transcript in transcripts]
        kind = "file" if speech.kind == "list" else speech.kind
        return give_back(frame, kind, rows_of=audio[0], rows=codes_of(words))

    def evaluate(
        self,
        data: Any,
        *,
        audio: str | None = None,
        text: str | Sequence[str] | None = None,
        beam_size: int | None = None,
        language_model: Any | None = None,
        language_weight: float = LANGUAGE_WEIGHT,
        insertion_bonus: float = 0.0,
    ) -> SpeechEvaluation:
        """Transcribe recordings of which it is known what is said, and count the errors.

        Parameters
        ----------
        data : path, DataFrame or list
            A manifest, or a list of recordings.
        audio : str, optional
            The column of files. Default: that of ``fit``'s manifest.
        text : str or sequence of str, optional
            The column of what is said. Default: that of ``fit``'s manifest. Of a list the texts themselves.
        beam_size, language_model, language_weight, insertion_bonus
            As for ``predict``.

        Returns
        -------
        SpeechEvaluation
            ``metrics``: ``wer``, ``cer``, ``word_accuracy`` and ``sentence_accuracy`` of the model, and of always
            telling the most frequent text of the training part.

        Raises
        ------
        DataError
            If the manifest cannot be read, a text is empty, or a recording cannot be read.
        """
        self._require_fitted()
        speech = read_speech(data, audio=audio, text=text, schema=self.speech_)
        assert speech.texts is not None
        search = self._search(beam_size, language_model, language_weight, insertion_bonus)
        heard = [transcript.text for transcript in self._transcribe(speech, search)]
        return SpeechEvaluation(speech.names, speech.texts, heard, self.usual_)

    def stream(
        self,
        rate: int | None = None,
        *,
        beam_size: int | None = None,
        language_model: Any | None = None,
        language_weight: float = LANGUAGE_WEIGHT,
        insertion_bonus: float = 0.0,
    ) -> Stream:
        """Return what hears a recording as it comes.

        Parameters
        ----------
        rate : int, optional
            Samples a second of what comes, Hz. Default: that of the run.
        beam_size, language_model, language_weight, insertion_bonus
            As for ``predict``.

        Returns
        -------
        Stream
            Its ``push(samples)`` takes chunks of any size and gives the text so far, ``finish()`` that of the whole:
            what ``predict`` gives of all chunks together.

        Raises
        ------
        InputError
            If the transcriber was not trained with ``live``.
        """
        model = self._require_fitted().model_
        rate = check_rate(model.mel.rate if rate is None else rate)
        size, prior = self._search(beam_size, language_model, language_weight, insertion_bonus)
        return Stream(model, rate, beam_size=size, prior=prior)

    def score(self, data: Any, target: Any = None) -> float:
        """Return the share of words that are heard, for scikit-learn.

        Parameters
        ----------
        data : path, DataFrame or list
            As for ``evaluate``.
        target : sequence of str, optional
            The texts of a list.
        """
        return self.evaluate(data, text=target).metrics["model"]["word_accuracy"]

    @property
    def networks_(self) -> nn.ModuleList:
        """The trained networks."""
        return self._require_fitted().model_.networks

    @property
    def tokenizer_(self) -> Tokenizer:
        """The vocabulary."""
        return self._require_fitted().model_.tokenizer

    @property
    def rate_(self) -> int:
        """Samples a second of what the network hears, Hz."""
        return self._require_fitted().model_.mel.rate

    @override
    def _contents(self) -> Contents:
        model = self.model_
        return Contents(
            RunSettings(
                parameters=Parameters.check(self.get_params()),
                network=model.network.settings,
                members=len(model.networks),
                mel=model.mel,
                scaling=model.scaling,
                usual=self.usual_,
                speech=self.speech_,
                kind=self.kind_,
            ),
            {NETWORK: model.networks.state_dict()},
            {VOCABULARY: model.tokenizer.to_json()},
        )

    @override
    def _restore(self, run: Run, settings: RunSettings) -> None:
        networks = nn.ModuleList(SpeechNetwork(settings.network) for _ in range(settings.members))
        self.model_ = SpeechModel(
            run.weigh(networks), settings.mel, settings.scaling, Tokenizer.from_json(run.vocabulary())
        )
        self.usual_, self.speech_, self.kind_ = settings.usual, settings.speech, settings.kind

    def _take(self, fitted: Fitted, speech: SpeechSet) -> None:
        self.model_, self.usual_ = fitted.model, fitted.usual
        self.speech_, self.kind_ = speech.schema, speech.kind
        self._take_report(fitted.report)

    def _take_audio(self, audio: tuple[Any, ...]) -> SpeechSet:
        if not audio:
            raise InputError("there is nothing to transcribe: give audio files, or a manifest")
        if len(audio) == 1 and not (
            is_audio(audio[0]) or is_pair(audio[0]) or isinstance(audio[0], np.ndarray)
        ):
            given = audio[0]
            if isinstance(given, list | tuple):
                return read_speech(list(given), transcribed=False, schema=self.speech_)
            return read_speech(given, transcribed=False, schema=self.speech_)
        return read_speech(list(audio), transcribed=False, schema=self.speech_)

    def _search(
        self, beam_size: int | None, language_model: Any | None, weight: float, bonus: float
    ) -> tuple[int, Prior | None]:
        """Check how texts are to be searched for."""
        size = (1 if language_model is None else BEAM) if beam_size is None else beam_size
        size = require_whole("beam_size", size, least=1)
        given = (("language_weight", weight, LANGUAGE_WEIGHT), ("insertion_bonus", bonus, 0.0))
        for name, value, usual in given:
            if not math.isfinite(value):
                raise InputError(f"{name} is {value}: give a number")
            if language_model is None and value != usual:
                raise InputError(
                    f"{name} is {value:g}, and there is no language model: give language_model, or leave it out"
                )
        if language_model is None:
            return size, None
        return size, make_prior(language_model, self.model_.tokenizer, weight, bonus)

    def _transcribe(
        self, speech: SpeechSet, search: tuple[int, Prior | None], *, timestamps: bool = False
    ) -> list[Transcript]:
        size, prior = search
        found = list(self.model_.transcribe(speech, beam_size=size, prior=prior, timestamps=timestamps))
        others = Counter(transcript.rate for transcript in found if transcript.rate != self.model_.mel.rate)
        several = sum(transcript.channels > 1 for transcript in found)
        silent = [name for name, transcript in zip(speech.names, found, strict=True) if not transcript.text]
        self.notes_ = sound_notes(several, others, self.model_.mel.rate, silent)
        return found


def _word_frame(columns: list[str], names: Sequence[str], transcripts: Sequence[Transcript]) -> pl.DataFrame:
    """Return a row a word, and one without a word for a recording in which none was heard."""
    rows: list[tuple[str | float | None, ...]] = []
    for name, transcript in zip(names, transcripts, strict=True):
        said: Sequence[tuple[str | float | None, ...]] = transcript.words or [NOTHING]
        rows += [(name, transcript.text, *word) for word in said]
    word, *times = OF_WORDS
    schema = {**dict.fromkeys([*columns, word], pl.String), **dict.fromkeys(times, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")
