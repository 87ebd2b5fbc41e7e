import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from repro.errors import UserError
from repro.losses import CRD
from repro.losses.crd import Contrast
from repro.losses.negatives import GOLDEN, Negatives, mixed, unsigned_shift
from tests.losses.made import TRAINING_IMAGES, Case, adapter, made, terms
from tests.losses.operations import Operations
from tests.losses.reference import Array, cross_entropy

SMALL = CRD(negatives=7, dim=5)


def contrast(loss: CRD, case: Case) -> Contrast:
    module = adapter(loss, case)
    assert isinstance(module, Contrast)
    return module


def embedded(case: Case, module: Contrast) -> tuple[Tensor, Tensor]:
    """Unit vectors [B, dim] of both networks."""
    rows = module.embeddings(case.student, case.teacher)
    own, target = (x / x.norm(dim=1, keepdim=True) for x in rows)
    return own, target


class Reference:
    """CRD of one batch after the other, with loops."""

    def __init__(self, module: Contrast) -> None:
        self.student, self.teacher = module.memory.numpy().copy()
        self.z: dict[str, float] = {}

    def nce(self, anchors: Array, memory: Array, chosen: Array, name: str) -> float:
        scores = [
            [math.exp(v @ memory[n] / 0.07) for n in row]
            for v, row in zip(anchors, chosen, strict=True)
        ]
        images = len(memory)
        self.z.setdefault(name, float(np.mean(scores)) * images)
        a, total = (chosen.shape[1] - 1) / images, 0.0
        for row in scores:
            own, *others = (score / self.z[name] for score in row)
            total -= math.log(own / (own + a + 1e-7))
            total -= sum(math.log(a / (other + a + 1e-7)) for other in others)
        return total / len(anchors)

    def step(self, case: Case, module: Contrast) -> dict[str, float]:
        own, target = (x.detach().numpy() for x in embedded(case, module))
        indices = case.batch.indices
        chosen = np.column_stack((indices.numpy(), module.negatives(indices).numpy()))
        values = {
            "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
            "nce_student": 0.8 * self.nce(own, self.teacher, chosen, "student"),
            "nce_teacher": 0.8 * self.nce(target, self.student, chosen, "teacher"),
        }
        for memory, vectors in ((self.student, own), (self.teacher, target)):
            for n, v in zip(indices.tolist(), vectors, strict=True):
                row = 0.5 * memory[n] + 0.5 * v
                memory[n] = row / np.sqrt(np.sum(row**2))
        return values


@pytest.mark.parametrize("loss", [SMALL, CRD(negatives=300)])
def test_two_steps_equal_a_slow_reference(loss: CRD) -> None:
    """Z is set in the first; the second meets images that the first has changed."""
    cases = made(0, batch=12), made(1, batch=30)
    module = contrast(loss, cases[0])
    reference = Reference(module)
    labels = cases[0].labels
    for case in cases:
        case.batch.labels.copy_(labels[case.batch.indices])
        expected = reference.step(case, module)
        found = {name: value.item() for name, value in terms(loss, case, module).items()}
        assert found == pytest.approx(expected, rel=1e-9)
    assert module.memory[0].numpy() == pytest.approx(reference.student, rel=1e-9)
    assert module.memory[1].numpy() == pytest.approx(reference.teacher, rel=1e-9)
    expected_z = [reference.z["teacher"], reference.z["student"]]
    assert module.log_z.exp().tolist() == pytest.approx(expected_z, rel=1e-9)


def gathered(loss: CRD, case: Case, module: Contrast) -> Tensor:
    """Both NCEs as released, from the vectors of all negatives."""
    indices = case.batch.indices
    chosen = torch.cat((indices[:, None], module.negatives(indices)), dim=1)
    total, share = torch.zeros((), dtype=torch.float64), loss.negatives / TRAINING_IMAGES
    own, target = embedded(case, module)
    for side, anchors in ((1, own), (0, target)):
        scores = torch.einsum("bd,bkd->bk", anchors, module.memory[side][chosen].clone())
        p = torch.exp(scores / loss.temperature) / module.log_z[side].exp()
        total = total - (p[:, 0] / (p[:, 0] + share + 1e-7)).log().mean()
        total = total - (share / (p[:, 1:] + share + 1e-7)).log().sum(1).mean()
    return loss.crd_weight * total


def test_gradients_equal_those_of_gathered_vectors() -> None:
    case = made()
    module = contrast(SMALL, case)
    terms(SMALL, case, module)  # Z is a constant from here on
    assert case.student.pooled is not None
    leaves = [case.student.pooled.requires_grad_(), *module.parameters()]
    expected = torch.autograd.grad(gathered(SMALL, case, module), leaves)
    found = terms(SMALL, case, module)
    gradients = torch.autograd.grad(found["nce_student"] + found["nce_teacher"], leaves)
    for mine, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12)
        assert mine.any()


def test_the_teacher_s_nce_does_not_move_the_student() -> None:
    case = made()
    assert case.student.pooled is not None
    pooled = case.student.pooled.requires_grad_()
    terms(SMALL, case)["nce_teacher"].backward()
    assert pooled.grad is None or not pooled.grad.any()


def test_no_vectors_of_negatives_are_gathered() -> None:
    """[6, 1 + 500, 16] would be 48,096 numbers."""
    loss, case = CRD(negatives=500, dim=16), made()
    module = contrast(loss, case)
    with Operations() as operations:
        sum(terms(loss, case, module).values()).backward()  # type: ignore[union-attr]
    assert operations.largest == 2 * 6 * 501


def test_only_a_step_with_gradients_changes_the_adapter() -> None:
    case = made()
    module = contrast(SMALL, case)
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        first = terms(SMALL, case, module)
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    second = terms(SMALL, case, module)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}
    changed = {name for name, t in module.state_dict().items() if not torch.equal(t, before[name])}
    assert changed == {"memory", "log_z", "negatives.step"}
    others = [n for n in range(TRAINING_IMAGES) if n not in case.batch.indices.tolist()]
    assert torch.equal(module.memory[:, others], before["memory"][:, others])


def test_a_restored_adapter_goes_on_as_if_nothing_had_happened() -> None:
    case = made()
    module, other = contrast(SMALL, case), contrast(SMALL, made(seed=5))
    terms(SMALL, case, module)
    other.load_state_dict(module.state_dict())
    for _ in range(2):
        one, two = terms(SMALL, case, module), terms(SMALL, case, other)
        assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}


def test_the_adapter_holds_two_embeddings_and_two_memories() -> None:
    module = contrast(CRD(), made())
    assert sum(p.numel() for p in module.parameters()) == (8 + 1) * 128 + (9 + 1) * 128
    assert module.memory.numel() == 2 * TRAINING_IMAGES * 128
    bound = 1 / math.sqrt(128 / 3)
    assert 0.95 * bound < module.memory.abs().max() <= bound
    assert scipy.stats.kstest(module.memory.flatten(), "uniform", (-bound, 2 * bound)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"negatives": 0}, r"CRD\.negatives must be 1 or more, not 0"),
        ({"dim": 0}, r"CRD\.dim must be 1 or more, not 0"),
        ({"memory_momentum": 1.5}, r"CRD\.memory_momentum must be 0 to 1, not 1\.5"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CRD(**fields)  # type: ignore[arg-type]


def test_mixing_is_splitmix64() -> None:
    """The first numbers from 1234567, as published with its reference implementation."""
    states = 1234567 + torch.arange(1, 4) * GOLDEN
    numbers = mixed(states)
    numbers = numbers ^ unsigned_shift(numbers, 31)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [n % 2**64 for n in numbers.tolist()] == expected


LABELS = torch.tensor([3, 0, 1, 1, 0, 3, 3, 3, 1, 0, 3, 1])  # no image of class 2


def seeded(labels: Tensor, count: int) -> Negatives:
    negatives = Negatives(labels, count)
    negatives.seed.fill_(2026)
    return negatives


def test_negatives_are_uniform_over_the_images_of_other_classes() -> None:
    negatives = seeded(LABELS, 20000)
    drawn = negatives(torch.arange(len(LABELS)))
    for image, row in enumerate(drawn):
        counts = np.bincount(row.numpy(), minlength=len(LABELS))
        others = LABELS.ne(LABELS[image]).numpy()
        assert counts[~others].sum() == 0
        assert scipy.stats.chisquare(counts[others]).pvalue > 1e-4


def test_successive_negatives_are_independent() -> None:
    """Along the row, from step to step, from image to image: pairs are uniform too."""
    labels = torch.cat((torch.zeros(1), torch.ones(8), torch.zeros(1))).long()
    negatives = seeded(labels, 20000)
    one, other = negatives(torch.tensor([0, 9])) - 1
    negatives.step.add_(1)
    later = negatives(torch.tensor([0]))[0] - 1
    for a, b in ((one[:-1], one[1:]), (one, other), (one, later)):
        pairs = np.bincount((8 * a + b).numpy(), minlength=64)
        assert scipy.stats.chisquare(pairs).pvalue > 1e-4


def test_negatives_depend_on_seed_step_and_image_alone() -> None:
    negatives = seeded(LABELS, 50)
    drawn = negatives(torch.tensor([4, 7, 2]))
    assert torch.equal(negatives(torch.tensor([7])), drawn[1:2])
    other = Negatives(LABELS, 50)
    assert not torch.equal(other(torch.tensor([4, 7, 2])), drawn)
    other.load_state_dict(negatives.state_dict())
    assert torch.equal(other(torch.tensor([4, 7, 2])), drawn)


def test_one_class_has_no_negatives() -> None:
    with pytest.raises(UserError, match="two classes"):
        Negatives(torch.ones(5, dtype=torch.int64), 3)
    assert len(Negatives(torch.empty(0, dtype=torch.int64), 3).order) == 0  # as for stored networks
