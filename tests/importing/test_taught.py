"""``--imported`` puts a teacher from elsewhere in the place of the grid's own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro import importing
from repro.choice import Choice
from repro.data.dataset import Dataset
from repro.errors import UserError
from repro.grid import expand
from repro.importing import imported_run
from repro.plan import plan
from repro.profiles import PROFILES, Profile
from repro.records import Record, Records
from repro.request import Request
from repro.results import GridResults, grid_results
from repro.spec import Run, Stream, canonical, decode, encode, key
from tests.cli.invoke import error_of, files, repro
from tests.importing import suites
from tests.made_results import finished

NAME = "0123456789abcdef" * 4
TEACHER = imported_run("resnet20", NAME)
PAPER, QUICK = PROFILES["paper"], PROFILES["quick"]
WITH = Choice(imported=(TEACHER,))
WORDS = ("cifar-same", "--profile", "quick", "--device", "cpu", "--trials", "1")


def test_its_key_is_the_hash_of_its_weights() -> None:
    assert key(TEACHER) == NAME
    assert key(replace(TEACHER, stream=QUICK.stream, trial=3)) == NAME
    assert decode(json.loads(json.dumps(encode(TEACHER)))) == TEACHER
    assert "weights" not in encode(replace(TEACHER, weights=""))


@pytest.mark.parametrize("weights", ["x", "../" + NAME[3:], NAME[:63], NAME.upper(), NAME + "\n"])
def test_a_key_that_is_no_hash_is_refused(weights: str) -> None:
    """It becomes a directory's name, and records may come from elsewhere."""
    with pytest.raises(UserError, match="weights must be 64 hex digits"):
        replace(TEACHER, weights=weights)


def test_it_stands_in_the_place_of_the_grid_s_own_teacher() -> None:
    own, changed = expand("cifar-same", QUICK), expand("cifar-same", QUICK, WITH)
    assert [(r.pair, r.method, r.trial) for r in own] == [
        (r.pair, r.method, r.trial) for r in changed
    ]
    assert changed[0] == TEACHER
    for before, after in zip(own[1:], changed[1:], strict=True):
        assert after == replace(before, teacher=TEACHER)
        taught = after.method != "ce"
        assert (f'"teacher":"{NAME}"' in canonical(after)) == taught
        assert (key(after) != key(before)) == taught  # a baseline learns from nobody


def test_other_teachers_of_the_grid_stay() -> None:
    choice = Choice(imported=(imported_run("resnet56", NAME),))
    own, changed = expand("cifar-same", PAPER), expand("cifar-same", PAPER, choice)
    pairs = {a.pair for a, b in zip(own, changed, strict=True) if key(a) != key(b)}
    assert pairs == {"resnet56", "resnet56:resnet20"}


def test_it_is_never_trained() -> None:
    runs = expand("cifar-same", QUICK, WITH)
    (wave,) = plan(runs, {NAME}, {})
    assert TEACHER not in [run for cohort in wave for run in cohort.runs]


def test_a_network_that_teaches_nobody_in_the_grid_is_told() -> None:
    choice = Choice(imported=(imported_run("resnet8", NAME),))
    with pytest.raises(
        UserError, match=r"^unknown teacher of the grid 'resnet8'; known: resnet20$"
    ):
        expand("cifar-same", QUICK, choice)
    narrowed = Choice(imported=(TEACHER,), pairs=("vgg13:vgg8",))
    with pytest.raises(UserError, match=r"^unknown teacher of the grid 'resnet20'; known: vgg13$"):
        expand("cifar-same", QUICK, narrowed)


def test_digits_have_no_imported_teacher() -> None:
    choice = Choice(imported=(imported_run("resnet14", NAME),))
    with pytest.raises(UserError, match="the imported resnet14 knows cifar100, not digits"):
        expand("demo", PROFILES["demo"], choice)


def test_what_it_may_have_seen_is_not_held_out() -> None:
    with pytest.raises(UserError, match="--held-out: an imported teacher may have learned"):
        Choice(imported=(TEACHER,), split="tune")


@pytest.fixture(scope="module")
def imported(checkpoint: Path, images: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory with the resnet20 imported."""
    runs_dir = tmp_path_factory.mktemp("imported")
    request = Request(grid="imported", profile="paper", device="cpu", runs_dir=runs_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "load_datasets", lambda *_: {"cifar100": images})
        importing.import_teacher(checkpoint, "resnet20", request=request, expect=70.0, say=print)
    return runs_dir


@pytest.fixture
def record(imported: Path, cifar: Dataset, elsewhere: Path) -> Record:  # noqa: ARG001
    """The imported resnet20 in ``elsewhere``."""
    shutil.copytree(imported, elsewhere)
    (directory,) = (elsewhere / "records").iterdir()
    return Record(directory)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Profile quick on the made images, of which it evaluates on the first of each class."""
    profile = replace(QUICK, stream=Stream(epochs=1), teacher_epochs=0)
    monkeypatch.setitem(PROFILES, "quick", profile)
    return profile


@pytest.mark.parametrize("digits", [8, 64])
@pytest.mark.usefixtures("small")
def test_students_are_trained_under_it(digits: int, record: Record, elsewhere: Path) -> None:
    before = files(record.directory)
    words = (*WORDS, "--methods", "ce,kd,fitnet", "--imported", record.key[:digits])
    for _ in range(2):  # the second time finds everything finished
        result = repro("run", *words, "--runs-dir", elsewhere)
        assert result.exit_code == 0, result.output
    assert result.output == "grid cifar-same, profile quick: 4 runs, 4 finished\n"
    assert files(record.directory) == before
    runs = [r.run() for r in Records(elsewhere) if r.key != record.key]
    assert {(run.pair, run.method) for run in runs} == {
        ("resnet20:resnet8", method) for method in ("ce", "kd", "fitnet")
    }
    assert {key(run.teacher) for run in runs if run.teacher} == {record.key}
    plan = repro("plan", *words, "--runs-dir", elsewhere)
    assert "4 runs: 4 FINISHED" in plan.output


@pytest.mark.usefixtures("small")
def test_without_it_the_grid_has_its_own_teacher(record: Record, elsewhere: Path) -> None:
    words = (*WORDS, "--methods", "kd", "--runs-dir", elsewhere)
    assert "2 runs: 2 new" in repro("plan", *words).output
    assert "2 runs: 1 FINISHED, 1 new" in repro("plan", *words, "--imported", record.key).output


def shown(*words: str | Path) -> dict[str, list[str]]:
    result = repro("show-run", *words)
    assert result.exit_code == 0, result.output
    cells = [line.strip().split(maxsplit=2) for line in result.output.splitlines() if line.strip()]
    return {name: rest for name, *rest in cells}


def test_show_run_tells_where_a_teacher_is_from(record: Record, elsewhere: Path) -> None:
    place = ("--runs-dir", elsewhere)
    student = shown(*WORDS, "--methods", "kd", "--imported", record.key[:8], *place)
    assert student["teacher"] == [record.key[:12], "command line"]
    itself = shown(record.key[:8], *place)
    assert itself["imported"] == ["from", "resnet20_last.pth"]
    assert "".join(itself["weights"]).startswith(record.key[:20])
    assert "optim.lr" not in itself  # nobody knows how it was trained


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("resnet20", "--imported takes keys, or their first 8 digits or more, not 'resnet20'"),
        ("abcdef1", "--imported takes keys, or their first 8 digits or more, not 'abcdef1'"),
        ("00000000", "no run in {runs_dir} has a key that starts with 00000000"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "show-run"])
def test_a_wrong_key_is_named(command: str, word: str, message: str, elsewhere: Path) -> None:
    result = repro(command, *WORDS, "--imported", word, "--runs-dir", elsewhere)
    assert error_of(result) == message.format(runs_dir=elsewhere)
    assert not elsewhere.exists()


def test_a_run_that_was_trained_here_is_not_imported(elsewhere: Path) -> None:
    run = expand("cifar-same", QUICK)[0]
    Records(elsewhere).of(key(run)).create(run, {})
    result = repro("plan", *WORDS, "--imported", key(run)[:9], "--runs-dir", elsewhere)
    assert error_of(result) == (
        f"run {key(run)[:9]} (resnet20 teacher) was trained here, not imported"
    )


@pytest.mark.parametrize("damage", ["a bit", "cut", "no weights", "no status"])
def test_damaged_weights_are_no_teacher(damage: str, record: Record, elsewhere: Path) -> None:
    content = bytearray(record.weights.read_bytes())
    if damage == "a bit":
        content[-1] ^= 1
        record.weights.write_bytes(content)
    elif damage == "cut":
        record.weights.write_bytes(content[:-9])
    else:
        (record.weights if damage == "no weights" else record.directory / "status.json").unlink()
    result = repro("plan", *WORDS, "--imported", record.key, "--runs-dir", elsewhere)
    assert error_of(result) == (
        f"{record.directory} is damaged: remove it and import the teacher again"
    )


def test_two_teachers_of_one_network_are_one_too_many(
    record: Record, elsewhere: Path, tmp_path: Path
) -> None:
    other = suites.save(suites.state_dict("resnet20", seed=1), tmp_path / "1.pth")
    words = ("--network", "resnet20", "--device", "cpu", "--runs-dir", elsewhere)
    measured = error_of(repro("import-teacher", other, *words)).split()[2]
    assert repro("import-teacher", other, *words, "--expect", measured).exit_code == 0
    keys = [kept.key for kept in Records(elsewhere)]
    result = repro("plan", *WORDS, "--imported", ",".join(keys), "--runs-dir", elsewhere)
    assert error_of(result) == "--imported names two teachers that are a resnet20: leave one"
    twice = f"{record.key},{record.key[:9]}"
    assert repro("plan", *WORDS, "--imported", twice, "--runs-dir", elsewhere).exit_code == 0


def results(table: pd.DataFrame, runs_dir: Path, profile: Profile, *teachers: Run) -> GridResults:
    return grid_results("cifar-same", profile, runs_dir, runs_dir, table, teachers)


def test_results_show_its_students_and_say_that_it_is_imported(
    record: Record, elsewhere: Path
) -> None:
    teacher = record.run()
    mine = expand("cifar-same", QUICK, Choice(imported=(teacher,)))
    own = expand("cifar-same", QUICK)
    table = finished(*mine, *own[1:])
    found = results(table, elsewhere, QUICK, teacher)
    assert set(map(key, found.runs)) == set(map(key, mine))
    assert found.teacher("resnet20:resnet8") == teacher
    assert found.marks == (QUICK.mark, "Teacher resnet20: imported (resnet20_last.pth)")
    without = results(table, elsewhere, QUICK)
    assert set(map(key, without.runs)) == set(map(key, own[1:]))
    assert without.marks == (QUICK.mark,)


def test_bf16_students_keep_their_imported_teacher(record: Record, elsewhere: Path) -> None:
    teacher = record.run()
    mine = expand("cifar-same", QUICK, Choice(imported=(teacher,), precision="bf16"))
    found = results(finished(*mine), elsewhere, QUICK, teacher)
    assert set(map(key, found.runs)) == set(map(key, mine))


@pytest.mark.parametrize("per_class", [0, 1])
def test_its_test_logits_are_those_of_the_profile_s_images(
    per_class: int, record: Record, elsewhere: Path, cifar: Dataset
) -> None:
    profile = replace(QUICK, stream=replace(QUICK.stream, test_per_class=per_class))
    found = results(finished(record.run()), elsewhere, profile, record.run())
    vars(found)["dataset"] = cifar  # in the place of the one on disk
    whole = np.load(record.test_logits)["logits"].astype(np.float32)
    labels = cifar.test.labels.tolist()
    first = sorted(labels.index(label) for label in set(labels))
    expected = whole[first] if per_class else whole
    assert 0 < len(first) < len(whole)
    assert np.array_equal(found.test_logits(record.run()), expected)


@pytest.mark.parametrize("command", ["tables", "figures"])
def test_tables_and_figures_want_the_grid_that_it_taught(
    command: str, record: Record, elsewhere: Path
) -> None:
    result = repro(command, "--imported", record.key, "--runs-dir", elsewhere)
    assert error_of(result) == "--imported needs the GRID whose students they taught"
