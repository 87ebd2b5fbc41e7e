"""The command line. Each command resolves its words and calls one function; torch loads lazily."""

import sys
import traceback
from pathlib import Path
from typing import Any

import click

from repro import options
from repro.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


class Errors(click.Group):
    """Users see one line and exit code 2 for their errors; ``--debug`` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"error: {error}", err=True)
            sys.exit(2)


@click.group(cls=Errors, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="cmkd-repro")
def main(debug: bool) -> None:
    """Reproduce CMKD (arXiv 2410.06561): train its teacher-student grid, track it, judge it."""


def request(imported: tuple[str, ...] = (), backend: str = "auto", **given: Any) -> Any:
    from repro.backends import placement_of
    from repro.imported import with_imported
    from repro.request import request_of

    words = {name: given.pop(name) for name in options.PLACEMENT_WORDS if name in given}
    placement = placement_of(backend, **words)
    return with_imported(request_of(**given, placement=placement), imported)


def console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(soft_wrap=True, stderr=stderr)


@main.command()
@options.grid_options
@options.run_options
@options.slurm_options
def run(data: Path | None, **given: Any) -> None:
    """Train what is left of GRID; the same command goes on after any interruption."""
    from repro import launch
    from repro.limits import Interrupted

    try:
        sys.exit(launch.run(request(**given, source=data), console()))
    except Interrupted as error:
        click.echo(f"{error}; give the same command again to go on", err=True)
        sys.exit(error.exit_code)


@main.command()
@options.campaign_options
def campaign(data: Path | None, **given: Any) -> None:
    """Train the grids in the order of what they tell, for as long as there is time."""
    from repro import campaign
    from repro.limits import Interrupted
    from repro.request import Request, given_source

    source = data or given_source("cifar")
    try:
        sys.exit(campaign.campaign(Request(grid="cifar", source=source, **given), console()))
    except Interrupted as error:
        click.echo(f"{error}; give the same command again to go on", err=True)
        sys.exit(error.exit_code)


@main.command()
@options.grid_options
@options.plan_options
def plan(data: Path | None, **given: Any) -> None:
    """Print what GRID would run, what is done, and an estimate of the time."""
    from repro import planned

    planned.show_plan(request(**given, source=data), console())


@main.command()
@options.budget_options
def budget(runs_dir: Path, **given: Any) -> None:
    """Print GPU hours and wall time of every grid on several GPUs, as Markdown."""
    from repro import budget

    budget.tell(click.echo, runs_dir, **given)


@main.command()
@click.argument("grid", default="")
@options.choice_options
def status(**given: Any) -> None:
    """Print what is done, running, failed and left of GRID (default: all)."""
    from repro import status

    status.show_status(request(**given), console())


@main.command()
@options.RUNS_DIR
def doctor(runs_dir: Path) -> None:
    """Say what is wrong here and what cures it; nothing is changed."""
    from repro.doctor import doctor

    sys.exit(doctor(console(), runs_dir, ROOT / "data"))


@main.command("show-run")
@options.grid_options
def show_run(**given: Any) -> None:
    """Print one run of GRID, or of a key, with the source of every value."""
    from repro import show

    show.show_run(request(**given), console())


@main.command("import-teacher")
@options.import_options
def import_teacher(
    path: Path, network: str, expect: float | None, data: Path | None, **given: Any
) -> None:
    """Keep another suite's network as a teacher, once its accuracy is checked."""
    from repro import importing
    from repro.request import Request, given_source

    grid = importing.grid_of(network)
    source = data or given_source(grid)
    asked = Request(grid=grid, source=source, data_dir=ROOT / "data", **given)
    importing.import_teacher(path, network, request=asked, expect=expect, say=click.echo)


@main.group()
def data() -> None:
    """Get and check CIFAR-100; name the folder of ImageNet."""


NAME = click.argument("name", type=click.Choice(["cifar100"]), default="cifar100")
DATASET = click.argument("name", type=click.Choice(["cifar100", "imagenet"]), default="cifar100")


@data.command()
@NAME
def fetch(name: str) -> None:  # noqa: ARG001
    """Download CIFAR-100 through torchvision."""
    from repro.data import cifar100

    click.echo(cifar100.fetch(ROOT / "data"))


@data.command("import")
@DATASET
@click.argument("path", type=click.Path(path_type=Path))
def import_(name: str, path: Path) -> None:
    """Import CIFAR-100 from PATH, an .npz or a folder; or name ImageNet's folder PATH."""
    from repro.data import cifar100, imagenet

    if name == "imagenet":
        click.echo(imagenet.words(imagenet.use(path, ROOT / "data")))
    else:
        click.echo(cifar100.import_path(path, ROOT / "data"))


@data.command()
@NAME
def verify(name: str) -> None:  # noqa: ARG001
    """Recompute the fingerprints of the stored file."""
    from repro.data import cifar100

    for what, value in cifar100.verify(ROOT / "data" / cifar100.FILE).items():
        click.echo(f"{what}: {value}")


@main.command()
@options.output_options
def tables(**given: Any) -> None:
    """Write the tables of GRID (default: of every grid with finished runs)."""
    from repro import output

    output.tables(console(), **given)


@main.command()
@options.output_options
def figures(**given: Any) -> None:
    """Draw the figures of GRID (default: of every grid with finished runs)."""
    from repro import output

    output.figures(console(), **given)


@main.command()
@options.output_options
@click.option("--short", is_flag=True, help="Two or three lines a claim.")
def claims(**given: Any) -> None:
    """Judge the paper's claims by GRID's finished runs (default: every grid's)."""
    from repro import judging

    judging.claims(console(), **given)


@main.command()
@options.output_options
def report(**given: Any) -> None:
    """Write paper_tables/out/report.html: claims, tables, figures, how to run it again."""
    from repro import judging

    judging.report(console(), **given)


@main.command()
@click.option("--measure", is_flag=True, help="First time a step of each on the CPU: 4 minutes.")
def methods(measure: bool) -> None:
    """Write paper_tables/methods.md: every method, its needs, costs and published accuracy."""
    from repro.bench import methods as bench
    from repro.output import load_script

    script = load_script(ROOT / "paper_tables" / "methods.py")
    if measure:
        bench.measure_to(script.MEASURED, click.echo)
    click.echo(script.write_page().relative_to(ROOT))


@main.command()
@click.argument("sources", nargs=-1, metavar="[DIR]...", type=options.FOUND)
@options.RUNS_DIR
def sync(runs_dir: Path, sources: tuple[Path, ...]) -> None:
    """Make MLflow equal to the records, after taking in those of each DIR.

    DIR: another runs directory, records or an archive of them, as of a node without network.
    """
    from repro import output

    sys.exit(output.sync(console(), runs_dir, sources))


@main.command()
@click.argument("grid", required=False)
@click.option("--accuracy-only", is_flag=True, help="Measure no network: for large grids.")
@click.option("--replace", is_flag=True, help="Also other trainings of recorded runs.")
@options.PROFILE
@options.RUNS_DIR
def record(grid: str | None, **given: Any) -> None:
    """Write what is finished of GRID to runs/recorded/, and README's results."""
    from repro import browsing

    browsing.record(console(), grid, **given)


@main.command()
@options.PORT
@click.option("--no-ui", is_flag=True, help="Only make the runs, tables, figures and reports.")
@options.BROWSED
def browse(port: int, no_ui: bool, runs_dir: Path) -> None:
    """Show recorded results without training: MLflow UI, tables, reports."""
    from repro import browsing

    sys.exit(browsing.browse(console(), port, runs_dir=runs_dir, serve=not no_ui))


@main.command()
@options.PORT
@click.option("--open/--no-open", "browser", default=True, help="Open it in a browser, if any.")
@options.RUNS_DIR
def ui(port: int, browser: bool, runs_dir: Path) -> None:
    """Start the MLflow UI on loopback; print and open the addresses that show runs."""
    from repro import serving

    sys.exit(serving.ui(console(), runs_dir, port, browser=browser))


@main.command()
@click.argument("what", required=False, type=click.Choice(["imagenet"]))
@options.bench_options
def bench(what: str | None, json: Path | None, device: str, **given: Any) -> None:
    """Measure training speed beside the usual loop; imagenet: decoding and training."""
    from repro.bench import command, folder
    from repro.request import find_device, given_source

    if what:
        source = given["data"] or given_source(what)
        return folder.bench(source, ROOT / "data", find_device(device), console())
    asked = command.request_of(find_device(device), **given)
    return command.bench(asked, json, console(stderr=json == Path("-")))
