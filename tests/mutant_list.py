"""Faults to plant in what learns: losses, data, training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """``old`` stands in ``file`` exactly once; ``tests`` are pytest's words."""

    name: str
    file: str
    old: str
    new: str
    tests: str


LEARNING = (
    # losses
    Mutant(
        "KD: T^2 is dropped",
        "repro/losses/kd.py",
        'reduction="batchmean") * self.temperature**2',
        'reduction="batchmean")',
        "tests/losses/test_kd.py",
    ),
    Mutant(
        "KD: the divergence is turned round",
        "repro/losses/kd.py",
        "kl = F.kl_div(log_p, q,",
        "kl = F.kl_div(q.log(), log_p.exp(),",
        "tests/losses/test_kd.py",
    ),
    Mutant(
        "KD: its two weights are swapped",
        "repro/losses/kd.py",
        '{"ce": self.ce_weight * ce, "kd": self.kd_weight * kl}',
        '{"ce": self.kd_weight * ce, "kd": self.ce_weight * kl}',
        "tests/train/test_golden.py -k kd",
    ),
    Mutant(
        "DKD: the warm-up counts from 1 epoch late",
        "repro/losses/dkd.py",
        "min((epoch + 1) / self.warmup_epochs, 1.0)",
        "min(epoch / self.warmup_epochs, 1.0)",
        "tests/losses/test_dkd.py",
    ),
    Mutant(
        "DKD: alpha and beta are swapped",
        "repro/losses/dkd.py",
        '"tckd": self.alpha * square',
        '"tckd": self.beta * square',
        "tests/losses/test_dkd.py",
    ),
    Mutant(
        "DIST: the intra-class term runs over the classes",
        "repro/losses/dist.py",
        "pearson(p_s, p_t, dim=0)",
        "pearson(p_s, p_t, dim=1)",
        "tests/losses/test_dist.py",
    ),
    Mutant(
        "CMKD: 1 - d becomes 1 + d",
        "repro/losses/cmkd.py",
        "((1 - share) * self._pearson_loss",
        "((1 + share) * self._pearson_loss",
        "tests/losses/test_cmkd.py -k slow_reference",
    ),
    Mutant(
        "CMKD: hard images lean on Pearson",
        "repro/losses/cmkd.py",
        'if self.hard_samples_lean_on == "pearson":',
        'if self.hard_samples_lean_on == "spearman":',
        "tests/train/test_golden.py -k cmkd",
    ),
    Mutant(
        "CMKD: the teacher's ranks are those of the student",
        "repro/losses/cmkd.py",
        "else hard_rank(z_t)",
        "else hard_rank(z_s)",
        "tests/losses/test_cmkd.py -k slow_reference",
    ),
    Mutant(
        "z-score: the standard deviation is the biased one",
        "repro/losses/correlation.py",
        "torch.std_mean(logits, dim=-1, keepdim=True)",
        "torch.std_mean(logits, dim=-1, keepdim=True, correction=0)",
        "tests/losses/test_correlation.py -k zscore",
    ),
    Mutant(
        "soft rank: it descends",
        "repro/losses/soft_rank.py",
        "scaled.unsqueeze(-1) + (-scaled).unsqueeze(-2)",
        "(-scaled).unsqueeze(-1) + scaled.unsqueeze(-2)",
        "tests/losses/test_soft_rank.py",
    ),
    Mutant(
        "hard rank: ties take the lowest rank",
        "repro/losses/soft_rank.py",
        "up_to = torch.searchsorted(ordered, x, right=True)",
        "up_to = 1 + torch.searchsorted(ordered, x, right=False)",
        "tests/losses/test_soft_rank.py -k hard",
    ),
    # data
    Mutant(
        "padding: white",
        "repro/data/augment.py",
        "padded = pixels.new_zeros(",
        "padded = 255 + pixels.new_zeros(",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "padding: after normalising, so grey",
        "repro/data/augment.py",
        "padded = pixels.new_zeros(",
        "padded = 128 + pixels.new_zeros(",
        "tests/data/test_augment.py -k black",
    ),
    Mutant(
        "crop: row and column are swapped",
        "repro/data/augment.py",
        "rows = offsets[:, :1] + side",
        "rows = offsets[:, 1:] + side",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: never",
        "repro/data/augment.py",
        "torch.where(flips[:, None], SIZE - 1 - side, side)",
        "torch.where(flips[:, None], side, side)",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: digits are mirrored too",
        "repro/data/batches.py",
        'if stream.augment == "crop-flip":',
        'if stream.augment != "none":',
        "tests/data/test_batches.py",
    ),
    Mutant(
        "held out: also trained on",
        "repro/data/dataset.py",
        "dataset.train[~held_out], dataset.train[held_out]",
        "dataset.train, dataset.train[held_out]",
        "tests/data/test_dataset.py",
    ),
    Mutant(
        "batches: the small last one is dropped",
        "repro/data/batches.py",
        "range(0, len(order), stream.batch_size)",
        "range(0, len(order) - stream.batch_size + 1, stream.batch_size)",
        "tests/data/test_batches.py",
    ),
    Mutant(
        "batches: every epoch in the same order",
        "repro/data/batches.py",
        'spec.seed("views", identity, trial, epoch)',
        'spec.seed("views", identity, trial, 0)',
        "tests/data/test_batches.py",
    ),
    # training
    Mutant(
        "schedule: the rate drops an epoch late",
        "repro/train/schedule.py",
        "epoch >= milestone",
        "epoch > milestone",
        "tests/train/test_schedule.py",
    ),
    Mutant(
        "schedule: epochs count from 1",
        "repro/train/student.py",
        'group["lr"] = learning_rate(self.run.optim, epoch)',
        'group["lr"] = learning_rate(self.run.optim, epoch + 1)',
        "tests/train/test_schedule.py",
    ),
    Mutant(
        "student: weight decay is forgotten",
        "repro/train/student.py",
        "weight_decay=run.optim.weight_decay",
        "weight_decay=0.0",
        "tests/train/test_student.py -k by_hand",
    ),
    Mutant(
        "student: batch means are not weighed",
        "repro/train/student.py",
        "value if value.dim() else value * size",
        "value if value.dim() else value * 32",
        "tests/train/test_student.py -k means",
    ),
    Mutant(
        "student: the reported network is not the stored one",
        "repro/train/student.py",
        "            round_to_half(self.model)\n",
        "            pass\n",
        "tests/train/test_student.py -k stored",
    ),
    Mutant(
        "student: momentum is not in the checkpoint",
        "repro/train/student.py",
        "if momentum is not None:",
        "if False:",
        "tests/train/test_cohort.py -k going_on",
    ),
    Mutant(
        "evaluation: in training mode",
        "repro/train/evaluate.py",
        "    model.eval()\n",
        "",
        "tests/train/test_student.py -k statistic",
    ),
    Mutant(
        "teacher: in training mode",
        "repro/train/teacher.py",
        "model.eval().requires_grad_(False)",
        "model.train().requires_grad_(False)",
        "tests/train/test_student.py -k teacher",
    ),
    Mutant(
        "cohort: one student's failure ends it for all",
        "repro/train/cohort.py",
        "active = [student for student in active if not report.not_finite(student.key)]",
        "active = [] if any(map(report.not_finite, report.metrics)) else active",
        "tests/train/test_cohort.py -k nan",
    ),
    Mutant(
        "weights: every method starts elsewhere",
        "repro/train/weights.py",
        'seed("weights", run.network, classes, run.trial)',
        'seed("weights", run.network, classes, run.trial, run.method)',
        "tests/train/test_weights.py",
    ),
)
