"""A student whose classifier an adapter replaces: trained, evaluated, stored, loaded, resumed."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from repro import jobs
from repro.errors import UserError
from repro.outputs import Outputs
from repro.runtime import Stopped
from repro.spec import Run
from repro.train import checkpoint
from repro.train.adapters import Deployed, deployed, initial_adapter, probe_batch
from repro.train.evaluate import predict, scores
from repro.train.student import round_to_half
from repro.train.teacher import LiveTeacher
from repro.train.weights import initial, load_half, save_half
from tests import tiny

METHODS = ("simkd", "kd+simkd")
STUDENTS = tuple(tiny.run(method) for method in METHODS)
RUNS = (tiny.TEACHER, *STUDENTS)
TICKS_AN_EPOCH = tiny.STEPS + 1  # one evaluated batch for all
every_student = pytest.mark.parametrize("run", STUDENTS, ids=METHODS)


@pytest.fixture(scope="module")
def with_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory in which the teacher is finished. Read only."""
    directory = tmp_path_factory.mktemp("teacher")
    tiny.train((tiny.TEACHER,), directory)
    return directory


@pytest.fixture(scope="module")
def finished(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs, trained without interruption. Read only."""
    directory = tmp_path_factory.mktemp("finished") / "runs"
    shutil.copytree(with_teacher, directory)
    assert tiny.train(RUNS, directory) == []
    return directory


def loaded(run: Run, directory: Path) -> Deployed:
    network = load_half(run, tiny.record(run, directory).weights, tiny.CPU)
    assert isinstance(network, Deployed)
    return network


@every_student
def test_the_stored_network_gives_the_recorded_logits_and_accuracy(
    finished: Path, run: Run
) -> None:
    record = tiny.record(run, finished)
    network = loaded(run, finished)
    assert not any(module.training for module in network.modules())
    logits, labels = predict(network, tiny.cohort_data().evaluation())
    assert np.array_equal(np.load(record.test_logits)["logits"], logits.half().numpy())
    last = record.history()[-1]["metrics"]
    assert {name: value.item() for name, value in scores(logits, labels).items()} == {
        name: last[name] for name in ("test/loss", "test/top1")
    }


@every_student
def test_the_classifier_of_the_stored_network_is_the_teachers(finished: Path, run: Run) -> None:
    teacher = load_half(tiny.TEACHER, tiny.record(tiny.TEACHER, finished).weights, tiny.CPU)
    images, _ = next(iter(tiny.cohort_data().evaluation()))
    with torch.no_grad():
        outputs, theirs = loaded(run, finished)(images), teacher(images)
    for mine, copied in zip(outputs.classifier, theirs.classifier, strict=True):
        assert torch.equal(mine, copied)
    weight, bias = outputs.classifier
    torch.testing.assert_close(outputs.logits, outputs.pooled @ weight.T + bias)


def test_without_its_adapter_the_network_answers_otherwise(finished: Path) -> None:
    """Its own classifier, which no term of SimKD reads, is as it was."""
    run = STUDENTS[0]
    network = loaded(run, finished)
    whole, _ = predict(network, tiny.cohort_data().evaluation())
    alone, _ = predict(network.model, tiny.cohort_data().evaluation())
    assert not torch.allclose(whole, alone)
    first = initial(run, tiny.CPU).get_parameter("classifier.weight")
    assert torch.equal(network.model.get_parameter("classifier.weight"), first.half().float())


@every_student
def test_the_projector_is_trained_and_stored_in_half_precision(finished: Path, run: Run) -> None:
    stored = safetensors.torch.load_file(tiny.record(run, finished).weights)
    adapter = {name: tensor for name, tensor in stored.items() if name.startswith("adapter.")}
    halves = {name for name, tensor in adapter.items() if tensor.dtype == torch.float16}
    network = loaded(run, finished)
    assert halves == {f"adapter.{name}" for name, _ in network.adapter.named_parameters()}
    assert {"adapter.weight", "adapter.bias"} <= adapter.keys() - halves
    # BatchNorms begin with weights 1 and biases 0
    assert (network.adapter.get_parameter("layers.0.1.bias") != 0).any()


@every_student
def test_a_checkpoint_holds_the_projector_and_its_momentum(finished: Path, run: Run) -> None:
    state, _ = checkpoint.load(tiny.record(run, finished).checkpoint)
    part = {"simkd": "", "kd+simkd": "1."}[run.method]
    names = [name for name in state if name.startswith(f"adapter.{part}layers.")]
    trained = [name for name in names if name.endswith(("weight", "bias"))]
    assert len(trained) == 9  # three convolutions, three norms
    assert all(state[f"momentum.{name}"].any() for name in trained)
    assert f"adapter.{part}weight" in state  # the teacher's classifier


def test_stopped_in_the_middle_of_an_epoch_then_equal_to_uninterrupted(
    with_teacher: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(shutil.copytree(with_teacher, tmp_path / "runs"))
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=tiny.Ticks(TICKS_AN_EPOCH + 2, Stopped("by a test")))
    for run in STUDENTS:
        assert checkpoint.load(tiny.record(run, directory).checkpoint)[1]["next_epoch"] == 1
    tiny.train(RUNS, directory)
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def test_under_bfloat16_the_maps_are_half_and_the_answers_are_not() -> None:
    student = tiny.student(tiny.run("simkd", precision="bf16"))
    images, _ = next(iter(tiny.cohort_data().evaluation()))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outputs: Outputs = student.network.eval()(images)
    assert outputs.maps is not None
    assert outputs.maps.dtype == torch.bfloat16
    assert outputs.logits.dtype == torch.float32


def test_an_adapter_that_the_run_does_not_have_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "key" / "weights.safetensors"
    path.parent.mkdir()
    save_half(tiny.student(STUDENTS[0]).network, path)
    for run in (tiny.run("kd"), tiny.TEACHER):
        with pytest.raises(UserError, match=r"cannot be read as weights of resnet8.*remove"):
            load_half(run, path, tiny.CPU)


def untrained(run: Run) -> nn.Module:
    """The run's network at its start, under an untrained teacher."""
    if run.teacher is None:
        return initial(run, tiny.CPU)
    data = tiny.cohort_data().training
    outputs = LiveTeacher(untrained(run.teacher), "fp32")(probe_batch(data, run.stream))
    adapter = initial_adapter(run, outputs, data.labels, tiny.CPU)
    return deployed(initial(run, tiny.CPU), adapter)


def test_a_deployed_student_can_teach_another(tmp_path: Path) -> None:
    """Its classifier is as wide as its own teacher's, not as its network's."""
    first = tiny.run("simkd", teacher=replace(tiny.TEACHER, network="wrn_16_2"))
    second = tiny.run("simkd", teacher=first)
    network = untrained(second)
    round_to_half(network)
    save_half(network, tmp_path / "weights")
    images, _ = next(iter(tiny.cohort_data().evaluation()))
    with torch.no_grad():
        expected: Outputs = network.eval()(images)
        found: Outputs = load_half(second, tmp_path / "weights", tiny.CPU)(images)
    assert expected.pooled is not None
    assert expected.pooled.shape[1] == 128  # of wrn_16_2
    assert torch.equal(expected.logits, found.logits)


def test_a_network_without_its_adapter_is_refused(tmp_path: Path) -> None:
    run = STUDENTS[0]
    save_half(initial(run, tiny.CPU), tmp_path / "weights")
    with pytest.raises(UserError, match="cannot be read as weights of resnet8"):
        load_half(run, tmp_path / "weights", tiny.CPU)
