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


def read_given(arguments: Mapping[str, object]) -> DesignArguments:
    """Return the arguments that were given.

    Raises
    ------
    DesignError
        If one that is needed is missing.
    """
    arguments_given = {name: value for name, value in arguments.items() if value is not None}
    needed = [name for name, field in arguments_of(DesignArguments).items() if not field.default]
    missing = [name for name in needed if name not in arguments_given]
    if missing:
        msg = f"design: {', '.join(missing)} missing"
        raise DesignError(msg)
    return cast(DesignArguments, arguments_given)


def show(value: object) -> str:
    """Return what was given as it stands in a message."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def text(argument: str, value: object) -> str:
    """Read an argument that is a text."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{argument}: got {show(value) or 'nothing'}; expected a text"
        raise DesignError(msg)
    return value


def choice(argument: str, value: object, choices: tuple[_Read, ...]) -> _Read:
    """Read an argument that is one of a few values."""
    for allowed in choices:
        if type(value) in (type(allowed), str) and str(value) == str(allowed):
            return allowed
    close = nearest(value, map(str, choices)) if isinstance(value, str) else ""
    msg = f"{argument}: got {show(value)}; expected one of {', '.join(map(str, choices))}"
    raise DesignError(f"{msg}; {close}" if close else msg)


def whole(argument: str, value: object, least: int = 1) -> int:
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
        msg = f"{argument}: got {show(value)}; expected {expected}"
        raise DesignError(msg) from None


def ratio(argument: str, value: object) -> Fraction:
    """Read an oversubscription as it was meant: ``2``, ``"16:15"`` and 1.0667 alike."""
    try:
        if isinstance(value, str):
            value = parse_ratio(value if ":" in value else f"{value}:1")
        elif isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError
        fraction = Fraction(cast(Any, value)).limit_denominator(_FINEST_RATIO)
    except (FabricError, ArithmeticError, TypeError, ValueError):
        msg = f"{argument}: got {show(value)}; expected a ratio, such as 2 or 7:1"
        raise DesignError(msg) from None
    if fraction < 1:
        msg = f"{argument}: got {show(value)}; expected 1 or more, downlink over uplink capacity"
        raise DesignError(msg)
    return fraction


def by_key(
    argument: str, value: object, keys: tuple[str, ...], read: Callable[[str, object], _Read]
) -> dict[str, _Read]:
    """Read an argument with a value for each of a few keys: a mapping, or a text ``leaf=2,spine=7``."""
    if isinstance(value, str):
        pairs = [_split_assignment(argument, word, keys) for word in value.split(",") if word.strip()]
        named = [key for key, _ in pairs]
        if len(set(named)) < len(named):
            twice = next(key for key in named if named.count(key) > 1)
            msg = f"{argument}: {show(twice)} stands twice in {show(value)!r}"
            raise DesignError(msg)
        value = dict(pairs)
    if not isinstance(value, Mapping):
        msg = f"{argument}: got {show(value)}; expected such as {{{keys[0]!r}: ...}}, of {', '.join(keys)}"
        raise DesignError(msg)
    return {
        (key := choice(argument, name, keys)): read(f"{argument}: {key}", part)
        for name, part in value.items()
    }


def _split_assignment(argument: str, word: str, keys: tuple[str, ...]) -> tuple[str, str]:
    key, equals, part = word.partition("=")
    if not equals:
        msg = f"{argument}: {show(word.strip())!r} is not such as {keys[0]}=..., of {', '.join(keys)}"
        raise DesignError(msg)
    return key.strip(), part.strip()
