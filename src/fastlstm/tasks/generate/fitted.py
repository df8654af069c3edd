"""A fitted generator: it writes, is judged, and is saved."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, takewhile
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch

from fastlstm.checks import require_whole
from fastlstm.data.series.rows import Integers
from fastlstm.data.tables.frames import give_back
from fastlstm.data.texts.corpus import Corpus, holds_table, read_corpus
from fastlstm.data.texts.tokens import PADDING, UNKNOWN, Tokenizer
from fastlstm.data.texts.writing import written
from fastlstm.errors import DataError, InputError
from fastlstm.model.language import LanguageNetwork
from fastlstm.model.language_steps import LanguageSteps
from fastlstm.ops.step import REDUCED
from fastlstm.runs import NETWORK, VOCABULARY, Run
from fastlstm.search.sampling import Sampling, sample
from fastlstm.tasks.generate.evaluation import LanguageEvaluation, judge
from fastlstm.tasks.generate.learning import text_losses
from fastlstm.tasks.generate.report import LanguageReport
from fastlstm.tasks.generate.settings import Parameters, RunSettings
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.tasks.saving import Contents


class FittedGenerator(ResumableEstimator):
    """What a generator does once it has learnt; :class:`fastlstm.Generator` adds configuration and fitting."""

    task: ClassVar[str] = "generate"
    run_settings: ClassVar[type[RunSettings]] = RunSettings
    fitted_by: ClassVar[str] = "network_"

    network_: LanguageNetwork
    tokenizer_: Tokenizer
    ends_: bool
    counts_: tuple[int, ...]
    text_: str | None
    report_: LanguageReport | None

    @property
    def beginning_(self) -> Integers:
        """(P,) int64, what the network reads before the first token of a new text.

        The boundary between texts; where one text was learnt from, which knows that boundary but once, the beginning
        of a line.
        """
        tokenizer = self.tokenizer_
        without_lines = tokenizer.level == "word" and not tokenizer.lines
        line = () if self.ends_ or without_lines else tokenizer.encode(["\n"])[0]
        return np.array([len(tokenizer), *line])

    def predict(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        weights: Literal["float32", "bfloat16", "int8"] | None = None,
        stream: bool = False,
    ) -> str | Iterator[str]:
        """Write on from a prompt.

        Parameters
        ----------
        prompt : str
            What the text begins with. Default: it begins as texts do; where one text was learnt from, with a line.
        length : int
            How many tokens to write at most. A model of several texts ends where it thinks that a text ends.
        temperature : float
            Below 1 likely tokens come more often than they should, which reads better; 1 draws as it was learnt, 0
            takes the likeliest.
        top_k : int, optional
            Draw from so many of the likeliest.
        top_p : float, optional
            Draw from the fewest that are together at least so likely.
        seed : int, optional
            Of the draws: with one, the text is the same every time. Default: a new text every time.
        weights : {"float32", "bfloat16", "int8"}, optional
            How many bits of each of the LSTM's weights to write with: the fewer, the faster a wide LSTM is.
            ``"bfloat16"`` changes probabilities by some thousandths, ``"int8"`` by a percent or so.
            Default: ``"bfloat16"`` on a CPU, else ``"float32"``.
        stream : bool
            Whether to give pieces of text as they come.

        Returns
        -------
        str or iterator of str
            The prompt and what follows.

        Raises
        ------
        InputError
            If an argument is out of its range.

        Notes
        -----
        Characters of the prompt that are not in the vocabulary are read as one unknown token each; ``notes_`` tells.
        """
        self._require_fitted()
        if not isinstance(prompt, str):
            raise InputError(f"the prompt is {prompt!r}: give a text")
        length = require_whole("length", length, least=1)
        seed = None if seed is None else require_whole("seed", seed, least=0)
        if not prompt.isascii():
            try:
                prompt.encode()
            except UnicodeEncodeError as error:
                raise InputError(f"the prompt is not UTF-8 (character {error.start}): correct it") from None
        if weights not in (None, "float32", *REDUCED):
            raise InputError(f"weights is {weights!r}: give one of float32, {', '.join(REDUCED)}, or none")
        pieces = self._write(prompt, length, Sampling(temperature, top_k, top_p), seed, weights)
        return pieces if stream else "".join(pieces)

    def evaluate(self, data: Any, *, text: str | None = None) -> LanguageEvaluation:
        """Measure how well texts are foretold.

        Parameters
        ----------
        data : path, DataFrame or list of str
            As for ``fit``.
        text : str, optional
            The column of texts of a table. Default: that of the training data, or ``text``.

        Returns
        -------
        LanguageEvaluation
            ``metrics``: nats and bits a character and the perplexity of a token; beside the model's those of the
            tokens' frequencies alone.
        """
        self._require_fitted()
        corpus = self._read(data, text)
        found = judge(self.network_, self.tokenizer_, corpus, self.counts_, self.beginning_, ends=self.ends_)
        self.notes_ = [f"{corpus.source}: {note}" for note in found.notes]
        return found

    def log_probability(self, data: Any, *, text: str | None = None) -> Any:
        """Say how likely texts are, each from its beginning.

        Parameters
        ----------
        data : path, DataFrame or list of str
            As for ``fit``.
        text : str, optional
            The column of texts of a table. Default: that of the training data, or ``text``.

        Returns
        -------
        DataFrame
            A row a text: ``text``, ``tokens``, ``log_probability`` (nats, of its tokens; not that it ends there), and
            ``nats_per_character``. Of the kind that ``data`` is, a pandas frame for a path or list.
        """
        self._require_fitted()
        corpus = self._read(data, text)
        ids, offsets = self.tokenizer_.encode(corpus.texts)
        nats = text_losses(self.network_, ids, offsets, self.beginning_)
        frame = pl.DataFrame(
            {
                "text": corpus.texts,
                "tokens": np.diff(offsets),
                "log_probability": -nats,
                "nats_per_character": nats / np.maximum([len(each) for each in corpus.texts], 1),
            }
        )
        return give_back(frame, "file" if corpus.kind == "list" else corpus.kind, rows_of=data)

    def score(self, data: Any, target: Any = None) -> float:
        """Return minus the nats a character, for scikit-learn: the higher the better.

        Parameters
        ----------
        data : path, DataFrame or list of str
            As for ``fit``.
        target : None
            Not looked at.
        """
        del target
        return -self.evaluate(data).metrics["model"]["nats_per_character"]

    def _write(
        self, prompt: str, length: int, sampling: Sampling, seed: int | None, weights: str | None = None
    ) -> Iterator[str]:
        """Return the pieces of a text."""
        tokenizer, boundary = self.tokenizer_, len(self.tokenizer_)
        device = self.network_.embed.weight.device
        if weights is None and device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            weights = "bfloat16"
        read = self._read_prompt(prompt)
        # What never came in training, bytes for instance, does not come now.
        never = {PADDING, UNKNOWN, *np.flatnonzero(np.array(self.counts_) == 0).tolist()}
        if not self.ends_:
            never.add(boundary)
        drawn = sample(
            LanguageSteps(self.network_, None if weights == "float32" else weights),
            torch.from_numpy(read[None, :-1]).to(device),
            torch.from_numpy(read[-1:]),
            sampling,
            seed=seed,
            never=sorted(never),
        )
        tokens = takewhile(lambda token: token != boundary, (int(row[0]) for row in islice(drawn, length)))
        pieces = (piece for piece, _ in written(tokenizer, tokens, after=prompt))
        return chain([prompt] if prompt else [], pieces)

    def _read_prompt(self, prompt: str) -> Integers:
        """Return the ids of a prompt, with what is read before a text."""
        self.notes_ = []
        if not prompt:
            return self.beginning_
        ids = self.tokenizer_.encode([prompt])[0]
        unknown = int((ids == UNKNOWN).sum())
        if unknown:
            self.notes_.append(
                f"{unknown:,} of the prompt's {len(ids):,} tokens are not in the vocabulary, and are read as unknown"
            )
        return np.concatenate([self.beginning_, ids])

    def _read(self, data: Any, text: str | None) -> Corpus:
        corpus = read_corpus(data, text=self.text_ if text is None and holds_table(data) else text)
        if not corpus.characters:
            raise DataError(f"{corpus.source} holds no characters; give some text")
        return corpus

    def _contents(self) -> Contents:
        return Contents(
            RunSettings(
                parameters=Parameters.check(self.get_params()),
                network=self.network_.settings,
                ends=self.ends_,
                counts=self.counts_,
                text=self.text_,
            ),
            {NETWORK: self.network_.state_dict()},
            {VOCABULARY: self.tokenizer_.to_json()},
        )

    def _restore(self, run: Run, settings: RunSettings) -> None:
        self.network_ = run.weigh(LanguageNetwork(settings.network))
        self.tokenizer_ = Tokenizer.from_json(run.vocabulary())
        self.ends_, self.counts_, self.text_ = settings.ends, settings.counts, settings.text
