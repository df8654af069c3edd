"""The generating estimator: what a user sees."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.data.texts.corpus import read_corpus
from fastlstm.search.sampling import Sampling
from fastlstm.tasks.generate.fitted import FittedGenerator
from fastlstm.tasks.generate.fitting import fit_corpus
from fastlstm.tasks.generate.report import LanguageReport
from fastlstm.tasks.generate.settings import Parameters
from fastlstm.training.checkpoint import TrainingState

SHOWN = 300  # characters of the report's sample, about


class Generator(FittedGenerator):
    r"""An LSTM that learns a language from texts, writes on from a prompt, and says how likely texts are.

    The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    level : {"char", "word", "bpe"}
        What a token is: a character; a word, punctuation mark or line break; or a piece of words (byte pair encoding).
    vocabulary_size : int, optional
        The most tokens, the most frequent ones. Default: of characters 5,000, of words 30,000, of pieces as many as
        come some fifty times, at most 8,000.
    hidden_size : int, optional
        Width of the LSTM. Default: 256; of 5,000,000 tokens to learn from on 512, below 50,000 128.
    num_layers : int
        How many LSTM layers lie on one another.
    embedding : int, optional
        Width of a token's vector. Default: as wide as the LSTM, of characters at most 128.
    dropout : float, optional
        Share of the values between layers that is set to zero in training, by one mask for a window. Default: 0.2, of
        LSTMs of 512 units or more 0.4, and 0 where texts are read hardly more than once.
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
        In how many places the text is read at once: the batch size.
    window : int
        Tokens a lane reads in a training step: gradients go back so far, the state goes on for ever.
    max_steps : int, optional
        The most training steps. Default: as many as read all texts 40 times, up to 40 million tokens (20 million
        of LSTMs of 512 units or more), but at least once.
    learning_rate : float, optional
        The peak of the one-cycle learning rate. Default: 0.003, of LSTMs wider than 512 0.002.
    patience : int
        Stop after so many validations in a row without a better one. There are 25 in a training of full length.
    device : str, optional
        Where to compute, for instance ``"cpu"`` or ``"cuda"``. Default: what Accelerate finds.
    precision : {"auto", "no", "bf16", "fp16"}
        Mixed precision of training. ``"auto"`` is bf16 on a CPU that multiplies it faster than float32 (Intel's with
        AMX, AMD's with AVX-512), else none.
    seed : int
        Two fits with one seed give the same model, bit for bit, on one machine with the same number of threads.
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
        precision: Literal["auto", "no", "bf16", "fp16"] = "auto",
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
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

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

    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        corpus = read_corpus(data, text=roles["text"])
        hooks = self._hooks(data, partial(fingerprint, *corpus.texts), roles, folder, resume)
        fitted = fit_corpus(parameters, corpus, hooks)
        self.network_, self.tokenizer_ = fitted.network, fitted.tokenizer
        self.ends_, self.counts_, self.text_ = fitted.ends, fitted.counts, roles["text"]
        report = LanguageReport(
            source=corpus.source,
            texts=len(corpus.texts),
            characters=corpus.characters,
            tokens=fitted.tokens,
            vocabulary=len(fitted.tokenizer),
            level=parameters.level,
            training=fitted.training,
            parameters=sum(weight.numel() for weight in fitted.network.parameters()),
            validation=fitted.validation,
            sample="".join(
                self._write("", SHOWN // (1 if self.level == "char" else 4), Sampling(0.8), parameters.seed)
            ),
        )
        self._take_report(report)
        return self
