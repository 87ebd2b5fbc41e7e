"""Two processes on halves of each batch are one that averages the halves' gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from repro.data.batches import batches, epoch_views, parts, take
from repro.data.dataset import select
from repro.errors import UserError
from repro.runtime import Runtime
from repro.train.cohort import train_cohort
from repro.train.ranks import Ranks, Share, joined
from repro.train.step import make_cohort_step
from repro.train.student import Student, evaluate
from tests import tiny
from tests.launch.several import by_two

METHODS = ("ce", "kd", "fitnet")


def test_shares_are_even_and_leave_nothing_out() -> None:
    shares = [Ranks(rank, 3).share(slice(10, 20)) for rank in range(3)]
    assert [s.part for s in shares] == [slice(10, 13), slice(13, 16), slice(16, 20)]
    assert sum(s.images for s in shares) == 10
    # the mean over ranks of scale x mean loss is the mean over images
    assert sum(s.scale * 1 for s in shares) / 3 == pytest.approx(1)
    assert [s.scale for s in shares] == pytest.approx([0.9, 0.9, 1.2])


def test_fewer_images_than_ranks_are_seen_by_all() -> None:
    shares = [Ranks(rank, 3).share(slice(4, 6)) for rank in range(3)]
    assert shares == [Share(slice(4, 6), 2 / 3)] * 3


def test_each_evaluated_image_belongs_to_one_rank() -> None:
    rows = [i for rank in range(4) for i in Ranks(rank, 4).rows(10)]
    assert rows == list(range(10))


def two_processes(rank: int, folder: str) -> None:
    """One epoch of a cohort; rank 0 saves what it has learned."""
    ranks = joined(tiny.CPU)
    runtime = tiny.runtime(Path(folder), ranks=ranks)
    data = runtime.load_data(tiny.STREAM)
    students = [tiny.student(tiny.run(method)) for method in METHODS]
    for student in students:
        student.distribute(ranks)
    step = make_cohort_step(tiny.live_teacher(), data.training, ranks=ranks)
    report = next(train_cohort(students, step, data, 1))
    if rank == 0:
        found = [(s.state(), report.metrics[s.key], s.test_logits) for s in students]
        torch.save(found, Path(folder) / "found.pt")
    dist.destroy_process_group()


def buffers_of(student: Student) -> list[torch.Tensor]:
    return [buffer for module in student.modules for buffer in module.buffers()]


def one_process(method: str) -> tuple[Student, float]:
    """Halves forwarded apart, each with its own BatchNorm statistics (the first half's are kept),
    the mean of their gradients taken. Returns the mean training loss too."""
    student, data = tiny.student(tiny.run(method)), tiny.cohort_data()
    student.begin_epoch(0)
    views = epoch_views(tiny.STREAM, 1, 0, len(data.training.labels))
    total = 0.0
    for part in parts(len(data.training.labels), tiny.STREAM.batch_size):
        middle = part.start + (part.stop - part.start) // 2
        halves = [slice(part.start, middle), slice(middle, part.stop)]
        kept: list[torch.Tensor] = []
        gradients = []
        for number, half in enumerate(halves):
            buffers = [b.clone() for b in buffers_of(student)]
            batch = take(data.training, views[half])
            student.optimizer.zero_grad(set_to_none=True)
            loss = student.answer(batch, tiny.live_teacher()(batch))
            loss.backward()
            total += float(loss.detach()) * (half.stop - half.start)
            gradients.append({n: p.grad for n, p in student.parameters.items()})
            kept = kept or [b.clone() for b in buffers_of(student)]
            for buffer, value in zip(buffers_of(student), kept if number else buffers, strict=True):
                buffer.copy_(value)
        first, second = gradients
        for name, parameter in student.parameters.items():
            a, b = first[name], second[name]
            parameter.grad = None if a is None or b is None else (a + b) / 2
        student.optimizer.step()
    return student, total / len(data.training.labels)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("two")
    by_two(two_processes, str(folder))
    loaded: list[Any] = torch.load(folder / "found.pt", weights_only=True)
    return loaded


@pytest.mark.parametrize("number", range(len(METHODS)))
def test_two_processes_learn_what_one_does(found: list[Any], number: int) -> None:
    student, loss = one_process(METHODS[number])
    state, metrics, logits = found[number]
    mine = student.state()
    assert state.keys() == mine.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    assert metrics["train/loss"] == pytest.approx(loss, rel=1e-5)
    scores = evaluate([student], tiny.cohort_data().evaluation)[student.key]
    assert metrics["test/top1"] == pytest.approx(float(scores["test/top1"]))
    torch.testing.assert_close(logits, student.test_logits, rtol=1e-3, atol=1e-3)
    assert len(logits) == len(select(tiny.digits(), tiny.STREAM)[1])


def test_batches_of_halves_are_not_whole_batches() -> None:
    """The comparison can fail: BatchNorm of whole batches learns something else."""
    whole = tiny.student(tiny.run("ce"))
    whole.begin_epoch(0)
    for batch in batches(tiny.cohort_data().training, tiny.STREAM, 1, 0):
        whole.learn(batch, tiny.live_teacher()(batch))
    halves, _ = one_process("ce")
    a, b = whole.state(), halves.state()
    assert any(not torch.allclose(a[n], b[n], rtol=1e-4, atol=1e-5) for n in a)


def test_more_processes_than_evaluated_images_are_refused(tmp_path: Path) -> None:
    runtime = tiny.runtime(tmp_path, ranks=Ranks(0, 31))
    with pytest.raises(UserError, match="31 processes share 30 evaluated images: use fewer"):
        runtime.load_data(tiny.STREAM)


def test_alone_nothing_is_exchanged() -> None:
    assert joined(tiny.CPU).size == 1
    assert Runtime.__dataclass_fields__["ranks"].default.size == 1
