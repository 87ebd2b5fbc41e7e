"""The one check that every loss runs on its own fields."""

import dataclasses
import math
from typing import Any, Literal, get_args, get_origin, get_type_hints

from repro.errors import UserError

POSITIVE = ("temperature", "tau", "eps")  # divisors; every other number of a loss is 0 or more


def check_fields(value: Any) -> None:
    """Raise UserError for a field of a frozen dataclass that its annotation does not allow.

    An int given to a float field is stored as a float: equal losses then have equal JSON, so one
    key (``4 == 4.0``, but their texts differ).
    """
    hints = get_type_hints(type(value))
    for field in dataclasses.fields(value):
        given, hint = getattr(value, field.name), hints[field.name]
        if not _allowed(field.name, given, hint):
            expected = _expected(field.name, hint)
            raise UserError(
                f"{type(value).__name__}.{field.name} must be {expected}, not {given!r}"
            )
        if hint is float:
            object.__setattr__(value, field.name, float(given))


def _allowed(name: str, given: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return given in get_args(hint)
    if hint is float or hint is int:
        kinds = (int, float) if hint is float else int
        number = isinstance(given, kinds) and not isinstance(given, bool) and math.isfinite(given)
        return number and (given > 0 if name in POSITIVE else given >= 0)
    return isinstance(given, hint)


def _expected(name: str, hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if hint is bool:
        return "True or False"
    if hint is float or hint is int:
        kind = "number" if hint is float else "whole number"
        return f"a {kind} above 0" if name in POSITIVE else f"a {kind} of 0 or more"
    return "a " + " or a ".join(cls.__name__ for cls in get_args(hint) or (hint,))
