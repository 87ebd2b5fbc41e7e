"""What keeps results from being recorded: what is recorded already would be wrong then, or go."""

from collections.abc import Iterable
from pathlib import Path

from repro.archives import (
    ENDING,
    FOLDER,
    archives,
    held,
    keys_in,
    opened,
    weight_archives,
    weights_beside,
)
from repro.errors import UserError
from repro.failures import failed_records
from repro.results import GridResults
from repro.spec import key


def check_new(results: GridResults, folder: Path = FOLDER, *, replace: bool = False) -> Path:
    """Where the archive goes.

    Raises UserError for results that are recorded ones; where another archive has all of their runs
    (grids share runs), or other trainings of one: students would stand beside a teacher that did
    not teach them; and where the archive in whose place it comes has runs that are not here or,
    unless ``replace``, other trainings of them.
    """
    if results.recorded:
        raise UserError(f"{results.runs_dir} holds recorded results; they are there already")
    path = path_of(results, folder)
    own = {key(run): status_of(results.runs_dir, key(run)) for run in results.runs}
    others = {other: dict(held(other)) for other in archives(folder) if other != path}
    for other, known in others.items():
        if own.keys() <= known.keys():
            raise UserError(
                f"{other.name} has every run of {results.grid}, profile {results.profile.name}, "
                "already; `repro record GRID --profile NAME` names other ones"
            )
        _check_same(own, known, other)
    for other in weight_archives(folder):
        if other != weights_beside(path):
            _check_networks(results, other)
    if path.exists():
        known = dict(held(path))
        _check_replaced(results, own, known, path)
        again = [k for k in own.keys() & known.keys() if known[k] != own[k]]
        if again and not replace:
            raise UserError(
                f"{path.name} holds other trainings of {len(again)} of these runs; --replace "
                "puts yours in their place"
            )
    return path


def _check_same(own: dict[str, bytes], known: dict[str, bytes], where: Path) -> None:
    again = [k for k in own if k in known and known[k] != own[k]]
    if again:
        raise UserError(
            f"{where.name} holds other trainings of {len(again)} of these runs ({again[0][:12]}, "
            "...): record from a --runs-dir that `repro campaign` began, or delete that archive"
        )


def _check_networks(results: GridResults, where: Path) -> None:
    own = {key(run): results.record(run).weights for run in results.runs}
    with opened(where) as archive:
        for member in archive:
            path, file = own.get(Path(member.name).parts[1]), archive.extractfile(member)
            if path and file and path.exists() and file.read() != path.read_bytes():
                raise UserError(
                    f"{where.name} holds another network of {path.parent.name[:12]}: record from a "
                    "--runs-dir that `repro campaign` began, or delete that archive"
                )


def check_kept(path: Path, names: Iterable[str], elsewhere: set[str], networks: set[str]) -> None:
    """Would what the archive has besides runs be there after it was replaced?

    ``names``: of the new one's files; ``elsewhere``: keys that other archives hold; ``networks``:
    keys whose weights come. Raises UserError where measurements, logits or weights would go.
    """
    if not path.exists():
        return
    with opened(path) as archive:
        lost = {_what(n) for n in archive.getnames()} - {_what(name) for name in names}
    gone = len([k for k, _ in lost if k not in elsewhere])
    own = weights_beside(path)
    others = {k for p in weight_archives(path.parent) if p != own for k in keys_in(p)}
    fewer = len(keys_in(own) - networks - others) if own.exists() else 0
    if gone or fewer:
        raise UserError(
            f"{path.name} holds {gone} measurements and logits and {fewer} networks that would go; "
            "--replace lets them"
        )


def _what(name: str) -> tuple[str, str]:
    """Key and kind of a file: a measurement is one whatever its parameters."""
    parts = Path(name).parts
    kind = name.rpartition("-")[0] if parts[0] == "measured" else name
    return (parts[1] if len(parts) > 1 else "", kind)


def _check_replaced(
    results: GridResults, own: dict[str, bytes], known: dict[str, bytes], path: Path
) -> None:
    lost = known.keys() - own.keys() - {record.key for record in failed_records(results)}
    if lost:
        raise UserError(
            f"{path.name} holds {len(lost)} runs that are not finished in {results.runs_dir}: "
            "finish them there (`repro campaign` takes recorded ones in), or delete that archive"
        )
    again = [k for k in teachers_of(results) & known.keys() if known[k] != own[k]]
    beside = list(path.parent.glob(f"*-{results.profile.name}{ENDING}"))
    if again and len(beside) > 1:
        raise UserError(
            f"{path.name} holds other trainings of {len(again)} teachers, of which other archives "
            "may hold students: record from a --runs-dir that `repro campaign` began"
        )


def teachers_of(results: GridResults) -> set[str]:
    return {key(run) for run in results.runs if not run.teacher}


def status_of(runs_dir: Path, k: str) -> bytes:
    return (runs_dir / "records" / k / "status.json").read_bytes()


def path_of(results: GridResults, folder: Path) -> Path:
    return folder / f"{results.grid}-{results.profile.name}{ENDING}"
