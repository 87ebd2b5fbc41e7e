"""The CUDA calls against a fake that notes them; that they are right only a GPU can show."""

import ctypes
import io
import json
from typing import Any

import pytest
import torch

from repro.bench.gpu import nodes
from repro.bench.gpu.device import Cuda, Rehearsal, cudnn, fork_join
from repro.bench.gpu.experiments import cohorts, null_graphs, updates
from repro.bench.gpu.lab import TINY, Lab
from repro.errors import UserError
from repro.outputs import Batch, Outputs
from tests.bench_gpu.fake_cuda import FakeCuda, cuda_on_cpu, install


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return install(monkeypatch)


@pytest.fixture
def device(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Cuda:  # noqa: ARG001
    return cuda_on_cpu(monkeypatch)


def test_without_a_gpu_there_is_a_way_out() -> None:
    with pytest.raises(UserError, match="--rehearse"):
        Cuda()


def test_fork_join_forks_every_branch_and_joins_it(device: Cuda, fake: FakeCuda) -> None:
    seen: list[tuple[str, int, Any]] = []

    def first() -> str:
        seen.append(("first", fake.current[-1].number, None))
        return "given"

    def branch(given: str) -> None:
        seen.append(("branch", fake.current[-1].number, given))

    run = device.fork_join(first, [branch, branch])
    (capture,) = fake.of("capture")
    captured = fake.events[fake.events.index(("capture", *capture)) + 1 :]
    main, one, two = 1, 2, 3
    assert capture[0] == main
    forks, joins = [(one, main), (two, main)], [(main, one), (main, two)]
    assert captured == [("wait", *pair) for pair in (*forks, *joins)]
    assert seen[-3:] == [("first", main, None), ("branch", one, "given"), ("branch", two, "given")]
    assert len(seen) == 3 * (1 + 3)  # warmed up three times on the same streams
    fake.events.clear()
    run(2)
    assert fake.events == [("wait", main, 0), *[("replay", main, 0)] * 2, ("wait", 0, main)]


def test_recordings_side_by_side_have_streams_and_graphs_of_their_own(
    device: Cuda, fake: FakeCuda
) -> None:
    run = device.record(lambda: None, lambda: None)
    assert [graph for _, graph, _ in fake.of("capture")] == [0, 1]
    fake.events.clear()
    run(2)
    assert fake.of("replay") == [(1, 0), (2, 1)] * 2
    assert fake.of("wait") == [(1, 0), (2, 0), (0, 1), (0, 2)]


def test_a_block_is_timed_by_events(device: Cuda) -> None:
    assert device.block_ms(lambda _times: None, 10) == 0.5
    assert device.peak_bytes() == 7


@pytest.mark.parametrize("experiment", [null_graphs, cohorts, updates])
def test_experiments_run_on_the_fake(
    device: Cuda, experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "rehearsal", True)  # few variants
    monkeypatch.setattr(device, "nodes", lambda _work: {"all": 1})
    out = io.StringIO()
    experiment.measure(Lab(device=device, out=out, sizes=TINY))
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert rows
    assert "error" not in out.getvalue()
    assert all(row["peak_bytes"] == 7 for row in rows if "form" in row)


class FakeDriver:
    """Two kernels, a copy and something new, as CUDA's driver tells of them."""

    KINDS = {11: 0, 12: 1, 13: 0, 14: 99}

    def cuGraphGetNodes(self, graph: ctypes.c_void_p, found: Any, count: Any) -> int:
        if graph.value != 3:
            return 1
        if found is None:
            count._obj.value = len(self.KINDS)
        else:
            found[:] = list(self.KINDS)
        return 0

    def cuGraphNodeGetType(self, node: ctypes.c_void_p, kind: Any) -> int:
        assert node.value is not None
        kind._obj.value = self.KINDS[node.value]
        return 0


def test_nodes_are_counted_by_kind(
    device: Cuda, fake: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes.ctypes, "CDLL", lambda _name: FakeDriver())
    fake.graphs = 3
    assert device.nodes(lambda: None) == {"kernel": 2, "memcpy": 1, "other": 1, "all": 4}
    with pytest.raises(RuntimeError, match="answered 1"):
        device.nodes(lambda: None)


def test_kernels_come_with_their_sum_first() -> None:
    a = torch.ones(8, 8)
    total, *rows = Rehearsal().kernels(lambda: a @ a + a)
    assert total["name"] == "all"
    assert {"aten::mm", "aten::add"} <= {row["name"] for row in rows}
    assert total["us"] == pytest.approx(sum(row["us"] for row in rows), rel=0.01, abs=0.1)


def test_cudnn_settings_end_with_their_block() -> None:
    settings = torch.backends.cudnn
    before = settings.benchmark, settings.deterministic
    with cudnn(benchmark=True, deterministic=True):
        assert settings.benchmark
        assert settings.deterministic
    assert (settings.benchmark, settings.deterministic) == before


def test_a_rehearsed_replay_fills_the_tensors_that_the_recording_gave() -> None:
    count = torch.zeros(2)

    def work() -> tuple[Batch, Outputs]:
        count.add_(1)
        return Batch(*(count.clone() for _ in range(4))), Outputs(count * 10)

    lane = Rehearsal().lane()
    recording = lane.record(work)
    batch, outputs = recording.kept
    lane.replay(recording, after=())
    assert batch.images.tolist() == [2, 2]
    assert outputs.logits.tolist() == [20, 20]


def test_works_of_one_rehearsed_recording_run_in_order() -> None:
    seen: list[str] = []
    fork_join(Rehearsal(), [lambda: seen.append("a"), lambda: seen.append("b")])(2)
    assert seen == ["a", "b"] * 2
