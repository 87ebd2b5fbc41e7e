"""The one exception that users see as a line instead of a traceback."""


class UserError(Exception):
    """Bad input, with the value and the way out in its message (exit code 2)."""


class NotRecorded(UserError):
    """Recorded results do not hold it, and without images and networks it cannot be measured."""


def choose(kind: str, value: str, known: object) -> UserError:
    """The error of a name that is not in a list: ``unknown model 'x'; known: a, b``."""
    names = ", ".join(str(name) for name in known)  # type: ignore[attr-defined]
    return UserError(f"unknown {kind} {value!r}; known: {names}")


class LeaseLost(Exception):
    """Another process has taken a run over: this one must not write to its record any more."""
