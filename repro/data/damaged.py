"""Image files that cannot be decoded: they are shown black, named once, and counted."""

from collections import Counter
from collections.abc import Mapping

from repro.errors import UserError

TOLD = 20  # files that are named; of more only the number is
MOST = 0.01  # share of all images; with more it is no matter of single files


class Damaged:
    """``times``: how often each path was shown black; ``reasons``: why, by path.

    One serves a whole launch. Processes that train together each see a share of the images: what
    others have found comes by ``found_since`` and ``hear``.
    """

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        self.passed_on: Counter[str] = Counter()
        self.told = 0  # times, when the sum was last told
        self.shared = False  # by processes that agree on what is too many

    def add(self, path: str, reason: str, times: int = 1) -> str:
        """What is to be said of it: "" where it is known, or one of very many."""
        new = path not in self.reasons
        self.times[path] += times
        self.reasons.setdefault(path, reason)
        count = len(self.reasons)
        if not new or count > TOLD:
            return ""
        more = "; further ones are only counted" if count == TOLD else ""
        return f"{path} cannot be decoded ({reason}): shown black, {count} so far{more}"

    def check(self, images: int) -> None:
        """Raises UserError where too many of all ``images`` cannot be decoded."""
        if len(self.reasons) > max(TOLD, MOST * images):
            path, reason = next(reversed(self.reasons.items()))
            raise UserError(
                f"{len(self.reasons)} of {images} images cannot be decoded, such as {path} "
                f"({reason}): is the folder whole?"
            )

    def found_since(self) -> dict[str, tuple[str, int]]:
        """By path the reason, and how often it was shown since this was last asked."""
        new, self.passed_on = self.times - self.passed_on, self.times.copy()
        return {path: (self.reasons[path], times) for path, times in new.items()}

    def hear(self, others: Mapping[str, tuple[str, int]]) -> list[str]:
        """Add what another process has found; what is to be said of it."""
        lines = [self.add(path, reason, times) for path, (reason, times) in others.items()]
        self.passed_on = self.times.copy()
        return [line for line in lines if line]

    def summary(self) -> str:
        """How many there are; "" where there is nothing new since it was last asked."""
        total = self.times.total()
        if total == self.told:
            return ""
        self.told = total
        count = len(self.reasons)
        one = "1 image could not be decoded and was" if count == 1 else ""
        return (
            f"{one or f'{count} images could not be decoded and were'} shown black, "
            f"{total} times in this launch"
        )
