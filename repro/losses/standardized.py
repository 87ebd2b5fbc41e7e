"""Any logit loss on standardised logits: the plug-in "+ls"."""

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses.checks import check_fields
from repro.losses.correlation import zscore
from repro.losses.dkd import DKD
from repro.losses.kd import KD
from repro.losses.protocol import (
    CROSS_ENTROPY,
    Loss,
    adapter_of,
    at_epoch,
    deploys,
    diagnostics,
    keeps_memory,
    second_view,
    terms_of,
    uses_features,
    uses_teacher,
)
from repro.outputs import Batch, Outputs

BASE_TEMPERATURE = 2.0  # LSKD, tools/train.py: --base-temp, --kd-weight
WEIGHT = 9.0
LSKD_KD = KD(temperature=BASE_TEMPERATURE, kd_weight=WEIGHT, ce_weight=0.1)


@dataclass(frozen=True, kw_only=True)
class Standardized:
    """Logit standardisation (LSKD), Sun et al. 2024, arXiv 2403.01427.

    Both networks' logits are z-scored row by row, then the inner loss runs on them; cross-entropy
    stays on the student's raw logits. See ``standardize`` for the inner hyper-parameters. (CMKD
    z-scores by itself: there only the difficulty changes, being that of z-scored logits.)
    """

    loss: Loss = LSKD_KD

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def ce_weight(self) -> float:
        return self.loss.ce_weight

    @property
    def uses_teacher(self) -> bool:
        return uses_teacher(self.loss)

    @property
    def uses_features(self) -> bool:
        return uses_features(self.loss)

    @property
    def deploys(self) -> bool:
        return deploys(self.loss)

    @property
    def keeps_memory(self) -> bool:
        return keeps_memory(self.loss)

    @property
    def second_view(self) -> bool:
        return second_view(self.loss)

    def __call__(
        self,
        student: Outputs,
        teacher: Outputs,
        batch: Batch,
        adapter: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        inputs = _standardized(student), _standardized(teacher), batch
        terms = terms_of(self.loss, *inputs, adapter)
        for name, raw in zip(CROSS_ENTROPY, (student, student.second), strict=True):
            if raw is not None and name in terms:
                terms[name] = self.ce_weight * F.cross_entropy(raw.logits, batch.labels)
        return terms

    def at_epoch(self, epoch: int) -> "Standardized":
        """The inner loss's ``at_epoch`` where it has one."""
        return replace(self, loss=at_epoch(self.loss, epoch))

    def diagnostics(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The inner loss's ``diagnostics``, on what it was given; none where it has none."""
        return diagnostics(self.loss, _standardized(student), _standardized(teacher), batch)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module | None:
        """The inner loss's."""
        return adapter_of(self.loss, student, teacher, labels)


def standardize(loss: Loss) -> Standardized:
    """``loss`` with LSKD's hyper-parameters where they are published (KD, DKD), as given otherwise.

    LSKD's script (tools/train.py, commit 6b58661): both take temperature 2; KD weight 9, while DKD
    multiplies alpha and beta by 9. (At 2ece47f its DKD branch sets KD's temperature and computes
    beta from alpha, 1 x 9 x 9 = 81: slips that the later commit mends.)
    """
    if isinstance(loss, KD):
        loss = replace(loss, temperature=BASE_TEMPERATURE, kd_weight=WEIGHT)
    if isinstance(loss, DKD):
        alpha, beta = WEIGHT * loss.alpha, WEIGHT * loss.beta
        loss = replace(loss, temperature=BASE_TEMPERATURE, alpha=alpha, beta=beta)
    return Standardized(loss=loss)


def _standardized(outputs: Outputs) -> Outputs:
    second = outputs.second and _standardized(outputs.second)
    return replace(outputs, logits=zscore(outputs.logits), second=second)
