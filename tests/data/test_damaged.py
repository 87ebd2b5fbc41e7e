"""Images that cannot be decoded: named once, counted, and heard of from other processes."""

import pytest

from repro.data.damaged import TOLD, Damaged
from repro.errors import UserError


def test_each_is_named_once_and_all_times_are_counted() -> None:
    damaged = Damaged()
    assert damaged.add("a.jpg", "cut off") == (
        "a.jpg cannot be decoded (cut off): shown black, 1 so far"
    )
    assert damaged.add("a.jpg", "cut off") == ""
    assert damaged.add("b.jpg", "empty").endswith("2 so far")
    assert damaged.summary() == (
        "2 images could not be decoded and were shown black, 3 times in this launch"
    )
    assert damaged.summary() == ""
    damaged.add("b.jpg", "empty")
    assert "4 times" in damaged.summary()


def test_of_very_many_only_the_number_is_told() -> None:
    damaged = Damaged()
    lines = [damaged.add(f"{i}.jpg", "empty") for i in range(TOLD + 5)]
    assert lines[TOLD - 1].endswith(f"{TOLD} so far; further ones are only counted")
    assert lines[TOLD:] == [""] * 5


@pytest.mark.parametrize(("images", "refused"), [(100, True), (2_099, True), (2_100, False)])
def test_more_than_one_in_a_hundred_is_refused(images: int, refused: bool) -> None:
    damaged = Damaged()
    for i in range(TOLD + 1):
        damaged.add(f"{i}.jpg", "empty")
    if refused:
        with pytest.raises(UserError, match=f"21 of {images} images cannot be decoded"):
            damaged.check(images)
    else:
        damaged.check(images)


def test_two_processes_end_up_with_the_same_counts() -> None:
    first, second = Damaged(), Damaged()
    first.add("both.jpg", "empty")
    for path in ("both.jpg", "its.jpg", "its.jpg"):
        second.add(path, "empty")
    for _ in range(2):  # what was passed on once is not again
        a, b = first.found_since(), second.found_since()
        told = first.hear(b)
        second.hear(a)
    assert told == []
    assert first.times == second.times == {"both.jpg": 2, "its.jpg": 2}
    second.add("its.jpg", "empty")
    assert second.found_since() == {"its.jpg": ("empty", 1)}


def test_what_is_heard_is_told() -> None:
    damaged = Damaged()
    assert damaged.hear({"a.jpg": ("empty", 3)}) == [
        "a.jpg cannot be decoded (empty): shown black, 1 so far"
    ]
    assert damaged.hear({"a.jpg": ("empty", 1)}) == []
