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
        'parts["pearson"] = 1 - share',
        'parts["pearson"] = 1 + share',
        "tests/losses/test_cmkd.py -k slow_reference",
    ),
    Mutant(
        "CMKD: hard images lean on Pearson",
        "repro/losses/cmkd.py",
        'if self.hard_samples_lean_on == "pearson" else d',
        'if self.hard_samples_lean_on == "spearman" else d',
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
        "torch.std_mean(x, dim=-1, keepdim=True)",
        "torch.std_mean(x, dim=-1, keepdim=True, correction=0)",
        "tests/losses/test_correlation.py -k zscore",
    ),
    Mutant(
        "z-score: the gradient is that of the biased deviation",
        "repro/losses/correlation.py",
        "value=-1 / (z.shape[-1] - 1)",
        "value=-1 / z.shape[-1]",
        "tests/losses/test_correlation.py -k zscore",
    ),
    Mutant(
        "pearson: rounding counts as a correlation",
        "repro/losses/correlation.py",
        "ROUNDINGS = 8 ",
        "ROUNDINGS = 0 ",
        "tests/losses/test_correlation.py",
    ),
    Mutant(
        "pearson: the gradient forgets the norm's",
        "repro/losses/correlation.py",
        "torch.addcmul(units[1 - side], r, units[side], value=-1)",
        "torch.addcmul(units[1 - side], r, units[side], value=0)",
        "tests/losses/test_correlation.py",
    ),
    Mutant(
        "soft rank: it descends",
        "repro/losses/soft_rank.py",
        "x[rows, entries, None] - x[rows, None, :]",
        "x[rows, None, :] - x[rows, entries, None]",
        "tests/losses/test_soft_rank.py",
    ),
    Mutant(
        "soft rank: the gradient takes one block's sigmoids for all",
        "repro/losses/soft_rank.py",
        "kept if block is blocks[-1] else",
        "kept if kept.shape == _gaps(x, block).shape else",
        "tests/losses/test_soft_rank.py -k autograd",
    ),
    Mutant(
        "soft rank: all differences at once",
        "repro/losses/soft_rank.py",
        "BLOCK = 2**20",
        "BLOCK = 2**40",
        "tests/losses/test_soft_rank.py -k memory",
    ),
    Mutant(
        "hard rank: ties of two take the lower rank",
        "repro/losses/soft_rank.py",
        "return sign_sums(x) / 2 + (x.shape[-1] + 1) / 2",
        "return (sign_sums(x) / 2 + (x.shape[-1] + 1) / 2).floor()",
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
        "rows = offsets[:, :1] + places",
        "rows = offsets[:, 1:] + places",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: never",
        "repro/data/augment.py",
        "torch.where(flips[:, None], side - 1 - places, places)",
        "torch.where(flips[:, None], places, places)",
        "tests/data/test_augment.py",
    ),
    Mutant(
        "flip: digits are mirrored too",
        "repro/data/augment.py",
        'if augment == "crop-flip":\n        flips',
        'if augment != "none":\n        flips',
        "tests/data/test_batches.py",
    ),
    Mutant(
        "held out: also trained on",
        "repro/data/dataset.py",
        "train[~held_out], train[held_out]",
        "train, train[held_out]",
        "tests/data/test_dataset.py",
    ),
    Mutant(
        "batches: the small last one is dropped",
        "repro/data/batches.py",
        "range(0, num_images, batch_size)",
        "range(0, num_images - batch_size + 1, batch_size)",
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
        "self.rate.fill_(learning_rate(self.run.optim, epoch))",
        "self.rate.fill_(learning_rate(self.run.optim, epoch + 1))",
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
        "weight = images / size if value.dim() else images",
        "weight = images / size if value.dim() else 32",
        "tests/train/test_student.py -k means",
    ),
    Mutant(
        "student: the reported network is not the stored one",
        "repro/train/student.py",
        "            round_to_half(student.network)\n",
        "            pass\n",
        "tests/train/test_student.py -k stored",
    ),
    Mutant(
        "student: momentum is not in the checkpoint",
        "repro/train/student.py",
        "momentum.copy_(saved[name])",
        "pass",
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
        "return folded.eval()",
        "return folded.train()",
        "tests/train/test_fold.py -k 'says_the_same and wrn_16'",
    ),
    Mutant(
        "teacher: a norm is dropped, not folded",
        "repro/train/teacher.py",
        "setattr(module, first, fuse_conv_bn_eval(conv, norm))",
        "pass",
        "tests/train/test_fold.py -k 'says_the_same and resnet8'",
    ),
    Mutant(
        "bank: view numbers are off by one",
        "repro/train/bank.py",
        "view(number, augment)",
        "view((number + 1) % num_views(augment), augment)",
        "tests/train/test_bank.py -k bytes",
    ),
    Mutant(
        "bank: rows are places in the batch, not images",
        "repro/train/bank.py",
        "self.table[batch.views, batch.indices]",
        "self.table[batch.views, torch.arange(len(batch.indices))]",
        "tests/train/test_bank.py -k within_half",
    ),
    Mutant(
        "bank: another bank's view is taken",
        "repro/train/bank.py",
        "if meta != self._meta(number) or",
        "if",
        "tests/train/test_bank.py -k foreign",
    ),
    Mutant(
        "cohort: one student's failure ends it for all",
        "repro/train/cohort.py",
        "left = {s.key for s in active if not (s.dropped or report.not_finite(s.key))}",
        "left = set() if any(map(report.not_finite, report.metrics)) else {s.key for s in active}",
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
