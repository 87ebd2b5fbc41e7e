"""The learning rate by epoch."""

from repro.spec import Optim


def learning_rate(optim: Optim, epoch: int) -> float:
    """The rate of ``epoch`` (counted from 0): it drops from each milestone's epoch on.

    With milestones 150, 180, 210 the epochs 0..149 train at ``optim.lr``. Source: RepDistiller
    helper/util.py counts epochs from 1 and drops where the epoch exceeds the milestone.
    """
    return optim.lr * optim.decay ** sum(epoch >= milestone for milestone in optim.milestones)
