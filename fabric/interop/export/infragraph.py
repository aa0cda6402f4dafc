"""InfraGraph: servers and switches as devices with components, each as often as there are instances of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import yaml

from fabric.arrays import Ints
from fabric.errors import LimitError
from fabric.graph import Fabric
from fabric.interop.export.boxes import Boxes, boxes_of
from fabric.interop.export.schedulers import hostlist_in_order
from fabric.interop.sources.infragraph import NODES

Files = dict[str, str]

MAX_CABLES = 2_000_000
"""Cables that are listed."""
_CHOICES = {"gpu": "xpu", "switch": "switch", "nic": "nic"}
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")

Component = tuple[str, int]
"""Name and index of a component."""


@dataclass(frozen=True, eq=False)
class _Described:
    """One kind of device.

    Parameters
    ----------
    name, about : str
    components : tuple of (str, int, str)
        Name, count and choice.
    edges : tuple of (Component, Component, str, float)
        Ends, rule, and the rate of all cables between the two [Gb/s].
    n_ports : int
        Of a switch, whose cables end at ports of it; else 0.
    """

    name: str
    about: str
    components: tuple[tuple[str, int, str], ...]
    edges: tuple[tuple[Component, Component, str, float], ...] = ()
    n_ports: int = 0


def infragraph(fabric: Fabric) -> Files:
    """Return an InfraGraph of what is there and up.

    Raises
    ------
    LimitError
        If there are more cables than `MAX_CABLES`.
    """
    return {"": "\n".join(_Infrastructure(boxes_of(fabric, "the format infragraph")).lines()) + "\n"}


class _Infrastructure:
    """Devices, their instances, and the edges between them."""

    def __init__(self, boxes: Boxes) -> None:
        self._boxes, self._e = boxes, boxes.expanded
        e = self._e
        self._devices: dict[str, _Described] = {}
        self._nodes: dict[str, list[str]] = {}  # of each instance, what the plan calls them
        # Of each device of the fabric: instance, index of it, component, index of it.
        self._at: list[tuple[str, int, str, int]] = [("", 0, "", 0)] * e.n_devices
        self._words = {info.name: _word(info.name) for info in e.groups}
        is_outer = (boxes.of[e.tail] != boxes.of[e.head]) | (boxes.of[e.tail] < 0)
        self._outer = np.flatnonzero(is_outer & (e.alive > 0))
        n_cables = int(e.alive[self._outer].sum())
        if n_cables > MAX_CABLES:
            msg = f"infragraph: {n_cables:,} cables are more than {MAX_CABLES:,}; ask about a smaller file"
            raise LimitError(msg)
        self._place_boxes()
        self._place_others()
        self._links: dict[tuple[str, float], str] = {}

    def _place_boxes(self) -> None:
        """Give boxes that are alike one device, and each an instance of it."""
        e, known = self._e, dict[object, str]()
        boxes = zip(self._boxes.names, self._boxes.devices, self._boxes.bundles, strict=True)
        for node, devices, bundles in boxes:
            n_of: dict[str, int] = {}
            place: dict[int, Component] = {}
            for v in devices:
                word = self._words[e.groups[e.group[v]].name]
                place[v] = word, n_of.get(word, 0)
                n_of[word] = place[v][1] + 1
            rates: dict[tuple[Component, Component, str], float] = {}
            for k in bundles:
                key = place[int(e.tail[k])], place[int(e.head[k])], e.rules[e.rule[k]].name
                rates[key] = rates.get(key, 0.0) + float(e.rate_gbps[k] * e.alive[k])
            choice = {self._words[info.name]: _CHOICES.get(info.kind, "cpu") for info in e.groups}
            components = tuple((word, n, choice[word]) for word, n in n_of.items())
            edges = tuple((*key, rate) for key, rate in rates.items())
            if (components, edges) not in known:
                name = self._free("node")
                known[components, edges] = name
                told = ", ".join(f"{n} {word}" for word, n, _ in components)
                self._devices[name] = _Described(name, told, components, edges)
            name = known[components, edges]
            own = self._nodes.setdefault(name, [])
            for v, (word, index) in place.items():
                self._at[v] = name, len(own), word, index
            own.append(node)

    def _place_others(self) -> None:
        """Give each group that is in no box a device of its own, a switch with ports."""
        e = self._e
        n_cables = np.zeros(e.n_devices, dtype=np.int64)
        for ends in (e.tail, e.head):
            n_cables += np.bincount(ends[self._outer], e.alive[self._outer], e.n_devices).astype(np.int64)
        for g, info in enumerate(e.groups):
            own = np.flatnonzero((e.group == g) & (self._boxes.of < 0))
            if not len(own):
                continue
            name = self._free(self._words[info.name])
            is_switch = info.kind == "switch"
            word = "asic" if is_switch else name
            n_ports = int(n_cables[own].max()) if is_switch else 0
            components = ((word, 1, _CHOICES.get(info.kind, "cpu")),)
            self._devices[name] = _Described(name, info.part or info.kind, components, n_ports=n_ports)
            names = (str(self._e.names[v]) for v in own.tolist())
            self._nodes[name] = [self._boxes.node_of.get(v, v.replace("/", "-")) for v in names]
            for index, v in enumerate(own.tolist()):
                self._at[v] = name, index, word, 0

    def _free(self, name: str) -> str:
        taken = {*self._devices}
        n = 2
        while name in taken:
            name = f"{name.removesuffix(f'-{n - 1}')}-{n}"
            n += 1
        return name

    def _link(self, rule: str, gbps: float) -> str:
        """Return the link of a rule at a rate: called as the rule, and by its rate where it has several."""
        known = self._links
        if (rule, gbps) not in known:
            stem = _word(rule)
            known[rule, gbps] = f"{stem}-{gbps:g}G" if stem in known.values() else stem
        return known[rule, gbps]

    def lines(self) -> Iterator[str]:
        """Yield the file."""
        yield f"name: {_word(self._e.name)}"
        yield "devices:"
        for device in self._devices.values():
            yield from self._device(device)
        self._links = {}
        edges = list(self._edges())
        yield from self._link_lines("")
        yield "instances:"
        for name, nodes in self._nodes.items():
            # InfraGraph has numbers alone; our reader knows nodes by their names.
            yield f"- {{name: {name}, device: {name}, count: {len(nodes)}, description: {_described(nodes)}}}"
        yield from ["edges:", *edges] if edges else ["edges: []"]

    def _device(self, device: _Described) -> Iterator[str]:
        self._links = {}
        edges = [
            _edge(f'component: "{a}[{i}]"', f'component: "{z}[{j}]"', self._link(rule, gbps))
            for (a, i), (z, j), rule, gbps in device.edges
        ]
        yield f"- name: {device.name}"
        yield f"  description: {device.about}"
        yield "  components:"
        for name, n, choice in device.components:
            yield f"  - {{name: {name}, count: {n}, choice: {choice}}}"
        if device.n_ports:
            ((asic, _, _),) = device.components
            yield f"  - {{name: port, count: {device.n_ports}, choice: port}}"
            yield "  links: [{name: ic}]"
            ends = f"ep1: {{component: {asic}}}, ep2: {{component: port}}"
            yield f"  edges: [{{{ends}, scheme: many2many, link: ic}}]"
        elif edges:
            yield from self._link_lines("  ")
            yield "  edges:"
            yield from (f"  - {edge}" for edge in edges)
        else:
            # InfraGraph wants both of every device.
            yield "  links: []"
            yield "  edges: []"

    def _link_lines(self, indent: str) -> Iterator[str]:
        if not self._links:
            return
        yield f"{indent}links:"
        for (_, gbps), name in self._links.items():
            rate = f"{{choice: gigabits_per_second, gigabits_per_second: {gbps:.12g}}}"
            yield f"{indent}- {{name: {name}, physical: {{bandwidth: {rate}}}}}"

    def _edges(self) -> Iterator[str]:
        e = self._e
        n_taken = np.zeros(e.n_devices, dtype=np.int64)
        for k in self._outer.tolist():
            tail, head, n = int(e.tail[k]), int(e.head[k]), int(e.alive[k])
            rule, rate = e.rules[e.rule[k]].name, float(e.rate_gbps[k])
            if not self._has_ports(tail) and not self._has_ports(head):
                # Without ports two cables cannot be told apart: one has the rate of all.
                n, rate = 1, n * rate
            link = self._link(rule, rate)
            for _ in range(n):
                yield f"- {_edge(self._end(tail, n_taken), self._end(head, n_taken), link)}"

    def _has_ports(self, v: int) -> bool:
        return self._devices[self._at[v][0]].n_ports > 0

    def _end(self, v: int, n_taken: Ints) -> str:
        instance, index, component, part = self._at[v]
        if self._has_ports(v):
            component, part = "port", int(n_taken[v])
            n_taken[v] += 1
        return f'instance: "{instance}[{index}]", component: "{component}[{part}]"'


def _word(name: str) -> str:
    """Return a name as InfraGraph has them, which YAML takes for a text."""
    word = _NO_NAME.sub("_", name)
    return word if yaml.safe_load(word) == word else f"{word}_"


def _described(nodes: list[str]) -> str:
    return json.dumps(f"{NODES}{hostlist_in_order(nodes)}")


def _edge(one: str, other: str, link: str) -> str:
    return f"{{ep1: {{{one}}}, ep2: {{{other}}}, scheme: one2one, link: {link}}}"
