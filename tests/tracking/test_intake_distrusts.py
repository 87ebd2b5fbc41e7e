"""What is sent may be damaged, cut off or hostile: no more than whole records comes in."""

import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from repro.errors import UserError
from repro.intake import take_in
from repro.leases import Leases
from repro.records import Record, Records
from repro.spec import key
from tests.tracking.mirror import KD, record_of
from tests.tracking.packed import files, taken, tar, zipped


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def harm(place: Path) -> None:
        (place / name).write_text(json.dumps(change(json.loads((place / name).read_text()))))

    return harm


def cut(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:-100])


HUGE = {"type": "Optim", "lr": 10**400}
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "key": (edit("run.json", lambda d: d | {"key": "../../x"}), "another run than it names"),
    "run": (edit("run.json", lambda d: d | {"run": {}}), "describes no run"),
    "other run": (
        edit("run.json", lambda d: d | {"run": d["run"] | {"trial": 77}}),
        "another run than it names",
    ),
    "huge number": (
        edit("run.json", lambda d: d | {"run": d["run"] | {"optim": HUGE}}),
        "describes no run",
    ),
    "deep": (lambda place: (place / "run.json").write_text("[" * 10**5), "describes no run"),
    "no JSON": (lambda place: (place / "run.json").write_text("{"), "describes no run"),
    "history": (lambda p: (p / "history.jsonl").write_text("x\n"), "line 1 is damaged"),
    "status": (lambda place: (place / "status.json").write_text("{"), "status.json cannot be read"),
    "weights": (cut("weights.safetensors"), "incomplete"),
    "no weights": (lambda p: (p / "weights.safetensors").unlink(), "has no weights"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_told_and_the_others_are_taken_in(
    trained: Path, tmp_path: Path, damage: str
) -> None:
    there = Path(shutil.copytree(trained, tmp_path / "there"))
    harm, said = DAMAGES[damage]
    harm(record_of(Records(there)).directory)
    found = take_in(there, tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 2, "damaged": 1}
    (line,) = found.lines
    assert line.startswith(f"damaged: {record_of(Records(there)).directory}: ")
    assert said in line.lower() or said in line
    assert len(list((tmp_path / "here" / "records").iterdir())) == 2


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def hostile(trained: Path, tmp_path: Path) -> Path:
    """One good record among members that want out."""
    record = record_of(Records(trained))
    archive = tmp_path / "hostile.tar"
    other = "f" * 64
    with tarfile.open(archive, "w") as file:
        file.addfile(member("/tmp/absolute"), io.BytesIO())
        file.addfile(member(f"records/../../../{other}/run.json"), io.BytesIO())
        file.addfile(member(f"records/{other}/run.json", tarfile.SYMTYPE, "/etc/passwd"))
        file.addfile(member(f"records/{other}/weights.safetensors", tarfile.LNKTYPE, "/etc/passwd"))
        file.addfile(member(f"records/{other}/history.jsonl", tarfile.CHRTYPE))
        file.addfile(member(f"records/{other}/status.json", tarfile.FIFOTYPE))
        file.addfile(member(f"records/{record.key}", tarfile.SYMTYPE, str(tmp_path / "out")))
        file.add(record.directory, arcname=f"records/{record.key}")
        file.addfile(member(f"records/{record.key}/lease/1.a/owner.json"), io.BytesIO())
    return archive


def test_nothing_leads_out_of_the_runs_directory(hostile: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    found = take_in(hostile, tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 1}
    assert any("7 members left out: links, devices or names" in line for line in found.lines)
    assert not list((tmp_path / "out").iterdir())
    assert [path.name for path in (tmp_path / "here" / "records").iterdir()] == [key(KD)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "hostile.tar", "out"]


def test_links_in_a_directory_are_not_followed(trained: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(trained, tmp_path / "there"))
    record = record_of(Records(there))
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (record.directory / "environment.json").unlink()
    (record.directory / "environment.json").symlink_to(secret)
    (record.directory / "checkpoint").unlink(missing_ok=True)
    os.mkfifo(record.directory / "checkpoint")
    (there / "records" / ("e" * 64)).symlink_to(record.directory)
    found = take_in(there, tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 3}
    assert "3 members left out" in found.lines[0]
    assert not (tmp_path / "here" / "records" / record.key / "environment.json").exists()


def test_a_zip_with_a_link_in_it(trained: Path, tmp_path: Path) -> None:
    record = record_of(Records(trained))
    archive = zipped(trained, tmp_path)
    with zipfile.ZipFile(archive, "a") as file:
        link = zipfile.ZipInfo(f"{'f' * 64}/run.json")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr(f"../{record.key}/run.json", "{}")
    found = take_in(archive, tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 3}
    assert any("2 members left out" in line for line in found.lines)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_of_an_archive_that_is_cut_off_whole_records_are_taken_in(
    trained: Path, tmp_path: Path, suffix: str
) -> None:
    archive = tar(suffix)(trained, tmp_path)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 5 // 6])
    found = take_in(archive, tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 2, "damaged": 1}
    assert "cannot be read to its end" in found.lines[0]
    for record in Records(tmp_path / "here"):
        assert files(record.directory) == files(trained / "records" / record.key)


def test_a_zip_that_is_cut_off_is_told(trained: Path, tmp_path: Path) -> None:
    """Its list of contents is at its end."""
    archive = zipped(trained, tmp_path)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 5 // 6])
    with pytest.raises(UserError, match=r"results\.zip is no directory and no .* can be read \("):
        taken(archive, tmp_path / "here")


def taken_or_told(archive: Path, here: Path) -> int:
    """How much was damaged; all of it where the archive is refused."""
    try:
        return taken(archive, here).get("damaged", 0)
    except UserError as error:
        return str(error).count("\n") == 0


def nameless(data: bytes) -> bytes:
    """The last member's name as its comment."""
    at = data.rindex(b"PK\x01\x02")
    size, extra = data[at + 28 : at + 30], data[at + 30 : at + 32]
    return data[: at + 28] + b"\0\0" + extra + size + data[at + 34 :]


def misnamed(data: bytes) -> bytes:
    """The last member's name marked as UTF-8, which it is not."""
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 9] + b"\x08" + data[at + 10 : at + 46] + b"\xff" + data[at + 47 :]


@pytest.mark.parametrize("harm", [nameless, misnamed])
def test_a_zip_with_a_name_that_is_none_is_told(
    trained: Path, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    archive = zipped(trained, tmp_path)
    archive.write_bytes(harm(archive.read_bytes()))
    assert taken_or_told(archive, tmp_path / "here") == 1


def test_of_a_zip_with_other_bytes_only_what_was_packed_comes_in(
    trained: Path, tmp_path: Path
) -> None:
    """200 times three bytes, half of them at its end, which says what is where."""
    directory, random = record_of(Records(trained)).directory, Random(7)
    archive = zipped(directory, tmp_path)
    data, wanted, told = archive.read_bytes(), files(directory), 0
    for number in range(200):
        changed = bytearray(data)
        for _ in range(3):
            place = random.randrange(len(data)) if number % 2 else -random.randint(1, 1200)
            changed[place] = random.randrange(256)
        archive.write_bytes(changed)
        here = tmp_path / f"here{number}"
        told += taken_or_told(archive, here)
        for found in (here / "records").glob("*"):
            assert files(found).items() <= wanted.items()
    assert 100 < told < 200


def test_what_is_no_archive_or_holds_no_records_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"text is no directory and no \.tar"):
        taken(tmp_path / "text", tmp_path / "here")
    with pytest.raises(UserError, match="empty holds no records: give a runs directory"):
        taken(tmp_path / "empty", tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_what_does_not_fit_on_the_disk_is_not_begun(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=100_000))
    with pytest.raises(UserError, match="MiB are to be taken in and 0 MiB are free in"):
        taken(trained, tmp_path / "here")
    assert not (tmp_path / "here" / "records").exists()


def test_what_is_in_training_here_or_there_is_left_alone(trained: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(trained, tmp_path / "there"))
    here = tmp_path / "here"
    with Leases().holding(Record(here / "records" / key(KD)), "training"):
        assert taken(there, here) == {"new": 2, "held": 1}
    with Leases().holding(record_of(Records(there)), "training"):
        assert taken(there, here) == {"known": 2, "held": 1}
    assert taken(there, here) == {"known": 2, "new": 1}
