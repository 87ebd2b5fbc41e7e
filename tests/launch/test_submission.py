"""--backend slurm on the login node; its jobs run in this process, in the place of a cluster's."""

import io
import pickle
from pathlib import Path

import pytest
from rich.console import Console

from repro import launch, submission
from repro.backends import Placement
from repro.errors import UserError
from repro.execute.slurm import Array, Slurm
from repro.node_job import Job
from repro.request import Request
from repro.spec import key
from tests import tiny
from tests.launch.demo_grid import GRID, STUDENTS, TEACHER, Ran, states

Submitted = list[tuple[Array, list[Job]]]


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """What a cluster is given; its arrays have the numbers 1, 2, ..."""
    found: Submitted = []

    def submit(array: Array, jobs: list[Job]) -> str:
        found.append((array, pickle.loads(pickle.dumps(jobs))))
        return str(len(found))

    monkeypatch.setattr(Array, "submit", submit)
    monkeypatch.setattr(submission, "check_installed", lambda *, dry_run: None)  # noqa: ARG005
    return found


def submit(runs_dir: Path, *, max_cohort: int = 2, **options: object) -> Ran:
    stream = io.StringIO()
    request = Request(
        grid="demo",
        device="cpu",
        runs_dir=runs_dir,
        max_seconds=600,
        max_cohort=max_cohort,
        placement=Placement(backend="slurm", slurm=Slurm(**options)),  # type: ignore[arg-type]
    )
    code = launch.run(request, Console(file=stream, width=400))
    return Ran(code, stream.getvalue())


def run_job(job: Job) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        job()
    return end.value.code


def test_a_node_does_not_look_for_the_images_of_the_login_node(
    submitted: Submitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in ``data/`` by then; the variable may name a place that is not on the node."""
    monkeypatch.setenv("REPRO_CIFAR100", str(tmp_path))
    submit(tmp_path)
    assert {job.request.source for _, jobs in submitted for job in jobs} == {None}


def test_students_are_an_array_that_waits_for_that_of_the_teacher(
    submitted: Submitted, tmp_path: Path
) -> None:
    ran = submit(tmp_path, cohorts_per_job=2)
    assert ran.code == 0
    (teachers, _), (students, jobs) = submitted
    assert (teachers.after, students.after) == ("", "1")
    assert len(jobs) == 2  # three cohorts of 2, 2 and 1
    assert "wave 2: job 2, 3 cohorts in 2 jobs, when 1 has ended" in ran.output
    assert f"repro status demo --runs-dir {tmp_path}" in ran.output
    parts = [job.request.part.keys for job in jobs if job.request.part]
    assert sorted(k for part in parts for k in part) == sorted(map(key, STUDENTS))


def test_jobs_train_the_grid_as_one_process_and_track_nothing(
    submitted: Submitted, tmp_path: Path, demo: tuple[Path, Ran]
) -> None:
    submit(tmp_path, cohorts_per_job=1)
    for _, jobs in submitted:
        assert [run_job(job) for job in jobs] == [0] * len(jobs)
    assert tiny.results(GRID, tmp_path) == tiny.results(GRID, demo[0])
    assert not (tmp_path / "mlflow.db").exists()
    submitted.clear()
    assert "6 runs, 6 finished" in submit(tmp_path).output
    assert submitted == []


def test_a_job_whose_teacher_is_not_finished_fails(
    submitted: Submitted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(tmp_path, max_cohort=8)
    (_, (job,)) = submitted[1]
    assert run_job(job) == 1
    assert "not started, its teacher is not finished" in capsys.readouterr().out
    finished = {run.method for run in STUDENTS if states(tmp_path)[GRID.index(run)] == "FINISHED"}
    assert finished == {"ce"}
    assert states(tmp_path)[GRID.index(TEACHER)] is None


def test_parts_know_the_teacher_passes_of_the_whole(submitted: Submitted, tmp_path: Path) -> None:
    """So that "auto" chooses live teacher or bank as one process would."""
    submit(tmp_path, max_cohort=1, cohorts_per_job=1)
    jobs = [job for _, jobs in submitted for job in jobs]
    passes = [sum(job.request.part.passes.values()) for job in jobs if job.request.part]
    assert passes == [4 * tiny.STREAM.epochs] * 6  # of every student but ce


@pytest.mark.usefixtures("submitted")
def test_what_is_submitted_is_told_where_a_later_wave_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Array.submit

    def refuse(array: Array, jobs: list[Job]) -> str:
        if array.after:
            raise UserError("sbatch: error: Invalid dependency")
        return first(array, jobs)

    monkeypatch.setattr(Array, "submit", refuse)
    with pytest.raises(UserError, match=r"Invalid dependency; `scancel 1` takes back"):
        submit(tmp_path)


def test_slurm_needs_a_time_limit(tmp_path: Path) -> None:
    request = Request(grid="demo", runs_dir=tmp_path, placement=Placement(backend="slurm"))
    with pytest.raises(UserError, match="--backend slurm needs --max-time"):
        launch.run(request, Console(file=io.StringIO()))


def test_a_job_of_another_code_says_so(submitted: Submitted, tmp_path: Path) -> None:
    submit(tmp_path)
    (_, (job, *_)) = submitted[0]
    assert job.request.part
    object.__setattr__(job.request.part, "keys", frozenset({"0" * 64}))
    with pytest.raises(UserError, match="the code has changed"):
        job.request.resolve()
