"""The transcribing estimator: what a user sees.

The network is described in :mod:`fastlstm.model.transcriber`, what it hears in :mod:`fastlstm.data.speech.log_mel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from fastlstm.data.speech.manifest import read_speech
from fastlstm.data.tables.fingerprint import fingerprint
from fastlstm.tasks.transcribe.fitted import FittedTranscriber
from fastlstm.tasks.transcribe.fitting import fit_speech, read_features
from fastlstm.tasks.transcribe.settings import Parameters
from fastlstm.training.checkpoint import TrainingState


class Transcriber(FittedTranscriber):
    """An LSTM that writes down what is said in recordings.

    Log-mel features, two convolutions, a bidirectional LSTM, and connectionist temporal classification (Graves et al.
    2006). The constructor's arguments are the configuration and nothing else: ``get_params``, ``set_params`` and
    ``sklearn.base.clone`` work; whatever ``fit`` learns ends in ``_``.

    Parameters
    ----------
    live : bool
        Hear forwards only, so that ``stream`` can write while one speaks; less is understood so.
    level : {"word", "char", "bpe"}, optional
        What a token is. Default: words where few are said and each often, as in digits and commands, else characters.
    vocabulary_size : int, optional
        The most tokens, the most frequent ones. Default: 20,000, of pieces of words (``bpe``) 1,000.
    rate : int, optional
        Samples a second that are heard, Hz; recordings at other rates are resampled. Default: the rate of most of them,
        at most 16,000.
    subsampling : {2, 4}, optional
        How many frames, of 10 ms each, become a step. Default: 4, but 2 where there is less than an hour, or recordings
        are too short for their texts.
    channels : int
        Of the convolutions.
    hidden_size : int
        Width of the LSTM, of each direction.
    num_layers : int
        How many LSTM layers lie on one another.
    dropout : float
        Share of the values before, between and after the layers that is set to zero in training.
    augmentation : bool, optional
        Whether training varies recordings in pace, voice and noise, and hides bands and stretches of them (SpecAugment,
        Park et al. 2019). Default: where there are less than ten hours.
    members : int, optional
        How many networks learn, each from other first weights; the transcript is, of the networks' own candidates, the
        likeliest under all of them together. Default: 3 where there is less than an hour, else 1; ``live`` listens with
        one.
    batch_size : int
        Recordings a training step.
    max_steps : int, optional
        The most training steps. Default: as many as show all recordings 50 times, at least 600 and at most 20,000.
    learning_rate : float
        The peak of the one-cycle learning rate.
    patience : int
        Stop after so many validations in a row without a better one, though not before 600 steps. There are twenty
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
    report_ : SpeechReport
        What was read, how training went, and how much is heard of what was held out; None of a loaded run.
    metrics_ : dict
        What ``metrics.json`` of a run holds.
    history_ : list of dict
        One entry a validation: ``member``, ``step``, ``loss`` (nats a token), ``validation_loss`` (the share of tokens
        that are wrong, and a hundredth of the loss), ``learning_rate``, ``seconds``.
    networks_ : torch.nn.ModuleList
        The trained networks.
    tokenizer_ : Tokenizer
        The vocabulary.
    rate_ : int
        Samples a second of what is heard, Hz.
    notes_ : list of str
        What the last ``predict`` or ``evaluate`` has to tell, a line each.

    Examples
    --------
    >>> import numpy as np
    >>> second = np.arange(4000) / 8000
    >>> rise, fall = (np.sin(2 * np.pi * (1000 + pace * second) * second) for pace in (900, -900))
    >>> sizes = {"hidden_size": 16, "num_layers": 1, "max_steps": 80, "learning_rate": 0.01}
    >>> transcriber = Transcriber(**sizes, augmentation=False, progress=False)
    >>> fitted = transcriber.fit([(rise, 8000), (fall, 8000)] * 20, text=["up", "down"] * 20)
    >>> fitted.predict((rise, 8000), (fall, 8000))["text"].to_list()
    ['up', 'down']
    """

    def __init__(
        self,
        *,
        live: bool = False,
        level: Literal["word", "char", "bpe"] | None = None,
        vocabulary_size: int | None = None,
        rate: int | None = None,
        subsampling: Literal[2, 4] | None = None,
        channels: int = 32,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.3,
        augmentation: bool | None = None,
        members: int | None = None,
        batch_size: int = 32,
        max_steps: int | None = None,
        learning_rate: float = 0.003,
        patience: int = 10,
        device: str | None = None,
        precision: Literal["auto", "no", "bf16", "fp16"] = "auto",
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.live = live
        self.level = level
        self.vocabulary_size = vocabulary_size
        self.rate = rate
        self.subsampling = subsampling
        self.channels = channels
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.augmentation = augmentation
        self.members = members
        self.batch_size = batch_size
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
        audio: str | None = None,
        text: str | Sequence[str] | None = None,
        groups: str | Sequence[str] | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn to write down what is said.

        Parameters
        ----------
        data : path, DataFrame or list
            A manifest: a table with a row a recording. Or a list of recordings: files, and pairs (samples, rate) as
            ``soundfile.read`` gives them.
        audio : str, optional
            The column of wav or flac files, whose paths count from the manifest's folder. Default: ``audio`` or
            ``path``.
        text : str or sequence of str, optional
            The column of what is said. Default: ``text``. Of a list the texts themselves.
        groups : str or sequence, optional
            The column of what a split must not tear apart, for instance the speaker: weights are then chosen by
            speakers that are not learnt from. Of a list one value for each recording.
        checkpoint : path, optional
            Folder in which the state of training is saved, every minute and on Ctrl-C; ``resume`` continues from it.

        Returns
        -------
        Transcriber
            This estimator.

        Raises
        ------
        InputError
            If an argument or the data cannot be used; the message names the argument, or file, row and column.
        TrainingError
            If the loss is no longer finite.
        """
        return self._fit(data, {"audio": audio, "text": text, "groups": groups}, checkpoint)

    def _fit(
        self,
        data: Any,
        roles: Mapping[str, Any],
        folder: str | Path | None,
        resume: TrainingState | None = None,
    ) -> Self:
        parameters = Parameters.check(self.get_params())
        speech = read_speech(data, **roles)
        features = read_features(speech, parameters.rate)
        told = None if speech.groups is None else speech.groups.to_list()
        digest = partial(fingerprint, speech.texts, told, features.mel, *features.parts)
        hooks = self._hooks(data, digest, roles, folder, resume)
        self._take(fit_speech(parameters, speech, features, hooks), speech)
        return self
