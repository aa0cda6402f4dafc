"""What a question is known by: a hash of all that its answer depends on, the same in every process."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath

import numpy as np

_NO_PART = ("origin", "path", "sha256")
"""Fields that say where something was written, not what it is."""


def fingerprint(*values: object) -> str:
    """Return a hash of some values: records, collections, arrays, numbers and texts.

    Raises
    ------
    TypeError
        If one is of a kind that has no such form.

    Examples
    --------
    >>> fingerprint("a", (1, 2.0)) == fingerprint("a", (1, 2.0)), fingerprint(1) == fingerprint(1.0)
    (True, False)
    """
    digest = hashlib.sha256()
    for piece in _pieces(values):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(value: object) -> Iterator[bytes]:
    """Yield what a value is made of; each kind begins with a mark of its own, and ends."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | Enum):
        yield f"{type(value).__name__} {value!r};".encode()
    elif isinstance(value, PurePath):
        yield f"path {value!s};".encode()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield f"{type(value).__qualname__}(".encode()
        for field in dataclasses.fields(value):
            if field.name not in _NO_PART:
                yield f"{field.name}=".encode()
                yield from _pieces(getattr(value, field.name))
        yield b")"
    elif isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape} ".encode()
        yield (
            repr(value.tolist()).encode() if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
        )
    else:
        yield from _collected(value)


def _collected(value: object) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        yield b"{"
        for key, one in value.items():
            yield from _pieces(key)
            yield from _pieces(one)
        yield b"}"
    elif isinstance(value, frozenset | set):
        yield b"<"
        yield from sorted(b"".join(_pieces(one)) for one in value)
        yield b">"
    elif isinstance(value, Sequence):
        yield b"["
        for one in value:
            yield from _pieces(one)
        yield b"]"
    elif isinstance(value, Callable):  # type: ignore[arg-type]
        yield f"function {value.__module__}.{value.__qualname__};".encode()  # type: ignore[attr-defined]
    elif isinstance(value, np.generic):
        yield f"{value.dtype.str} {value!r};".encode()
    else:
        msg = f"no fingerprint of {type(value).__name__}"
        raise TypeError(msg)
