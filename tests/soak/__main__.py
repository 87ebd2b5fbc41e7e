"""``make soak``: launchers are killed at random, and at every fault point, over grid demo.

Two launchers share a runs directory; the tracking server is killed and started at random; now and
then a launcher is stopped for longer than its leases live. The last line says what came of it.
"""

import random
import shutil
import tempfile
import time
from pathlib import Path

import click

from tests.soak.launchers import GRID, STREAM
from tests.soak.rounds import HITS, QUIET_SECONDS, Round, Soak
from tests.soak.server import Server, free_port

SHORT_SECONDS = 15.0


@click.command()
@click.option("--kills", default=100, show_default=True, help="At least so many.")
@click.option("--minutes", default=14.0, show_default=True, help="No kill after this time.")
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Leave everything in this folder.")
@click.option("--short", is_flag=True, help="One grid, kills for 15 seconds, no server.")
def main(kills: int, minutes: float, seed: int, keep: Path | None, short: bool) -> None:
    directory = keep or Path(tempfile.mkdtemp(prefix="soak"))
    directory.mkdir(exist_ok=True)
    soak, began = Soak(directory, random.Random(seed)), time.monotonic()
    seconds = soak.undisturbed()
    click.echo(
        f"{len(GRID)} runs of {STREAM.epochs} epochs: {seconds:.1f} s undisturbed, "
        f"{len(soak.wanted)} fault points"
    )
    if short:
        Round(soak, directory / "round", None).run(time.monotonic() + SHORT_SECONDS)
        sound = bool(soak.kills) and not soak.trouble
        report(soak, 1)
    else:
        sound = whole(soak, kills, began + 60 * minutes - QUIET_SECONDS) and not soak.trouble
    if keep is None and sound:
        shutil.rmtree(directory)
    verdict = soak.verdict
    click.echo(f"\n{(time.monotonic() - began) / 60:.1f} minutes")
    click.echo(
        f"{soak.kills.total()} kills, {len(verdict.lost)} lost, {len(verdict.doubled)} doubled, "
        f"{len(verdict.stale)} stale"
    )
    raise SystemExit(0 if sound and not (verdict.lost or verdict.doubled or verdict.stale) else 1)


def whole(soak: Soak, kills: int, deadline: float) -> bool:
    """Grids until there were enough kills, at every fault point, or it is late: were there?"""
    number = 0
    while (soak.kills.total() < kills or soak.missing()) and time.monotonic() < deadline:
        number += 1
        play(soak, number, deadline)
    report(soak, number)
    for name in soak.missing():
        click.echo(f"hit fewer than {HITS} times: {name}")
    return soak.kills.total() >= kills and not soak.missing()


def play(soak: Soak, number: int, deadline: float) -> None:
    """A round; every other one with a server, the rest on sqlite alone."""
    place = soak.directory / f"round-{number}"
    server = Server(place, free_port()) if number % 2 else None
    try:
        Round(soak, place, server).run(deadline)
    finally:
        if server:
            server.stop()
    done = soak.kills.total()
    click.echo(f"round {number}: {done} kills so far, {len(soak.missing())} fault points to go")


def report(soak: Soak, rounds: int) -> None:
    click.echo(f"\n{rounds} grids, {soak.server_stops} times the server was killed, ", nl=False)
    click.echo(f"{soak.pauses} times a launcher was stopped and went on")
    again = soak.trained - soak.needed
    click.echo(f"{soak.trained} epochs trained for {soak.needed}: {again} of them again")
    click.echo("\nkills by the last thing that the process did (at fault points):")
    names = sorted({*soak.kills, *soak.wanted}, key=lambda name: -soak.kills[name])
    for name in names:
        bar = "#" * min(40, soak.kills[name])
        click.echo(f"{name:34} {soak.kills[name]:4} ({soak.hits[name]})  {bar}")
    for line in (*soak.trouble, *soak.verdict.lost, *soak.verdict.doubled, *soak.verdict.stale):
        click.echo(f"! {line}")


if __name__ == "__main__":
    main()
