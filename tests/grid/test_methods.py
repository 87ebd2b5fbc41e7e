"""The loss and the learning rate that a method has in a grid."""

from dataclasses import replace

import pytest

from repro.errors import UserError
from repro.grid import Choice, expand, loss_for, scaled_warmups
from repro.losses import CE, CMKD, CTKD, DIST, DKD, KD, LOSSES, L2Rank, Standardized, Sum
from repro.variants import (
    CANDIDATES_OF,
    TUNING_TRIALS,
    ablation_rows,
    candidates,
    cmkd_reading,
)
from tests.grid.narrow import DEMO, PAPER, QUICK


def test_the_ablation_holds_every_alternative() -> None:
    """Each as the change to our reading that its name says."""
    changes = {
        "pearson-only": {"weighting": "fixed", "spearman_share": 0.0},
        "spearman-only": {"weighting": "fixed", "spearman_share": 1.0},
        "fixed-half": {"weighting": "fixed", "spearman_share": 0.5},
        "reversed": {"hard_samples_lean_on": "pearson"},
        "raw-logits": {"standardize": False},
        "temperature-4": {"temperature": 4.0},
        "weight-2": {"kd_weight": 2.0},
        "pearson-on-logits": {"pearson_input": "logits"},
        "with-intra-class": {"intra_class": True},
        "soft-teacher-rank": {"teacher_rank": "soft"},
        "l2-rank-0.1": {"soft_rank": L2Rank(eps=0.1)},
        "l2-rank-1": {"soft_rank": L2Rank(eps=1.0)},
        "l2-rank-0.1-soft-teacher": {"soft_rank": L2Rank(eps=0.1), "teacher_rank": "soft"},
        "l2-rank-1-soft-teacher": {"soft_rank": L2Rank(eps=1.0), "teacher_rank": "soft"},
        "l2-on-probabilities": {
            "soft_rank": L2Rank(eps=1.0),
            "teacher_rank": "soft",
            "rank_input": "probabilities",
        },
    }
    for other in (
        "teacher_entropy",
        "label_probability",
        "teacher_cross_entropy",
        "student_entropy",
    ):
        name = other.replace("_", "-")
        changes[name] = {"difficulty": other}
        changes[f"{name}-batch-mean"] = {"difficulty": other, "weighting": "batch_mean"}
    expected = {f"cmkd/{name}": CMKD(**fields) for name, fields in changes.items()}
    assert ablation_rows() == expected
    runs = expand("ablation", PAPER)
    found = {run.method: run.loss for run in runs if run.teacher}
    assert found == expected | {
        "ce": CE(),
        "kd": KD(),
        "dkd": DKD(),
        "dist": DIST(),
        "cmkd": CMKD(),
    }
    assert {run.pair for run in runs if run.teacher} == {"resnet32x4:resnet8x4"}


def test_dkd_takes_the_beta_of_its_pair_and_the_scaled_warm_up() -> None:
    pair = ("resnet56", "resnet20")
    assert loss_for("dkd", pair, PAPER) == DKD(beta=2.0, warmup_epochs=20)
    assert loss_for("dkd", pair, DEMO) == DKD(beta=2.0, warmup_epochs=1)
    assert loss_for("dkd", ("vgg13", "vgg8"), PAPER).beta == 6.0  # type: ignore[attr-defined]
    runs = expand("cifar-same", PAPER, Choice(methods=("dkd",), trials=1))
    betas = {run.pair: run.loss.beta for run in runs if run.teacher}
    assert betas == {
        "resnet56:resnet20": 2.0,
        "resnet110:resnet32": 2.0,
        "resnet32x4:resnet8x4": 8.0,
        "wrn_40_2:wrn_16_2": 6.0,
        "wrn_40_2:wrn_40_1": 6.0,
        "vgg13:vgg8": 6.0,
    }


def test_standardised_dkd_weighs_both_terms_nine_times() -> None:
    loss = loss_for("dkd+ls", ("resnet56", "resnet20"), PAPER)
    assert loss == Standardized(loss=DKD(alpha=9.0, beta=18.0, temperature=2.0, warmup_epochs=20))


def test_standardised_kd_takes_the_published_temperature_and_weight_of_its_pair() -> None:
    """As the names of LSKD's logs say; 2 and 9, the script's defaults, where there is no log."""
    published = {
        ("resnet32x4", "resnet8x4"): (2.0, 9.0),
        ("vgg13", "vgg8"): (3.0, 9.0),
        ("resnet110", "resnet20"): (4.0, 12.0),
        ("ResNet50", "MobileNetV2"): (3.0, 1.0),
        ("wrn_40_2", "ShuffleV1"): (2.0, 9.0),  # no log
    }
    for pair, (temperature, weight) in published.items():
        expected = Standardized(loss=KD(temperature=temperature, kd_weight=weight, ce_weight=0.1))
        assert loss_for("kd+ls", pair, PAPER) == expected
        loss = loss_for("kd+ls+cmkd", pair, PAPER)
        assert loss == Sum(losses=(expected, cmkd_reading()))


def test_standardised_losses_keep_the_weights_of_their_pair() -> None:
    pair = ("resnet56", "resnet20")
    for method in ("ttm", "wttm"):
        loss = loss_for(f"{method}+ls", pair, PAPER)
        assert loss == Standardized(loss=loss_for(method, pair, PAPER))
    assert loss_for("cmkd+ls", pair, PAPER) == Standardized(loss=cmkd_reading())


def test_every_warm_up_is_scaled_to_the_epochs_of_the_profile() -> None:
    """Half of 240 epochs; a method alone, standardised and in a sum; 0 stays 0."""
    pair, half = ("resnet56", "resnet20"), replace(PAPER, stream=replace(PAPER.stream, epochs=120))
    for method, cls in LOSSES.items():
        default, loss = cls(), loss_for(method, pair, half)
        for name, epochs in vars(default).items():
            if name.endswith("_epochs"):
                assert getattr(loss, name) == epochs / 2, (method, name)
                assert getattr(loss_for(method, pair, PAPER), name) == epochs
    assert loss_for("ctkd", pair, half) == CTKD(ramp_epochs=5)
    loss = loss_for("dkd+ls+reviewkd", pair, half)
    assert loss == Sum(losses=(loss_for("dkd+ls", pair, half), loss_for("reviewkd", pair, half)))
    assert loss.losses[0].loss.warmup_epochs == 10
    assert loss.losses[1].warmup_epochs == 10
    assert scaled_warmups(DKD(warmup_epochs=0), 120) == DKD(warmup_epochs=0)


def test_the_cmkd_of_a_grid_is_our_reading() -> None:
    losses = {run.loss for run in expand("cifar-same", PAPER) if run.method == "cmkd"}
    assert losses == {cmkd_reading()}


def test_light_students_learn_at_a_hundredth() -> None:
    rates = {run.network: run.optim.lr for run in expand("cifar-different", PAPER)}
    light = {"MobileNetV2", "ShuffleV1", "ShuffleV2"}
    assert {network for network, lr in rates.items() if lr == 0.01} == light
    assert {lr for network, lr in rates.items() if network not in light} == {0.05}


def test_the_same_budget_tunes_each_of_the_three() -> None:
    rows = candidates()
    for method in CANDIDATES_OF:
        own = {name: loss for name, loss in rows.items() if name.startswith(f"{method}/")}
        assert len(own) == len(rows) / 3 == 6
        settings = {(loss.temperature, loss.kd_weight) for loss in own.values()}  # type: ignore[attr-defined]
        assert len(settings) == 6
        assert loss_for(method, ("resnet20", "resnet8"), QUICK) in own.values()


def test_tuning_sees_no_test_image_and_tuned_nothing_else() -> None:
    quick = QUICK
    runs = expand("tuning", quick)
    assert {run.stream.split for run in runs} == {"tune"}  # the teacher's, too
    assert len(runs) == 1 + 3 * 6 * TUNING_TRIALS
    tuned = expand("tuned", quick, Choice(methods=("kd", "kd/temperature-1-weight-0.45")))
    assert {run.stream.split for run in tuned} == {"full"}
    with pytest.raises(UserError, match="unknown variant of kd 'kd/temperature-9'"):
        expand("tuned", quick, Choice(methods=("kd/temperature-9",)))
