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
from pathlib import Path

from mutant_list import LEARNING, Mutant  # beside this file
from mutant_list_evidence import EVIDENCE
from mutant_list_imported import IMPORTED
from mutant_list_kept import KEEPING
from mutant_list_methods import METHODS
from mutant_list_recorded import RECORDED

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("repro", "tests", "paper_tables", "figures", "pyproject.toml")
AT_ONCE = 2
TIMEOUT_SECONDS = 120

MUTANTS = (*LEARNING, *METHODS, *KEEPING, *IMPORTED, *EVIDENCE, *RECORDED)


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
            parts = [part for part in (files[::2], files[1::2]) if part]  # of none it runs all
            passed = list(pool.map(lambda part: passes(copy, part), parts))
    return all(passed)


def main(names: list[str]) -> int:
    mutants = [m for m in MUTANTS if not names or any(name in m.name for name in names)]
    if not mutants:
        print(f"no mutant is called like {' or '.join(names)}; see tests/mutant_list.py")
        return 2
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
