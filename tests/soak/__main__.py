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
from tests.soak.rounds import HITS, Round, Soak
from tests.soak.server import Server, free_port

QUIET_SECONDS = 90.0  # kept for the last round's end


@click.command()
@click.option("--kills", default=100, show_default=True, help="At least so many.")
@click.option("--minutes", default=14.0, show_default=True, help="No kill after this time.")
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Leave everything in this folder.")
def main(kills: int, minutes: float, seed: int, keep: Path | None) -> None:
    directory = keep or Path(tempfile.mkdtemp(prefix="soak"))
    directory.mkdir(exist_ok=True)
    soak = Soak(directory, random.Random(seed))
    deadline = time.monotonic() + 60 * minutes - QUIET_SECONDS
    seconds = soak.undisturbed()
    click.echo(
        f"{len(GRID)} runs of {STREAM.epochs} epochs: {seconds:.1f} s undisturbed, "
        f"{len(soak.wanted)} fault points"
    )
    number = 0
    while (soak.kills.total() < kills or soak.missing()) and time.monotonic() < deadline:
        number += 1
        play(soak, number, deadline)
    report(soak, number)
    sound = not (soak.trouble or soak.missing() or soak.kills.total() < kills)
    if keep is None and sound:
        shutil.rmtree(directory)
    verdict = soak.verdict
    click.echo(
        f"{soak.kills.total()} kills, {len(verdict.lost)} lost, {len(verdict.doubled)} doubled, "
        f"{len(verdict.stale)} stale"
    )
    raise SystemExit(0 if sound and not (verdict.lost or verdict.doubled or verdict.stale) else 1)


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
    for name in soak.missing():
        click.echo(f"hit fewer than {HITS} times: {name}")
    for line in (*soak.trouble, *soak.verdict.lost, *soak.verdict.doubled, *soak.verdict.stale):
        click.echo(f"! {line}")


if __name__ == "__main__":
    main()
