"""Do the tests notice planted faults? ``python tests/mutants.py``, or ``make mutants``.

Each mutant is one small fault in a copy of the sources; the tests named beside it must fail with it
and pass without. Prints a table; exits with 1 if a mutant survives. With words, only the mutants
whose name has one of them: ``python tests/mutants.py rank checkpoint``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("repro", "tests", "paper_tables", "figures", "pyproject.toml")
AT_ONCE = 2
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Mutant:
    """``old`` stands in ``file`` exactly once; ``tests`` are pytest's words."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # losses
    Mutant(
        "KD: T^2 is dropped",
        "repro/losses/kd.py",
        'reduction="batchmean") * self.temperature**2',
        'reduction="batchmean")',
        "tests/losses/test_kd.py",
    ),
    Mutant(
        "KD: the divergence is turned round",
        "repro/losses/kd.py",
        "kl = F.kl_div(log_p, q,",
        "kl = F.kl_div(q.log(), log_p.exp(),",
        "tests/losses/test_kd.py",
    ),
    Mutant(
        "KD: its two weights are swapped",
        "repro/losses/kd.py",
        '{"ce": self.ce_weight * ce, "kd": self.kd_weight * kl}',
        '{"ce": self.kd_weight * ce, "kd": self.ce_weight * kl}',
        "tests/train/test_golden.py -k kd",
    ),
    Mutant(
        "DKD: the warm-up counts from 1 epoch late",
        "repro/losses/dkd.py",
        "min((epoch + 1) / self.warmup_epochs, 1.0)",
        "min(epoch / self.warmup_epochs, 1.0)",
        "tests/losses/test_dkd.py",
    ),
    Mutant(
        "DKD: alpha and beta are swapped",
        "repro/losses/dkd.py",
        '"tckd": self.alpha * square',
        '"tckd": self.beta * square',
        "tests/losses/test_dkd.py",
    ),
    Mutant(
        "DIST: the intra-class term runs over the classes",
        "repro/losses/dist.py",
        "pearson(p_s, p_t, dim=0)",
        "pearson(p_s, p_t, dim=1)",
        "tests/losses/test_dist.py",
    ),
    Mutant(
        "CMKD: 1 - d becomes 1 + d",
        "repro/losses/cmkd.py",
        "((1 - share) * self._pearson_loss",
        "((1 + share) * self._pearson_loss",
        "tests/losses/test_cmkd.py -k slow_reference",
    ),
    Mutant(
        "CMKD: hard images lean on Pearson",
        "repro/losses/cmkd.py",
        'if self.hard_samples_lean_on == "pearson":',
        'if self.hard_samples_lean_on == "spearman":',
        "tests/train/test_golden.py -k cmkd",
    ),
    Mutant(
        "CMKD: the teacher's ranks are those of the student",
        "repro/losses/cmkd.py",
        "else hard_rank(z_t)",
        "else hard_rank(z_s)",
        "tests/losses/test_cmkd.py -k slow_reference",
    ),
    Mutant(
        "z-score: the standard deviation is the biased one",
        "repro/losses/correlation.py",
        "torch.std_mean(logits, dim=-1, keepdim=True)",
        "torch.std_mean(logits, dim=-1, keepdim=True, correction=0)",
        "tests/losses/test_correlation.py -k zscore",
    ),
    Mutant(
        "soft rank: it descends",
        "repro/losses/soft_rank.py",
        "scaled.unsqueeze(-1) + (-scaled).unsqueeze(-2)",
        "(-scaled).unsqueeze(-1) + scaled.unsqueeze(-2)",
        "tests/losses/test_soft_rank.py",
    ),
    Mutant(
        "hard rank: ties take the lowest rank",
        "repro/losses/soft_rank.py",
        "up_to = torch.searchsorted(ordered, x, right=True)",
        "up_to = 1 + torch.searchsorted(ordered, x, right=False)",
        "tests/losses/test_soft_rank.py -k hard",
    ),
    # data
    Mutant(
        "padding: white",
        "repro/data/augment.py",
        "padded = pixels.new_zeros(",
        "padded = 255 + pixels.new_zeros(",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "padding: after normalising, so grey",
        "repro/data/augment.py",
        "padded = pixels.new_zeros(",
        "padded = 128 + pixels.new_zeros(",
        "tests/data/test_augment.py -k black",
    ),
    Mutant(
        "crop: row and column are swapped",
        "repro/data/augment.py",
        "rows = offsets[:, :1] + side",
        "rows = offsets[:, 1:] + side",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: never",
        "repro/data/augment.py",
        "torch.where(flips[:, None], SIZE - 1 - side, side)",
        "torch.where(flips[:, None], side, side)",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: digits are mirrored too",
        "repro/data/batches.py",
        'if stream.augment == "crop-flip":',
        'if stream.augment != "none":',
        "tests/data/test_batches.py",
    ),
    Mutant(
        "held out: also trained on",
        "repro/data/dataset.py",
        "dataset.train[~held_out], dataset.train[held_out]",
        "dataset.train, dataset.train[held_out]",
        "tests/data/test_dataset.py",
    ),
    Mutant(
        "batches: the small last one is dropped",
        "repro/data/batches.py",
        "range(0, len(order), stream.batch_size)",
        "range(0, len(order) - stream.batch_size + 1, stream.batch_size)",
        "tests/data/test_batches.py",
    ),
    Mutant(
        "batches: every epoch in the same order",
        "repro/data/batches.py",
        'spec.seed("views", identity, trial, epoch)',
        'spec.seed("views", identity, trial, 0)',
        "tests/data/test_batches.py",
    ),
    # training
    Mutant(
        "schedule: the rate drops an epoch late",
        "repro/train/schedule.py",
        "epoch >= milestone",
        "epoch > milestone",
        "tests/train/test_schedule.py",
    ),
    Mutant(
        "schedule: epochs count from 1",
        "repro/train/student.py",
        'group["lr"] = learning_rate(self.run.optim, epoch)',
        'group["lr"] = learning_rate(self.run.optim, epoch + 1)',
        "tests/train/test_schedule.py",
    ),
    Mutant(
        "student: weight decay is forgotten",
        "repro/train/student.py",
        "weight_decay=run.optim.weight_decay",
        "weight_decay=0.0",
        "tests/train/test_student.py -k by_hand",
    ),
    Mutant(
        "student: batch means are not weighed",
        "repro/train/student.py",
        "value if value.dim() else value * size",
        "value if value.dim() else value * 32",
        "tests/train/test_student.py -k means",
    ),
    Mutant(
        "student: the reported network is not the stored one",
        "repro/train/student.py",
        "            round_to_half(self.model)\n",
        "            pass\n",
        "tests/train/test_student.py -k stored",
    ),
    Mutant(
        "student: momentum is not in the checkpoint",
        "repro/train/student.py",
        "if momentum is not None:",
        "if False:",
        "tests/train/test_cohort.py -k going_on",
    ),
    Mutant(
        "evaluation: in training mode",
        "repro/train/evaluate.py",
        "    model.eval()\n",
        "",
        "tests/train/test_student.py -k statistic",
    ),
    Mutant(
        "teacher: in training mode",
        "repro/train/teacher.py",
        "model.eval().requires_grad_(False)",
        "model.train().requires_grad_(False)",
        "tests/train/test_student.py -k teacher",
    ),
    Mutant(
        "cohort: one student's failure ends it for all",
        "repro/train/cohort.py",
        "active = [student for student in active if not report.not_finite(student.key)]",
        "active = [] if any(map(report.not_finite, report.metrics)) else active",
        "tests/train/test_cohort.py -k nan",
    ),
    Mutant(
        "weights: every method starts elsewhere",
        "repro/train/weights.py",
        'seed("weights", run.network, classes, run.trial)',
        'seed("weights", run.network, classes, run.trial, run.method)',
        "tests/train/test_weights.py",
    ),
    # records, plan, identity
    Mutant(
        "history: cut one epoch late",
        "repro/records.py",
        "self.history()[:epochs]",
        "self.history()[: epochs + 1]",
        "tests/test_jobs.py -k killed",
    ),
    Mutant(
        "checkpoint: the next epoch is the last one",
        "repro/jobs.py",
        "self._checkpoint(report.epoch + 1)",
        "self._checkpoint(report.epoch)",
        "tests/test_jobs.py -k 'killed or finished_record'",
    ),
    Mutant(
        "checkpoint: none at the end",
        "repro/jobs.py",
        "if last or time.monotonic()",
        "if time.monotonic()",
        "tests/test_jobs.py -k distance",
    ),
    Mutant(
        "resume: a checkpoint ahead of the history is taken",
        "repro/resume.py",
        "if next_epoch <= epochs:",
        "if True:",
        "tests/test_resume.py -k ahead",
    ),
    Mutant(
        "jobs: FINISHED before the weights",
        "repro/jobs.py",
        "        save_half(student.model, record.weights)\n",
        '        self._close(student, "FINISHED", "")\n'
        "        save_half(student.model, record.weights)\n",
        "tests/test_jobs.py -k after_everything",
    ),
    Mutant(
        "jobs: the mean of the last ten is of nine",
        "repro/jobs.py",
        "tail = top1[-10:]",
        "tail = top1[-9:]",
        "tests/test_jobs.py -k final_metrics",
    ),
    Mutant(
        "jobs: a failed student counts as stopped",
        "repro/jobs.py",
        'self._close(student, "FAILED", reason)',
        'self._close(student, "STOPPED", reason)',
        "tests/test_jobs.py -k fails",
    ),
    Mutant(
        "plan: students before their teachers",
        "repro/plan.py",
        "for depth in sorted(waves))",
        "for depth in sorted(waves, reverse=True))",
        "tests/test_plan.py",
    ),
    Mutant(
        "plan: members at different epochs share a cohort",
        "repro/plan.py",
        "run.precision, next_epoch.get(key(run), 0)",
        "run.precision",
        "tests/test_plan.py",
    ),
    Mutant(
        "key: depends on the method's name",
        "repro/spec.py",
        '    del data["method"]\n',
        "",
        "tests/test_spec.py",
    ),
    Mutant(
        "key: a baseline for every teacher",
        "repro/spec.py",
        "if run.teacher and uses_teacher(run.loss) else None",
        "if run.teacher else None",
        "tests/test_spec.py",
    ),
    # tracking
    Mutant(
        "tracking: epochs are logged again after a resume",
        "repro/tracking.py",
        "fresh = history[self.logged[record.key] :]",
        "fresh = history",
        "tests/test_tracking.py -k again",
    ),
    Mutant(
        "tracking: unfinished runs are results",
        "repro/tracking.py",
        "\"tags.complete = 'true'\"",
        "\"tags.key != ''\"",
        "tests/test_tracking.py -k unfinished",
    ),
)


def environment(copy: Path) -> dict[str, str]:
    one_thread = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return os.environ | one_thread | {"PYTHONPATH": str(copy)}


def copy_sources(target: Path) -> Path:
    skipped = shutil.ignore_patterns("__pycache__", "out")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=skipped)
        else:
            shutil.copy(source, target / name)
    return target


def passes(copy: Path, words: list[str]) -> bool:
    """Whether pytest passes in the copy. Raises RuntimeError where it ran no test."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *words]
    try:
        ran = subprocess.run(
            command,
            cwd=copy,
            env=environment(copy),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"pytest {' '.join(words)} ran no test:\n{ran.stdout}{ran.stderr}")
    return ran.returncode == 0


def words_of(mutant: Mutant) -> list[str]:
    where, _, chosen = mutant.tests.partition(" -k ")
    return [where, "-k", chosen.strip("'")] if chosen else [where]


def check_import(copy: Path) -> None:
    """The copy's package is the one that its tests import."""
    command = [sys.executable, "-c", "import repro; print(repro.__file__)"]
    env = environment(copy)
    ran = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=True)
    assert Path(ran.stdout.strip()) == copy / "repro" / "__init__.py", ran.stdout


def survives(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_sources(Path(folder).resolve())
        path = copy / mutant.file
        text = path.read_text()
        assert text.count(mutant.old) == 1, f"{mutant.name}: {text.count(mutant.old)} times"
        path.write_text(text.replace(mutant.old, mutant.new))
        return passes(copy, words_of(mutant))


def report(mutant: Mutant) -> bool:
    began = time.monotonic()
    survived = survives(mutant)
    word = "SURVIVED" if survived else "killed"
    print(f"{word:<9} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    return survived


def unmutated(mutants: list[Mutant]) -> bool:
    """Without a mutant the same tests pass, in as few calls as there are files."""
    files = list(dict.fromkeys(words_of(mutant)[0] for mutant in mutants))
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_sources(Path(folder).resolve())
        check_import(copy)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            passed = list(pool.map(lambda part: passes(copy, part), (files[::2], files[1::2])))
    return all(passed)


def main(names: list[str]) -> int:
    mutants = [m for m in MUTANTS if not names or any(name in m.name for name in names)]
    began = time.monotonic()
    if not unmutated(mutants):
        print("the tests fail without any mutant: run `make test` first")
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        survived = sum(pool.map(report, mutants))
    killed = len(mutants) - survived
    print(f"{killed} of {len(mutants)} killed in {time.monotonic() - began:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
