"""A teacher is kept if it is as accurate as somebody says, and then it is a finished run."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.data.batches import evaluation_batches
from repro.data.dataset import Dataset
from repro.importing import Expected, expectation, imported_run
from repro.records import Records
from repro.spec import encode, key
from repro.train.evaluate import predict
from repro.train.foreign import Foreign, fitted, read_foreign
from repro.train.weights import load_half, weights_key
from tests.cli.invoke import error_of, files, repro
from tests.importing import made, suites
from tests.tiny import CPU


def bring(checkpoint: Path, runs_dir: Path, *words: str):
    given = ("--network", "resnet20", "--device", "cpu", "--runs-dir", runs_dir)
    return repro("import-teacher", checkpoint, *given, *words)


def test_a_finished_run_is_kept(checkpoint: Path, cifar: Dataset, elsewhere: Path) -> None:
    result = bring(checkpoint, elsewhere, "--expect", "70.2", "--profile", "quick")
    assert result.exit_code == 0, result.output
    stored = fitted(read_foreign(checkpoint), "resnet20")
    name = weights_key("resnet20", stored)
    assert result.output.splitlines() == [
        "measuring resnet20 on CIFAR-100's test split",
        "resnet20: top-1 70.00 on CIFAR-100's test split, expected 70.20 (--expect)",
        f"kept as {name[:12]}: `repro run GRID --imported {name[:12]}`",
    ]
    record = Records(elsewhere).of(name)
    run = record.run()
    assert run == imported_run("resnet20", name)
    assert key(run) == name
    assert encode(run)["weights"] == name
    status = record.status()
    assert status is not None
    assert status.state == "FINISHED"
    final = dict(status.final)
    assert {n: v for n, v in final.items() if "top1" in n} == {
        f"final/top1_{which}": pytest.approx(70.0) for which in ("last", "best", "last10")
    }
    tags = {"grid": "imported", "profile": "quick", "method": "teacher", "pair": "resnet20"}
    assert tags.items() <= record.tags().items()
    assert record.tags()["dataset"] == "cifar100"
    environment = record.read_json("environment.json")
    assert environment["source_file"] == "resnet20_last.pth"
    assert environment["source_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert environment["expected_top1"] == 70.2
    for path in record.directory.iterdir():
        assert str(checkpoint.parent).encode() not in path.read_bytes()
    model = load_half(run, record.weights, CPU)
    logits, labels = predict(model, evaluation_batches(cifar.test, cifar.mean, cifar.std, CPU))
    assert np.array_equal(np.load(record.test_logits)["logits"], logits.half().numpy())
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert final["final/test_loss_last"] == pytest.approx(loss)


@pytest.mark.usefixtures("cifar")
def test_the_same_weights_are_imported_once(
    checkpoint: Path, elsewhere: Path, tmp_path: Path
) -> None:
    assert bring(checkpoint, elsewhere, "--expect", "70").exit_code == 0
    before = files(elsewhere)
    other = suites.save(suites.mdistiller("resnet20", best_acc=12.0), tmp_path / "best")
    for path in (checkpoint, other):
        result = bring(path, elsewhere, "--expect", "1")
        assert result.exit_code == 0
        assert result.output.startswith(f"{path.name} is here already as resnet20 ")
        assert result.output.endswith(": nothing changes\n")
    assert files(elsewhere) == before


@pytest.mark.usefixtures("cifar")
def test_an_import_that_was_cut_short_is_done_again(checkpoint: Path, elsewhere: Path) -> None:
    assert bring(checkpoint, elsewhere, "--expect", "70").exit_code == 0
    (directory,) = (elsewhere / "records").iterdir()
    kept = files(elsewhere).keys()
    for name in ("status.json", "weights.safetensors", "test_logits.npz"):
        (directory / name).unlink()
    assert bring(checkpoint, elsewhere, "--expect", "70").exit_code == 0
    assert files(elsewhere).keys() == kept
    assert Records(elsewhere).state(directory.name) == "FINISHED"


@pytest.mark.usefixtures("cifar")
@pytest.mark.parametrize(
    ("claim", "words", "source"),
    [
        ({"best_acc": 70.4}, (), "70.40 (says the checkpoint)"),
        ({"best_acc": 0.696}, (), "69.60 (says the checkpoint)"),
        ({"accuracy": 30.0}, ("--expect", "69.5"), "69.50 (--expect)"),
    ],
)
def test_within_half_a_point_it_is_accepted(
    claim: dict[str, float], words: tuple[str, ...], source: str, tmp_path: Path, elsewhere: Path
) -> None:
    path = suites.save(suites.repdistiller("resnet20", **claim), tmp_path / "x.pth")
    result = bring(path, elsewhere, *words)
    assert result.exit_code == 0, result.output
    assert f"expected {source}\n" in result.output


@pytest.mark.usefixtures("cifar")
@pytest.mark.parametrize(
    ("claim", "words", "source"),
    [
        ({"best_acc": 70.6}, (), "70.60 (says the checkpoint)"),
        ({"best_acc": 0.694}, (), "69.40 (says the checkpoint)"),
        ({"best_acc": 70.0}, ("--expect", "72"), "72.00 (--expect)"),
        ({}, (), "69.06 (published by HobbitLong/RepDistiller)"),
    ],
)
def test_farther_off_it_is_refused_with_both_numbers_and_the_way_out(
    claim: dict[str, float], words: tuple[str, ...], source: str, tmp_path: Path, elsewhere: Path
) -> None:
    path = suites.save(suites.repdistiller("resnet20", **claim), tmp_path / "x.pth")
    assert error_of(bring(path, elsewhere, *words)) == (
        f"x.pth: top-1 70.00 on CIFAR-100's test split, but expected {source}, within 0.5; "
        "if it is right as measured, give --expect 70.00"
    )
    assert not elsewhere.exists()
    assert bring(path, elsewhere, "--expect", "70.00").exit_code == 0


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("resnet56", Expected(72.34, "published by HobbitLong/RepDistiller")),
        ("ResNet50", Expected(79.34, "published by HobbitLong/RepDistiller")),
        ("resnet20", Expected(69.06, "published by HobbitLong/RepDistiller")),  # trained alone
    ],
)
def test_the_published_accuracy_is_the_last_epoch_s(network: str, expected: Expected) -> None:
    assert expectation(Foreign("x", {}), network, None) == expected
    assert expectation(Foreign("x", {}, claimed=50.0), network, None).top1 == 50.0
    assert expectation(Foreign("x", {}, claimed=50.0), network, 60.0).top1 == 60.0


def test_of_some_networks_nothing_is_known() -> None:
    for network in ("resnet14", "wrn_28_2"):  # of the second nobody says which epoch
        assert math.isnan(expectation(Foreign("x", {}), network, None).top1)


@pytest.mark.parametrize(("top1", "accepted"), [(4.5, False), (5.0, False), (5.5, True)])
def test_where_nothing_is_known_five_times_chance_is_asked(
    top1: float, accepted: bool, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suites.save(suites.state_dict("resnet14"), tmp_path / "x.pth")
    images = made.dataset(path, "resnet14", top1)
    monkeypatch.setattr("repro.importing.load_datasets", lambda *_: {"cifar100": images})
    result = bring(path, elsewhere, "--network", "resnet14")
    found = f"top-1 {top1:.2f} on CIFAR-100's test split"
    if accepted:
        assert (
            f"\nresnet14: {found}; nothing is known to compare it with, above 5 it is accepted\n"
        ) in result.output
    else:
        assert error_of(result) == f"x.pth: {found}, which is chance or near it (up to 5)"
    assert elsewhere.exists() == accepted


def test_without_cifar_100_nothing_is_written(checkpoint: Path, elsewhere: Path) -> None:
    assert "CIFAR-100" in error_of(bring(checkpoint, elsewhere))
    assert not elsewhere.exists()


@pytest.mark.usefixtures("cifar")
def test_what_a_distiller_held_besides_is_told(tmp_path: Path, elsewhere: Path) -> None:
    path = suites.save(suites.mdistiller("resnet20"), tmp_path / "best")
    result = bring(path, elsewhere, "--expect", "70")
    left_out = len(list(suites.NAMES["resnet14"]())) + 1
    assert f"left out: {left_out} tensors that are not the student's\n" in result.output
