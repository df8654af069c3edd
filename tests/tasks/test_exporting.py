"""A model as one file: ONNX Runtime answers from a table's own numbers as the estimator does."""

import json
import re
import unicodedata
from datetime import timedelta

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch

import fastlstm
from fastlstm import Classifier, Forecaster, Regressor
from fastlstm.cli import main
from fastlstm.errors import InputError, RunError
from fastlstm.runs.export import Standalone, write_onnx

SMALL = {"hidden_size": 4, "max_steps": 3, "members": 2, "progress": False}
# Sums of float32 in another order.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def description(path):
    """What the file says of itself."""
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "fastlstm"
    return json.loads(entry.value)


def asked(path, inputs):
    """What ONNX Runtime answers, and what the file says of itself."""
    session = onnxruntime.InferenceSession(path)
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, {name: inputs[name] for name in names})
    says = description(path)
    assert list(says["inputs"]) == names
    assert list(says["outputs"]) == [given.name for given in session.get_outputs()]
    return found, says


def hourly(series, rows, seed=0):
    """A table of two targets' worth of everything: gaps, numbers and categories known, known ahead and of a series."""
    random = np.random.default_rng(seed)
    hour = pl.datetime_range(pl.datetime(2023, 3, 1), pl.datetime(2027, 1, 1), "1h", eager=True)[:rows]
    parts = []
    for place in range(series):
        wave = 50 + 10 * np.sin(np.arange(rows) * 2 * np.pi / 24) + random.normal(size=rows)
        part = pl.DataFrame(
            {
                "shop": [f"shop {place}"] * rows,
                "hour": hour,
                "sold": wave,
                "stock": random.normal(100, 5, rows),
                "price": random.normal(1000, 1, rows),
                "sky": random.choice(["clear", "mist", "rain"], rows),
                "area": [20.0 + place] * rows,
                "kind": ["small" if place else "large"] * rows,
            }
        )
        empty = random.random((3, rows)) < 0.1
        parts.append(
            part.with_columns(
                pl.when(~pl.Series(gone)).then(pl.col(name)).alias(name)
                for name, gone in zip(("stock", "price", "sold"), empty, strict=True)
            )
        )
    return pl.concat(parts)


ROLES = {
    "target": "sold",
    "time": "hour",
    "series": "shop",
    "past_covariates": ["stock"],
    "future_covariates": ["price", "sky"],
    "static_covariates": ["area", "kind"],
}


@pytest.mark.parametrize(
    ("trunk", "head"), [("points", "quantiles"), ("segments", "normal")], ids=["points", "segments, normal"]
)
def test_a_forecast(trunk, head, tmp_path):
    context, horizon = 30, 6
    table = hourly(2, 300)
    known = table.with_columns(
        pl.when(pl.int_range(pl.len()).over("shop") < 300 - horizon).then("sold").alias("sold")
    )
    forecaster = Forecaster(horizon, context=context, trunk=trunk, head=head, **SMALL).fit(known, **ROLES)
    forecaster.export(tmp_path / "shops.onnx")
    windows = [part.tail(context + horizon) for part in known.partition_by("shop", maintain_order=True)]

    def of(column, rows, kind=np.float32):
        return np.stack([part[column].to_numpy()[:rows] for part in windows]).astype(kind)

    skies = {"clear": 1, "mist": 2, "rain": 3}
    (found,), says = asked(
        tmp_path / "shops.onnx",
        {
            "target": of("sold", context),
            "time": of("hour", None, "M8[us]").astype(np.int64),
            "past_covariates": of("stock", context)[..., None],
            "future_covariates": of("price", None)[..., None],
            "static_covariates": of("area", 1),
            "future_categories": np.array([[[skies[sky]] for sky in part["sky"]] for part in windows]),
            "static_categories": np.array([[1], [2]]),
        },
    )
    assert says["task"] == "forecast"
    assert says["inputs"]["future_categories"]["categories"] == {"sky": ["clear", "mist", "rain"]}
    assert says["inputs"]["static_categories"]["categories"] == {"kind": ["large", "small"]}
    assert says["outputs"]["forecast"]["quantiles"] == [0.1, 0.5, 0.9]
    expected = forecaster.predict().select("sold_q0.1", "sold", "sold_q0.9").to_numpy()
    np.testing.assert_allclose(found.reshape(-1, 3), expected, **CLOSE)


def test_a_forecast_that_looks_a_year_back(tmp_path):
    random = np.random.default_rng(0)
    season = 100 + 40 * np.sin(np.arange(260) * 2 * np.pi / 52)
    week = pl.date_range(pl.date(1962, 1, 1), pl.date(1968, 1, 1), "1w", eager=True)
    table = pl.DataFrame({"ds": week[:260], "y": season + random.normal(size=260)})
    forecaster = Forecaster(6, context=8, **SMALL).fit(table)
    lag = forecaster.network_.settings.layout.lag
    assert lag == 52
    forecaster.export(tmp_path / "weeks.onnx")
    ahead = week[260 - 8 : 260 + 6]
    (found,), _ = asked(
        tmp_path / "weeks.onnx",
        {
            "target": table["y"].tail(lag + 8).to_numpy().astype(np.float32)[None],
            "time": ahead.to_numpy().astype("M8[us]").astype(np.int64)[None],
        },
    )
    expected = forecaster.predict().select("y_q0.1", "y", "y_q0.9").to_numpy()
    np.testing.assert_allclose(found[0], expected, **CLOSE)


def test_a_forecast_of_a_series_shorter_than_the_context(tmp_path):
    context, horizon = 30, 6
    both = hourly(2, 300)
    table = both.filter((pl.col("shop") != both["shop"][0]) | (pl.int_range(pl.len()).over("shop") >= 286))
    table = table.select("shop", "hour", "price", "sold").with_columns(
        pl.when(pl.col("hour") < pl.col("hour").max() - pl.duration(hours=horizon - 1))
        .then("sold")
        .alias("sold")
    )
    roles = {"target": "sold", "series": "shop", "time": "hour", "future_covariates": ["price"]}
    forecaster = Forecaster(horizon, context=context, **SMALL).fit(table, **roles)
    forecaster.export(tmp_path / "short.onnx")
    short = table.filter(pl.col("shop") == both["shop"][0])
    before = context + horizon - len(short)
    assert before == 22
    start = short["hour"][0]
    hours = pl.datetime_range(start - timedelta(hours=before), short["hour"][-1], "1h", eager=True)
    target = np.concatenate([np.full(before, np.nan), short["sold"].to_numpy()[:-horizon]])
    (found,), _ = asked(
        tmp_path / "short.onnx",
        {
            "target": target.astype(np.float32)[None],
            "time": hours.to_numpy().astype("M8[us]").astype(np.int64)[None],
            "future_covariates": np.concatenate([np.full(before, 9.0), short["price"]]).astype(np.float32)[
                None, :, None
            ],
        },
    )
    expected = forecaster.predict().filter(pl.col("shop") == both["shop"][0])
    np.testing.assert_allclose(
        found[0], expected.select("sold_q0.1", "sold", "sold_q0.9").to_numpy(), **CLOSE
    )


def padded(parts, kind=np.float32):
    """Sequences side by side, with garbage past their ends."""
    longest = max(map(len, parts))
    whole = np.full((len(parts), longest, *parts[0].shape[1:]), 7, kind)
    for place, part in enumerate(parts):
        whole[place, : len(part)] = part
    return whole


def test_irregular_sequences_with_gaps(tmp_path):
    random = np.random.default_rng(1)
    rows = [
        (stay, moment, random.normal(140, 10) + 5 * (stay % 2), random.normal(), 30.0 + stay % 7, stay % 2)
        for stay in range(40)
        for moment in np.sort(random.random(random.integers(1, 12)) * 48)
    ]
    stays = pl.DataFrame(rows, ["stay", "hours", "pulse", "lactate", "age", "died"], orient="row")
    stays = stays.with_columns(
        pl.when(pl.Series(random.random(len(stays)) > share)).then(name).alias(name)
        for name, share in (("pulse", 0.1), ("lactate", 0.8))
    )
    classifier = Classifier(**SMALL)
    classifier.fit(stays, series="stay", time="hours", label="died", static=["age"])
    (network, _) = classifier.model_.networks
    assert (network.settings.masked, network.settings.irregular, network.settings.summary) == (True, True, 14)
    classifier.export(tmp_path / "stays.onnx")
    parts = stays.partition_by("stay", maintain_order=True)
    (label, probabilities), says = asked(
        tmp_path / "stays.onnx",
        {
            "lengths": np.array([len(part) for part in parts]),
            "values": padded([part.select("pulse", "lactate").to_numpy() for part in parts]),
            "elapsed": padded([part["hours"].to_numpy() + 1e4 for part in parts], np.float64),
            "static": np.array([[part["age"][0]] for part in parts], np.float32),
        },
    )
    assert says["inputs"]["values"]["columns"] == ["pulse", "lactate"]
    told = classifier.predict(stays)
    expected = told.select("probability_0", "probability_1").to_numpy()
    np.testing.assert_allclose(probabilities, expected, **CLOSE)
    assert [says["outputs"]["label"]["classes"][place] for place in label] == told["label"].to_list()


def test_texts(tmp_path):
    random = np.random.default_rng(0)
    praise, blame, others = (
        ["good", "great", "superb"],
        ["bad", "awful", "dull"],
        ["the", "film", "was", "very", "long"],
    )
    texts = [
        " ".join(random.choice((praise if place % 2 else blame) + others, random.integers(2, 9)))
        for place in range(80)
    ]
    reviews = pl.DataFrame({"text": texts, "label": ["-", "+"] * 40})
    classifier = Classifier(**SMALL).fit(reviews, text="text", label="label")
    (network, _) = classifier.model_.networks
    assert network.phrases is not None
    assert network.phrases.share > 0
    classifier.export(tmp_path / "reviews.onnx")
    ids = {token: place for place, token in enumerate(classifier.model_.tokenizer.vocabulary, start=2)}
    texts += ["It isn't DULL – it’s good!", ""]
    says = description(tmp_path / "reviews.onnx")["inputs"]["tokens"]
    assert says["tokenizer"]["vocabulary"] == list(ids)
    assert says["lowercase"]
    words = re.compile(says["pattern"], re.IGNORECASE)
    prepared = [unicodedata.normalize("NFC", text).replace("’", "'").lower() for text in texts]
    tokens = [np.array([ids.get(word, 1) for word in words.findall(text)] or [1]) for text in prepared]
    (label, probabilities), says = asked(
        tmp_path / "reviews.onnx",
        {"lengths": np.array(list(map(len, tokens))), "tokens": padded(tokens, np.int64)},
    )
    told = classifier.predict(pl.DataFrame({"text": texts}))
    np.testing.assert_allclose(probabilities, told.select(pl.selectors.float()).to_numpy(), **CLOSE)
    assert [says["outputs"]["label"]["classes"][place] for place in label] == told["label"].to_list()


def test_a_number_a_step_from_the_command_line(tmp_path, capsys):
    random = np.random.default_rng(0)
    rows = [(engine, random.normal(), float(step)) for engine in range(12) for step in range(3 + engine)]
    table = pl.DataFrame(rows, ["engine", "heat", "left"], orient="row")
    regressor = Regressor(**SMALL).fit(table, series="engine", label="left", per_step=True)
    regressor.save(tmp_path / "run")
    capsys.readouterr()
    assert (
        main(["regress", "export", str(tmp_path / "run"), "--out", str(tmp_path / "new/engines.onnx")]) == 0
    )
    told = capsys.readouterr()
    assert "values: float (batch, steps, 1)" in told.out
    assert told.err == ""
    parts = table.partition_by("engine", maintain_order=True)
    (numbers,), says = asked(
        tmp_path / "new/engines.onnx",
        {
            "lengths": np.array([len(part) for part in parts]),
            "values": padded([part.select("heat").to_numpy() for part in parts]),
        },
    )
    assert says["per_step"]
    found = np.concatenate([whole[: len(part), 0] for whole, part in zip(numbers, parts, strict=True)])
    np.testing.assert_allclose(found, regressor.predict(table)["left"].to_numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"head": "student_t"}, "no quantiles of head='student_t': fit with head='quantiles' or 'normal'"),
        ({"head": "normal", "decoding": "paths"}, "fit with decoding='direct'"),
        ({"layer_norm": True}, "no layer_norm: fit with layer_norm=False"),
    ],
)
def test_what_has_no_graph(options, why, tmp_path):
    table = pl.DataFrame({"y": np.sin(np.arange(60)).tolist()})
    forecaster = Forecaster(2, context=8, **{**SMALL, "members": 1, **options}).fit(table)
    with pytest.raises(InputError, match=why):
        forecaster.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path, monkeypatch, capsys):
    waves = [np.sin(np.arange(9) * (1 + place % 2)) for place in range(12)]
    classifier = Classifier(**SMALL).fit(waves, label=["slow", "quick"] * 6)
    with pytest.raises(RunError, match=r"call it model\.onnx"):
        classifier.export(tmp_path / "model.pt")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "fastlstm\[onnx\]"'):
        classifier.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert main(["detect", "export", str(tmp_path)]) == 2
    assert "export" in capsys.readouterr().err


def test_answers_that_differ_are_a_bug_and_write_nothing(tmp_path):
    class Forgetful(torch.nn.Module):
        """Answers otherwise once its graph is drawn."""

        def forward(self, x):
            return x * (1.0 if torch.onnx.is_in_onnx_export() else 2.0)

    model = Standalone(
        Forgetful(), lambda batch, _: {"x": torch.ones(batch, 2)}, {"x": {0: "batch"}}, ["y"], {}
    )
    with pytest.raises(
        RunError, match=r"answers otherwise in ONNX Runtime than here \(y is off by 5\.0e-01 of its size\)"
    ):
        write_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_every_estimator_that_exports_says_so():
    able = {task for task in fastlstm.tasks.TASKS if hasattr(fastlstm.tasks.estimator(task), "export")}
    assert able == {"forecast", "classify", "regress"}
