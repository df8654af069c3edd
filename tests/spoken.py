"""A language of whistles: each word is a sequence of tones, said at some pace, height and loudness, with some noise."""

from pathlib import Path

import numpy as np
import polars as pl

RATE = 8000
WORDS = {"up": (500, 1100), "down": (1100, 500), "hill": (500, 1400, 500), "dale": (1400, 600, 1400)}
TONE = 0.06  # seconds
PAUSE = 0.08


def say(text, generator, height=1.0):
    """Samples of a text at 8 kHz, full scale 1."""
    parts = []
    for word in text.split():
        for hertz in WORDS[word]:
            count = int(RATE * TONE * generator.uniform(0.9, 1.1))
            at = np.arange(count) / RATE
            tone = np.sin(2 * np.pi * hertz * height * at) * np.sin(np.pi * np.arange(count) / count)
            parts.append(tone * generator.uniform(0.2, 0.5))
        parts.append(np.zeros(int(RATE * PAUSE * generator.uniform(0.8, 1.2))))
    samples = np.concatenate([np.zeros(int(RATE * PAUSE)), *parts])
    return (samples + generator.normal(0, 0.003, len(samples))).astype(np.float32)


def texts(count, generator):
    """So many texts of one to three words."""
    return [" ".join(generator.choice(list(WORDS), generator.integers(1, 4))) for _ in range(count)]


def recordings(folder, name, count, seed, speakers=4):
    """Write recordings and their manifest, with the columns path, text and speaker."""
    import soundfile

    folder = Path(folder)
    (folder / name).mkdir()
    generator = np.random.default_rng(seed)
    rows = []
    for place, text in enumerate(texts(count, generator)):
        speaker = place % speakers
        samples = say(text, generator, height=0.9 + 0.05 * speaker)
        soundfile.write(folder / name / f"{place}.wav", samples, RATE)
        rows.append({"path": f"{name}/{place}.wav", "text": text, "speaker": f"s{speaker}"})
    manifest = folder / f"{name}.csv"
    pl.DataFrame(rows).write_csv(manifest)
    return manifest
