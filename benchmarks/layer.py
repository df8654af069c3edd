"""fastlstm.LSTM against torch.nn.LSTM and ONNX Runtime, float32: what ``fastlstm bench`` prints.

    python -m benchmarks.layer [--threads N] [--seconds S]

GF/s counts 2·B·T·4H·(I + H) for a forward pass and three times that for forward and backward. The share is of the
multiply-add peak measured in the same run.
"""

from __future__ import annotations

import argparse

import torch

from fastlstm.cli.bench import bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row and kind of pass")
    options = parser.parse_args()
    bench(threads=options.threads, seconds=options.seconds)


if __name__ == "__main__":
    main()
