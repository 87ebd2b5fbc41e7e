"""What can happen to a file's bytes."""

import re
from collections.abc import Callable

Damage = Callable[[bytes], bytes]


def cut(share: float) -> Damage:
    return lambda data: data[: int(len(data) * share)]


def flipped(share: float, mask: int = 0x80) -> Damage:
    """One byte with its bits of ``mask`` flipped."""

    def damage(data: bytes) -> bytes:
        at = min(int(len(data) * share), len(data) - 1)
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    return damage


DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    **{f"cut at {share}": cut(share) for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)},
    **{f"byte at {share} flipped": flipped(share) for share in (0.0, 0.2, 0.4, 0.6, 0.8)},
    "zeros after a power failure": lambda data: b"\0" * len(data),
    "zeros at the end": lambda data: data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2),
    "a text": lambda _: b"this is not what you look for\n",
    "null": lambda _: b"null\n",
    "a list": lambda _: b"[1, 2, 3]\n",
    "an empty object": lambda _: b"{}\n",
    "a number": lambda _: b"17\n",
    "NaN": lambda _: b"NaN\n",
    "deep": lambda _: b"[" * 100_000 + b"\n",
    "deep within": lambda data: data.replace(b": {", b': {"x": %b, ' % (b"[" * 2000 + b"]" * 2000)),
    "numbers of 400 digits": lambda data: re.sub(rb"\b\d+\.\d+\b", b"9" * 400, data),
    "times of 400 digits": lambda data: re.sub(rb"\b\d{9,}\b", b"9" * 400, data),
    "no UTF-8": lambda _: b"\xff\xfe\x00\xd8\n",
    "a line before": lambda data: b"<<<<<<< ours\n" + data,
    "twice": lambda data: data + data,
    "other line ends": lambda data: data.replace(b"\n", b"\r\r\n") + b"\r\r\n",
}
