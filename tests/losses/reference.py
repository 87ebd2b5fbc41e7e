"""Slow float64 references, written with loops and SciPy, and random batches to compare on."""

import math

import numpy as np
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from repro.losses import CMKD, Loss
from repro.outputs import Batch, Outputs

Array = np.ndarray


def random_pair(batch: int = 8, classes: int = 10, seed: int = 0) -> tuple[Tensor, Tensor, Batch]:
    """Student and teacher logits [B, K] in float64 that agree in part, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    teacher = 3 * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    noise = torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (batch,), generator=generator)
    return 0.3 * teacher + noise, teacher, batch_of(labels)


def batch_of(labels: Tensor) -> Batch:
    indices = torch.arange(len(labels))
    return Batch(torch.zeros(len(labels), 3, 1, 1), labels, indices, torch.zeros_like(indices))


def terms(loss: Loss, student: Tensor, teacher: Tensor, batch: Batch) -> dict[str, float]:
    values = loss(Outputs(student), Outputs(teacher), batch)
    return {name: value.item() for name, value in values.items()}


def total(loss: Loss, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    return torch.stack(list(loss(Outputs(student), Outputs(teacher), batch).values())).sum()


def gradient(loss: Loss, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    student = student.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(total(loss, student, teacher, batch), student)
    return result


def cross_entropy(z: Array, labels: Array) -> float:
    rows = [scipy.special.logsumexp(row) - row[label] for row, label in zip(z, labels, strict=True)]
    return float(np.mean(rows))


def standard(z: Array) -> Array:
    return np.array([(row - row.mean()) / (1e-7 + row.std(ddof=1)) for row in z])


def softmax(z: Array, temperature: float = 1.0) -> Array:
    return np.array([scipy.special.softmax(row / temperature) for row in z])


def correlations(a: Array, b: Array) -> Array:
    return np.array([scipy.stats.pearsonr(x, y).statistic for x, y in zip(a, b, strict=True)])


def sigmoid_rank(row: Array, tau: float) -> Array:
    ranks = [0.5 + sum(scipy.special.expit((x - y) / tau) for y in row) for x in row]
    return np.array(ranks)


def l2_rank(row: Array, eps: float) -> Array:
    """Projection on the permutahedron by pooling adjacent violators, one row."""
    order = np.argsort(-row)
    ordered = row[order] / eps
    count = len(row)
    blocks: list[list[float]] = []  # sum, length; means decrease from block to block
    for place in range(count):
        blocks.append([ordered[place] - (count - place), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] <= blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    fitted = np.concatenate([np.full(int(length), s / length) for s, length in blocks])
    ranks = np.empty(count)
    ranks[order] = ordered - fitted
    return ranks


def difficulty(kind: str, student: Array, teacher: Array, labels: Array) -> Array:
    classes = teacher.shape[1]
    if kind == "student_entropy":
        return scipy.stats.entropy(softmax(student), axis=1) / math.log(classes)
    entropy = scipy.stats.entropy(softmax(teacher), axis=1)
    if kind == "teacher_entropy":
        return entropy / math.log(classes)
    if kind == "teacher_entropy_rank":
        return (scipy.stats.rankdata(entropy) - 1) / (len(entropy) - 1)
    of_label = np.array([p[label] for p, label in zip(softmax(teacher), labels, strict=True)])
    if kind == "label_probability":
        return 1 - of_label
    losses = -np.log(of_label)
    return (losses - losses.min()) / (losses.max() - losses.min())


def shares(loss: CMKD, student: Array, teacher: Array, labels: Array) -> Array:
    """The Spearman term's weight of each image."""
    if loss.weighting == "fixed":
        return np.full(len(labels), loss.spearman_share)
    d = difficulty(loss.difficulty, student, teacher, labels)
    d = 1 - d if loss.hard_samples_lean_on == "pearson" else d
    return np.full(len(labels), d.mean()) if loss.weighting == "batch_mean" else d


def cmkd(loss: CMKD, student: Array, teacher: Array, labels: Array) -> dict[str, float]:
    share = shares(loss, student, teacher, labels)
    z_s, z_t = (standard(z) if loss.standardize else z for z in (student, teacher))
    p_s, p_t = softmax(z_s, loss.temperature), softmax(z_t, loss.temperature)
    a, b = (p_s, p_t) if loss.pearson_input == "probabilities" else (z_s, z_t)
    of_pearson = 1 - correlations(a, b)
    if loss.intra_class:
        of_pearson = of_pearson + 1 - correlations(a.T, b.T).mean()
    a, b = (p_s, p_t) if loss.rank_input == "probabilities" else (z_s, z_t)
    soft = loss.soft_rank
    rank, strength = (l2_rank, soft.eps) if hasattr(soft, "eps") else (sigmoid_rank, soft.tau)
    ranks_s = np.array([rank(row, strength) for row in a])
    ranks_t = np.array([rank(row, strength) for row in b])
    if loss.teacher_rank == "exact":
        ranks_t = np.array([scipy.stats.rankdata(row) for row in teacher])
    of_spearman = 1 - correlations(ranks_s, ranks_t)
    values = {
        "ce": loss.ce_weight * cross_entropy(student, labels),
        "pearson": loss.kd_weight * np.mean((1 - share) * of_pearson),
        "spearman": loss.kd_weight * np.mean(share * of_spearman),
    }
    absent = {0.0: "spearman", 1.0: "pearson"}.get(loss.spearman_share)
    if loss.weighting == "fixed" and absent:
        del values[absent]
    return values
