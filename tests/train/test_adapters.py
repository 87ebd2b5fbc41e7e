"""What is trained beside a student: its first weights, its probe, and what is planned for it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from repro.losses import Loss, named
from repro.outputs import Outputs
from repro.plan import Cohort, plan, teacher_use
from repro.spec import key
from repro.train import adapters
from repro.train.adapters import initial_adapter, probe_batch
from repro.train.weights import initial
from tests import tiny

DATA = tiny.cohort_data()


def adapter(method: str, trial: int = 1) -> nn.Module:
    run = tiny.run(method, trial=trial)
    outputs = tiny.live_teacher()(probe_batch(DATA.training, run.stream))
    found = initial_adapter(run, outputs, DATA.training.labels, tiny.CPU)
    assert found is not None
    return found


def weights(module: nn.Module) -> list[torch.Tensor]:
    return list(module.parameters())


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(weights(first), weights(second), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_first_weights_are_those_of_the_trial_and_the_same_with_a_plug_in() -> None:
    assert same(adapter("fitnet"), adapter("fitnet"))
    assert same(adapter("fitnet"), adapter("fitnet+cmkd"))
    assert not same(adapter("fitnet"), adapter("fitnet", trial=2))


def test_making_an_adapter_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    adapter("crd")
    assert torch.equal(before, torch.get_rng_state())


def test_the_probe_is_the_first_images_as_they_are() -> None:
    probe = probe_batch(DATA.training, tiny.STREAM)
    assert probe.indices.tolist() == list(range(70))
    middle = DATA.training.padded[:, 4:-4, 4:-4].permute(0, 3, 1, 2) / 255.0
    expected = (middle - DATA.training.mean.view(3, 1, 1)) / DATA.training.std.view(3, 1, 1)
    torch.testing.assert_close(probe.images, expected)
    # its view is the one that a bank has of an image in the middle
    assert set(probe_batch(DATA.training, replace(tiny.STREAM, augment="none")).views.tolist()) == {
        0
    }
    assert set(probe.views.tolist()) == {4 * 9 + 4}


def test_an_adapter_is_made_for_the_maps_that_its_student_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Digits are smaller than CIFAR's images, and so are their maps."""
    given: list[Outputs] = []

    def remember(_loss: Loss, student: Outputs, _teacher: Outputs, _labels: Tensor) -> None:
        given.append(student)

    monkeypatch.setattr(adapters, "adapter_of", remember)
    run = tiny.run("fitnet")
    probe = probe_batch(DATA.training, run.stream)
    initial_adapter(run, tiny.live_teacher()(probe), DATA.training.labels, tiny.CPU)
    own = initial(run, tiny.CPU)(probe.images)
    shapes = [[maps.shape[1:] for maps in outputs.features] for outputs in (given[0], own)]
    assert shapes[0] == shapes[1]
    assert given[0].logits.shape[1:] == own.logits.shape[1:]


def test_a_method_without_an_adapter_has_none() -> None:
    outputs = tiny.live_teacher()(probe_batch(DATA.training, tiny.STREAM))
    for method in ("kd", "at", "kd+cmkd", "kd+ls"):
        run = tiny.run(method)
        assert initial_adapter(run, outputs, DATA.training.labels, tiny.CPU) is None


def test_feature_methods_logit_methods_and_second_views_are_cohorts_of_their_own() -> None:
    methods = ("kd", "fitnet", "cmkd", "mlkd", "crd+cmkd", "ce")
    runs = [tiny.run(method) for method in methods]
    (cohorts,) = plan(runs, {key(tiny.TEACHER)}, {})
    grouped = {tuple(run.method for run in cohort.runs) for cohort in cohorts}
    assert grouped == {("kd", "cmkd", "ce"), ("fitnet", "crd+cmkd"), ("mlkd",)}


def test_only_first_views_of_logit_methods_can_be_looked_up() -> None:
    def looked_up(method: str) -> bool:
        return teacher_use(Cohort((tiny.run(method),))) is not None

    assert looked_up("kd")
    assert looked_up("ctkd")
    assert not looked_up("fitnet")
    assert not looked_up("mlkd")
    assert named("mlkd").second_view  # type: ignore[attr-defined]
