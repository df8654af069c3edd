"""Spoken digits: recordings held out of every speaker, and each speaker held out in turn; with default settings.

The defaults (normalisation, dropout, how far training varies voices) were compared on nicolas and yweweler, each heard
by networks that had learnt from the three others but george; earlier sweeps used jackson and theo likewise. So where
these four are held out, their figures are not untouched by choices. george was never held out in a comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from fastlstm import Transcriber

Figures = dict[str, float]


def digits(folder: Path) -> pl.DataFrame:
    """Read the manifest, with paths that do not hang on where one stands, and the number of each recording."""
    number = pl.col("path").str.extract(r"_(\d+)\.wav$").cast(pl.Int64)
    paths = pl.format("{}/{}", pl.lit(str(folder.absolute())), pl.col("path"))
    return pl.read_csv(folder / "digits.csv").with_columns(path=paths, recording=number)


def recordings(folder: Path, seed: int) -> Figures:
    """Hold out recordings 5 to 9 of every speaker and digit."""
    table = digits(folder)
    held = pl.col("recording").is_between(5, 9)
    model = Transcriber(seed=seed, progress=False).fit(table.filter(~held))
    found = model.evaluate(table.filter(held)).metrics["model"]
    return {"word accuracy": found["word_accuracy"], "WER": found["wer"]}


def speakers(folder: Path, seed: int) -> Figures:
    """Hold out each speaker in turn, so that no network is judged by one that it has learnt from."""
    table = digits(folder)
    figures, seconds = {}, []
    for speaker in table["speaker"].unique().sort():
        began = time.perf_counter()
        held = pl.col("speaker") == speaker
        model = Transcriber(seed=seed, progress=False).fit(table.filter(~held))
        figures[speaker] = model.evaluate(table.filter(held)).metrics["model"]["word_accuracy"]
        seconds.append(time.perf_counter() - began)
    whole = {"word accuracy, mean": sum(figures.values()) / len(figures)}
    each = {f"  {speaker}": figure for speaker, figure in figures.items()}
    return {**whole, **each, "seconds of the slowest": max(seconds)}


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "digits, recordings held out": (recordings, "word accuracy 0.98, in 300 s"),
    "digits, speaker held out": (speakers, "word accuracy 0.80, in 300 s each"),
}
