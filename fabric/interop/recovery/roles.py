"""What classes of nodes are: servers or switches, how high they stand, and what they are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.interop.recovery.dump import Dump

_WORD = re.compile(r"[A-Za-z]+")
# Words in names of nodes that say what they are; whole words only.
_SAID = {
    "switch": "leaf spine core tor agg aggregation edge sw switch router superspine nvswitch asic rail plane",
    "gpu": "gpu xpu npu tpu accelerator",
    "host": "node host server worker compute login storage hgx dgx tray cpu",
    "nic": "nic hca dpu",
}
_KIND_OF_WORD = {word: kind for kind, words in _SAID.items() for word in words.split()}
_TIERS = ("node", "leaf", "spine", "core")


@dataclass(frozen=True, slots=True)
class Role:
    """What the nodes of one class are.

    Parameters
    ----------
    name : str
        Of the device group.
    kind : str
    is_endpoint : bool
    is_guess : bool
        Neither the format nor a name says what they are.
    level : int
        Steps above the endpoints.
    """

    name: str
    kind: str
    is_endpoint: bool
    is_guess: bool
    level: int


def stem(name: str) -> str:
    """Return a name with ``#`` for every number.

    Examples
    --------
    >>> stem("su0-leaf12")
    'su#-leaf#'
    """
    return re.sub(r"\d+", "#", name, flags=re.ASCII)


def kind_said(name: str) -> str:
    """Return the kind that the last telling word of a name says; empty where none does.

    Examples
    --------
    >>> kind_said("su0-leaf12"), kind_said("gpu0-01"), kind_said("abc3")
    ('switch', 'gpu', '')
    """
    kinds = [_KIND_OF_WORD[w] for w in map(str.lower, _WORD.findall(name)) if w in _KIND_OF_WORD]
    return kinds[-1] if kinds else ""


def roles(dump: Dump, group: Ints) -> list[Role]:
    """Return what each class is; the lowest stand first in no order of their own.

    Parameters
    ----------
    dump : Dump
        n nodes.
    group : ndarray of int64, shape (n,)
    """
    n = int(group.max()) + 1
    members = [np.flatnonzero(group == g).tolist() for g in range(n)]
    said = [_agreed(dump.kinds[v] or kind_said(dump.names[v]) for v in own) for own in members]
    is_endpoint = _endpoints(dump, group, said)
    level = _levels(dump, group, is_endpoint)
    names: list[str] = []
    words = [_agreed(_last_word(dump.names[v]) for v in own) for own in members]
    for g in range(n):
        # A word that nodes of another class have too says nothing.
        word = words[g] if words.count(words[g]) == 1 else ""
        default = _TIERS[min(level[g], 3)] if said[g] in ("", "host", "switch") else said[g]
        if said[g] == "switch" and level[g] == 0:
            default = "switch"
        names.append(_unused(word or default, names))
    return [
        Role(
            names[g],
            said[g] or ("host" if is_endpoint[g] else "switch"),
            is_endpoint[g],
            not said[g],
            level[g],
        )
        for g in range(n)
    ]


def _agreed(words: Iterable[str]) -> str:
    found = set(words)
    return found.pop() if len(found) == 1 else ""


def _last_word(name: str) -> str:
    words = _WORD.findall(stem(name))
    return str(words[-1]) if words else ""


def _unused(name: str, names: Sequence[str]) -> str:
    taken, letter = name, ord("b")
    while taken in names:
        taken, letter = f"{name}.{chr(letter)}", letter + 1
    return taken


def _endpoints(dump: Dump, group: Ints, said: Sequence[str]) -> list[bool]:
    """Return which classes are endpoints: GPUs, else hosts, else those of the fewest cables."""
    for kind in ("gpu", "host"):
        if kind in said:
            return [one == kind for one in said]
    open_to_guess = [one == "" for one in said]
    if not any(open_to_guess):
        return [False] * len(said)
    degree = np.bincount(dump.tail, dump.count, dump.n) + np.bincount(dump.head, dump.count, dump.n)
    mean = np.bincount(group, degree) / np.bincount(group)
    pairs = set(zip(group[dump.tail].tolist(), group[dump.head].tolist(), strict=True))
    near = [{b for a, b in (*pairs, *((b, a) for a, b in pairs)) if a == g} for g in range(len(said))]
    least = min((g for g, is_open in enumerate(open_to_guess) if is_open), key=lambda g: (mean[g], g))
    # Others on the same switches with far fewer cables than these are servers too.
    return [
        is_open
        and (g == least or (near[g] <= near[least] and all(mean[g] <= mean[other] / 2 for other in near[g])))
        for g, is_open in enumerate(open_to_guess)
    ]


def _levels(dump: Dump, group: Ints, is_endpoint: Sequence[bool]) -> list[int]:
    # A few cables that lead elsewhere lift nothing: a class counts as next to one by a tenth of its cables.
    n = len(is_endpoint)
    ends = np.zeros((n, n))
    np.add.at(ends, (group[dump.tail], group[dump.head]), dump.count)
    ends = ends + ends.T
    is_near = ends >= 0.1 * np.maximum(np.minimum(ends.sum(axis=1), ends.sum(axis=0)[:, None]), 1e-9)
    level = [0 if one else -1 for one in is_endpoint]
    if not any(is_endpoint):
        return [0] * n
    height = 0
    while height in level:
        for g in range(n):
            if level[g] < 0 and any(is_near[g, h] and level[h] == height for h in range(n)):
                level[g] = height + 1
        height += 1
    return [max(one, 0) for one in level]


def stems_as_colours(dump: Dump) -> tuple[Ints, bool]:
    """Return a colour for each node by its kind and the stem of its name, and whether stems mean anything."""
    stems = Counter(map(stem, dump.names))
    is_telling = 1 < len(stems) <= 24 and len(stems) * 4 <= dump.n + 8
    texts = [(kind, stem(name)) for kind, name in zip(dump.kinds, dump.names, strict=True)]
    return _numbered(texts), is_telling


def kinds_as_colours(dump: Dump) -> Ints:
    """Return a colour for each node by what the format says that it is."""
    return _numbered([(kind, "") for kind in dump.kinds])


def _numbered(texts: Sequence[tuple[str, str]]) -> Ints:
    number: dict[tuple[str, str], int] = {}
    return np.array([number.setdefault(text, len(number)) for text in texts], dtype=np.int64)
