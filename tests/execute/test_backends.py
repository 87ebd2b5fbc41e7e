"""Which backend trains: as asked, else by the number of devices."""

import socket
import sys
from typing import Any

import pytest
import torch

from repro import backends
from repro.backends import Backend, Placement
from repro.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("backend", "devices", "trains"),
    [
        ("auto", (CPU,), "inline"),
        ("auto", (CPU, CPU), "local"),
        ("inline", (CPU, CPU), "inline"),
        ("local", (CPU,), "local"),
        ("ray", (CPU,), "on_ray"),
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

    for name in ("inline", "local", "on_ray"):
        monkeypatch.setattr(backends, name, stands_in(name))
    runtime: Any = object()
    assert backends.train((), runtime, devices, Placement(backend=backend)) == [trains]
    more = {"inline": (), "local": (devices,), "on_ray": (devices, "")}[trains]
    assert told == [(trains, ((), runtime, *more))]


def test_an_address_is_of_ray_alone() -> None:
    with pytest.raises(UserError, match=r"^--ray-address needs --backend ray$"):
        Placement(backend="local", ray_address="head:6379")


def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match=r"pip install -e '.\[ray\]'$"):
        Placement(backend="ray").devices("auto")


def test_a_device_of_this_machine_means_nothing_on_a_cluster() -> None:
    with pytest.raises(UserError, match=r"^unknown device of --backend ray 'cuda:0'; known: auto"):
        Placement(backend="ray", ray_address="head:6379").devices("cuda:0")


@pytest.mark.parametrize("address", ["ray://head:10001", "head", ":6379", "head:port"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"^--ray-address is HOST:PORT as `ray start --head`"):
        Placement(backend="ray", ray_address=address).devices("auto")


def test_a_cluster_that_does_not_answer_is_told_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"^no Ray cluster answers at {address} "):
        Placement(backend="ray", ray_address=address).devices("auto")
