"""The generating estimator: what a user sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
import torch

from fastlstm.data.corpus import Corpus, read_corpus
from fastlstm.data.table import give_back
from fastlstm.data.tokens import PADDING, UNKNOWN, Tokenizer
from fastlstm.errors import DataError, InputError
from fastlstm.model.language import LanguageNetwork
from fastlstm.runs import Run, save_run
from fastlstm.runs.plots import learning_curve
from fastlstm.search.sampling import Sampling, sample
from fastlstm.tasks.generate.evaluation import LanguageEvaluation, judge
from fastlstm.tasks.generate.fitting import fingerprint, fit_corpus
from fastlstm.tasks.generate.learning import text_losses
from fastlstm.tasks.generate.report import LanguageReport
from fastlstm.tasks.generate.settings import Parameters, RunSettings
from fastlstm.tasks.generate.writing import written
from fastlstm.tasks.resuming import ResumableEstimator
from fastlstm.training.checkpoint import TrainingState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 300  # characters of the report's sample, about


class Generator(ResumableEstimator):
    r"""An LSTM that learns a language from texts, writes on from a prompt, and says how likely texts are.

    The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    level : {"char", "word", "bpe"}
        What a token is: a character, a word or punctuation mark, or a piece of words (byte pair encoding).
    vocabulary_size : int, optional
        The most tokens, the most frequent ones. Default: of characters 5,000, of words 30,000, of pieces as many as
        come some fifty times, at most 8,000.
    hidden_size : int, optional
        Width of the LSTM. Default: 512, below 300,000 tokens to learn from 256, below 50,000 128.
    num_layers : int
        How many LSTM layers lie on one another.
    embedding : int, optional
        Width of a token's vector. Default: as wide as the LSTM, of characters at most 128.
    dropout : float, optional
        Share of the values between layers that is set to zero in training, by one mask for a window. Default: 0.4, 0.2
        or 0, the more the oftener the same text is read.
    recurrent_dropout : float
        The same on the way from step to step (Gal & Ghahramani 2016).
    weight_drop : float
        Share of the recurrent weights that is set to zero in training (Merity et al. 2018).
    tied : bool, optional
        Whether a token has one vector, on its way in and out. Default: not of characters.
    adaptive : bool, optional
        Whether rare tokens have smaller vectors on their way out (adaptive softmax, Grave et al. 2017); weights are not
        tied then. Default: from a vocabulary of 40,000 on.
    lanes : int
        In how many places the text is read at once.
    window : int
        Tokens a lane reads in a training step: gradients go back so far, the state goes on for ever.
    max_steps : int, optional
        The most training steps. Default: as many as read all texts 20 times, or 20 million tokens, but at least once.
    learning_rate : float, optional
        The peak of the one-cycle learning rate. Default: 0.003, of LSTMs wider than 512 0.002.
    patience : int
        Stop after so many validations in a row without a better one. There are 25 in a training of full length.
    device : str, optional
        Where to compute, for instance ``"cpu"`` or ``"cuda"``. Default: what Accelerate finds.
    precision : {"no", "bf16", "fp16"}
        Mixed precision of training.
    seed : int
        Two fits with one seed, on one machine, give the same model, bit for bit.
    progress : bool
        Show a progress bar on stderr, where that is a terminal.

    Attributes
    ----------
    report_ : LanguageReport
        What was read, how training went, how good it is on what was held out, a sample; None of a loaded run.
    metrics_ : dict
        What ``metrics.json`` of a run holds.
    history_ : list of dict
        One entry a validation: ``step``, ``loss``, ``validation_loss`` (nats a token), ``learning_rate``, ``seconds``.
    network_ : LanguageNetwork
        The trained network.
    tokenizer_ : Tokenizer
        The vocabulary; the id after its last is the boundary between texts.
    notes_ : list of str
        What the last ``predict`` or ``evaluate`` has to tell, a line each.

    Examples
    --------
    >>> texts = ["she sells sea shells by the sea shore\n" * 20]
    >>> generator = Generator(hidden_size=32, max_steps=150, seed=0, progress=False).fit(texts)
    >>> generator.predict("she sells", length=10, temperature=0)
    'she sells sea shell'
    """

    task: ClassVar[str] = "generate"
    run_settings: ClassVar[type[RunSettings]] = RunSettings
    fitted_by: ClassVar[str] = "network_"
    time_format_: ClassVar[None] = None

    network_: LanguageNetwork
    tokenizer_: Tokenizer
    ends_: bool
    counts_: tuple[int, ...]
    report_: LanguageReport | None

    def __init__(
        self,
        *,
        level: Literal["char", "word", "bpe"] = "char",
        vocabulary_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int = 2,
        embedding: int | None = None,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        tied: bool | None = None,
        adaptive: bool | None = None,
        lanes: int = 32,
        window: int = 64,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        patience: int = 8,
        device: str | None = None,
        precision: Literal["no", "bf16", "fp16"] = "no",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.level = level
        self.vocabulary_size = vocabulary_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding = embedding
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.weight_drop = weight_drop
        self.tied = tied
        self.adaptive = adaptive
        self.lanes = lanes
        self.window = window
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.patience = patience
        self.device = device
        self.precision = precision
        self.seed = seed
        self.progress = progress

    def fit(self, data: Any, *, text: str | None = None, checkpoint: str | Path | None = None) -> Self:
        """Learn a language.

        Parameters
        ----------
        data : path, DataFrame or list of str
            A file of running text; a table with a text a row; the texts themselves.
        text : str, optional
            The column of texts of a table. Default: ``text``.
        checkpoint : path, optional
            A run folder to keep in, every minute and on Ctrl-C, where training stands; ``resume`` goes on from there.

        Returns
        -------
        Generator
            This estimator.

        Raises
        ------
        InputError
            If an argument or the data cannot be used; the message names the argument, or the file and place.
        TrainingError
            If the loss is no longer finite.
        """
        return self._fit(data, {"text": text}, checkpoint)

    def predict(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
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
        if length < 1:
            raise InputError(f"length is {length}: give 1 or more")
        pieces = self._write(prompt, length, Sampling(temperature, top_k, top_p), seed)
        return pieces if stream else "".join(pieces)

    def evaluate(self, data: Any, *, text: str | None = None) -> LanguageEvaluation:
        """Measure how well texts are foretold.

        Parameters
        ----------
        data : path, DataFrame or list of str
            As for ``fit``.
        text : str, optional
            The column of texts of a table. Default: ``text``.

        Returns
        -------
        LanguageEvaluation
            ``metrics``: nats and bits a character and the perplexity of a token; beside the model's those of the
            tokens' frequencies alone.
        """
        self._require_fitted()
        corpus = self._read(data, text)
        found = judge(self.network_, self.tokenizer_, corpus, self.counts_, ends=self.ends_)
        self.notes_ = []
        if found.unknown:
            self.notes_.append(
                f"{corpus.source}: {found.unknown:,} of {found.tokens:,} tokens are not in the vocabulary; each "
                "costs what it costs to foretell that some unknown one comes"
            )
        return found

    def log_probability(self, data: Any, *, text: str | None = None) -> Any:
        """Say how likely texts are, each from its beginning.

        Parameters
        ----------
        data : path, DataFrame or list of str
            As for ``fit``.
        text : str, optional
            The column of texts of a table. Default: ``text``.

        Returns
        -------
        DataFrame
            A row a text: ``text``, ``tokens``, ``log_probability`` (nats, of its tokens; not that it ends there), and
            ``nats_per_character``. Of the kind that ``data`` is, a pandas frame for a path or list.
        """
        self._require_fitted()
        corpus = self._read(data, text)
        ids, offsets = self.tokenizer_.encode(corpus.texts)
        nats = text_losses(self.network_, ids, offsets, len(self.tokenizer_))
        frame = pl.DataFrame(
            {
                "text": corpus.texts,
                "tokens": np.diff(offsets),
                "log_probability": -nats,
                "nats_per_character": nats / np.maximum([len(each) for each in corpus.texts], 1),
            }
        )
        return give_back(frame, "file" if corpus.kind == "list" else corpus.kind)

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

    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        corpus = read_corpus(data, text=roles["text"])
        hooks = self._hooks(data, fingerprint(corpus), roles, folder, resume)
        fitted = fit_corpus(parameters, corpus, hooks)
        self.network_, self.tokenizer_ = fitted.network, fitted.tokenizer
        self.ends_, self.counts_ = fitted.ends, fitted.counts
        self.history_ = fitted.training.history
        self.pictures_, self.notes_ = {}, []
        self.report_ = LanguageReport(
            source=corpus.source,
            texts=len(corpus.texts),
            characters=corpus.characters,
            tokens=fitted.tokens,
            vocabulary=len(fitted.tokenizer),
            level=parameters.level,
            notes=(),
            training=fitted.training,
            parameters=sum(weight.numel() for weight in fitted.network.parameters()),
            validation=fitted.validation,
            sample="".join(
                self._write("", SHOWN // (1 if self.level == "char" else 4), Sampling(0.8), parameters.seed)
            ),
        )
        self.metrics_ = self.report_.metrics
        return self

    def _write(self, prompt: str, length: int, sampling: Sampling, seed: int | None) -> Iterator[str]:
        """Return the pieces of a text."""
        tokenizer, boundary = self.tokenizer_, len(self.tokenizer_)
        read = self._read_prompt(prompt)
        # What never came in training, bytes for instance, does not come now.
        never = {PADDING, UNKNOWN, *np.flatnonzero(np.array(self.counts_) == 0).tolist()}
        if not self.ends_:
            never.add(boundary)
        drawn = sample(
            self.network_,
            torch.from_numpy(read[None, :-1]).to(self.network_.embed.weight.device),
            torch.from_numpy(read[-1:]).to(self.network_.embed.weight.device),
            sampling,
            seed=int(np.random.SeedSequence().entropy or 0) if seed is None else seed,  # type: ignore[arg-type]
            never=sorted(never),
        )
        tokens = takewhile(lambda token: token != boundary, (int(row[0]) for row in islice(drawn, length)))
        return chain([prompt] if prompt else [], written(tokenizer, tokens, after=bool(prompt)))

    def _read_prompt(self, prompt: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the ids of a prompt, with the boundary before it."""
        tokenizer, boundary = self.tokenizer_, len(self.tokenizer_)
        self.notes_ = []
        begin = np.array([boundary])
        if not prompt:
            if not self.ends_ and tokenizer.level != "word":  # of one text the boundary was seen but once
                begin = np.concatenate([begin, tokenizer.encode(["\n"])[0]])
            return begin
        ids = tokenizer.encode([prompt])[0]
        unknown = int((ids == UNKNOWN).sum())
        if unknown:
            self.notes_.append(
                f"{unknown:,} of the prompt's {len(ids):,} tokens are not in the vocabulary, and are read as unknown"
            )
        return np.concatenate([begin, ids])

    def _read(self, data: Any, text: str | None) -> Corpus:
        corpus = read_corpus(data, text=text)
        if not corpus.characters:
            raise DataError(f"{corpus.source} holds no characters; give some text")
        return corpus

    def _save(self, path: str | Path) -> None:
        plots: dict[str, Figure | bytes] = dict(self.pictures_)
        if self.report_ is not None:
            plots = {"learning_curve": learning_curve(self.history_)}
        interrupted = self.report_ is not None and self.report_.training.stopped == "interrupted"
        save_run(
            path,
            task=self.task,
            settings=RunSettings(
                parameters=self.get_params(),
                network=self.network_.settings,
                tokens=self.tokenizer_.to_json(),
                ends=self.ends_,
                counts=self.counts_,
            ),
            tensors=self.network_.state_dict(),
            history=self.history_,
            metrics=self.metrics_,
            plots=plots,
            keep=("checkpoint",) if interrupted else (),
        )

    def _restore(self, run: Run, settings: RunSettings) -> None:
        self.network_ = LanguageNetwork(settings.network)
        self.network_.load_state_dict(run.tensors)
        self.network_.eval()
        self.tokenizer_ = Tokenizer.from_json(settings.tokens)
        self.ends_, self.counts_ = settings.ends, settings.counts
