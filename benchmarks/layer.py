"""fastlstm.LSTM against torch.nn.LSTM, float32: forward without gradient, and forward + backward.

    python -m benchmarks.layer [--threads N] [--seconds S]

GF/s counts 2·B·T·4H·(I + H) for a forward pass and three times that for forward and backward. The share is of the
multiply-add peak measured in the same run.
"""

from __future__ import annotations

import argparse
from statistics import geometric_mean

import torch

from benchmarks.measure import machine, medians
from fastlstm import LSTM, _native

SIZES = (
    (1, 100, 32, 64), (6, 100, 32, 64), (32, 30, 8, 64), (32, 100, 32, 64), (64, 168, 16, 128), (64, 100, 128, 256),
    (128, 50, 256, 512), (16, 1000, 32, 128), (32, 50, 1024, 1024),
)  # fmt: skip  # B, T, I, H


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row and kind of pass")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peak = max(_native.fma_peak(options.threads, 0.5) for _ in range(3))
    print(f"{machine()}, {_native.instruction_set()}; multiply-add peak {peak / 1e9:.0f} GFLOP/s")
    print("milliseconds, medians; both sides in turn\n")
    print("                      |          forward           |            forward + backward")
    print("   B    T    I    H   |   torch fastlstm    ratio  |   torch fastlstm    ratio   GF/s   of peak")
    ratios: dict[str, list[float]] = {"forward": [], "both": []}
    for B, T, I, H in SIZES:  # noqa: E741
        row = measure(B, T, I, H, options.seconds)
        flops = 3 * 2 * B * T * 4 * H * (I + H) / row["fastlstm both"]
        for kind, values in ratios.items():
            values.append(row[f"torch {kind}"] / row[f"fastlstm {kind}"])
        print(
            f"{B:4d} {T:4d} {I:4d} {H:4d}   |{row['torch forward'] * 1e3:8.3f} {row['fastlstm forward'] * 1e3:8.3f} "
            f"{ratios['forward'][-1]:7.2f} ×  |{row['torch both'] * 1e3:8.3f} {row['fastlstm both'] * 1e3:8.3f} "
            f"{ratios['both'][-1]:7.2f} × {flops / 1e9:6.0f} {flops / peak:8.0%}",
            flush=True,
        )
    print(
        f"\ngeometric mean        |{geometric_mean(ratios['forward']):25.2f} ×  "
        f"|{geometric_mean(ratios['both']):25.2f} ×"
    )


def measure(B: int, T: int, I: int, H: int, seconds: float) -> dict[str, float]:  # noqa: E741
    theirs = torch.nn.LSTM(I, H)
    ours = LSTM(I, H)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(T, B, I)
    dy = torch.randn(T, B, H)

    def forward(layer: torch.nn.Module) -> None:
        with torch.no_grad():
            layer(x)

    def both(layer: torch.nn.Module) -> None:
        layer.zero_grad(set_to_none=True)
        y, _ = layer(x)
        y.backward(dy)

    sides = {"torch": theirs, "fastlstm": ours}
    row = {}
    for kind, run in (("forward", forward), ("both", both)):
        found = medians(
            {name: lambda layer=layer, run=run: run(layer) for name, layer in sides.items()}, seconds
        )
        row.update({f"{name} {kind}": value for name, value in found.items()})
    return row


if __name__ == "__main__":
    main()
