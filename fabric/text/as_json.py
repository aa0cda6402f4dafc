"""Answers as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import re
from collections.abc import Mapping

from fabric.errors import printable


def to_json(value: object) -> str:
    r"""Return `value` as JSON, dataclasses as objects; keys in the order in which they are documented.

    Examples
    --------
    >>> print(to_json({"name": "café \x9b"}))
    {
      "name": "café \u009b"
    }
    """
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[^\n -~]", lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    """Return a character of JSON that may go to a terminal."""
    return char if printable(char) == char else json.dumps(char)[1:-1]


def plain(value: object) -> object:
    """Return records as dictionaries, collections as lists, and numbers as JSON knows them.

    A number that is infinite or none is None: JSON has no word for it.

    Examples
    --------
    >>> plain({"rate": float("inf"), "sides": ("a", "b")})
    {'rate': None, 'sides': ['a', 'b']}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        to_dict = getattr(value, "to_dict", None)
        if to_dict is not None:
            return plain(to_dict())
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {str(k): plain(v) for k, v in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return _number(value)


def _number(value: object) -> object:
    if isinstance(value, bool | int) or not isinstance(value, numbers.Real):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None
