"""How much of what was said was heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastlstm.extras import library
from fastlstm.tasks.metric_table import metric_table

LABELS = {"model": "LSTM", "most_frequent": "most frequent"}
TITLES = {
    "wer": "WER",
    "cer": "CER",
    "word_accuracy": "word accuracy",
    "sentence_accuracy": "whole texts",
}
MOST_SHOWN = 5  # texts that were heard wrong


@dataclass(frozen=True)
class SpeechEvaluation:
    """Texts, and what was heard.

    Parameters
    ----------
    names : sequence of str
        Of the n recordings.
    texts : sequence of str
        What was said.
    heard : sequence of str
        What the model heard.
    usual : str
        The most frequent text of the training part, which needs no ears.
    """

    names: Sequence[str]
    texts: Sequence[str]
    heard: Sequence[str]
    usual: str

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """``model`` and ``most_frequent`` → ``wer``, ``cer``, ``word_accuracy``, ``sentence_accuracy``.

        The first two are errors (words, or characters, that were changed, left out or put in) over what was said, as
        jiwer counts them, capitals and punctuation included; ``word_accuracy`` is the share of the words that were
        heard, ``sentence_accuracy`` that of the texts without any error.
        """
        return {
            "model": error_rates(self.texts, self.heard),
            "most_frequent": error_rates(self.texts, [self.usual] * len(self.texts)),
        }

    @property
    def details(self) -> str:
        """Some of what was heard wrong, a line each; empty where all was heard."""
        wrong = [place for place, text in enumerate(self.texts) if text != self.heard[place]]
        if not wrong:
            return ""
        lines = [f"{len(wrong):,} of {len(self.texts):,} were not heard as they were said"]
        lines += [
            f"  {self.names[place]}: {self.texts[place]!r} heard as {self.heard[place]!r}"
            for place in wrong[:MOST_SHOWN]
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        """Return the metrics as a table, and some of what was heard wrong."""
        table = metric_table(self.metrics, LABELS, TITLES, dict.fromkeys(TITLES, ".4f"))
        return f"{table}\n\n{self.details}" if self.details else table


def error_rates(texts: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """Count the errors of transcripts.

    Parameters
    ----------
    texts : sequence of str
        What was said, none of them empty.
    heard : sequence of str
        What was heard.

    Raises
    ------
    InputError
        If jiwer is not installed.

    Examples
    --------
    >>> found = error_rates(["one two", "six"], ["one too", "six"])
    >>> {name: round(value, 3) for name, value in found.items()}
    {'wer': 0.333, 'cer': 0.1, 'word_accuracy': 0.667, 'sentence_accuracy': 0.5}
    """
    jiwer = scoring_library()
    words = jiwer.process_words(list(texts), list(heard))
    said = words.hits + words.substitutions + words.deletions
    return {
        "wer": float(words.wer),
        "cer": float(jiwer.cer(list(texts), list(heard))),
        "word_accuracy": words.hits / said,
        "sentence_accuracy": sum(map(str.__eq__, texts, heard)) / len(texts),
    }


def scoring_library() -> Any:
    """Import jiwer; fitting does so first, because a training that nobody can judge is a training lost.

    Raises
    ------
    InputError
        If it is not installed.
    """
    return library("speech", "errors are counted by", "jiwer")
