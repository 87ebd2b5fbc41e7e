"""E8: the teacher's share: live in the feed or looked up, and how fast a bank is built."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from repro import models
from repro.bench.gpu.device import cudnn
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import CLASSES, SEED, Bench, make_bench
from repro.data.augment import num_views
from repro.data.batches import Views, take
from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.step import Teacher
from repro.train.teacher import LiveTeacher
from repro.train.weights import channels_last

NETWORKS = ("resnet56", "resnet32x4")
BANK_BATCH, REHEARSED_BANK_BATCH = 2000, 8
BLOCK_SECONDS = 0.3
BANK_VIEWS = num_views("crop-flip") * 50_000  # forward passes of a whole bank
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
DTYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    with cudnn(benchmark=True):
        lab.row({"part": "feed", "teacher": "bank"}, partial(feeding, bench, bench.teacher))
        for network in lab.choose(NETWORKS, ("resnet8",)):
            one_teacher(bench, network)


def one_teacher(bench: Bench, network: str) -> None:
    """Live in the feed, then building a bank."""
    model = settled(network, bench)
    for precision in PRECISIONS:
        labels: Row = {"teacher": "live", "network": network, "precision": precision}
        teacher = LiveTeacher(model, precision)
        bench.lab.row({"part": "feed"} | labels, partial(feeding, bench, teacher))
    for dtype in DTYPES:
        for folded in (True, False):
            labels = {"network": network, "dtype": dtype, "folded": folded}
            measure = partial(building, bench, model, dtype, folded)
            bench.lab.row({"part": "bank"} | labels, measure)


def feeding(bench: Bench, teacher: Teacher) -> Row:
    """A batch and the teacher's outputs for it, recorded."""
    found = bench.lab.time(bench.lab.device.record(bench.feed(teacher)))
    return found | {"peak_bytes": bench.lab.device.peak_bytes()}


@torch.no_grad()
def settled(network: str, bench: Bench) -> nn.Module:
    """An untrained network whose BatchNorm statistics are those of one batch: else it overflows."""
    model = models.build(network, num_classes=CLASSES, seed=SEED).to(bench.lab.device.device)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics become the batch's
    batch, _ = bench.feed()()
    channels_last(model).train()(batch.images)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    return model.eval()


def building(bench: Bench, model: nn.Module, dtype: str, folded: bool) -> Row:
    """Filling rows of a bank, eagerly: every image of a part in one view."""
    network = LiveTeacher(model, "fp32").model if folded else model
    batch = one_view(bench)
    answer = answering(network, dtype)
    row = torch.empty(len(batch.labels), CLASSES, dtype=torch.float16, device=batch.labels.device)

    def work() -> None:
        row.copy_(answer(one_view(bench)).logits)

    def run(times: int) -> None:
        for _ in range(times):
            work()

    found = bench.lab.quick(BLOCK_SECONDS).time(run)
    per_second = len(batch.labels) / found["ms_median"] * 1e3
    reference = exactly(model, batch)
    return found | {
        "batch": len(batch.labels),
        "views_per_second": per_second,
        "bank_seconds": BANK_VIEWS / per_second,
        "largest_error": (row.float() - reference).abs().max().item(),
        "largest_logit": reference.abs().max().item(),
        "agreement": (row.argmax(1) == reference.argmax(1)).float().mean().item(),
    }


def answering(network: nn.Module, dtype: str) -> Callable[[Batch], Outputs]:
    kind = DTYPES[dtype]

    @torch.no_grad()
    def answer(batch: Batch) -> Outputs:
        if kind is None:
            return network(batch.images)
        with torch.autocast(batch.images.device.type, kind):
            return network(batch.images)

    return answer


@torch.no_grad()
def exactly(model: nn.Module, batch: Batch) -> Tensor:
    """The logits without TF32."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        return model(batch.images).logits.clone()
    finally:
        torch.backends.cudnn.allow_tf32 = before


def one_view(bench: Bench) -> Batch:
    """The first images in the view of the middle, not mirrored."""
    device = bench.lab.device.device
    count = REHEARSED_BANK_BATCH if bench.lab.device.rehearsal else BANK_BATCH
    order = torch.arange(count, device=device)
    offsets = torch.full((count, 2), 4, device=device)
    flips = torch.zeros(count, dtype=torch.bool, device=device)
    return take(bench.images, Views(order, offsets, flips, order))
