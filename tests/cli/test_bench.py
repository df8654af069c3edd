"""``fastlstm bench``: what it measures and prints; no time is asserted but that there is one."""

import json
import math
import re

import pytest
import torch

from fastlstm import LSTM
from fastlstm.cli import bench, main, measuring, onnx_side
from fastlstm.cli.measuring import Problem

TINY = ["--batch", "3", "--steps", "5", "--inputs", "4", "--hidden", "6", "--seconds", "0.01"]
SIZES = {"batch": 3, "steps": 5, "inputs": 4, "hidden": 6}
CELLS = ["lstm", "gru", "rnn"]


@pytest.fixture(autouse=True)
def _without_onnxruntime(request, monkeypatch):
    """Without ONNX Runtime, unless a test is about it: as it is on most machines."""
    if "onnxruntime" not in request.node.name:
        monkeypatch.setattr(onnx_side, "is_installed", lambda: False)


@pytest.fixture
def measured(capsys):
    def run(*arguments):
        assert main(["bench", *TINY, *arguments, "--json"]) == 0
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        return json.loads(printed)

    return run


@pytest.fixture
def refused(capsys):
    def run(*arguments):
        assert main(["bench", *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return run


def test_figures_follow_from_the_times(measured):
    result = measured()
    (row,) = result["rows"]
    assert {name: row[name] for name in SIZES} == SIZES
    multiply_adds = 3 * 5 * 4 * 6 * (4 + 6)  # B·T·4H·(I + H)
    for kind, passes in (("forward", 1), ("forward_backward", 3)):
        figures = row[kind]
        assert figures["torch_ms"] > 0
        assert figures["fastlstm_ms"] > 0
        assert figures["ratio"] == figures["torch_ms"] / figures["fastlstm_ms"]
        assert figures["gflops"] == pytest.approx(2 * passes * multiply_adds / figures["fastlstm_ms"] / 1e6)
        assert figures["share_of_peak"] == pytest.approx(figures["gflops"] / result["peak_gflops"])
        assert result["geometric_mean"][kind] == pytest.approx(figures["ratio"])
    assert result["torch"] == torch.__version__
    assert result["threads"] == torch.get_num_threads()
    assert result["onnxruntime"] is None


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "flags", [[], ["--layers", "2", "--bidirectional"], ["--lengths"], ["--dtype", "float64"]], ids=" ".join
)
def test_every_layer(measured, cell, flags):
    row = measured("--cell", cell, *flags, "--forward-only")["rows"][0]
    assert row["cell"] == cell
    assert row["layers"] == (2 if "--layers" in flags else 1)
    assert row["dtype"] == ("float64" if "float64" in flags else "float32")
    assert (row["mean_length"] < 5) == ("--lengths" in flags)
    assert row["forward"]["ratio"] == row["forward"]["torch_ms"] / row["forward"]["fastlstm_ms"]
    assert "forward_backward" not in row


def test_figures_of_wrong_results_are_not_printed(monkeypatch):
    monkeypatch.setattr(LSTM, "forward", lambda self, x, *rest, **options: (x.new_zeros(5, 3, 6), None))
    with pytest.raises(RuntimeError, match="fastlstm and torch differ by"):
        main(["bench", *TINY, "--forward-only"])


def test_backward_over_packed_sequences(measured):
    assert measured("--lengths", "--bidirectional")["rows"][0]["forward_backward"]["ratio"] > 0


def test_the_table_has_a_row_for_each_size_and_the_means(monkeypatch, capsys):
    monkeypatch.setattr(bench, "GRID", ((1, 2, 3, 4), (2, 3, 4, 5)))
    assert main(["bench", "--seconds", "0.01", "--bidirectional"]) == 0
    printed = capsys.readouterr()
    assert re.match(r".* threads, Python .*, torch .*, fastlstm ", printed.out)
    assert "LSTM, float32, bidirectional; multiply-add peak" in printed.out
    rows = re.findall(r"^ {4}\d {4}\d {4}\d {4}\d \|.*$", printed.out, re.MULTILINE)
    assert [row.split()[:4] for row in rows] == [["1", "2", "3", "4"], ["2", "3", "4", "5"]]
    ratios = [[float(group.split()[2]) for group in row.split("|")[1:]] for row in rows]
    means = [float(value) for value in re.search(r"geometric mean \|(.*)\|(.*)", printed.out).groups()]
    for mean, pair in zip(means, zip(*ratios, strict=True), strict=True):
        assert mean == pytest.approx(math.prod(pair) ** 0.5, abs=0.02)
    assert "measuring 2 of 2: B 2, T 3, I 4, H 5" in printed.err
    assert "pip install onnx onnxruntime" in printed.err


def test_without_sizes_the_standard_nine_are_measured():
    """Those of the committed results, from one sequence to weights of 8 million values."""
    assert len(bench.GRID) == len(set(bench.GRID)) == 9
    assert (1, 100, 32, 64) in bench.GRID
    assert (32, 50, 1024, 1024) in bench.GRID


def test_the_object_is_written_to_a_file_too(tmp_path, capsys):
    out = tmp_path / "results" / "bench.json"
    assert main(["bench", *TINY, "--forward-only", "--json", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == json.loads(capsys.readouterr().out)


def test_threads_are_as_before_afterwards(measured):
    before = torch.get_num_threads()
    assert measured("--threads", "1", "--forward-only")["threads"] == 1
    assert torch.get_num_threads() == before


def test_a_measurement_ends(refused):
    assert "give a finite number above 0" in refused("--seconds", "inf")
    assert "give a finite number above 0" in refused("--seconds", "nan")


@pytest.mark.parametrize("flag", ["batch", "steps", "inputs", "hidden", "layers", "threads", "seconds"])
@pytest.mark.parametrize("value", ["0", "-3"])
def test_sizes_that_are_none(refused, flag, value):
    assert re.search(rf"--{flag} {value}(\.0)?: give a finite number above 0", refused(f"--{flag}", value))


def test_what_cannot_be_measured(refused, tmp_path):
    assert "--cell" in refused("--cell", "transformer")
    assert "--dtype" in refused("--dtype", "int8")
    assert "--hidden" in refused("--hidden", "many")
    assert "cores; give at most as many" in refused("--threads", "100000")
    assert "choose a smaller --batch" in refused("--hidden", "10000000")
    assert "is a folder" in refused(*TINY, "--out", str(tmp_path))


def test_lengths_spread_from_a_quarter_to_the_whole():
    lengths = Problem(31, 40, 1, 1, ragged=True).lengths()
    assert lengths.min() == 10
    assert lengths.max() == 40
    assert lengths.double().mean() == pytest.approx(25.5, abs=0.5)  # rounded up, from an even spread
    assert lengths.tolist() != sorted(lengths.tolist())


def test_operations_of_stacked_layers_in_both_directions():
    problem = Problem(2, 3, 5, 7, layers=2, bidirectional=True, cell="gru")
    first, second = 3 * 7 * (5 + 7), 3 * 7 * (2 * 7 + 7)  # multiply-adds a row: G·H·(I + H)
    assert problem.flops() == 2 * 2 * 3 * 2 * (first + second)


def test_sides_that_compute_different_things_are_not_compared(monkeypatch):
    torch.manual_seed(5)
    other = torch.nn.LSTM(4, 6)
    monkeypatch.setattr(Problem, "fastlstm_layer", lambda self: other)
    with pytest.raises(RuntimeError, match="fastlstm and torch differ by"):
        measuring.measure(Problem(**SIZES), 0.0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_onnxruntime_computes_the_same(cell, bidirectional, ragged):
    """The measurement itself compares the outputs."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    problem = Problem(**SIZES, layers=2, bidirectional=bidirectional, cell=cell, ragged=ragged)
    assert onnx_side.measure_onnxruntime(problem, 0.0, 1) > 0


def test_onnxruntime_is_a_side_where_it_is_installed(measured, monkeypatch):
    monkeypatch.setattr(onnx_side, "is_installed", lambda: True)
    monkeypatch.setattr(onnx_side, "version", lambda: "1.0")
    monkeypatch.setattr(onnx_side, "measure_onnxruntime", lambda problem, seconds, threads: 0.5)
    result = measured("--forward-only")
    (row,) = result["rows"]
    assert result["onnxruntime"] == "1.0"
    assert row["onnxruntime"]["forward_ms"] == 500
    assert row["onnxruntime"]["ratio"] == 500 / row["forward"]["fastlstm_ms"]


def test_onnxruntime_has_no_float64(capsys, monkeypatch):
    monkeypatch.setattr(onnx_side, "is_installed", lambda: True)
    assert main(["bench", *TINY, "--forward-only", "--dtype", "float64"]) == 0
    assert "ONNX Runtime is left out: it has no float64 kernels" in capsys.readouterr().err
