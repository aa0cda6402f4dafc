"""Change what a reader expects: words, trees, tables, bytes, each a little and by chance."""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 64, -1, 0.5, 1e-320, 1e308, 2**31, 2**53, 2**63 - 1, 2**64, 10**40, math.nan, math.inf,
)  # fmt: skip
WORDS: tuple[str, ...] = (
    "", " ", "a", "*", "-", "/", "all", "none", "gpu", "gpu*", "gpu0", "gpu0-3", "gpu3-0", "rack0", "nic",
    "leaf", "spine", "slot", "\x1b[31m", "\u202e", "\u0661", "a\nb", "=1+1", "<b>", "|", "'", '"', "{", "[",
    "%", "../a", "/dev/zero", "/etc/passwd", "~", "null", "true", "no", "1_000", "1e308", "1e-320", "nan",
    "inf", "-inf", "0x10", "1Gb/s", "0Gb/s", "400Gb/s", "1e300Gb/s", "8x100G", "99x400G", "0x400G", "1/3",
    "1:0",
    "1e9:1", "1s", "1e300s", "-1ns", "5us", "1e18m", "1KiB..1GiB", "1B", "1GiB", "1TiB", "16EiB", "1k", "1G",
    "9" * 60, "turn", "pass", "relay", "end", "scale-up", "host", "scale-out", "hgx-h100", "gb300-nvl72",
    "sn5610", "qm9700", "ring", "mesh", "line", "twist", "A" * 300, "rack0/gpu", "gpu0 - leaf0",
    "leaf0 - spine1 x 2", "@SUM(A1)",
)  # fmt: skip


def odd_value(chance: random.Random) -> Any:  # noqa: ANN401 - that is the point
    """Return what nobody expects."""
    kind = chance.randrange(6)
    if kind < 2:
        return chance.choice(NUMBERS)
    if kind < 5:
        return chance.choice(WORDS)
    return copy.deepcopy(chance.choice(([], {}, None, True, False, [[]], {"a": 1}, ["gpu"], [1, 2], [None])))


def odd_object(chance: random.Random) -> Any:  # noqa: ANN401 - that is the point
    """Return what an attribute of a graph may be, that of no file."""
    more: tuple[Any, ...] = (
        Fraction(1, 3),
        Fraction(10**400),
        10**5000,
        (1, 2),
        ([],),
        {1},
        b"a",
        object,
        1j,
    )
    return chance.choice(more) if chance.random() < 0.3 else odd_value(chance)


def tree(data: Any, chance: random.Random, n: int) -> Any:  # noqa: ANN401 - YAML
    """Return a copy of plain data with `n` changes."""
    data = copy.deepcopy(data)
    for _ in range(n):
        places = list(_places(data))
        if not places:
            return odd_value(chance)
        holder, key = chance.choice(places)
        _change(holder, key, places, chance)
    return data


def _places(data: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - YAML
    """Yield every mapping or list with each of its keys."""
    stack = [data]
    while stack:
        holder = stack.pop()
        keys = (
            list(holder)
            if isinstance(holder, dict)
            else range(len(holder))
            if isinstance(holder, list)
            else ()
        )
        for key in keys:
            yield holder, key
            stack.append(holder[key])


def _change(holder: Any, key: Any, places: list[tuple[Any, Any]], chance: random.Random) -> None:  # noqa: ANN401
    value = holder[key]
    kind = chance.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        other, name = chance.choice(places)
        holder[key] = copy.deepcopy(
            other.get(name) if isinstance(other, dict) else (other[name:] or [None])[0]
        )
    elif kind == 2 and isinstance(holder, dict):
        names = [name for _, name in places if isinstance(name, str)]
        holder[chance.choice([*names, *WORDS])] = holder.pop(key)
    elif kind == 3 and isinstance(holder, list):
        holder.extend(copy.deepcopy(value) for _ in range(chance.choice((1, 2, 30))))
    elif kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = value * chance.choice((-1, 0, 2, 10, 1000, 0.5)) + chance.choice((0, 1, -1))
    elif kind == 5 and isinstance(value, str):
        holder[key] = word(value, chance)
    else:
        holder[key] = odd_value(chance)


def word(text: str, chance: random.Random) -> str:
    """Return a word with one piece changed: a number, a character, a part."""
    numbers = list(re.finditer(r"[0-9]+(?:\.[0-9]+)?", text))
    if numbers and chance.random() < 0.6:
        at = chance.choice(numbers)
        return text[: at.start()] + str(chance.choice(NUMBERS)) + text[at.end() :]
    i, j = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return text[:i] + chance.choice(("", text[i:j] * 2, chance.choice(WORDS))) + text[j:]


def lines(text: str, chance: random.Random, n: int) -> str:
    """Return a text with `n` lines, or words in them, changed."""
    rows = text.split("\n")
    for _ in range(n):
        i = chance.randrange(len(rows))
        kind = chance.randrange(6)
        if kind == 0 and len(rows) > 1:
            del rows[i]
        elif kind == 1:
            rows.insert(chance.randrange(len(rows) + 1), rows[i])
        elif kind == 2:
            rows[i] = rows[i][: chance.randrange(len(rows[i]) + 1)]
        else:
            words = re.split(r"(\s+|,)", rows[i])
            k = chance.randrange(len(words))
            words[k] = word(words[k], chance) if chance.random() < 0.5 else str(odd_value(chance))
            rows[i] = "".join(words)
    return "\n".join(rows)


def octets(data: bytes, chance: random.Random, n: int) -> bytes:
    """Return bytes with `n` pieces cut, doubled, overwritten or put in."""
    found = bytearray(data)
    for _ in range(n):
        i = chance.randrange(len(found) + 1)
        j = min(len(found), i + chance.choice((1, 1, 2, 8, 100)))
        piece = chance.choice(
            (b"", bytes([chance.randrange(256)]), found[i:j] * 3, b"\0", b"\xff", b"\n", b"&a *a")
        )
        found[i:j] = bytes(piece)
    return bytes(found)
