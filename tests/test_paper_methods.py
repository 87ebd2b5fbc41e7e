"""What the literature says of each method: places, and weights by pair that the losses take."""

import dataclasses
import re

import pytest

from repro import paper
from repro.grid import loss_for
from repro.losses import LOSSES, METHODS, Standardized, named
from repro.losses.protocol import uses_features
from repro.paper import Fact, Pair, Unknown
from repro.paper_methods import ELSEWHERE, OTHER_PAIRS, PAIR_WEIGHTS, pair_weights, source_of
from repro.paper_methods import METHODS as LITERATURE
from repro.profiles import PROFILES

PAPER = PROFILES["paper"]
BENCHMARK = (*paper.SAME_ARCHITECTURE, *paper.DIFFERENT_ARCHITECTURE)
ALL_PAIRS = {*BENCHMARK, *paper.STRONGER_TEACHERS, *paper.PLUG_IN_PAIRS.value, paper.ABLATION_PAIR}


def fields_of(method: str) -> dict[str, object]:
    """Name -> default of the fields that the weights of a method are for."""
    loss = named(method)
    return vars(loss.loss if isinstance(loss, Standardized) else loss)


def test_every_method_has_its_paper() -> None:
    assert set(LITERATURE) == set(METHODS)
    assert len(LITERATURE) == 26


@pytest.mark.parametrize("method", sorted({*LITERATURE} - {"ce", "mlkd"}))
def test_a_paper_has_authors_a_year_and_an_arxiv_number(method: str) -> None:
    found = LITERATURE[method]
    assert re.fullmatch(r"\d{4}\.\d{4,5}", found.arxiv)  # five digits since 2015
    submitted = 2000 + int(found.arxiv[:2])
    assert submitted <= found.year <= submitted + 2
    assert found.citation == f"{found.authors} {found.year}, arXiv {found.arxiv}"


def test_a_citation_leaves_out_what_there_is_not() -> None:
    assert LITERATURE["ce"].citation == "Cross-entropy"
    assert LITERATURE["mlkd"].citation == "Jin et al. 2023"  # CVPR; not on arXiv


@pytest.mark.parametrize("method", sorted({*LITERATURE} - {"cmkd"}))
def test_the_docstring_of_a_loss_names_the_same_paper(method: str) -> None:
    loss = type(named(method))
    assert loss.__doc__
    assert LITERATURE[method].arxiv in loss.__doc__
    author = LITERATURE[method].authors.split(" ")[0]
    assert method in ("wttm",) or author in loss.__doc__


@pytest.mark.parametrize("method", LOSSES)
def test_losses_that_match_logits_do_without_features(method: str) -> None:
    kind = LITERATURE[method].kind
    assert uses_features(named(method)) == (kind in ("features", "relations"))


def test_every_source_is_a_file_at_a_commit_or_says_what_it_is() -> None:
    places = [source_of(m, field) for m in LITERATURE for field in fields_of(m)]
    assert len(places) > 70
    for place in places:
        of_a_file = re.search(r"\w@[0-9a-f]{7} \S+\.\S", place)
        assert of_a_file or re.search(r"arXiv \d{4}\.\d{5}|our", place), place


def test_a_source_from_elsewhere_is_that_of_a_field() -> None:
    for method, fields in ELSEWHERE.items():
        assert fields.keys() <= fields_of(method).keys(), method
    assert source_of("kd", "temperature") == "RepDistiller@b84f547 train_student.py"
    assert source_of("kd", "kd_weight") == "RepDistiller@b84f547 scripts/run_cifar_distill.sh"


def test_a_method_without_an_entry_shows_a_dash() -> None:
    assert source_of("mine", "weight") == "-"
    assert pair_weights("mine", paper.ABLATION_PAIR) == {}


@pytest.mark.parametrize("method", PAIR_WEIGHTS)
def test_every_weight_is_a_field_and_other_pairs_have_a_reason(method: str) -> None:
    defaults = fields_of(method)
    assert PAIR_WEIGHTS[method].keys() == OTHER_PAIRS[method].keys() <= defaults.keys()
    for pair in (("resnet14", "resnet8"), ("ResNet50", "resnet8x4")):
        for name, unknown in pair_weights(method, pair).items():
            assert isinstance(unknown, Unknown)
            assert type(unknown.value) is type(defaults[name])
            assert unknown.why.startswith("pair without a released configuration; ")


@pytest.mark.parametrize(
    ("method", "pair", "relative"),
    [
        ("ttm", ("resnet14", "resnet8"), ("resnet56", "resnet20")),
        ("catkd", ("resnet20", "resnet8"), ("resnet56", "resnet20")),
        ("reviewkd", ("vgg13", "wrn_16_2"), ("wrn_40_2", "wrn_16_2")),
    ],
)
def test_a_pair_without_values_takes_those_of_the_student_s_relative(
    method: str, pair: Pair, relative: Pair
) -> None:
    """TTM's beta of 100, for resnet8x4, keeps a resnet8 at chance."""
    own, theirs = pair_weights(method, pair), pair_weights(method, relative)
    assert {name: w.value for name, w in own.items()} == {n: w.value for n, w in theirs.items()}
    reason = f"pair without a released configuration; the value of {':'.join(relative)}"
    assert {w.why for w in own.values() if isinstance(w, Unknown)} == {reason}


def test_where_the_code_has_a_default_for_every_pair_it_stands() -> None:
    assert pair_weights("dkd", ("resnet14", "resnet8"))["beta"].value == 8.0
    assert pair_weights("catkd", ("ResNet50", "vgg8"))["cam_weight"].value == 400.0


@pytest.mark.parametrize("method", PAIR_WEIGHTS)
def test_every_published_weight_belongs_to_a_pair_of_the_suite_and_has_its_place(
    method: str,
) -> None:
    defaults = fields_of(method)
    for name, by_pair in PAIR_WEIGHTS[method].items():
        assert by_pair.keys() <= ALL_PAIRS
        for fact in by_pair.values():
            assert type(fact.value) is type(defaults[name])
            assert re.match(r"\S+@[0-9a-f]{7} \S+\.(yaml|sh|txt)|arXiv 2402.11148 .*table \d$",
                            fact.source)  # fmt: skip


@pytest.mark.parametrize("method", PAIR_WEIGHTS)
def test_a_grid_takes_the_weights_of_its_pair(method: str) -> None:
    for pair in ALL_PAIRS:
        loss = loss_for(method, pair, PAPER)
        loss = loss.loss if isinstance(loss, Standardized) else loss
        expected = {name: weight.value for name, weight in pair_weights(method, pair).items()}
        assert loss == dataclasses.replace(loss, **expected)  # type: ignore[type-var]
        assert fields_of(method) | expected == vars(loss)  # nothing else is changed


def values(method: str, field: str, pairs: tuple[Pair, ...]) -> list[object]:
    return [pair_weights(method, pair)[field].value for pair in pairs]


def test_dkd_betas_are_those_of_the_released_configurations() -> None:
    assert values("dkd", "beta", paper.SAME_ARCHITECTURE) == [2.0, 2.0, 8.0, 6.0, 6.0, 6.0]
    assert values("dkd", "beta", paper.DIFFERENT_ARCHITECTURE) == [6.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    unreleased = [pair for pair in BENCHMARK if pair not in PAIR_WEIGHTS["dkd"]["beta"]]
    assert unreleased == [("ResNet50", "vgg8")]


def test_lskd_s_weights_are_those_in_the_names_of_its_logs() -> None:
    for (teacher, student), fact in PAIR_WEIGHTS["kd+ls"]["temperature"].items():
        weight = PAIR_WEIGHTS["kd+ls"]["kd_weight"][teacher, student]
        log = f"logs/KD/kd,{teacher},{student},{fact.value:g},{weight.value:g}.txt"
        assert fact.source == weight.source == f"logit-standardization-KD@f6e5aa5 {log}"


def test_ttm_and_wttm_share_gamma_and_differ_in_beta() -> None:
    """The two methods' rows of tables 8 and 9; of vgg13:vgg8 the authors' README says the same."""
    ttm, wttm = PAIR_WEIGHTS["ttm"], PAIR_WEIGHTS["wttm"]
    assert ttm["gamma"] == wttm["gamma"]
    assert set(BENCHMARK) < ttm["beta"].keys()
    assert all(ttm["beta"][pair].value > wttm["beta"][pair].value for pair in ttm["beta"])
    readme = {"gamma": 0.1, "beta": 45.0}
    assert {name: w.value for name, w in pair_weights("ttm", ("vgg13", "vgg8")).items()} == readme


def test_catkd_normalises_the_maps_of_different_architectures_alone() -> None:
    same = values("catkd", "normalize", paper.SAME_ARCHITECTURE)
    released = PAIR_WEIGHTS["catkd"]["normalize"]
    different = [released[pair].value for pair in paper.DIFFERENT_ARCHITECTURE if pair in released]
    assert (same, different) == ([False] * 6, [True] * 5)
    assert {
        pair[1] for pair, fact in PAIR_WEIGHTS["catkd"]["resolution"].items() if fact.value == 4
    } == {"ShuffleV1", "ShuffleV2"}


def test_reviewkd_weighs_small_resnets_little() -> None:
    expected = [0.6, 1.0, 5.0, 5.0, 5.0, 1.0]  # vgg13:vgg8 is not in the script
    assert values("reviewkd", "review_weight", paper.SAME_ARCHITECTURE) == expected
    assert isinstance(pair_weights("reviewkd", ("vgg13", "vgg8"))["review_weight"], Unknown)
    assert isinstance(pair_weights("reviewkd", ("resnet56", "resnet20"))["review_weight"], Fact)
