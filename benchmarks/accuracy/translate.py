"""Translation: Multi30k task 1, raw text, the estimator's defaults; its validation part is the test here.

Nothing here was chosen by the test part: sizes, steps and rates were chosen on pairs held out of the training file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastlstm import Translator

Figures = dict[str, float]


def multi30k(folder: Path, seed: int, *, source: str = "de", target: str = "en", **settings: Any) -> Figures:
    """BLEU is sacrebleu's with its own tokens (13a), of the text as it is written; a beam of five."""
    model = Translator(seed=seed, progress=False, **settings)
    model.fit(folder / "multi30k_train.de-en.tsv", source=source, target=target)
    found = model.evaluate(folder / "multi30k_val.de-en.tsv")
    assert "case:mixed|eff:no|tok:13a" in found.signatures["bleu"]
    own = found.metrics["model"]
    return {"BLEU": own["bleu"], "chrF": own["chrf"], "perplexity": own["perplexity"]}


# name: what to run, what to reach
PROTOCOLS: dict[str, tuple[Callable[[Path, int], Figures], str]] = {
    "Multi30k, German → English": (multi30k, "BLEU 33 in 1500 s; aim 36"),
    "Multi30k in float32": (partial(multi30k, precision="no"), "BLEU 33 in 1500 s; aim 36"),
}
