"""CMKD (arXiv 2410.06561): correlation matching, the suite's centrepiece."""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.correlation import pearson, zscore
from repro.losses.difficulty import Difficulty, difficulty
from repro.losses.soft_rank import SigmoidRank, SoftRank, hard_rank
from repro.outputs import Batch, Outputs

DIFFICULTY_BINS = 20


@dataclass(frozen=True, kw_only=True)
class CMKD:
    """Match the teacher's values by Pearson's correlation and its class order by Spearman's.

    For the logits z [K] of image i, teacher T and student S, with d_i in [0, 1] its difficulty:

        z~  = (z - mean z) / (1e-7 + std z)                 ``standardize``
        p   = softmax(z~ / temperature)
        L_P = 1 - pearson(p_S, p_T)                         over the K classes
        L_S = 1 - pearson(soft_rank(z~_S), rank(z_T))       Spearman is Pearson of ranks
        L   = ce_weight CE + kd_weight mean_i [(1 - d_i) L_P,i + d_i L_S,i]

    **This is our reading.** The paper's full text could not be read: its abstract and later papers
    tell of a Pearson and a Spearman loss, differentiable sorting, z-scores and weights that follow
    the difficulty of a sample, and of nothing more. So each choice is a field, the unread ones are
    an ablation, and ``kd_weight`` is a starting point (DIST weighs 2 T^2 = 32 on raw logits).

    pearson_input           what L_P correlates: p, or z~ itself
    rank_input              what is ranked: z~, or p (trap: see ``L2Rank``)
    teacher_rank            "exact", ties averaged; or "soft", by the student's ``soft_rank``
    intra_class             adds DIST's 1 - mean_k pearson over the batch of class k's column to
                            every L_P,i: it belongs to no image, so it weighs the mean of 1 - d_i
    difficulty              see ``repro/losses/difficulty.py``; of the logits before standardising
    weighting               "dynamic" as above; "batch_mean" puts the batch's mean in place of d_i
                            (the mixing ratio without the dynamics); "fixed" ``spearman_share``
    spearman_share          read by "fixed" only: 0 is Pearson alone, 1 Spearman alone, and the
                            term without weight is neither computed nor returned
    hard_samples_lean_on    "pearson" swaps d_i and 1 - d_i (without effect on "fixed")
    """

    standardize: bool = True
    temperature: float = 1.0
    pearson_input: Literal["probabilities", "logits"] = "probabilities"
    rank_input: Literal["logits", "probabilities"] = "logits"
    soft_rank: SoftRank = field(default_factory=SigmoidRank)
    teacher_rank: Literal["exact", "soft"] = "exact"
    intra_class: bool = False
    difficulty: Difficulty = "teacher_entropy_rank"
    weighting: Literal["dynamic", "batch_mean", "fixed"] = "dynamic"
    spearman_share: float = 0.5
    hard_samples_lean_on: Literal["spearman", "pearson"] = "spearman"
    ce_weight: float = 1.0
    kd_weight: float = 8.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.spearman_share > 1:
            raise UserError(f"CMKD.spearman_share must be 0 to 1, not {self.spearman_share}")

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        share = self._spearman_shares(self.sample_difficulty(student, teacher, batch))  # [B]
        z_s, z_t = self._inputs(student.logits), self._inputs(teacher.logits.detach())  # [B, K]
        parts: dict[str, tuple[Tensor, Tensor, Tensor]] = {}  # weights [B], what is correlated
        if self.weighting != "fixed" or self.spearman_share < 1:
            parts["pearson"] = 1 - share, self._values(z_s), self._values(z_t)
        if self.weighting != "fixed" or self.spearman_share > 0:
            parts["spearman"] = share, *self._ranks(z_s, z_t)
        # stacked, as two correlations at once are half the operations: [terms, B], [terms, B, K]
        weights, of_student, of_teacher = map(torch.stack, zip(*parts.values(), strict=True))
        losses = 1 - pearson(of_student, of_teacher, dim=-1)  # L_P and L_S
        terms = dict(zip(parts, self.kd_weight * (weights * losses).mean(-1), strict=True))
        if self.intra_class and "pearson" in parts:
            weight, values_s, values_t = parts["pearson"]
            intra = weight.mean() * (1 - pearson(values_s, values_t, dim=0).mean())
            terms["pearson"] = terms["pearson"] + self.kd_weight * intra
        return {"ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels)} | terms

    def sample_difficulty(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """d [B] in [0, 1], detached."""
        return difficulty(self.difficulty, student.logits, teacher.logits, batch.labels)

    def diagnostics(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Mean weights of the two terms (0-d), and the counts of d in 20 equal bins of [0, 1]."""
        d = self.sample_difficulty(student, teacher, batch)  # [B]
        share = self._spearman_shares(d).mean()
        bins = torch.arange(DIFFICULTY_BINS, dtype=d.dtype, device=d.device)
        places = (d * DIFFICULTY_BINS).floor().clamp(max=DIFFICULTY_BINS - 1)  # 1 is in the last
        counts = (places.unsqueeze(1) == bins).sum(0, dtype=d.dtype)  # histc is not deterministic
        return {"weight/pearson": 1 - share, "weight/spearman": share, "difficulty": counts}

    def _spearman_shares(self, d: Tensor) -> Tensor:
        """The Spearman term's weight for each image [B]; the Pearson term has the rest."""
        if self.weighting == "fixed":
            return torch.full_like(d, self.spearman_share)
        share = 1 - d if self.hard_samples_lean_on == "pearson" else d
        return share if self.weighting == "dynamic" else share.mean().expand_as(share)

    def _inputs(self, logits: Tensor) -> Tensor:
        return zscore(logits) if self.standardize else logits

    def _probabilities(self, z: Tensor) -> Tensor:
        return F.softmax(z / self.temperature, dim=1)

    def _values(self, z: Tensor) -> Tensor:
        """What L_P correlates [B, K]."""
        return self._probabilities(z) if self.pearson_input == "probabilities" else z

    def _ranks(self, z_s: Tensor, z_t: Tensor) -> tuple[Tensor, Tensor]:
        """What L_S correlates [B, K]."""
        ranked_s, ranked_t = z_s, z_t
        if self.rank_input == "probabilities":
            ranked_s, ranked_t = self._probabilities(z_s), self._probabilities(z_t)
        # the exact ranks are those of z~ either way: a softmax that underflows would tie classes
        ranks_t = self.soft_rank(ranked_t) if self.teacher_rank == "soft" else hard_rank(z_t)
        return self.soft_rank(ranked_s), ranks_t
