"""What was measured is found again; what is damaged is measured again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from repro.analysis.kept import Kept, as_recorded, tables
from repro.errors import UserError

TABLE = pd.DataFrame(
    {
        "corruption": ["noise", "blur"],
        "severity": [1, 2],
        "top1": [1 / 3, float("nan")],
        "censored": [True, False],
    }
)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(
        folder=tmp_path, key="k" * 64, name="planes", parameters={"version": 1, "n": (1, 2)}
    )


def test_a_table_comes_back_with_its_types_and_every_bit(kept: Kept) -> None:
    assert kept.read() is None
    kept.write(TABLE)
    found = kept.read()
    assert found is not None
    pd.testing.assert_frame_equal(found, TABLE, check_exact=True)
    assert kept.path.parent == kept.folder / kept.key
    assert kept.path.name.startswith("planes-")
    data = json.loads(kept.path.read_text())
    assert data["parameters"] == {"version": 1, "n": [1, 2]}
    assert "NaN" not in kept.path.read_text()
    assert [path.name for path in kept.path.parent.iterdir()] == [kept.path.name]


def test_another_parameter_key_or_name_is_another_file(kept: Kept) -> None:
    others = [
        replace(kept, parameters={"version": 2, "n": (1, 2)}),
        replace(kept, parameters={"version": 1, "n": (1, 3)}),
        replace(kept, parameters={"version": 1, "n": (1, 2), "more": 0}),
        replace(kept, key="l" * 64),
        replace(kept, name="ranks"),
    ]
    assert len({one.path for one in (kept, *others)}) == 6
    ordered = replace(kept, parameters={"n": (1, 2), "version": 1})
    assert ordered.path == kept.path


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"key": "k"}',
        "\x00\x01",
        '{"key": "KEY", "parameters": {"version": 1, "n": [1, 2]}, "table": {}}',
        '{"key": "KEY", "parameters": {"version": 1, "n": [1, 2]}, "table": []}',
        '{"key": "KEY", "parameters": {"version": 1, "n": [1, 2]}, "table": {"a": 3}}',
        '{"key": "KEY", "parameters": {"version": 1, "n": [1, 2]}, "table": {"a": [1], "b": []}}',
        '{"key": "KEY", "parameters": {"version": 2, "n": [1, 2]}, "table": {"a": [1]}}',
        '{"key": "other", "parameters": {"version": 1, "n": [1, 2]}, "table": {"a": [1]}}',
    ],
)
def test_a_damaged_or_foreign_file_is_none(kept: Kept, content: str) -> None:
    kept.write(TABLE)
    kept.path.write_text(content.replace("KEY", kept.key))
    assert kept.read() is None


def test_bytes_that_are_no_text_are_none(kept: Kept) -> None:
    kept.write(TABLE)
    kept.path.write_bytes(b"\xff\xfe\x80")
    assert kept.read() is None


def three(kept: Kept) -> list[Kept]:
    return [replace(kept, key=letter * 64) for letter in "abc"]


def numbered(i: int) -> pd.DataFrame:
    return pd.DataFrame({"i": [i], "third": [i / 3]})


def test_only_what_is_missing_is_measured_and_progress_counts_it(kept: Kept) -> None:
    wanted, asked, told = three(kept), [], []
    wanted[1].write(numbered(7))

    def measure(missing):
        asked.append(list(missing))
        return (numbered(i) for i in missing)

    first = tables(wanted, measure, lambda *words: told.append(words))
    assert asked == [[0, 2]]
    assert [table["i"][0] for table in first] == [0, 7, 2]
    assert told == [("planes", 0, 2), ("planes", 1, 2), ("planes", 2, 2)]
    again = tables(wanted, measure, lambda *words: told.append(words))
    assert len(asked) == 1
    assert len(told) == 3
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_an_interruption_keeps_what_was_measured(kept: Kept) -> None:
    wanted = three(kept)

    def fails(_missing):
        yield numbered(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables(wanted, fails)
    assert [one.read() is not None for one in wanted] == [True, False, False]


def test_a_recorded_table_of_another_version_is_not_read(kept: Kept) -> None:
    """Whatever its other parameters: but a version is what the numbers mean."""

    def recorded(version: int) -> pd.DataFrame | None:
        return as_recorded(kept.folder, kept.key, kept.name, teacher="t", version=version)

    replace(kept, parameters={"version": 1, "n": 3, "teacher": "t"}).write(TABLE)
    assert recorded(1) is not None
    with pytest.raises(UserError, match=r"version 1, this suite reads version 2: .*repro record"):
        recorded(2)
    newer = replace(kept, parameters={"version": 2, "teacher": "t"})
    newer.write(TABLE[:1])
    os.utime(newer.path, (0, 0))  # the older file
    found = recorded(2)
    assert found is not None
    assert len(found) == 1
