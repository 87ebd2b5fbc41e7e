import subprocess
import sys

import pytest
import torch

from repro.data import torchvision_cure
from repro.data.torchvision_cure import import_torchvision


def test_torchvision_imports_with_its_datasets_and_transforms():
    torchvision = import_torchvision()
    assert torchvision.datasets.CIFAR100.url.startswith("https://")
    assert torchvision.transforms.functional.to_tensor is not None


def test_importing_twice_declares_once():
    import_torchvision()
    first = torchvision_cure.declared
    import_torchvision()
    assert torchvision_cure.declared is first


def test_operators_work_or_say_that_they_are_absent():
    ops = import_torchvision().ops
    boxes, scores = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]]), torch.tensor([0.5, 0.9])
    if torchvision_cure.declared is None:  # the real library: nothing was declared
        assert ops.nms(boxes, scores, 0.5).tolist() == [1]
        return
    with pytest.raises(RuntimeError, match=r"custom C\+\+ ops"):
        ops.nms(boxes, scores, 0.5)
    with pytest.raises(NotImplementedError):
        torch.ops.torchvision.nms(boxes, scores, 0.5)


def test_the_data_package_imports_neither_torchvision_nor_sklearn():
    code = (
        "import sys, repro.data, repro.data.cifar100, repro.data.digits, repro.data.batches;"
        "print([m for m in ('torchvision', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
