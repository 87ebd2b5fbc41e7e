"""Losses with a field that differs from a method's own: rows of the ablation and of the tuning."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, get_args

from repro import paper
from repro.choice import DEFAULT_METHODS
from repro.errors import choose
from repro.losses import CMKD, DIST, KD, L2Rank, Loss, SigmoidRank
from repro.losses.difficulty import Difficulty

OTHER_DIFFICULTIES: tuple[Difficulty, ...] = tuple(
    name for name in get_args(Difficulty) if name != paper.CMKD["difficulty"].value
)


def cmkd_reading() -> CMKD:
    """CMKD with the values of ``paper.CMKD``: our reading of what the paper leaves open."""
    return _reading(tuple((name, unknown.value) for name, unknown in paper.CMKD.items()))


@cache
def _reading(given: tuple[tuple[str, Any], ...]) -> CMKD:
    values = dict(given)
    return CMKD(soft_rank=SigmoidRank(tau=values.pop("soft_rank_tau")), **values)


def shows(grid: str, method: str) -> bool:
    """Does a method that was trained on a grid's pairs belong into its tables? Grids of variants
    hold these and the methods that they are compared with."""
    if grid == "tuning":
        return method in candidates() or method in CANDIDATES_OF
    if grid == "tuned":
        return method in CANDIDATES_OF or any(method in rows for rows in TUNED.values())
    if grid == "ablation":
        return method in DEFAULT_METHODS or method in ablation_rows()
    return "/" not in method


def variant(name: str) -> Loss:
    """The loss of a row ``method/what differs``. Raises UserError on an unknown one."""
    known = {**ablation_rows(), **candidates()}
    if name not in known:
        method = name.partition("/")[0]
        own = [row for row in known if row.startswith(f"{method}/")]
        raise choose(f"variant of {method}", name, own or known)
    return known[name]


def ablation_rows() -> Mapping[str, Loss]:
    """The alternatives to our reading, each as ``cmkd/<what differs>``.

    Each other difficulty has a control, ``-batch-mean``: its mixing ratio without its dynamics. For
    the reading's own difficulty, a rank in the batch, that ratio is 1/2: the row ``fixed-half``.
    """
    return _variants(cmkd_reading())


@cache  # asked for with every cell: a fifth of the time of the tables of 2,000 runs
def _variants(cmkd: CMKD) -> Mapping[str, Loss]:
    l2_weak, l2 = L2Rank(eps=0.1), L2Rank(eps=1.0)

    def fixed(share: float) -> CMKD:
        return replace(cmkd, weighting="fixed", spearman_share=share)

    rows = {
        "pearson-only": fixed(0.0),
        "spearman-only": fixed(1.0),
        "fixed-half": fixed(0.5),
        "reversed": replace(cmkd, hard_samples_lean_on="pearson"),
        "raw-logits": replace(cmkd, standardize=False),
        "temperature-4": replace(cmkd, temperature=4.0),
        "weight-2": replace(cmkd, kd_weight=2.0),
        "pearson-on-logits": replace(cmkd, pearson_input="logits"),
        "with-intra-class": replace(cmkd, intra_class=True),
        "soft-teacher-rank": replace(cmkd, teacher_rank="soft"),
        "l2-rank-0.1": replace(cmkd, soft_rank=l2_weak),
        "l2-rank-1": replace(cmkd, soft_rank=l2),
        "l2-rank-0.1-soft-teacher": replace(cmkd, soft_rank=l2_weak, teacher_rank="soft"),
        "l2-rank-1-soft-teacher": replace(cmkd, soft_rank=l2, teacher_rank="soft"),
        "l2-on-probabilities": replace(
            cmkd, soft_rank=l2, teacher_rank="soft", rank_input="probabilities"
        ),
    }
    for other in OTHER_DIFFICULTIES:
        name, varied = other.replace("_", "-"), replace(cmkd, difficulty=other)
        rows |= {name: varied, f"{name}-batch-mean": replace(varied, weighting="batch_mean")}
    return MappingProxyType({f"cmkd/{name}": loss for name, loss in rows.items()})


CANDIDATES_OF = ("kd", "dist", "cmkd")
TEMPERATURES, WEIGHT_FACTORS = (1.0, 4.0), (0.5, 1.0, 2.0)
TUNING_TRIALS = 2
# The best on held-out images by profile (`repro tables tuning`); a method's own values may win.
TUNED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "quick": (
            "kd/temperature-1-weight-1.8",
            "dist/temperature-1-weight-2",
            "cmkd/temperature-1-weight-4",
        )
    }
)


@cache
def candidates() -> Mapping[str, Loss]:
    """Temperatures of 1 and 4 (between them lie those of all three) times half, all and double of
    the method's own weight of distillation: as ``kd/temperature-1-weight-0.45``."""
    losses = {"kd": KD(), "dist": DIST(), "cmkd": cmkd_reading()}
    rows = {}
    for method in CANDIDATES_OF:
        loss: Any = losses[method]
        for temperature in TEMPERATURES:
            for weight in (factor * loss.kd_weight for factor in WEIGHT_FACTORS):
                name = f"{method}/temperature-{temperature:g}-weight-{weight:g}"
                rows[name] = replace(loss, temperature=temperature, kd_weight=weight)
    return MappingProxyType(rows)
