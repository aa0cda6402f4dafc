"""Answers as JSON."""

from __future__ import annotations

import dataclasses
import json
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
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[^\n -~]", lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    """Return a character of JSON that may go to a terminal."""
    return char if printable(char) == char else json.dumps(char)[1:-1]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
