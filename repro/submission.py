"""``repro run --backend slurm``, on a login node: waves become job arrays that wait for each
other."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from repro.backends import Placement
from repro.errors import UserError
from repro.estimate import cohort_size, cost
from repro.execute.slurm import Array, check_installed, limit_minutes, slices, stop_seconds
from repro.files import make_directory
from repro.launch import load_datasets, report_failures
from repro.node_job import Job
from repro.plan import Part, Wave, teacher_passes
from repro.planned import waves_of
from repro.records import Records
from repro.request import RUNS_DIR, Request
from repro.spec import key
from repro.teachers import check_choice

FOLDER = "slurm"  # of a runs directory: logs, and what submitit keeps


def submit(request: Request, console: Console) -> int:
    """Submit what is left of a grid, or print it. Returns the exit code: 0, or 1 where runs failed.

    Raises UserError where something is missing, before anything is submitted.
    """
    profile, runs, devices = request.resolve()
    if request.max_seconds is None:
        raise UserError("--backend slurm needs --max-time, the time limit of each job, such as 8h")
    records = Records(request.runs_dir)
    size = request.max_cohort or cohort_size(runs, devices[0])
    waves, states = waves_of(runs, records, size)
    done = sum(state == "FINISHED" for state in states.values())
    console.print(f"grid {request.grid}, profile {profile.name}: {len(runs)} runs, {done} finished")
    failed = report_failures(runs, records, console)
    if not waves:
        return int(failed)
    check_choice(waves, request.teacher)
    asked = request.placement.slurm
    check_installed(dry_run=asked.dry_run)
    array = Array(
        name=f"repro-{request.grid}",
        folder=request.runs_dir.resolve() / FOLDER,
        minutes=limit_minutes(request.max_seconds),
        device=devices[0],
        asked=asked,
    )
    if asked.dry_run:
        _print(waves, array, console)
    else:
        load_datasets(request, [cohort for wave in waves for cohort in wave])
        make_directory(make_directory(request.runs_dir) / "records")
        make_directory(array.folder)
        _submit(waves, array, jobs_for(request, profile.name, waves), console)
        _tell_what_follows(request, array.folder, console)
    return int(failed)


def jobs_for(request: Request, profile: str, waves: tuple[Wave, ...]) -> Callable[[Wave], Job]:
    """Makes the job of a slice: the request on its node, with all places absolute."""
    passes, cpu = teacher_passes(waves), request.device == "cpu"
    on_node = replace(
        request,
        profile=profile,
        device="cpu" if cpu else "cuda",
        runs_dir=request.runs_dir.resolve(),
        data_dir=request.data_dir.resolve(),
        source=None,  # is imported by now
        max_seconds=stop_seconds(request.max_seconds or 0.0),
        placement=Placement(),
        tracked=os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")),
    )

    def job(part: Wave) -> Job:
        keys = frozenset(key(run) for cohort in part for run in cohort.runs)
        return Job(replace(on_node, part=Part(keys, passes)))

    return job


def _print(waves: tuple[Wave, ...], array: Array, console: Console) -> None:
    for number, wave in enumerate(waves, start=1):
        parts = slices(wave, array.asked.cohorts_per_job, cost)
        after = f"ID_OF_WAVE_{number - 1}" if number > 1 else ""
        console.print(f"\n# wave {number}: {_counted(parts)}")
        text = replace(array, after=after).text(len(parts))
        console.print(text.rstrip(), markup=False, highlight=False)


def _submit(
    waves: tuple[Wave, ...], array: Array, job: Callable[[Wave], Job], console: Console
) -> None:
    """Array after array. Raises UserError with what sbatch says, and how to take back the first."""
    ids: list[str] = []
    for number, wave in enumerate(waves, start=1):
        parts = slices(wave, array.asked.cohorts_per_job, cost)
        after = ids[-1] if ids else ""
        try:
            ids.append(replace(array, after=after).submit([job(part) for part in parts]))
        except UserError as error:
            back = f"; `scancel {' '.join(ids)}` takes back what is submitted" if ids else ""
            raise UserError(f"{error}{back}") from error
        then = f", when {after} has ended" if after else ""
        console.print(f"wave {number}: job {ids[-1]}, {_counted(parts)}{then}", highlight=False)


def _counted(parts: tuple[Wave, ...]) -> str:
    """Such as ``17 cohorts in 5 jobs``."""
    cohorts, jobs = sum(map(len, parts)), len(parts)
    some = "1 cohort" if cohorts == 1 else f"{cohorts} cohorts"
    return f"{some} in {jobs} jobs" if jobs > 1 else f"{some} in 1 job"


def _tell_what_follows(request: Request, folder: Path, console: Console) -> None:
    where = "" if request.runs_dir == RUNS_DIR else f" --runs-dir {request.runs_dir}"
    console.print(
        f"logs: {folder}{os.sep}*_log.out\n"
        "what waits and runs: squeue --me\n"
        f"what is trained: repro status {request.grid}{where}\n"
        f"into MLflow, then and now: repro sync{where}",
        markup=False,
        highlight=False,
    )
