"""CMKD, its nearest neighbours, and every row of its ablation, by a readable name."""

from repro.losses import CMKD, L2Rank, Loss, SigmoidRank, named

LOGIT_METHODS = (*("ce", "kd", "dkd", "dist", "cmkd"), *("kd+ls", "dkd+ls", "dist+ls", "cmkd+ls"))
METHOD_LOSSES: dict[str, Loss] = {method: named(method) for method in LOGIT_METHODS}

DIFFICULTIES = (
    "teacher_entropy_rank",
    "teacher_entropy",
    "label_probability",
    "teacher_cross_entropy",
    "student_entropy",
)

CMKD_VARIANTS: dict[str, CMKD] = {
    "default": CMKD(),
    "pearson only": CMKD(weighting="fixed", spearman_share=0.0),
    "spearman only": CMKD(weighting="fixed", spearman_share=1.0),
    "fixed 1:1": CMKD(weighting="fixed"),
    "fixed 3:1": CMKD(weighting="fixed", spearman_share=0.25),
    "batch mean": CMKD(weighting="batch_mean", difficulty="label_probability"),
    "other way round": CMKD(hard_samples_lean_on="pearson"),
    **{f"by {kind}": CMKD(difficulty=kind) for kind in DIFFICULTIES[1:]},
    "raw logits": CMKD(standardize=False),
    "temperature 4": CMKD(temperature=4.0),
    "pearson of logits": CMKD(pearson_input="logits"),
    "pearson of raw logits": CMKD(pearson_input="logits", standardize=False),
    "intra class": CMKD(intra_class=True),
    "intra class of logits": CMKD(intra_class=True, pearson_input="logits"),
    "sigmoid tau 1": CMKD(soft_rank=SigmoidRank(tau=1.0)),
    "l2 eps 0.1": CMKD(soft_rank=L2Rank(eps=0.1)),
    "l2 eps 1": CMKD(soft_rank=L2Rank(eps=1.0)),
    "l2 of raw logits": CMKD(soft_rank=L2Rank(eps=1.0), standardize=False),
    "soft teacher": CMKD(teacher_rank="soft"),
    "soft l2 teacher": CMKD(teacher_rank="soft", soft_rank=L2Rank(eps=0.1)),
    "ranks of probabilities": CMKD(rank_input="probabilities"),
    "affine trap": CMKD(rank_input="probabilities", teacher_rank="soft", soft_rank=L2Rank(eps=1.0)),
}

ALL: dict[str, Loss] = METHOD_LOSSES | {f"cmkd, {name}": v for name, v in CMKD_VARIANTS.items()}
