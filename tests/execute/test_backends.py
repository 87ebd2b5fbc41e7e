"""Which backend trains: as asked, else by the number of devices."""

from typing import Any

import pytest
import torch

from repro import backends
from repro.backends import Backend, Placement

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("backend", "devices", "trains"),
    [
        ("auto", (CPU,), "inline"),
        ("auto", (CPU, CPU), "local"),
        ("inline", (CPU, CPU), "inline"),
        ("local", (CPU,), "local"),
    ],
)
def test_the_backend_is_as_asked(
    backend: Backend,
    devices: tuple[torch.device, ...],
    trains: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, tuple[Any, ...]]] = []

    def stands_in(name: str) -> Any:
        return lambda *given: told.append((name, given)) or [name]

    for name in ("inline", "local"):
        monkeypatch.setattr(backends, name, stands_in(name))
    runtime: Any = object()
    assert backends.train((), runtime, devices, Placement(backend=backend)) == [trains]
    more = (devices,) if trains == "local" else ()
    assert told == [(trains, ((), runtime, *more))]
