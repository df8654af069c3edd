"""Texts foretold character by character, with the estimator's defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from fastlstm import Generator

Figures = dict[str, float]

READABLE = 1.9  # nats a character


def shakespeare(folder: Path, seed: int) -> Figures:
    """Tiny Shakespeare: the last tenth of its characters is judged once, by what is trained on the others."""
    text = (folder / "shakespeare.txt").read_text()
    cut = int(0.9 * len(text))
    model = Generator(seed=seed, progress=False).fit([text[:cut]])
    found = model.evaluate([text[cut:]]).metrics["model"]
    readable = (entry["seconds"] for entry in model.history_ if entry["validation_loss"] <= READABLE)
    return {
        "nats a character": found["nats_per_character"],
        "bits a character": found["bits_per_character"],
        f"seconds to {READABLE} nats": next(readable, math.inf),
    }


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "tiny Shakespeare": (shakespeare, "1.50 nats, aim 1.45, in 1200 s; 1.9 nats in 60 s"),
}
