"""The translating estimator: what a user sees.

The network is described in :mod:`fastlstm.model.translator`, how it learns in :mod:`fastlstm.tasks.translate.fitting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from typing_extensions import override

from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.data.texts.pairs import read_pairs
from fastlstm.tasks.translate.fitted import FittedTranslator
from fastlstm.tasks.translate.fitting import fit_pairs
from fastlstm.tasks.translate.settings import Parameters
from fastlstm.training.checkpoint import TrainingState


class Translator(FittedTranslator):
    """An LSTM encoder and decoder with attention that turns a text into another.

    Any pair of texts is a translation: sentences in two languages, texts and their summaries, names in two scripts,
    misspelt words and right ones, dates in words and in figures. The constructor's arguments are the configuration and
    nothing else: ``get_params``, ``set_params`` and ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    hidden_size : int, optional
        Width of the decoder's LSTM, even; each direction of the encoder has half of it. Default: 128, 256 or 384, by
        the number of target tokens that there are to learn from (20,000 and 150,000 on).
    num_layers : int
        How many LSTM layers the encoder and the decoder have.
    embedding : int, optional
        Width of a token's vector. Default: 64, 128 or 256, likewise.
    attention : {"luong", "bahdanau"}
        How steps of source and target are compared: by a product or a sum.
    input_feeding : bool
        Let the decoder read what it attended to one token before (Luong et al. 2015). It costs a loop over the steps in
        training, several times as long.
    dropout : float, optional
        Share of embeddings and outputs that is set to zero in training. Default: 0.1, 0.2 or 0.3, likewise.
    recurrent_dropout : float
        Share of the hidden state that is set to zero on its way to the next step, by one mask a text.
    label_smoothing : float
        Share of the probability that training spreads over the whole vocabulary.
    level : {"word", "char", "bpe"}, optional
        What a token is: a word, a character or a piece of a word. Default: characters where one side has no blanks and
        both are short, such as names or dates; else pieces of words.
    vocabulary_size : int, optional
        Tokens of a vocabulary. Default: of pieces one for a hundred words, from 500 to 16,000; 20,000 words; all
        characters.
    shared_vocabulary : bool
        Whether one vocabulary serves both sides, and so one embedding.
    longest : int, optional
        Tokens of a text that are read, or written at most. Default: 200, of characters 500.
    batch_tokens : int, optional
        Tokens of a side of a training step's pairs. Default: 512 to 2,048, by how many there are.
    max_steps : int, optional
        The most training steps. Default: as many as show all pairs 18 times, at least 1,000; of more than 7,000 only
        as many as show them thrice.
    learning_rate : float, optional
        The peak of the one-cycle learning rate. Default: 0.004, 0.003 or 0.002, as of ``hidden_size``.
    patience : int
        Stop after so many validations in a row without a better one, though not before 200 steps. There are twenty
        validations in a training of full length.
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
    report_ : TranslationReport
        What was read, how training went, and how good it is on what was held out; None of a loaded run.
    metrics_ : dict
        What ``metrics.json`` of a run holds.
    history_ : list of dict
        One entry a validation: ``step``, ``loss``, ``validation_loss``, ``learning_rate``, ``seconds``.
    model_ : TranslationModel
        The trained network and the vocabularies.
    notes_ : list of str
        What the last ``predict`` or ``evaluate`` has to tell, a line each.

    Examples
    --------
    >>> words = [a + b + c for a in "abcd" for b in "abcd" for c in "abcd"]
    >>> translator = Translator(hidden_size=32, embedding=16, max_steps=150, learning_rate=0.02, progress=False)
    >>> translator.fit(words, target=[word.upper() for word in words]).predict(text="bad")
    'BAD'
    """

    def __init__(
        self,
        *,
        hidden_size: int | None = None,
        num_layers: int = 2,
        embedding: int | None = None,
        attention: Literal["luong", "bahdanau"] = "luong",
        input_feeding: bool = False,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        label_smoothing: float = 0.1,
        level: Literal["word", "char", "bpe"] | None = None,
        vocabulary_size: int | None = None,
        shared_vocabulary: bool = True,
        longest: int | None = None,
        batch_tokens: int | None = None,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        patience: int = 8,
        device: str | None = None,
        precision: Literal["auto", "no", "bf16", "fp16"] = "auto",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding = embedding
        self.attention = attention
        self.input_feeding = input_feeding
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.label_smoothing = label_smoothing
        self.level = level
        self.vocabulary_size = vocabulary_size
        self.shared_vocabulary = shared_vocabulary
        self.longest = longest
        self.batch_tokens = batch_tokens
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.patience = patience
        self.device = device
        self.precision = precision
        self.seed = seed
        self.progress = progress

    def fit(
        self,
        data: Any,
        *,
        source: str | None = None,
        target: str | Sequence[str] | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn to translate.

        Parameters
        ----------
        data : path, DataFrame or list of str
            A table with a pair a row (CSV, TSV, Parquet, JSON lines), or the sources.
        source : str, optional
            The column of the sources. Default: ``source``.
        target : str or sequence of str, optional
            The column of the targets. Default: ``target``. Of a list of sources the targets themselves.
        checkpoint : path, optional
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

        Returns
        -------
        Translator
            This estimator.

        Raises
        ------
        InputError
            If an argument or the data cannot be used; the message names the argument, or file, line and column.
        TrainingError
            If the loss is no longer finite.
        """
        targets = target if target is None or isinstance(target, str) else list(target)
        return self._fit(data, {"source": source, "target": targets}, checkpoint)

    @override
    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        pairs = read_pairs(data, **roles)
        digest = partial(fingerprint, *pairs.sources, *(pairs.targets or ()))
        hooks = self._hooks(data, digest, roles, folder, resume)
        self._take(fit_pairs(parameters, pairs, hooks), pairs)
        return self
