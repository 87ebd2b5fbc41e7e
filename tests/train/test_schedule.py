import pytest

from repro.spec import Optim
from repro.train.schedule import learning_rate
from repro.train.student import end_epoch
from tests import tiny


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 0.05),
        (149, 0.05),
        (150, 0.005),
        (179, 0.005),
        (180, 0.0005),
        (209, 0.0005),
        (210, 0.00005),
        (239, 0.00005),
    ],
)
def test_the_rate_drops_from_epochs_150_180_and_210_on(epoch: int, rate: float) -> None:
    optim = Optim(lr=0.05, milestones=(150, 180, 210), decay=0.1)
    assert learning_rate(optim, epoch) == pytest.approx(rate, rel=1e-12)


def test_without_milestones_the_rate_stays() -> None:
    assert learning_rate(Optim(lr=0.3, milestones=()), 10_000) == 0.3


def test_decay_is_the_factor_of_a_milestone() -> None:
    assert learning_rate(Optim(lr=1.0, milestones=(1, 2), decay=0.5), 2) == 0.25


def test_a_student_trains_at_the_rate_of_its_epoch_and_reports_it() -> None:
    student = tiny.student(tiny.run())
    for epoch, rate in enumerate((0.05, 0.05, 0.005)):
        student.begin_epoch(epoch)
        assert [group["lr"] for group in student.optimizer.param_groups] == [pytest.approx(rate)]
        metrics = end_epoch([student], epoch, 1, tiny.cohort_data().evaluation)
        assert metrics[student.key]["lr"] == pytest.approx(rate)
