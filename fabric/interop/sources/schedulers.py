"""What schedulers know of a network: Slurm's topology.yaml and topology.conf.

A switch there is virtual: planes, rails and parallel spines are one. So what is read is a tree of switches,
or rings and tori of nodes, and rates are the user's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from fabric.interop.sources.documents import Parts
from fabric.interop.sources.found import Place, Survey

MAX_HOSTS = 2_000_000
"""Most nodes of one hostlist."""
_RANGE = re.compile(r"(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?")


def hosts(text: str, at: Place, found: Survey) -> list[str]:
    """Return the names that a hostlist of Slurm stands for.

    Examples
    --------
    >>> hosts("n[08-10,12],login", ("topology.conf", 1), Survey())
    ['n08', 'n09', 'n10', 'n12', 'login']
    """
    names: list[str] = []
    depth, start = 0, 0
    for i, mark in enumerate(f"{text},"):
        depth += (mark == "[") - (mark == "]")
        if mark == "," and depth == 0:
            names += _expanded(text[start:i].strip(), at, found)
            start = i + 1
    if depth:
        found.problem(at, "nodes", "a bracket that is not closed", got=text[:60])
        return []
    return names


def _expanded(word: str, at: Place, found: Survey) -> list[str]:
    if "[" not in word:
        return [word] if word else []
    parts: list[list[str]] = []
    for piece in word.replace("]", "[").split("["):
        parts.append([piece] if len(parts) % 2 == 0 else _numbers(piece, at, found))
    n = 1
    for part in parts:
        n *= len(part)
    if n > MAX_HOSTS:
        found.problem(at, "nodes", f"more than {MAX_HOSTS:,} nodes", got=word[:60])
        return []
    return ["".join(words) for words in product(*parts)]


def _numbers(text: str, at: Place, found: Survey) -> list[str]:
    numbers: list[str] = []
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece.strip())
        first, last = (int(match["first"]), int(match["last"] or match["first"])) if match else (1, 0)
        if match is None or last < first or last - first >= MAX_HOSTS:
            found.problem(at, "nodes", "no range of numbers", got=piece[:40], todo="write it as 0-17")
            return []
        width = len(match["first"])
        numbers += [f"{n:0{width}d}" for n in range(first, last + 1)]
    return numbers


class _Tree:
    """Switches with what is under them: every node and switch under one, and none under itself."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._above: dict[str, str] = {}
        self._switches: set[str] = set()

    def switch(self, name: str, at: Place) -> None:
        if name in self._switches:
            self._found.problem(at, "switch", f"{name} stands twice")
        self._switches.add(name)
        self._found.node(name, "switch", at)

    def under(self, name: str, parts: list[str], kind: str, at: Place) -> None:
        for part in parts:
            first = self._above.setdefault(part, name)
            if first != name:
                self._found.problem(at, "switch", f"{part} is under {name} and under {first}")
                continue
            if kind == "host":
                self._found.node(part, kind, at)
            self._found.cable((part, ""), (name, ""), at)

    def check(self, at: Place) -> None:
        for part in self._above:
            seen = {part}
            while part in self._above:
                part = self._above[part]
                if part in seen:
                    self._found.problem(at, "switch", f"{part} is under itself")
                    return
                seen.add(part)


def slurm_conf(text: str, path: str, found: Survey) -> None:
    """Read ``topology.conf``: lines of SwitchName, BlockName or RingName."""
    tree = _Tree(found)
    at = (path, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        at = (path, number)
        words = line.partition("#")[0].split()
        if not words:
            continue
        pairs = {key.lower(): value for key, mark, value in (word.partition("=") for word in words) if mark}
        if len(pairs) != len(words):
            found.problem(at, "line", "expected Key=value", got=line[:60])
        elif "blocksizes" not in pairs:
            _conf_line(pairs, at, tree, found)
    tree.check(at)


def _conf_line(pairs: Mapping[str, str], at: Place, tree: _Tree, found: Survey) -> None:
    known = {"switchname", "switches", "nodes", "linkspeed", "blockname", "ringname"}
    unknown = [key for key in pairs if key not in known]
    name = pairs.get("switchname") or pairs.get("blockname") or pairs.get("ringname", "")
    if unknown or not name:
        found.problem(
            at, "line", "an unknown key" if unknown else "a line without name", got=", ".join(pairs)
        )
        return
    nodes = hosts(pairs.get("nodes", ""), at, found)
    if "ringname" in pairs:
        _ring(nodes, at, found)
        return
    tree.switch(name, at)
    tree.under(name, hosts(pairs.get("switches", ""), at, found), "switch", at)
    tree.under(name, nodes, "host", at)


def _ring(nodes: list[str], at: Place, found: Survey) -> None:
    for node in nodes:
        found.node(node, "host", at)
    for one, other in zip(nodes, nodes[1:] + (nodes[:1] if len(nodes) > 2 else []), strict=False):
        found.cable((one, ""), (other, ""), at)


_KINDS = ("tree", "block", "ring", "torus3d", "flat")


def slurm_yaml(text: str, path: str, found: Survey) -> None:
    """Read ``topology.yaml``: the topology that is the cluster's default, else the first."""
    # The file is a list: under a key in place of the mark of its beginning every line keeps its number.
    is_marked = text.startswith("---")
    whole = "items:" + text.removeprefix("---") if is_marked else f"items:\n{text}"
    doc = Parts(whole, path, found, n_before=0 if is_marked else 1)
    topologies = [doc.mapping(t, "items", n) for n, t in enumerate(doc.items(doc.data.get("items"), "items"))]
    if not topologies:
        return
    n = next((n for n, one in enumerate(topologies) if one.get("cluster_default") is True), 0)
    kinds = [key for key in topologies[n] if key in _KINDS]
    if len(kinds) != 1:
        doc.wrong(("items", n), "expected one kind of topology", got=", ".join(kinds), todo=", ".join(_KINDS))
        return
    loc = ("items", n, kinds[0])
    if kinds[0] == "flat":
        doc.wrong(loc, "a flat topology says nothing of cables")
        return
    _yaml_topology(doc.mapping(topologies[n][kinds[0]], *loc), kinds[0], loc, doc, found)


def _yaml_topology(
    own: Mapping[str, Any], kind: str, loc: tuple[str | int, ...], doc: Parts, found: Survey
) -> None:
    tree = _Tree(found)
    if kind == "torus3d":
        for n, torus in enumerate(doc.items(own.get("toruses"), *loc, "toruses")):
            _torus(doc.mapping(torus, *loc, "toruses", n), (*loc, "toruses", n), doc, found)
        return
    names = {"tree": ("switches", "switch"), "block": ("blocks", "block"), "ring": ("rings", "ring")}
    key, word = names[kind]
    for n, item in enumerate(doc.items(own.get(key), *loc, key)):
        here = (*loc, key, n)
        entry, at = doc.mapping(item, *here), doc.at(*here)
        nodes = hosts(str(entry.get("nodes", "")), at, found)
        if kind == "ring":
            _ring(nodes, at, found)
            continue
        name = doc.text(entry.get(word), *here, word)
        tree.switch(name, at)
        tree.under(name, hosts(str(entry.get("children", "")), at, found), "switch", at)
        tree.under(name, nodes, "host", at)
    tree.check(doc.at(*loc))


def _torus(own: Mapping[str, Any], loc: tuple[str | int, ...], doc: Parts, found: Survey) -> None:
    dims = doc.mapping(own.get("dims"), *loc, "dims")
    sizes = [dims.get(axis) for axis in "xyz"]
    nodes = hosts(str(own.get("nodes", "")), doc.at(*loc), found)
    whole = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size > 0]
    if len(whole) != 3 or whole[0] * whole[1] * whole[2] != len(nodes):
        doc.wrong((*loc, "dims"), "x, y and z are not as many as the nodes", got=f"{len(nodes)} nodes")
        return
    at, step = doc.at(*loc), 1
    for node in nodes:
        found.node(node, "host", at)
    for size in whole:  # x is fastest
        for v in range(len(nodes)):
            i = v // step % size
            if size > 1 and (i + 1 < size or size > 2):
                found.cable((nodes[v], ""), (nodes[v + ((i + 1) % size - i) * step], ""), at)
        step *= size


def slurm(text: str, path: str, found: Survey) -> None:
    """Read ``topology.yaml``, or ``topology.conf`` by the ending of its name."""
    (slurm_conf if path.endswith(".conf") else slurm_yaml)(text, path, found)
