"""A grid under torchrun: several processes train each cohort, rank 0 alone writes."""

import gc
import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from repro import launch
from repro.choice import Choice
from repro.cohort_records import CohortRecords
from repro.errors import LeaseLost, UserError
from repro.jobs import CohortJob
from repro.limits import Limits, OutOfTime
from repro.profiles import PROFILES
from repro.records import Records
from repro.request import Request
from repro.resume import Place
from repro.spec import key
from repro.train import checkpoint
from repro.train.ranks import Ranks
from tests import tiny
from tests.launch.demo_grid import GRID, STUDENTS, TEACHER, Ran, run_demo, states
from tests.launch.several import by_two


def process(rank: int, runs_dir: str, stop_at: int, broken: str) -> None:
    """One of two. ``stop_at``: rank 0's step before which its time is up; 0: never. ``broken``:
    what rank 0 cannot write."""
    PROFILES["demo"] = tiny.PROFILE
    late = OutOfTime("the time of --max-time is up")
    if stop_at:
        ticks = tiny.Ticks(stop_at, late)
        Limits.tick = lambda self: ticks()  # type: ignore[method-assign]  # noqa: ARG005
    if broken and rank == 0:
        owner = CohortJob if broken == "_write" else CohortRecords
        setattr(owner, broken, full)
    stream = io.StringIO()
    request = Request(grid="demo", runs_dir=Path(runs_dir), checkpoint_seconds=1e9)
    try:
        assert launch.run(request, Console(file=stream, width=400)) == 0
    except UserError as error:  # mp.spawn raises the error of the process that is gone first
        (Path(runs_dir) / f"error-{rank}").write_text(str(error))
        raise
    if stop_at:
        late.__traceback__ = None  # its frames hold what was trained
        gc.collect()
    assert not gloo_threads()  # one that lives on may abort the end of the process
    (Path(runs_dir) / f"said-{rank}").write_text(stream.getvalue())


def gloo_threads() -> list[str]:
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return [name for name in names if "gloo" in name]


def full(*_given: object) -> None:
    raise UserError("No space left on device")


def two_processes(runs_dir: Path, stop_at: int = 0, broken: str = "") -> str:
    """What rank 0 said."""
    by_two(process, str(runs_dir), stop_at, broken)
    assert (runs_dir / "said-1").read_text() == ""
    return (runs_dir / "said-0").read_text()


def processes(runs_dir: Path) -> set[str]:
    records = [tiny.record(run, runs_dir) for run in STUDENTS]
    return {str(record.environment().get("processes", "1")) for record in records}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, store_template: Path) -> Path:
    runs_dir = tmp_path_factory.mktemp("several")
    (runs_dir / "mlflow.db").write_bytes(store_template.read_bytes())
    two_processes(runs_dir)
    return runs_dir


def test_a_grid_is_trained_once_and_says_by_how_many(trained: Path) -> None:
    assert set(states(trained)) == {"FINISHED"}
    assert len(list(Records(trained))) == len(GRID)
    assert processes(trained) == {"2"}
    from repro.tracking import load_results

    results = load_results(trained)
    assert sorted(results["key"]) == sorted(key(run) for run in GRID)


def test_every_image_was_evaluated_once(trained: Path, demo: tuple[Path, Ran]) -> None:
    import numpy as np

    shapes = [
        np.load(tiny.record(TEACHER, runs_dir).test_logits)["logits"].shape
        for runs_dir in (trained, demo[0])
    ]
    assert shapes[0] == shapes[1]


def stopped(runs_dir: Path, after: int) -> None:
    """Two processes, stopped in the students' first epoch after so many of its steps: all of them
    is at its evaluation."""
    an_epoch = 1 + tiny.STEPS + 1  # rank 0 is asked before it, before each step and the evaluation
    said = two_processes(runs_dir, stop_at=3 * an_epoch + 1 + after + 1)
    assert "the time of --max-time is up; give the same command again" in said
    assert states(runs_dir).count("STOPPED") == len(STUDENTS)
    meta = checkpoint.load(tiny.record(STUDENTS[0], runs_dir).checkpoint)[1]
    assert (meta["next_epoch"], meta["next_part"]) == (0, after)


@pytest.mark.parametrize("after", [1, tiny.STEPS])
def test_stopped_within_an_epoch_they_go_on_to_the_same_bits(
    after: int, runs_dir: Path, trained: Path
) -> None:
    stopped(runs_dir, after)
    two_processes(runs_dir)
    mine, whole = tiny.results(GRID, runs_dir), tiny.results(GRID, trained)
    for name, (state, final, history, *files) in whole.items():
        assert [mine[name][0], *mine[name][3:]] == [state, *files]  # weights and logits: bitwise
        assert mine[name][1] == pytest.approx(final)  # the sums of an epoch in another order
        assert len(mine[name][2]) == len(history)  # type: ignore[arg-type]
    assert processes(runs_dir) == {"2"}


def test_stopped_within_an_epoch_one_process_goes_on(runs_dir: Path) -> None:
    stopped(runs_dir, 2)
    assert run_demo(runs_dir).code == 0
    assert set(states(runs_dir)) == {"FINISHED"}
    assert processes(runs_dir) == {"2, then 1"}


@pytest.mark.parametrize("broken", ["_write", "finish"])
def test_what_cannot_be_written_ends_all_processes(broken: str, runs_dir: Path) -> None:
    """Rank 0's disk is full while it writes an epoch, or weights; the others do not wait for it:
    gloo aborts rank 1 when it loses rank 0."""
    with pytest.raises((ProcessRaisedException, ProcessExitedException)):
        two_processes(runs_dir, broken=broken)
    assert (runs_dir / "error-0").read_text() == "No space left on device"
    assert set(states(runs_dir)) <= {"STOPPED", "RUNNING", None}
    two_processes(runs_dir)
    assert set(states(runs_dir)) == {"FINISHED"}


def test_a_run_that_is_lost_leaves_its_neighbours_what_was_trained(tmp_path: Path) -> None:
    """Of a cohort of two, on the thread of rank 0 that writes; then all ranks end."""
    runs = (tiny.run("ce"), tiny.run("kd"))
    records = CohortRecords(tiny.runtime(tmp_path, ranks=Ranks(0, 2)))
    students = [tiny.student(run) for run in runs]
    for run in runs:
        records.hold(run)
        records.open(run, {})
    shutil.rmtree(records.leases[key(runs[0])].stage)  # as by who takes it over
    states = {student.key: student.state() for student in students}
    records.save(students, states, Place(1))
    assert records.lost == {key(runs[0])}
    assert tiny.record(runs[1], tmp_path).checkpoint.exists()
    with pytest.raises(LeaseLost):
        records.check_lost()
    records.release()


def test_a_method_with_a_memory_of_all_images_is_refused_before_its_teacher(
    runs_dir: Path,
) -> None:
    console = Console(file=io.StringIO(), width=400)
    request = Request(grid="demo", runs_dir=runs_dir, choice=Choice(methods=("kd", "crd")))
    with pytest.raises(UserError, match="crd keeps a memory of all images: train it without torch"):
        launch.train_grid(request, console, Limits(), Ranks(0, 2))
    assert not (runs_dir / "records").exists()
    every = replace(request, choice=Choice(methods=("all",)))
    runs = every.resolve()[1]
    left = launch.shareable(runs, every, console)
    assert [run.method for run in runs if run not in left] == ["crd"]
