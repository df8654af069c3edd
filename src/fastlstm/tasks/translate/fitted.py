"""What a fitted translator does: predict, be judged, show what it attends to, be saved."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from typing_extensions import override

from fastlstm.data.ragged import codes_of
from fastlstm.data.tables.frames import give_back
from fastlstm.data.texts.pair_tokens import PairVocabulary
from fastlstm.data.texts.pairs import PairSchema, PairSet, read_pairs
from fastlstm.data.texts.text_set import TextKind
from fastlstm.data.texts.tokens import Tokenizer
from fastlstm.errors import InputError
from fastlstm.model.translator import TranslatorNetwork
from fastlstm.runs import NETWORK, VOCABULARY, Run
from fastlstm.runs.attention_plot import attention_weights
from fastlstm.runs.plots import write_figure
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents
from fastlstm.tasks.translate.evaluation import TranslationEvaluation
from fastlstm.tasks.translate.fitting import Fitted, judge, refuse_own_names
from fastlstm.tasks.translate.report import TranslationReport
from fastlstm.tasks.translate.settings import Parameters, RunSettings
from fastlstm.tasks.translate.translating import AttentionMap, SearchOptions, Translation, TranslationModel
from fastlstm.wording import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_TARGET = f"{VOCABULARY}_target"  # where it is not that of the source
NAMED = 10  # unknown characters or words that a note names


class FittedTranslator(ResumableEstimator):
    """The methods of a translator that was fitted or loaded; :class:`Translator` adds configuration and ``fit``."""

    task = "translate"
    run_settings = RunSettings
    fitted_by = "model_"

    model_: TranslationModel
    schema_: PairSchema
    kind_: TextKind
    report_: TranslationReport | None

    def predict(
        self,
        data: Any | None = None,
        *,
        text: str | None = None,
        source: str | None = None,
        beam_size: int = 5,
        n_best: int = 1,
        length_normalisation: float = 0.6,
        coverage_penalty: float = 0.0,
        longest: int | None = None,
    ) -> Any:
        """Translate sources.

        Parameters
        ----------
        data : path, DataFrame or list of str, optional
            A table with a column of sources, or sources; a target column is not looked at.
        text : str, optional
            Instead of data, a single source.
        source : str, optional
            The column of the sources, if not ``fit``'s.
        beam_size : int
            Hypotheses that are kept at every step; 1 takes the likeliest token at each.
        n_best : int
            Translations a source, at most as many as the beam has.
        length_normalisation : float
            What log-probabilities are divided by is the length raised to about this: 0 favours short translations.
        coverage_penalty : float
            How much it counts against a translation that parts of the source were not attended to.
        longest : int, optional
            The most tokens of a translation. Default: by the length of its source.

        Returns
        -------
        DataFrame, str or list
            Of a table the source column, the target column with the translation, and ``score``; with ``n_best`` above 1
            as many rows a source, and ``rank`` from 1. Of the kind that ``data`` is, a pandas frame for a path. Of a
            list of sources a list, of ``text`` a str; with ``n_best`` above 1 of both the frame.

        Raises
        ------
        InputError
            If neither or both of ``data`` and ``text`` are given, or a number is out of its range.
        DataError
            If the table cannot be read.
        """
        self._require_fitted()
        if (data is None) == (text is None):
            found = "neither data nor text is" if data is None else "both data and text are"
            raise InputError(f"{found} given: give a table or texts as data, or a single text")
        if isinstance(data, str | Path) and len(str(data).split()) > 1 and not os.path.exists(data):
            raise InputError(f"{str(data)[:40]!r} is no file; a single text is given as text (--text)")
        options = SearchOptions(beam_size, n_best, length_normalisation, coverage_penalty, longest)
        pairs = read_pairs(
            [text] if text is not None else data, source=source, schema=self.schema_, paired=False
        )
        self.notes_ = self._notes(pairs)
        answers = self.model_.translate(pairs.sources, options)
        if n_best == 1 and pairs.kind == "list":
            texts = [best.text for best, *_ in answers]
            return texts if text is None else texts[0]
        frame = self._frame(pairs, answers, ranked=n_best > 1)
        rows = codes_of([len(answer) for answer in answers])
        return give_back(frame, "file" if pairs.kind == "list" else pairs.kind, rows_of=data, rows=rows)

    def evaluate(
        self,
        data: Any,
        *,
        source: str | None = None,
        target: str | Sequence[str] | None = None,
        beam_size: int = 5,
        length_normalisation: float = 0.6,
        coverage_penalty: float = 0.0,
    ) -> TranslationEvaluation:
        """Translate the sources of pairs, and compare with their targets; copying the source beside.

        Parameters
        ----------
        data : path, DataFrame or list of str
            A table with a pair a row, or sources.
        source : str, optional
            The column of the sources, if not ``fit``'s.
        target : str or sequence of str, optional
            The column of the targets, if not ``fit``'s. Of a list of sources the targets themselves.
        beam_size, length_normalisation, coverage_penalty : optional
            As of ``predict``.

        Returns
        -------
        TranslationEvaluation
            ``metrics`` (loss and perplexity a token, BLEU, chrF, the share that is exact), sacrebleu's ``signatures``,
            ``frame()``; printed as a table.

        Raises
        ------
        DataError
            If the table cannot be read, or a side of a pair is empty.
        """
        self._require_fitted()
        options = SearchOptions(
            beam_size=beam_size, length_normalisation=length_normalisation, coverage_penalty=coverage_penalty
        )
        pairs = read_pairs(data, source=source, target=target, schema=self.schema_)
        self.notes_ = self._notes(pairs)
        found = judge(self.model_, pairs, options)
        self.notes_ += [f"{name}: {signature}" for name, signature in found.signatures.items()]
        return found

    def attend(self, text: str, *, target: str | None = None) -> AttentionMap:
        """Look at what the decoder attends to while it writes.

        Parameters
        ----------
        text : str
            A source.
        target : str, optional
            What is written. Default: the translation.

        Returns
        -------
        AttentionMap
            ``source`` and ``target``, the tokens, and ``weights`` (T, S).
        """
        self._require_fitted()
        if not isinstance(text, str):
            raise InputError(f"text is a {type(text).__name__}: give one text, a str")
        if not text.strip():
            raise InputError("text is empty: there is nothing to attend to")
        if target is None:
            target = self.model_.translate([text], SearchOptions())[0][0].text
        return self.model_.attend(text, target)

    def plot(self, path: str | Path | None = None, *, text: str, target: str | None = None) -> Figure:
        """Draw what the decoder attends to while it writes.

        Parameters
        ----------
        path : str or Path, optional
            Write a picture there.
        text, target : str, optional
            As of ``attend``.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        found = self.attend(text, target=target)
        figure = attention_weights(found.weights, found.source, found.target)
        return write_figure(figure, path)

    @property
    def network_(self) -> TranslatorNetwork:
        """The trained network."""
        return self._require_fitted().model_.network

    @override
    def _contents(self) -> Contents:
        model, vocabulary = self.model_, self.model_.vocabulary
        vocabularies = {VOCABULARY: vocabulary.source.to_json()}
        if not model.network.settings.shared:
            vocabularies[OF_TARGET] = vocabulary.target.to_json()
        plots = {}
        if self.report_ is not None:
            shown = self.report_.validation
            found = model.attend(shown.sources[0], shown.translations[0])
            plots["attention"] = attention_weights(found.weights, found.source, found.target)
        return Contents(
            RunSettings(
                parameters=Parameters.check(self.get_params()),
                network=model.network.settings,
                pairs=self.schema_,
                kind=self.kind_,
                longest=vocabulary.longest,
                growth=model.growth,
            ),
            {NETWORK: _unshared(model.network)},
            vocabularies,
            plots,
        )

    @override
    def _restore(self, run: Run, settings: RunSettings) -> None:
        network = TranslatorNetwork(settings.network)
        weights = run.part(NETWORK)
        if settings.network.shared:
            weights["of_target.weight"] = weights["of_source.weight"]
        source = Tokenizer.from_json(run.vocabulary())
        target = source if settings.network.shared else Tokenizer.from_json(run.vocabulary(OF_TARGET))
        vocabulary = PairVocabulary(source, target, settings.longest)
        self.model_ = TranslationModel(run.weigh(network, weights), vocabulary, settings.growth)
        self.schema_, self.kind_ = settings.pairs, settings.kind

    def _take(self, fitted: Fitted, pairs: PairSet) -> None:
        self.model_ = fitted.model
        self.schema_, self.kind_ = pairs.schema, pairs.kind
        self._take_report(fitted.report)

    def _notes(self, pairs: PairSet) -> list[str]:
        """Say what of sources cannot be read."""
        notes = list(pairs.notes)
        vocabulary = self.model_.vocabulary
        unknown = vocabulary.unknown([text for text in pairs.sources if text.strip()])
        if unknown:
            what = "character" if vocabulary.source.level == "char" else "word"
            count = (
                f"{unknown.total():,} {what}s of sources are"
                if unknown.total() > 1
                else f"1 {what} of a source is"
            )
            notes.append(
                f"{pairs.name}: {count} not in the vocabulary, and read as unknown: "
                f"{listed([part for part, _ in unknown.most_common()], NAMED)}"
            )
        cut = self.model_.features(pairs.sources).cut
        if cut:
            notes.append(
                f"{pairs.name}: sources longer than {vocabulary.longest:,} tokens, which are cut off there: {cut:,}"
            )
        return notes

    def _frame(self, pairs: PairSet, found: list[list[Translation]], *, ranked: bool) -> pl.DataFrame:
        refuse_own_names(pairs)
        names = (pairs.schema.source, pairs.schema.target)
        rows = [
            (source, one.text, None if math.isnan(one.score) else one.score, rank)
            for source, translations in zip(pairs.sources, found, strict=True)
            for rank, one in enumerate(translations, start=1)
        ]
        columns = dict(zip((*names, "score", "rank"), zip(*rows, strict=True), strict=True))
        return pl.DataFrame(
            {name: list(values) for name, values in columns.items() if name != "rank" or ranked}
        )


def _unshared(network: TranslatorNetwork) -> dict[str, Any]:
    """Return the network's tensors, one that has two names once: safetensors keeps no tensor twice."""
    tensors = dict(network.state_dict())
    if network.settings.shared:
        del tensors["of_target.weight"]
    return tensors
