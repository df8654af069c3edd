"""Training on several processes, as torchrun and ``accelerate launch`` start them."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import torch
from tests.tasks.conftest import ROLES, hourly, small

forecaster = small(max_steps=20, device="cpu").fit(hourly(), **ROLES)
weights = torch.cat([weight.flatten() for weight in forecaster.network_.parameters()])
print("weights", weights.double().sum().item(), forecaster.report_.training.best_loss)
"""


def test_two_processes_learn_one_model(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *sys.path])
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = [line for line in launched.stdout.splitlines() if line.startswith("weights")]
    assert len(told) == 2
    assert told[0] == told[1]
