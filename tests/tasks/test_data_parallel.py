"""Training on several processes, as torchrun and ``accelerate launch`` start them."""

import os
import subprocess
import sys
from pathlib import Path

from fastlstm import load

SCRIPT = """
import os
import sys
from pathlib import Path

import torch
from tests.tasks.conftest import ROLES, hourly, small

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
forecaster = small(max_steps=20, device="cpu").fit(hourly(), **ROLES, checkpoint=folder / "run")
weights = torch.cat([weight.flatten() for weight in forecaster.network_.parameters()])
told = f"{weights.double().sum().item()} {forecaster.report_.training[0].best_loss}"
(folder / rank).write_text(told)
forecaster.save(folder / "run")
forecaster.save(folder / f"run of {rank}")
"""


def test_two_processes_learn_one_model_and_the_first_writes_it(tmp_path: Path) -> None:
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
    assert sorted(path.name for path in tmp_path.glob("run*")) == ["run", "run of 0"]
    assert load(tmp_path / "run").metrics_["training"]["steps"] == [20]
