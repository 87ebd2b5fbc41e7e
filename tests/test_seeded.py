"""The global generator is borrowed by one thread at a time, and given back as it was."""

from concurrent.futures import ThreadPoolExecutor

import torch

from repro import models
from repro.seeded import seeded


def test_it_is_given_back_as_it_was() -> None:
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_that_build_networks_at_once_build_the_same() -> None:
    def weights(seed: int) -> torch.Tensor:
        network = models.build("resnet8", num_classes=10, seed=seed)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    seeds = [1, 2, 3, 4] * 10
    alone = {seed: weights(seed) for seed in set(seeds)}
    with ThreadPoolExecutor(8) as pool:
        for seed, found in zip(seeds, pool.map(weights, seeds), strict=True):
            assert torch.equal(found, alone[seed])
