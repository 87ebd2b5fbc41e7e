"""E4: the same operator for all students of a cohort: on streams, grouped, packed, folded."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.bench.gpu.device import cudnn, fork_join
from repro.bench.gpu.lab import Lab, Row

Operation = Callable[[], object]
STUDENTS, PACK = 16, 4
SHAPES = ((16, 16, 32), (3, 16, 32), (32, 32, 16), (64, 64, 8))  # channels in, out, side: resnet20
INNER = 8  # times in one recording, so that its own launch weighs little
BLOCK_SECONDS = 0.15  # grouped convolutions may be very slow: few replays then
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One student's 3x3 convolution: ``channels_in`` to ``channels_out`` on side x side."""

    channels_in: int
    channels_out: int
    side: int
    students: int = STUDENTS
    pack: int = PACK


def measure(lab: Lab) -> None:
    lab = lab.quick(BLOCK_SECONDS)
    with cudnn(benchmark=True):
        for dtype, shape in product(("fp32", "bf16", "fp16"), shapes(lab)):
            for form, layout in forms(shape):
                labels = {
                    "operator": "conv3x3",
                    "channels": [shape.channels_in, shape.channels_out],
                    "side": shape.side,
                    "dtype": dtype,
                    "form": form,
                    "layout": layout,
                    "students": shape.students,
                }
                lab.row(labels, partial(convolution, lab, shape, labels))
        for dtype, shape in product(("fp32", "bf16"), shapes(lab)):
            if shape.channels_in == shape.channels_out:
                norms(lab, shape, dtype)


def shapes(lab: Lab) -> tuple[Shape, ...]:
    if lab.device.rehearsal:
        tiny = {"side": 4, "students": 4, "pack": 2}
        return Shape(channels_in=4, channels_out=4, **tiny), Shape(
            channels_in=3, channels_out=4, **tiny
        )
    return tuple(Shape(channels_in=i, channels_out=o, side=side) for i, o, side in SHAPES)


def forms(shape: Shape) -> tuple[tuple[str, str], ...]:
    """The first layer sees the same images for all students: grouping it is one dense layer."""
    both = ("channels_last", "contiguous")
    if shape.channels_in != shape.channels_out:
        return ("streams", "channels_last"), *(("shared", layout) for layout in both)
    return ("streams", "channels_last"), *product(("packed", "grouped"), both)


def convolution(lab: Lab, shape: Shape, labels: Row) -> Row:
    """Microseconds a student of the forward pass and of each gradient."""
    found: Row = {}
    for direction in ("forward", "data_gradient", "weight_gradient"):
        if direction == "data_gradient" and shape.channels_in == 3:
            continue  # images need no gradient
        made = operations(lab, shape, labels, direction)
        run = fork_join(lab.device, [repeated(one) for one in made])
        ms = lab.time(run)["ms_min"]
        found[f"{direction}_us"] = round(ms * 1e3 / INNER / shape.students, 4)
    return found | {"total_us": round(sum(found.values()), 4)}


def repeated(operation: Operation) -> Operation:
    def work() -> None:
        for _ in range(INNER):
            operation()

    return work


def operations(lab: Lab, shape: Shape, labels: Row, direction: str) -> list[Operation]:
    """One operation for all students, or one each ("streams")."""
    s, into, out = shape.students, shape.channels_in, shape.channels_out
    channels = {  # of the images, of the result, groups
        "streams": (into, out, 1),
        "shared": (into, s * out, 1),
        "grouped": (s * into, s * out, s),
        "packed": (s * into, s * out, s // shape.pack),
    }[labels["form"]]
    count = s if labels["form"] == "streams" else 1
    return [_operation(lab, shape.side, channels, labels, direction) for _ in range(count)]


def _operation(
    lab: Lab, side: int, channels: tuple[int, int, int], labels: Row, direction: str
) -> Operation:
    into, out, groups = channels
    layout = torch.channels_last if labels["layout"] == "channels_last" else torch.contiguous_format
    make = partial(_random, lab, DTYPES[labels["dtype"]], layout)
    images = make(lab.sizes.batch, into, side, side)
    weight = make(out, into // groups, 3, 3)
    if direction == "forward":
        return lambda: F.conv2d(images, weight, padding=1, groups=groups)
    gradient = make(lab.sizes.batch, out, side, side)
    mask = [direction == "data_gradient", direction == "weight_gradient", False]
    ones, zeros = [1, 1], [0, 0]
    return lambda: torch.ops.aten.convolution_backward(
        gradient, images, weight, None, ones, ones, ones, False, zeros, groups, mask
    )


def _random(lab: Lab, dtype: torch.dtype, layout: torch.memory_format, *shape: int) -> Tensor:
    made = torch.randn(shape, device=lab.device.device).to(dtype)
    return made.contiguous(memory_format=layout)


def norms(lab: Lab, shape: Shape, dtype: str) -> None:
    """BatchNorm forward and backward, folded to all students' channels, or one each."""
    for form, layout in product(("streams", "folded"), ("channels_last", "contiguous")):
        labels = {
            "operator": "batch_norm",
            "channels": [shape.channels_out] * 2,
            "side": shape.side,
            "dtype": dtype,
            "form": form,
            "layout": layout,
            "students": shape.students,
        }
        lab.row(labels, partial(batch_norm, lab, shape, labels))


def batch_norm(lab: Lab, shape: Shape, labels: Row) -> Row:
    count = shape.students if labels["form"] == "streams" else 1
    channels = shape.channels_out * (shape.students // count)
    made = [_batch_norm(lab, channels, shape.side, labels) for _ in range(count)]
    ms = lab.time(fork_join(lab.device, [repeated(one) for one in made]))["ms_min"]
    return {"total_us": round(ms * 1e3 / INNER / shape.students, 4)}


def _batch_norm(lab: Lab, channels: int, side: int, labels: Row) -> Operation:
    layout = torch.channels_last if labels["layout"] == "channels_last" else torch.contiguous_format
    make = partial(_random, lab, DTYPES[labels["dtype"]], layout)
    images = make(lab.sizes.batch, channels, side, side).requires_grad_()
    gradient = make(lab.sizes.batch, channels, side, side)
    device = lab.device.device
    mean, variance = torch.zeros(channels, device=device), torch.ones(channels, device=device)
    weight, bias = (torch.ones(channels, device=device, requires_grad=True) for _ in range(2))

    def work() -> None:
        maps = F.batch_norm(images, mean, variance, weight, bias, True, 0.1)
        torch.autograd.grad(maps, (images, weight, bias), gradient)

    return work
