from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import scipy.special
import torch
from torch import Tensor, nn

from repro import paper
from repro.losses import ReviewKD
from repro.losses.layers import BatchNorm
from repro.losses.reviewkd import _context_loss
from repro.models import num_params, shapes
from repro.outputs import Batch, Outputs
from tests.losses.made import Case, adapter, made, terms
from tests.losses.reference import Array, cross_entropy

PAIRS = sorted({*paper.SAME_ARCHITECTURE, *paper.DIFFERENT_ARCHITECTURE, *paper.STRONGER_TEACHERS})


def convolve(maps: Array, weight: Array) -> Array:
    """Zero-padded to the same size."""
    planes = [
        sum(
            scipy.signal.correlate2d(p, k, mode="same") for p, k in zip(image, kernels, strict=True)
        )
        for image in maps
        for kernels in weight
    ]
    return np.array(planes).reshape(len(maps), len(weight), *maps.shape[2:])


def batch_norm(maps: Array, weight: Array, bias: Array) -> Array:
    out = np.empty_like(maps)
    for c in range(maps.shape[1]):
        channel = maps[:, c]
        out[:, c] = (channel - channel.mean()) / np.sqrt(channel.var() + 1e-5) * weight[c] + bias[c]
    return out


def nearest(maps: Array, side: int) -> Array:
    places = [int(i * maps.shape[2] / side) for i in range(side)]
    return maps[:, :, places][:, :, :, places]


def context_loss(a: Array, b: Array) -> float:
    side = a.shape[2]
    compared = [np.mean((a - b) ** 2)]
    for level in (level for level in (4, 2, 1) if level < side):
        means = [m.reshape(*m.shape[:2], level, side // level, level, -1) for m in (a, b)]
        small = [m.mean(axis=(3, 5)) for m in means]
        compared.append(np.mean((small[0] - small[1]) ** 2))
    return float(np.average(compared, weights=[0.5**i for i in range(len(compared))]))


def maps_of(outputs: Outputs, stages: tuple[Tensor, ...]) -> list[Array]:
    """Those of the stages without the stem, and the pooled features as maps of one pixel."""
    assert outputs.pooled is not None
    return [m.numpy() for m in (*stages[1:], outputs.pooled[:, :, None, None])]


def review(case: Case, module: nn.Module) -> float:
    """The sum over the stages, from the pooled features back to the first."""
    weights = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    own = maps_of(case.student, case.student.features)
    targets = maps_of(case.teacher, case.teacher.preactivations)
    stages = min(len(own), len(targets)) - 1
    own, targets = [*own[:stages], own[-1]], [*targets[:stages], targets[-1]]
    mixed, total = None, 0.0
    for i in reversed(range(len(own))):

        def layer(maps: Array, name: str, i: int = i) -> Array:
            w = {k.removeprefix(f"fusions.{i}.{name}."): v for k, v in weights.items()}
            return batch_norm(convolve(maps, w["0.weight"]), w["1.weight"], w["1.bias"])

        x = layer(own[i], "narrow")
        if mixed is not None:
            mixed = nearest(mixed, x.shape[2])
            both = convolve(
                np.concatenate((x, mixed), axis=1), weights[f"fusions.{i}.attention.weight"]
            )
            share = scipy.special.expit(
                both + weights[f"fusions.{i}.attention.bias"][:, None, None]
            )
            x = x * share[:, :1] + mixed * share[:, 1:]
        mixed = nearest(x, targets[i].shape[2])
        total += context_loss(layer(mixed, "widen"), targets[i])
    return total


def resized_teacher(case: Case, sides: tuple[int, ...]) -> Case:
    """With preactivations of other sizes, for the stem and as many stages as there are."""
    draw = torch.Generator().manual_seed(9)
    maps = tuple(torch.randn(6, 5, n, n, generator=draw, dtype=torch.float64) for n in sides)
    return replace(case, teacher=replace(case.teacher, preactivations=maps, features=()))


CASES = {
    "of one size": made(),  # stages of 8, 4 and 2 pixels
    "larger teacher": resized_teacher(made(), (16, 16, 8, 4)),
    "smaller teacher": resized_teacher(made(), (8, 4, 4, 1)),
    "shorter teacher": resized_teacher(made(), (8, 8, 2)),
    "longer teacher": resized_teacher(made(), (8, 8, 4, 2, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_reviewkd_equals_a_slow_reference(name: str) -> None:
    case = CASES[name]
    loss, draw = ReviewKD(ce_weight=0.5), torch.Generator().manual_seed(1)
    module = adapter(loss, case)
    assert module is not None
    for parameter in module.parameters():  # norms too are then unlike the identity
        parameter.data = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
    found = {k: v.item() for k, v in terms(loss, case, module).items()}
    labels = case.batch.labels.numpy()
    expected = {
        "ce": 0.5 * cross_entropy(case.student.logits.numpy(), labels),
        "review": 5 * review(case, module),
    }
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("side", "levels"), [(32, 3), (8, 3), (4, 2), (2, 1), (1, 0)])
def test_a_difference_that_averages_out_counts_on_the_finest_level_alone(
    side: int, levels: int
) -> None:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    checkers = (-1.0) ** (rows + columns)
    alone = _context_loss(checkers.expand(2, 3, side, side))
    assert alone.item() == pytest.approx(1 / sum(0.5**i for i in range(levels + 1)))
    assert _context_loss(torch.full((2, 3, side, side), 3.0)).item() == pytest.approx(9)
    assert _context_loss(torch.zeros(2, 3, side, side)).item() == 0


def test_the_stems_are_not_read() -> None:
    case, loss = made(), ReviewKD()
    other = made(seed=1)
    changed = replace(
        case,
        student=replace(
            case.student, features=(other.student.features[0], *case.student.features[1:])
        ),
    )
    assert terms(loss, case) == terms(loss, changed)


@pytest.mark.parametrize(
    ("epoch", "weight"), [(0, 0.25), (9, 2.5), (19, 5.0), (20, 5.0), (100, 5.0)]
)
def test_the_warm_up_of_20_epochs(epoch: int, weight: float) -> None:
    at = ReviewKD().at_epoch(epoch)
    assert (at.review_weight, at.ce_weight, at.warmup_epochs) == (pytest.approx(weight), 1.0, 0)
    assert at.at_epoch(0) == at


def test_the_adapter_of_resnet32x4_and_resnet8x4_by_hand() -> None:
    own = (64, 128, 256, 256)  # the teacher's too, and 256 in the mixtures
    narrow = sum(256 * c + 2 * 256 for c in own)
    widen = sum(9 * 256 * c + 2 * c for c in own)
    attention = 3 * (2 * 512 + 2)
    with torch.device("meta"):
        module = ReviewKD().make_adapter(
            shapes("resnet8x4", 100), shapes("resnet32x4", 100), torch.zeros(0)
        )
    assert num_params(module) == narrow + widen + attention == 1_808_774


@pytest.mark.parametrize(
    ("student", "width"), [("resnet20", 64), ("wrn_40_1", 64), ("vgg8", 512), ("MobileNetV2", 512)]
)
def test_mixtures_are_as_wide_as_the_pooled_features_up_to_512(student: str, width: int) -> None:
    with torch.device("meta"):
        module = ReviewKD().make_adapter(shapes(student, 100), shapes("vgg13", 100), torch.zeros(0))
    weights = module.state_dict()
    assert {weights[f"fusions.{i}.narrow.0.weight"].shape[0] for i in range(4)} == {width}


@pytest.mark.parametrize("pair", PAIRS, ids=":".join)
def test_every_pair_can_be_reviewed(pair: tuple[str, str]) -> None:
    teacher, student = (shapes(name, 10) for name in pair)
    with torch.device("meta"):
        module = ReviewKD().make_adapter(student, teacher, torch.zeros(0))
        values = ReviewKD()(student, teacher, batch_of_one(), module)
    stages = min(len(student.features), len(teacher.features)) - 1
    assert len(module.fusions) == stages + 1
    assert values["review"].shape == ()


def batch_of_one() -> Batch:
    numbers = torch.zeros(1, dtype=torch.int64)
    return Batch(torch.zeros(1, 3, 32, 32), numbers, numbers, numbers)


def test_a_channel_with_one_value_is_normalised_by_the_running_statistics() -> None:
    norm = BatchNorm(2)
    norm.running_mean, norm.running_var = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0])
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    found = norm(torch.tensor([3.0, 3.0]).reshape(1, 2, 1, 1))
    assert found.flatten().tolist() == pytest.approx([2.0, 1.5], rel=1e-4)
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())


def test_batches_are_normalised_as_pytorch_does_and_not_counted() -> None:
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    maps = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(maps), theirs(maps))
    assert ours.running_var is not None
    assert theirs.running_var is not None
    assert torch.equal(ours.running_var, theirs.running_var)
    assert ours.num_batches_tracked == 0


def test_reviewkd_needs_no_logits_of_the_teacher() -> None:
    case, loss = made(), ReviewKD()
    silent = replace(case, teacher=replace(case.teacher, logits=torch.empty(0, 0)))
    assert terms(loss, case) == terms(loss, silent)
