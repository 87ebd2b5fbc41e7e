"""Files and words from outside, malformed: one clear line, no traceback, nothing written."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import spec
from repro.analysis.published import load_published
from repro.data.cifar100_source import NAMES, read_source
from repro.errors import UserError
from repro.records import Record
from tests.cli.invoke import repro
from tests.malformed.damage import DAMAGES

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "paper_tables" / "published.csv"


def npz() -> bytes:
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10, dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(zip(NAMES, (images, labels) * 2, strict=True)))
    return buffer.getvalue()


def refusal(read: object, path: Path) -> str:
    """What is said; empty where it was read all the same."""
    try:
        read(path)  # type: ignore[operator]
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"twice", "other line ends"}))
def test_a_damaged_npz_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cifar100.npz"
    path.write_bytes(npz())
    sound = read_source(path)
    path.write_bytes(DAMAGES[damage](npz()))
    said = refusal(read_source, path)
    assert "\n" not in said
    if not said:  # a byte that no reader looks at
        assert all((read_source(path)[name] == sound[name]).all() for name in NAMES)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_list_of_published_values_is_refused_in_one_line(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "published.csv"
    data = b"".join(PUBLISHED.read_bytes().splitlines(keepends=True)[:40])
    path.write_bytes(DAMAGES[damage](data))
    assert "\n" not in refusal(load_published, path)


WORDS = [
    ["run", "../demo"],
    ["run", "demo", "--methods", "../../etc/passwd"],
    ["run", "demo", "--methods", "kd,,ce"],
    ["run", "demo", "--methods", "kd+"],
    ["run", "demo", "--methods", "cmkd/../x"],
    ["run", "demo", "--pairs", "resnet56"],
    ["run", "demo", "--pairs", ":"],
    ["run", "demo", "--trials", "0"],
    ["run", "demo", "--trials", "many"],
    ["run", "demo", "--max-time", "soon"],
    ["run", "demo", "--max-cohort", "-1"],
    ["run", "demo", "--precision", "fp64"],
    ["run", "demo", "--device", "tpu"],
    ["run", "demo", "--imported", "../x"],
    ["run", "\u202egrid"],
    ["run", "x" * 10_000],
    ["plan", "demo", "--profile", "../paper"],
    ["show-run", "../../../etc"],
    ["show-run", "deadbeef"],
    ["tables", "../demo"],
    ["figures", "/etc/passwd"],
    ["tables", "demo", "--profile", "big"],
    ["sync", "/nowhere/at/all"],
    ["ui", "--port", "99999"],
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words)[:60])
def test_wrong_words_are_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, words: list[str]
) -> None:
    result = repro(*words, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 2
    last = result.output.strip().splitlines()[-1]
    assert last.startswith(("error: ", "Error: "))
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = sorted({"type", "network", "loss", "stream", "optim", "trial", "teacher", "precision"})


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(sorted(spec.TYPES))))
def test_a_run_that_is_none_is_refused_in_one_line(run: dict[str, object]) -> None:
    import json
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "run.json").write_text(json.dumps({"tags": {}, "run": {"type": "Run"} | run}))
        assert "\n" not in refusal(lambda _: Record(directory).run(), directory)
