"""What is on disk under a final name is whole, whatever happens while it is written."""

import os
import stat
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.files import append_line, cannot_write, make_directory, write_atomically
from tests.disk import FAILURES, fail, names

CALLS = ("open", "fsync", "replace")


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "Grüße\n")
    write_atomically(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == "Grüße\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["bytes", "text"]


def test_old_content_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "a much longer first text")
    write_atomically(path, "short")
    assert path.read_text() == "short"


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", CALLS)
def test_a_failed_write_leaves_the_old_content_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    fail(monkeypatch, call, FAILURES[failure])
    with pytest.raises(UserError) as caught:
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]
    message = str(caught.value)
    assert message.startswith(f"cannot write {path}: {FAILURES[failure].strerror}; ")
    assert "--runs-dir" in message
    assert "\n" not in message


@pytest.mark.parametrize("call", CALLS)
def test_an_interrupted_write_leaves_the_old_content_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    fail(monkeypatch, call, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_content_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file", []

    def fsync(descriptor: int) -> None:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        seen.append(("file" if is_file else "directory", path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, "new")
    assert seen == [("file", False), ("directory", True)]


def test_lines_are_appended_and_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sizes = tmp_path / "lines", []
    monkeypatch.setattr(os, "fsync", lambda number: sizes.append(os.fstat(number).st_size))
    append_line(path, "one")
    append_line(path, "two")
    assert path.read_text() == "one\ntwo\n"
    assert sizes == [4, 8]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_failed_append_names_the_path_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: str
) -> None:
    fail(monkeypatch, call, FAILURES[failure])
    with pytest.raises(UserError, match=r"cannot write .*lines: .*--runs-dir"):
        append_line(tmp_path / "lines", "one")


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    made = make_directory(tmp_path / "a" / "b")
    assert made == tmp_path / "a" / "b"
    assert made.is_dir()
    assert make_directory(made) == made


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*file: File exists"):
        make_directory(in_the_way)
    with pytest.raises(UserError, match=r"cannot write .*file/inner: Not a directory"):
        make_directory(in_the_way / "inner")
    with pytest.raises(UserError, match=r"cannot write .*file/inner: Not a directory"):
        write_atomically(in_the_way / "inner", "text")
    assert in_the_way.read_text() == "mine"


def test_an_error_without_a_number_is_still_told() -> None:
    assert "cannot write f: out of order;" in str(cannot_write(Path("f"), OSError("out of order")))
