"""What schedulers know of a network: Slurm's topology.yaml and topology.conf.

A switch there is virtual: planes, rails and parallel spines are one. So what is read is a tree of switches,
or rings and tori of nodes, and rates are the user's to say.
"""

from __future__ import annotations

import math
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
        placed: set[str] = set()
        for n, torus in enumerate(doc.items(own.get("toruses"), *loc, "toruses")):
            _torus(doc.mapping(torus, *loc, "toruses", n), (*loc, "toruses", n), doc, placed, found)
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


Cell = tuple[int, int, int]


def _torus(
    own: Mapping[str, Any], loc: tuple[str | int, ...], doc: Parts, placed: set[str], found: Survey
) -> None:
    """Read one torus: its nodes, or those of its regions, each beside the next along x, y and z."""
    sizes = _sizes(own, loc, doc)
    if sizes is None:
        return
    if "regions" not in own:
        node = _box(own, sizes, (0, 0, 0), loc, doc, found)
    else:
        node = {}
        for n, item in enumerate(doc.items(own["regions"], *loc, "regions")):
            here = (*loc, "regions", n)
            region = doc.mapping(item, *here)
            dims, anchor = _sizes(region, here, doc), _xyz(region, "anchor", here, doc)
            if dims is None or anchor is None:
                continue
            if any(a + d > size for a, d, size in zip(anchor, dims, sizes, strict=True)):
                doc.wrong((*here, "anchor"), "the region is not inside the torus")
                continue
            more = _box(region, dims, anchor, here, doc, found)
            if any(cell in node for cell in more):
                doc.wrong((*here, "anchor"), "the region overlaps one before it")
            node |= more
    for name in node.values():
        if name in placed:
            doc.wrong(loc, f"{name} has two places")
            return
        placed.add(name)
    _joined(node, sizes, doc.at(*loc), found)


def _xyz(own: Mapping[str, Any], key: str, loc: tuple[str | int, ...], doc: Parts) -> Cell | None:
    three = doc.mapping(own.get(key), *loc, key)
    whole = [three.get(axis, 0 if key == "anchor" else None) for axis in "xyz"]
    if any(not isinstance(n, int) or isinstance(n, bool) or not 0 <= n < 2**16 for n in whole):
        doc.wrong((*loc, key), "x, y and z are whole numbers below 65,536")
        return None
    return whole[0], whole[1], whole[2]


def _sizes(own: Mapping[str, Any], loc: tuple[str | int, ...], doc: Parts) -> Cell | None:
    sizes = _xyz(own, "dims", loc, doc)
    if sizes is not None and 0 in sizes:
        doc.wrong((*loc, "dims"), "x, y and z are at least 1")
        return None
    return sizes


def _box(
    own: Mapping[str, Any], sizes: Cell, anchor: Cell, loc: tuple[str | int, ...], doc: Parts, found: Survey
) -> dict[Cell, str]:
    """Return the nodes of a box by place, x fastest."""
    nodes = hosts(str(own.get("nodes", "")), doc.at(*loc), found)
    if math.prod(sizes) != len(nodes):
        doc.wrong((*loc, "dims"), "x, y and z are not as many as the nodes", got=f"{len(nodes)} nodes")
        return {}
    (a, b, c), (nx, ny, _) = anchor, sizes
    return {(a + v % nx, b + v // nx % ny, c + v // (nx * ny)): node for v, node in enumerate(nodes)}


def _joined(node: Mapping[Cell, str], sizes: Cell, at: Place, found: Survey) -> None:
    for name in node.values():
        found.node(name, "host", at)
    for axis, size in enumerate(sizes):
        for cell, name in node.items():
            i = cell[axis]
            beside = node.get((*cell[:axis], (i + 1) % size, *cell[axis + 1 :]))  # type: ignore[arg-type]
            # A ring of two is one cable.
            if beside is not None and size > 1 and (i + 1 < size or size > 2):
                found.cable((name, ""), (beside, ""), at)


def slurm(text: str, path: str, found: Survey) -> None:
    """Read ``topology.yaml``, or ``topology.conf`` by the ending of its name."""
    (slurm_conf if path.endswith(".conf") else slurm_yaml)(text, path, found)
