"""Options of the command line that several commands share, or that are many."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
Command = Callable[..., Any]


def words(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    found = tuple(word.strip() for word in value.split(","))
    if not all(found):
        raise click.BadParameter(f"{value!r} is no list of names separated by commas")
    return found


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    from repro.limits import duration

    return None if value is None else duration(value)


RUNS_DIR = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "runs",
    show_default="runs/ of the checkout",
    help="Holds mlflow.db, artifacts and records.",
)
BROWSED = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "runs" / "browse",
    show_default="runs/browse of the checkout",
    help="Is filled with the recorded results.",
)
FOUND = click.Path(path_type=Path, exists=True)
PROFILE = click.option(
    "--profile", default="auto", show_default=True, help="paper, quick, demo or auto."
)
PORT = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Of the MLflow UI.",
)
DATA = click.option(
    "--data",
    envvar="REPRO_CIFAR100",
    type=click.Path(path_type=Path),
    help="CIFAR-100 as an .npz or a folder in the released layout.",
)
IMAGES = click.option(  # REPRO_CIFAR100 or REPRO_IMAGENET, as the grid says
    "--data",
    type=click.Path(path_type=Path),
    help="CIFAR-100 as an .npz or a folder in the released layout, ImageNet as a folder of "
    "train/CLASS and val/CLASS (REPRO_CIFAR100, REPRO_IMAGENET).",
)
TIMES = (
    click.option(
        "--max-time",
        "max_seconds",
        metavar="TIME",
        callback=seconds,
        help="Stop before an epoch that does not fit: 8m, 2h.",
    ),
    click.option(
        "--checkpoint-every",
        "checkpoint_seconds",
        metavar="TIME",
        callback=seconds,
        help="Checkpoints within long epochs too: 30m.",
    ),
    click.option(
        "--workers", type=int, help="Processes that decode images (default: what suits the device)."
    ),
)


def plan_options(command: Command) -> Command:
    """Which images a plan counts."""
    return IMAGES(command)


def run_options(command: Command) -> Command:
    """What only ``run`` is told."""
    for option in reversed((IMAGES, *TIMES)):
        command = option(command)
    return command


IMPORTED = click.option(
    "--imported", callback=words, help="Keys (8 digits do) of imported teachers, not to be trained."
)
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda (all), cuda:0,cuda:1."
)
CHOICE = (
    PROFILE,
    click.option("--trials", type=int, help="Trials a method (paper and demo 5, quick 2)."),
    click.option("--pairs", callback=words, help="teacher:student,... instead of all."),
    click.option("--methods", callback=words, help="ce,kd,... or all."),
    click.option(
        "--precision", default="auto", show_default=True, help="fp32, bf16 or auto (the profile's)."
    ),
    click.option("--held-out", is_flag=True, help="For tuning: evaluate on a tenth of train."),
    IMPORTED,
    RUNS_DIR,
)


def choice_options(command: Command) -> Command:
    """The options that choose runs of a grid."""
    for option in reversed(CHOICE):
        command = option(command)
    return command


GRID = (
    click.argument("grid"),
    choice_options,
    click.option(
        "--max-cohort", type=int, help="Students side by side (default: what suits the device)."
    ),
    DEVICE,
    click.option(
        "--backend",
        default="auto",
        show_default=True,
        help="inline, local (a process a device), ray (nodes of a Ray cluster), "
        "slurm (jobs of a cluster).",
    ),
    click.option(
        "--ray-address",
        default="",
        metavar="HOST:PORT",
        help="A Ray cluster (default: RAY_ADDRESS, else one is started here).",
    ),
    click.option(
        "--teacher",
        default="auto",
        show_default=True,
        help="live (runs every step), bank (logits made once) or auto (what is less work).",
    ),
    click.option(
        "--engine", default="auto", show_default=True, help="graph (CUDA), eager or auto."
    ),
)


def grid_options(command: Command) -> Command:
    """The grid, what chooses its runs, and how they are trained: of ``run`` and ``plan``."""
    for option in reversed(GRID):
        command = option(command)
    return command


PLACEMENT_WORDS = ("ray_address", "slurm", "cohorts_per_job", "dry_run")
SLURM = (
    click.option(
        "--slurm",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of sbatch for its jobs, repeated: partition=gpu, account=lab, "
        "constraint=a100, qos=long, mem=32G, gres=gpu:1 (default; none with --device cpu), "
        "cpus-per-task=2 (default). --max-time is a job's limit.",
    ),
    click.option(
        "--cohorts-per-job",
        type=int,
        default=4,
        show_default=True,
        help="Of --backend slurm, at most.",
    ),
    click.option("--dry-run", is_flag=True, help="Print what --backend slurm would submit."),
)


def slurm_options(command: Command) -> Command:
    """How ``run --backend slurm`` asks for jobs."""
    for option in reversed(SLURM):
        command = option(command)
    return command


BUDGET = (
    click.option("--profile", default="paper", show_default=True, help="paper, quick or demo."),
    click.option("--methods", callback=words, help="ce,kd,... or all (default: the grid's own)."),
    click.option("--gpus", default="1,8,64", show_default=True, callback=words, help="How many."),
    click.option("--max-cohort", type=int, default=8, show_default=True, help="As of run."),
    click.option(
        "--speed",
        type=float,
        help="Multiply-accumulates a second of a GPU (default: what is measured, or assumed).",
    ),
    RUNS_DIR,
)


def budget_options(command: Command) -> Command:
    for option in reversed(BUDGET):
        command = option(command)
    return command


BENCH = (
    click.option("--pairs", callback=words, help="teacher:student,... (default: two)."),
    click.option("--cohorts", callback=words, help="Students side by side (default: 1,8)."),
    click.option("--precision", callback=words, help="fp32,bf16 (default: what is fast here)."),
    click.option("--teacher", callback=words, help="live,bank (default: live)."),
    click.option(
        "--reference/--no-reference", default=True, help="The usual loop beside every case."
    ),
    DATA,
    click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    click.option("--repeats", type=int, default=3, show_default=True, help="Rounds of all cases."),
    click.option(
        "--seconds",
        type=click.FloatRange(0, 3600),
        default=2.5,
        show_default=True,
        help="A measured block's length; two steps at least.",
    ),
    click.option(
        "--json",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write JSON too; - prints it alone on stdout.",
    ),
)


def bench_options(command: Command) -> Command:
    for option in reversed(BENCH):
        command = option(command)
    return command


IMPORT = (
    click.argument("path", type=click.Path(path_type=Path)),
    click.option("--network", required=True, help="resnet56, wrn_40_2, ...: what the file holds."),
    click.option(
        "--expect", type=float, metavar="TOP1", help="Its accuracy in percent, if you know better."
    ),
    click.option(
        "--profile", default="paper", show_default=True, help="Its MLflow experiment: paper, quick."
    ),
    IMAGES,
    RUNS_DIR,
    DEVICE,
)


def import_options(command: Command) -> Command:
    for option in reversed(IMPORT):
        command = option(command)
    return command


OUTPUT = (
    click.argument("grid", required=False),
    PROFILE,
    IMPORTED,
    RUNS_DIR,
)


def output_options(command: Command) -> Command:
    """Of what is shown of grids."""
    for option in reversed(OUTPUT):
        command = option(command)
    return command


def campaign_options(command: Command) -> Command:
    """Where and for how long a campaign trains."""
    for option in reversed((PROFILE, RUNS_DIR, DEVICE, IMAGES, *TIMES)):
        command = option(command)
    return command
