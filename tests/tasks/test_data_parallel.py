"""Training on several processes, as torchrun and ``accelerate launch`` start them."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os
import sys
from pathlib import Path

import torch
from tests.tasks.conftest import ROLES, hourly, small

forecaster = small(max_steps=20, device="cpu").fit(hourly(), **ROLES)
weights = torch.cat([weight.flatten() for weight in forecaster.network_.parameters()])
told = f"{weights.double().sum().item()} {forecaster.report_.training[0].best_loss}"
(Path(sys.argv[1]) / os.environ["RANK"]).write_text(told)
"""


def test_two_processes_learn_one_model(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *sys.path])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run(
        [*launch, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text()
