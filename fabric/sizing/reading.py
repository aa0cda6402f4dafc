"""Arguments of a design are read here, once: what is of the wrong kind or range is refused by its name."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeVar, cast

import numpy as np

from fabric.errors import FabricError, nearest
from fabric.sizing.arguments import DesignArguments, arguments_of
from fabric.sizing.switch import DesignError
from fabric.units import parse_count, parse_ratio

# Ratios such as 16/15 are written as floats; nobody means a finer one.
_FINEST_RATIO = 10_000
_MAX_SHOWN = 60
_Read = TypeVar("_Read")


def given(arguments: Mapping[str, object]) -> DesignArguments:
    """Return the arguments that were given.

    Raises
    ------
    DesignError
        If one that is needed is missing.
    """
    found = {name: value for name, value in arguments.items() if value is not None}
    needed = [name for name, what in arguments_of(DesignArguments).items() if not what.default]
    missing = [name for name in needed if name not in found]
    if missing:
        msg = f"design: {', '.join(missing)} missing"
        raise DesignError(msg)
    return cast(DesignArguments, found)


def shown(value: object) -> str:
    """Return what was given as it stands in a message."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def text(what: str, value: object) -> str:
    """Read an argument that is a text."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{what}: got {shown(value) or 'nothing'}; expected a text"
        raise DesignError(msg)
    return value


def choice(what: str, value: object, known: tuple[_Read, ...]) -> _Read:
    """Read an argument that is one of a few values."""
    for one in known:
        if type(value) in (type(one), str) and str(value) == str(one):
            return one
    close = nearest(value, map(str, known)) if isinstance(value, str) else ""
    msg = f"{what}: got {shown(value)}; expected one of {', '.join(map(str, known))}"
    raise DesignError(f"{msg}; {close}" if close else msg)


def whole(what: str, value: object, least: int = 1) -> int:
    """Read a whole number, `least` at least."""
    if isinstance(value, np.integer):
        value = int(value)
    if not least and type(value) in (int, str) and str(value) == "0":
        return 0
    try:
        return parse_count(value)  # type: ignore[arg-type]
    except FabricError:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        expected = f"at least {least}" if is_number and value < least else "a whole number"  # type: ignore[operator]
        msg = f"{what}: got {shown(value)}; expected {expected}"
        raise DesignError(msg) from None


def ratio(what: str, value: object) -> Fraction:
    """Read an oversubscription as it was meant: ``2``, ``"16:15"`` and 1.0667 alike."""
    try:
        if isinstance(value, str):
            value = parse_ratio(value if ":" in value else f"{value}:1")
        elif isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError
        found = Fraction(cast(Any, value)).limit_denominator(_FINEST_RATIO)
    except (FabricError, ArithmeticError, TypeError, ValueError):
        msg = f"{what}: got {shown(value)}; expected a ratio, such as 2 or 7:1"
        raise DesignError(msg) from None
    if found < 1:
        msg = f"{what}: got {shown(value)}; expected 1 or more, downlink over uplink capacity"
        raise DesignError(msg)
    return found


def by_key(
    what: str, value: object, known: tuple[str, ...], read: Callable[[str, object], _Read]
) -> dict[str, _Read]:
    """Read an argument with a value for each of a few keys: a mapping, or a text ``leaf=2,spine=7``."""
    if isinstance(value, str):
        value = dict(_assigned(what, word, known) for word in value.split(",") if word.strip())
    if not isinstance(value, Mapping):
        msg = f"{what}: got {shown(value)}; expected such as {{{known[0]!r}: ...}}, of {', '.join(known)}"
        raise DesignError(msg)
    return {(key := choice(what, one, known)): read(f"{what}: {key}", each) for one, each in value.items()}


def _assigned(what: str, word: str, known: tuple[str, ...]) -> tuple[str, str]:
    key, equals, each = word.partition("=")
    if not equals:
        msg = f"{what}: {shown(word.strip())!r} is not such as {known[0]}=..., of {', '.join(known)}"
        raise DesignError(msg)
    return key.strip(), each.strip()
