"""Adding a method takes its file and its lines in LOSSES, nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINE = '''
"""A made-up method: the squared distance of logits, through a trained scale."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.outputs import Batch, Outputs


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Made up."""

    ce_weight: float = 1.0
    weight: float = 0.1

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module:
        return Scale()

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: Scale
    ) -> dict[str, Tensor]:
        ce = F.cross_entropy(student.logits, batch.labels)
        mine = F.mse_loss(adapter.scale * student.logits, teacher.logits.detach())
        return {"ce": self.ce_weight * ce, "mine": self.weight * mine}
'''
COMMANDS = """
import sys
from repro import profiles
from tests import tiny
profiles.PROFILES["demo"] = tiny.PROFILE
from repro.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the suite with one new file, and its lines in LOSSES."""
    for folder in ("repro", "paper_tables", "figures", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "out")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    (tmp_path / "repro/losses/mine.py").write_text(MINE)
    methods = tmp_path / "repro/losses/__init__.py"
    text = methods.read_text()
    text = text.replace(
        "from repro.losses.kd import KD\n",
        "from repro.losses.kd import KD\nfrom repro.losses.mine import Mine\n",
    )
    text = text.replace('    "cmkd": CMKD,\n', '    "cmkd": CMKD,\n    "mine": Mine,\n')
    methods.write_text(text)
    return tmp_path


def repro(checkout: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "200"}
    command = [sys.executable, "-c", COMMANDS, *words]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_method_is_one_file_and_its_lines(checkout: Path, store_template: Path) -> None:
    runs = checkout / "store"
    runs.mkdir()
    shutil.copy(store_template, runs)
    where = ("--runs-dir", str(runs))
    repro(checkout, "run", "demo", "--methods", "kd,mine,mine+cmkd", *where)
    repro(checkout, "tables", "demo", *where)
    table = (checkout / "paper_tables/out/demo/accuracy.csv").read_text()
    assert all(f"resnet14:resnet8,{method}," in table for method in ("kd", "mine", "mine+cmkd"))
    one = ("--methods", "mine", "--pairs", "resnet14:resnet8")
    shown = repro(checkout, "show-run", "demo", *one, *where)
    repro(checkout, "methods")
    assert "| mine |" in (checkout / "paper_tables/methods.md").read_text()
    assert "Mine" in shown
    assert "weight" in shown
