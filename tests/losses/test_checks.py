from typing import Any

import pytest

from repro.errors import UserError
from repro.losses import CE, CMKD, DIST, DKD, KD, L2Rank, SigmoidRank, Standardized

BAD: list[tuple[type, dict[str, Any], str]] = [
    (KD, {"temperature": 0}, "KD.temperature must be a number above 0, not 0"),
    (KD, {"kd_weight": float("nan")}, "KD.kd_weight must be a number of 0 or more, not nan"),
    (CE, {"ce_weight": -1.0}, "CE.ce_weight must be a number of 0 or more, not -1.0"),
    (DKD, {"warmup_epochs": -1}, "DKD.warmup_epochs must be a whole number of 0 or more, not -1"),
    (DKD, {"warmup_epochs": 2.5}, "DKD.warmup_epochs must be a whole number of 0 or more, not 2.5"),
    (DKD, {"beta": float("inf")}, "DKD.beta must be a number of 0 or more, not inf"),
    (DIST, {"gamma": "1"}, "DIST.gamma must be a number of 0 or more, not '1'"),
    (SigmoidRank, {"tau": 0.0}, "SigmoidRank.tau must be a number above 0, not 0.0"),
    (L2Rank, {"eps": -1.0}, "L2Rank.eps must be a number above 0, not -1.0"),
    (CMKD, {"temperature": -1.0}, "CMKD.temperature must be a number above 0, not -1.0"),
    (CMKD, {"kd_weight": True}, "CMKD.kd_weight must be a number of 0 or more, not True"),
    (CMKD, {"standardize": "no"}, "CMKD.standardize must be True or False, not 'no'"),
    (CMKD, {"intra_class": 1}, "CMKD.intra_class must be True or False, not 1"),
    (CMKD, {"spearman_share": 1.5}, "CMKD.spearman_share must be 0 to 1, not 1.5"),
    (CMKD, {"spearman_share": -0.1}, "CMKD.spearman_share must be a number of 0 or more, not -0.1"),
    (CMKD, {"soft_rank": "l2"}, "CMKD.soft_rank must be a SigmoidRank or a L2Rank, not 'l2'"),
    (
        CMKD,
        {"pearson_input": "ranks"},
        "CMKD.pearson_input must be one of probabilities, logits, not 'ranks'",
    ),
    (
        CMKD,
        {"rank_input": "raw"},
        "CMKD.rank_input must be one of logits, probabilities, not 'raw'",
    ),
    (CMKD, {"teacher_rank": "hard"}, "CMKD.teacher_rank must be one of exact, soft, not 'hard'"),
    (
        CMKD,
        {"difficulty": "entropy"},
        "CMKD.difficulty must be one of teacher_entropy_rank, teacher_entropy, label_probability, "
        "teacher_cross_entropy, student_entropy, not 'entropy'",
    ),
    (
        CMKD,
        {"weighting": "static"},
        "CMKD.weighting must be one of dynamic, batch_mean, fixed, not 'static'",
    ),
    (
        CMKD,
        {"hard_samples_lean_on": "ce"},
        "CMKD.hard_samples_lean_on must be one of spearman, pearson, not 'ce'",
    ),
    (Standardized, {"loss": "kd"}, "Standardized.loss must be a Loss, not 'kd'"),
]


@pytest.mark.parametrize(("cls", "fields", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_field_is_refused_with_its_value_and_choices(
    cls: type, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        cls(**fields)
    assert str(caught.value) == message


def test_equal_losses_print_the_same_so_that_their_keys_agree() -> None:
    assert KD(temperature=4) == KD(temperature=4.0)
    assert repr(KD(temperature=4)) == repr(KD(temperature=4.0))
    assert repr(DKD().warmup_epochs) == "20"
