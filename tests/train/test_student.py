import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import batches
from repro.losses import CE, DKD, KD
from repro.outputs import Batch, Outputs
from repro.spec import Optim
from repro.train.evaluate import predict
from repro.train.student import Student, end_epoch, evaluate
from repro.train.teacher import LiveTeacher
from repro.train.weights import initial, load_half, save_half
from tests import tiny

ONE_EPOCH = replace(tiny.STREAM, epochs=1)


@dataclass(frozen=True, kw_only=True)
class Spy:
    """The mean label as its only term; keeps what it was given."""

    ce_weight: float = 1.0
    seen: list[tuple[Outputs, Outputs, Batch]] = field(default_factory=list, hash=False)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        self.seen.append((student, teacher, batch))
        return {"ce": 0 * student.logits.sum() + batch.labels.float().mean()}


def first_batch(size: int = 16) -> Batch:
    batch = next(batches(tiny.cohort_data().training, tiny.STREAM, 0, 0))
    return Batch(batch.images[:size], batch.labels[:size], batch.indices[:size], batch.views[:size])


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def train_epoch(student: Student, epoch: int = 0) -> dict[str, float | list[float]]:
    data = tiny.cohort_data()
    student.begin_epoch(epoch)
    for batch in batches(data.training, student.run.stream, student.run.trial, epoch):
        student.learn(batch, tiny.sure_teacher(batch))
    return end_epoch([student], epoch, len(data.training.labels), data.evaluation)[student.key]


def test_two_steps_equal_momentum_and_weight_decay_by_hand() -> None:
    optim = Optim(lr=0.1, momentum=0.8, weight_decay=0.02, milestones=())
    student = tiny.student(tiny.run("kd", optim=optim))
    by_hand = copy.deepcopy(student.model).train()
    parameters = list(by_hand.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    batch = first_batch()
    teacher = tiny.sure_teacher(batch)
    student.begin_epoch(0)
    for _ in range(2):
        student.learn(batch, teacher)
        logits = by_hand(batch.images).logits
        p, q = (F.softmax(z / 4, dim=1) for z in (logits, teacher.logits))
        divergence = (q * (q.log() - p.log())).sum(1).mean()
        objective = 0.1 * F.cross_entropy(logits, batch.labels) + 0.9 * 16 * divergence
        gradients = torch.autograd.grad(objective, parameters)
        with torch.no_grad():
            for parameter, v, gradient in zip(parameters, velocity, gradients, strict=True):
                v.mul_(0.8).add_(gradient + 0.02 * parameter)
                parameter.sub_(0.1 * v)
    for ours, expected in zip(student.model.parameters(), parameters, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


def test_the_reported_loss_is_the_sum_of_the_reported_terms() -> None:
    metrics = train_epoch(tiny.student(tiny.run("dkd")))
    terms = [metrics[f"train/{name}"] for name in ("ce", "tckd", "nckd")]
    assert all(isinstance(term, float) and term > 0 for term in terms)
    assert metrics["train/loss"] == pytest.approx(sum(terms), rel=1e-5)


def test_the_loss_of_an_epoch_is_that_of_its_warm_up() -> None:
    student = tiny.student(tiny.run(loss=DKD(warmup_epochs=4)))
    weights = []
    for epoch in range(3):
        student.begin_epoch(epoch)
        weights.append(student.loss.alpha)
    assert weights == [0.25, 0.5, 0.75]
    assert student.run.loss.alpha == 1


def test_epoch_means_weigh_every_image_alike() -> None:
    """The labels are balanced, so their mean over 70 images is 4.5; over 3 batches it is not."""
    spy = Spy()
    metrics = train_epoch(tiny.student(tiny.run(loss=spy)))
    sizes = [len(batch.labels) for _, _, batch in spy.seen]
    means = [batch.labels.float().mean().item() for _, _, batch in spy.seen]
    assert sizes == [32, 32, 6]
    assert metrics["train/ce"] == pytest.approx(4.5, rel=1e-6)
    assert sum(means) / 3 != pytest.approx(4.5, rel=1e-3)
    hits = sum(int((s.logits.argmax(1) == b.labels).sum()) for s, _, b in spy.seen)
    assert metrics["train/top1"] == pytest.approx(100 * hits / 70, rel=1e-6)


def test_sums_start_anew_every_epoch() -> None:
    student = tiny.student(tiny.run(loss=Spy()))
    train_epoch(student, 0)
    assert train_epoch(student, 1)["train/ce"] == pytest.approx(4.5, rel=1e-6)


def test_histograms_count_every_image_once() -> None:
    metrics = train_epoch(tiny.student(tiny.run("cmkd")))
    assert isinstance(metrics["difficulty"], list)
    assert len(metrics["difficulty"]) == 20
    assert sum(metrics["difficulty"]) == 70
    assert metrics["weight/pearson"] + metrics["weight/spearman"] == pytest.approx(1)


def test_only_the_last_epoch_rounds_the_parameters_to_half_precision() -> None:
    student = tiny.student(tiny.run(stream=replace(tiny.STREAM, epochs=2)))
    rounded = []
    for epoch in range(2):
        train_epoch(student, epoch)
        parameters = list(student.model.parameters())
        rounded.append(all(torch.equal(p, p.half().float()) for p in parameters))
    assert rounded == [False, True]


def test_the_reported_accuracy_is_that_of_the_stored_weights(tmp_path: Path) -> None:
    run = tiny.run("kd", stream=ONE_EPOCH)
    student = tiny.student(run)
    metrics = train_epoch(student)
    save_half(student.model, tmp_path / "weights.safetensors")
    loaded = load_half(run, tmp_path / "weights.safetensors", tiny.CPU)
    logits, labels = predict(loaded, tiny.cohort_data().evaluation())
    assert student.test_logits is not None
    assert torch.equal(logits, student.test_logits)
    hits = (logits.argmax(1) == labels).float().mean().item()
    assert metrics["test/top1"] == pytest.approx(100 * hits, rel=1e-6)
    assert metrics["test/loss"] == F.cross_entropy(logits, labels).item()


def test_evaluation_moves_no_statistic_and_training_does() -> None:
    student = tiny.student(tiny.run())
    before = statistics(student.model)
    student.begin_epoch(0)
    student.learn(first_batch(), tiny.sure_teacher(first_batch()))
    trained = statistics(student.model)
    assert not tiny.same(before, trained)
    evaluate([student], tiny.cohort_data().evaluation)
    assert tiny.same(trained, statistics(student.model))


def test_training_goes_on_in_training_mode_after_an_evaluation() -> None:
    student = tiny.student(tiny.run())
    evaluate([student], tiny.cohort_data().evaluation)
    assert not student.model.training
    student.begin_epoch(1)
    assert student.model.training


def test_the_teacher_stays_as_it_is_and_gets_no_gradient() -> None:
    model = initial(tiny.TEACHER, tiny.CPU).train()
    teacher = LiveTeacher(model, "fp32")
    networks = {"given": model, "folded": teacher.model}
    before = {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}
    student = tiny.student(tiny.run("kd"))
    student.begin_epoch(0)
    outputs = teacher(first_batch())
    student.learn(first_batch(), outputs)
    assert not outputs.logits.requires_grad
    assert not outputs.features[0].requires_grad
    assert all(p.grad is None and not p.requires_grad for p in teacher.model.parameters())
    assert all(tiny.same(before[name], networks[name].state_dict()) for name in networks)


def test_the_teacher_answers_as_in_evaluation() -> None:
    model = initial(tiny.TEACHER, tiny.CPU)
    batch = first_batch()
    expected = model.eval()(batch.images).logits
    logits = LiveTeacher(model.train(), "fp32")(batch).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_losses_run_in_float32_under_bfloat16() -> None:
    spy = Spy()
    student = tiny.student(tiny.run(loss=spy, precision="bf16"))
    teacher = LiveTeacher(initial(tiny.TEACHER, tiny.CPU), "bf16")
    student.begin_epoch(0)
    student.learn(first_batch(), teacher(first_batch()))
    outputs, teacher_outputs, _ = spy.seen[0]
    assert outputs.logits.dtype == teacher_outputs.logits.dtype == torch.float32
    assert outputs.features[-1].dtype == teacher_outputs.features[-1].dtype == torch.bfloat16
    assert student.sums["train/ce"].dtype == torch.float32
    assert {p.dtype for p in student.model.parameters()} == {torch.float32}


def test_bfloat16_trains_to_other_finite_numbers() -> None:
    metrics = {
        precision: train_epoch(tiny.student(tiny.run("kd", precision=precision, stream=ONE_EPOCH)))
        for precision in ("fp32", "bf16")
    }
    half, full = metrics["bf16"]["train/loss"], metrics["fp32"]["train/loss"]
    assert half == pytest.approx(full, rel=0.05)
    assert half != full


@pytest.mark.parametrize("loss", [CE(), KD()])
def test_learning_the_same_batch_lowers_its_loss(loss: CE | KD) -> None:
    student = tiny.student(tiny.run(loss=loss))
    batch = first_batch(32)
    losses = []
    for _ in range(8):
        student.begin_epoch(0)
        student.learn(batch, tiny.sure_teacher(batch))
        losses.append(student.sums["train/loss"].item())
    assert losses[-1] < 0.95 * losses[0]


def test_a_loaded_state_is_the_saved_one() -> None:
    student, other = tiny.student(tiny.run()), tiny.student(tiny.run(trial=2))
    train_epoch(student)
    assert not tiny.same(student.state(), other.state())
    other.load_state(tiny.copy_state(student))
    assert tiny.same(student.state(), other.state())
    momenta = [name for name in student.state() if name.startswith("momentum.")]
    assert len(momenta) == len(list(student.model.parameters()))


def test_a_state_of_another_network_is_refused() -> None:
    state = tiny.student(tiny.run(network="resnet14")).state()
    with pytest.raises(RuntimeError):
        tiny.student(tiny.run()).load_state(state)
