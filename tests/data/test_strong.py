"""The strong view against Pillow, the library of the published code."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor

from repro.data.augment import PADDING, crop_flip, pad
from repro.data.strong import (
    FILL,
    HEAD,
    KINDS,
    OPERATIONS,
    SLOT,
    cut_out,
    draw_recipes,
    hole,
    operation,
    strong_view,
)

COUNT = 60


def images(side: int = 32) -> Tensor:
    """Noise, and what is special to some operation: smooth, dim, two-level and constant images."""
    draw = torch.Generator().manual_seed(3)
    noise = torch.randint(256, (COUNT, side, side, 3), generator=draw)
    axis = torch.arange(side) * 32 // side
    ramp = axis[:, None, None] * torch.tensor([8, 5, 2]) + axis[:, None]
    noise[10:30] = ramp.clamp(max=255) + noise[10:30] // 32
    noise[30:40] = 90 + noise[30:40] // 10
    noise[40:45] = 20 + 200 * (noise[40:45] > 200)
    noise[45:50] = noise[45:50, :1, :1]
    noise[50:55, 4:] = 7
    return noise.to(torch.uint8)


def strengths(name: str) -> tuple[Tensor, Tensor]:
    """Numbers in [0, 1), 0 among them, and the strengths that they stand for."""
    draw = torch.Generator().manual_seed(KINDS[name])
    numbers = torch.rand(COUNT, generator=draw, dtype=torch.float64)
    numbers[0] = 0
    low, high = OPERATIONS[name]
    return numbers, low + (high - low) * numbers


def recipes(operations: list[Tensor]) -> Tensor:
    """Neither moved nor mirrored, without holes."""
    head = torch.tensor([PADDING, PADDING, 0]).expand(COUNT, 3)
    holes = hole(torch.zeros(COUNT, 3, dtype=torch.float64), 32)
    return torch.cat([head, holes, *operations], dim=1).float()


def kinds(name: str) -> Tensor:
    return torch.full((COUNT,), KINDS[name])


def followed(pixels: Tensor, rows: Tensor) -> Tensor:
    return strong_view(pad(pixels), torch.arange(COUNT), rows)


def pillow(name: str, image: Image.Image, v: float) -> Image.Image:
    """The operation as in the published list."""
    affine = {
        "shear-x": (1, v, 0, 0, 1, 0),
        "shear-y": (1, 0, 0, v, 1, 0),
        "translate-x": (1, 0, image.width * v, 0, 1, 0),
        "translate-y": (1, 0, 0, 0, 1, image.height * v),
    }
    if name in affine:
        return image.transform(image.size, Image.Transform.AFFINE, affine[name])
    enhance = {"color": "Color", "brightness": "Brightness", "contrast": "Contrast"}
    enhance["sharpness"] = "Sharpness"
    if name in enhance:
        return getattr(ImageEnhance, enhance[name])(image).enhance(v)
    return {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "identity": lambda: image,
        "posterize": lambda: ImageOps.posterize(image, int(v)),
        "rotate": lambda: image.rotate(v),
        "solarize": lambda: ImageOps.solarize(image, v),  # type: ignore[arg-type]
    }[name]()


def by_pillow(name: str, pixels: Tensor, values: Tensor) -> np.ndarray:
    pairs = zip(pixels.numpy(), values.tolist(), strict=True)
    return np.stack([np.asarray(pillow(name, Image.fromarray(image), v)) for image, v in pairs])


@pytest.mark.parametrize("side", [32, 16])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_that_of_pillow(name: str, side: int) -> None:
    """Byte for byte, all of them."""
    numbers, values = strengths(name)
    plain = operation(kinds("identity"), numbers, side)
    mine = operation(kinds(name), numbers, side)
    pixels = images(side)
    expected = by_pillow(name, pixels, values)
    for order in ([mine, plain], [plain, mine]):
        np.testing.assert_array_equal(followed(pixels, recipes(order)).numpy(), expected)
    changed = (expected != pixels.numpy()).any(axis=(1, 2, 3)).mean()
    assert changed > 0.3 or name == "identity"


def test_two_operations_follow_each_other_and_images_do_not_mix() -> None:
    draw = torch.Generator().manual_seed(8)
    chosen = torch.randint(len(OPERATIONS), (COUNT, 2), generator=draw)
    numbers = torch.rand(COUNT, 2, generator=draw, dtype=torch.float64)
    rows = recipes([operation(chosen[:, i], numbers[:, i], 32) for i in range(2)])
    expected = images().numpy().copy()
    for i in range(COUNT):
        image = Image.fromarray(images()[i].numpy())
        for kind, number in zip(chosen[i].tolist(), numbers[i].tolist(), strict=True):
            name = list(OPERATIONS)[kind]
            low, high = OPERATIONS[name]
            image = pillow(name, image, low + (high - low) * number)
        expected[i] = np.asarray(image)
    np.testing.assert_array_equal(followed(images(), rows).numpy(), expected)


@pytest.mark.parametrize("whole", [32, 16])
def test_the_hole_is_that_of_pillow(whole: int) -> None:
    """As published: numpy's uniform(32) is 32 - 31 u, and a rectangle includes its last pixels."""
    numbers = torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    numbers[0, 0] = 0  # no hole
    numbers[1] = torch.tensor([0.99, 0.0, 0.999])  # the largest, at two edges
    numbers[2] = torch.tensor([1e-3, 0.5, 0.5])  # a single pixel
    pixels = images(whole).permute(0, 3, 1, 2).contiguous()
    found = cut_out(pixels, hole(numbers, whole).long()).permute(0, 2, 3, 1).numpy()
    for image, (side, x, y), mine in zip(images(whole), numbers.tolist(), found, strict=True):
        expected = Image.fromarray(image.numpy())
        side *= 0.5 * whole
        left, top = (int(max(0, whole + (1 - whole) * u - side / 2)) for u in (x, y))
        box = (left, top, min(whole, left + side), min(whole, top + side))
        if side > 0:
            ImageDraw.Draw(expected).rectangle(box, FILL)
        np.testing.assert_array_equal(mine, np.asarray(expected))


def test_numpys_uniform_of_one_number_counts_down_to_one() -> None:
    numbers = np.random.RandomState(0).random_sample(100)
    found = np.random.RandomState(0).uniform(32, size=100)
    np.testing.assert_allclose(found, 32 - 31 * numbers)


def test_without_operations_and_holes_the_view_is_the_crop() -> None:
    rows = draw_recipes(COUNT, "crop-flip", torch.Generator().manual_seed(1), side=32)
    plain = operation(kinds("identity"), torch.rand(COUNT, dtype=torch.float64), 32)
    rows = torch.cat([rows[:, :3], recipes([plain, plain])[:, 3:]], dim=1)
    places = rows[:, :3].long()
    expected = crop_flip(pad(images()), torch.arange(COUNT), places[:, :2], places[:, 2] > 0)
    assert torch.equal(followed(images(), rows), expected)
    assert not torch.equal(expected, images())


def test_every_operation_is_as_frequent_and_the_two_are_independent() -> None:
    count = len(OPERATIONS)
    rows = draw_recipes(50_000, "crop-flip", torch.Generator().manual_seed(4), side=32)
    first, second = rows[:, HEAD].long(), rows[:, HEAD + SLOT].long()
    cells = torch.bincount(first * count + second, minlength=count**2)
    assert cells.shape == (196,)
    expected = 50_000 / 196
    assert ((cells - expected) ** 2 / expected).sum().item() < 262  # 0.999 quantile, 195 degrees


def test_strengths_fill_their_range() -> None:
    rows = draw_recipes(50_000, "crop-flip", torch.Generator().manual_seed(5), side=32)
    slot = rows[:, HEAD : HEAD + SLOT]

    def of(name: str, column: int) -> tuple[float, float]:
        values = slot[slot[:, 0] == KINDS[name], column]
        return values.min().item(), values.max().item()

    for name in ("brightness", "color", "contrast", "sharpness"):
        assert of(name, 7) == pytest.approx((0.05, 0.95), abs=2e-3)
    assert of("posterize", 8) == (2, 16)  # 7 to 4 bits
    assert of("solarize", 9) == pytest.approx((0, 256), abs=1)
    half = 65536 / 2  # a pixel is where its middle is
    assert of("translate-x", 3) == pytest.approx((half - 9.6 * 65536, half + 9.6 * 65536), rel=1e-2)
    assert of("translate-y", 6) == pytest.approx((half - 9.6 * 65536, half + 9.6 * 65536), rel=1e-2)
    sides = (rows[:, 4] - rows[:, 3]).clamp(min=0) + 1
    assert (sides.min().item(), sides.max().item()) == (1, 16)


def test_the_strong_view_is_made_on_the_device_of_the_images() -> None:
    """The meta device refuses arithmetic with CPU tensors and every reading of a value."""
    rows = draw_recipes(COUNT, "crop-flip", torch.Generator(), side=32).to("meta")
    view = strong_view(pad(images().to("meta")), torch.arange(COUNT, device="meta"), rows)
    assert (view.device.type, view.shape, view.dtype) == ("meta", (COUNT, 32, 32, 3), torch.uint8)


def test_an_image_does_not_depend_on_its_batch() -> None:
    rows = draw_recipes(COUNT, "crop-flip", torch.Generator().manual_seed(6), side=32)
    together, indices = followed(images(), rows), torch.arange(COUNT)
    for i in (0, 17, 59):
        alone = strong_view(pad(images()), indices[i : i + 1], rows[i : i + 1])
        assert torch.equal(alone[0], together[i])
