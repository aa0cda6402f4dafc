r"""NCCL's topology of each host: the tree of PCIe below the processors, NVLinks, and cards with their rates.

::

    <cpu> - <pci> a bridge - <pci><gpu><nvlink target= count=/>     a GPU, and where its NVLinks go
                           \ <pci><nic><net speed= rail=/>          a card

NCCL's own parser is strict (NVIDIA/nccl, src/graph/xml.cc): no prolog, no tabs, attributes on one line. What
it finds out by itself on the machine, such as affinities and processors, is left out, so that hosts that are
alike have one text.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from fabric.interop.nccl_rates import LANE_GBPS, NVLINK_GBPS, NVSWITCH_CLASS

SWITCHES, ELSEWHERE = -1, -2
"""What stands for the far end of an NVLink that is no GPU of the host."""
# Compute capability of the parts of the catalogue (NVIDIA, CUDA GPU Compute Capability); that of others NCCL
# asks the driver for.
_SM = {
    "v100_sxm": "70", "a100_sxm80": "80", "h100_sxm5": "90", "h800_sxm": "90", "h200_sxm": "90",
    "b200_sxm": "100", "gb200_gpu": "100", "b300_sxm": "103", "gb300_gpu": "103",
}  # fmt: skip
_ARM = ("grace", "vera")
_CLASSES = {"gpu": "0x030200", "nic": "0x020000", "switch": "0x060400"}
# Bits that a lane carries of those on the wire: 8b/10b up to PCIe 2, 128b/130b from 3, flits from 6.
_CODES = {"2.5": 0.8, "5": 0.8, "8": 128 / 130, "16": 128 / 130, "32": 128 / 130, "64": 242 / 256}
_WIDTHS = (16, 8, 4, 2, 1)

Medium = Literal["pcie", "nvlink", "c2c", ""]


class HostWire(NamedTuple):
    """Cables between two devices of a host, by their numbers there, and the rate of each [Gb/s]."""

    a: int
    z: int
    medium: Medium
    n: int
    gbps: float


class HostUnit(NamedTuple):
    """A device of a host.

    Parameters
    ----------
    kind, part : str
    nvlinks : tuple of (int, float, int)
        Number of the GPU at the other end, of all switches -1, of GPUs elsewhere -2; rate [Gb/s]; links.
    net_gbps : float
        What its network cables carry, or could [Gb/s]; 0 where not known.
    rail : int
        -1 where the network has none.
    """

    kind: str
    part: str
    nvlinks: tuple[tuple[int, float, int], ...]
    net_gbps: float
    rail: int


@dataclass(eq=False)
class _Bridge:
    """A place of the tree of PCIe: a device, or a bridge between some, which has no number."""

    kind: str
    unit: int = -1
    gbps: float = 0.0
    below: list[_Bridge] = field(default_factory=list)
    busid: str = ""

    def walk(self) -> Iterator[_Bridge]:
        """Yield this place and all below it."""
        yield self
        for place in self.below:
            yield from place.walk()


@lru_cache(maxsize=256)
def host_text(units: tuple[HostUnit, ...], wires: tuple[HostWire, ...]) -> str:
    """Return the file of a host; those of hosts that are alike are one."""
    roots = _tree(units, wires)
    places = [place for root in roots for place in root.walk() if place is not root]
    for n, place in enumerate(places, start=1):
        place.busid = _busid(n)
    return "\n".join(['<system version="1">', *_System(units, wires, roots).lines(), "</system>"]) + "\n"


def _busid(n: int) -> str:
    return f"{n // 256:04x}:{n % 256:02x}:00.0"


def _tree(units: tuple[HostUnit, ...], wires: tuple[HostWire, ...]) -> list[_Bridge]:
    """Return the processors with the tree of PCIe below them; a host without any is given one."""
    places = [_Bridge(unit.kind, n) for n, unit in enumerate(units)]
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    # A card that a GPU hangs on has a bridge in it: both are below that.
    bridge: dict[int, int] = {}
    for wire in wires:
        kinds = {units[n].kind: n for n in (wire.a, wire.z)}
        if wire.medium == "pcie" and set(kinds) == {"gpu", "nic"} and kinds["nic"] not in bridge:
            card, gbps = kinds["nic"], wire.n * wire.gbps
            bridge[card] = len(places)
            places.append(_Bridge("switch"))
            _join(near, bridge[card], card, gbps)
    for wire in wires:
        if wire.medium == "pcie":
            ends = bridge.get(wire.a, wire.a), bridge.get(wire.z, wire.z)
            _join(near, *ends, wire.n * wire.gbps)
    roots = [place for place in places if place.kind == "host"] or [_Bridge("host")]
    todo = [(place, n) for n, place in enumerate(places) if place.kind == "host"]
    reached = {n for _, n in todo}
    # What no processor reaches hangs on that which its C2C leads to, or the first: bridges before the rest.
    later = sorted(near, key=lambda n: places[n].kind != "switch")
    rest = [n for n, unit in enumerate(units) if unit.kind in ("gpu", "nic")]
    for start in (None, *later, *rest):
        if start is not None and start not in reached:
            reached.add(start)
            _processor(units, wires, start, places, roots).below.append(places[start])
            todo.append((places[start], start))
        while todo:
            place, n = todo.pop(0)
            for other, gbps in near[n] if place.kind in ("host", "switch") else ():
                if other not in reached:
                    reached.add(other)
                    places[other].gbps = gbps
                    place.below.append(places[other])
                    todo.append((places[other], other))
    return roots


def _join(near: dict[int, list[tuple[int, float]]], a: int, z: int, gbps: float) -> None:
    near[a].append((z, gbps))
    near[z].append((a, gbps))


def _processor(
    units: tuple[HostUnit, ...],
    wires: tuple[HostWire, ...],
    n: int,
    places: list[_Bridge],
    roots: list[_Bridge],
) -> _Bridge:
    """Return the processor that a device has C2C with; else the first."""
    for wire in wires:
        if wire.medium == "c2c" and n in (wire.a, wire.z):
            other = wire.z if wire.a == n else wire.a
            if units[other].kind == "host":
                return places[other]
    return roots[0]


class _System:
    """The lines of a file."""

    def __init__(
        self, units: tuple[HostUnit, ...], wires: tuple[HostWire, ...], roots: list[_Bridge]
    ) -> None:
        self._units, self._wires, self._roots = units, wires, roots
        placed = [place for root in roots for place in root.walk()]
        self._busid = {place.unit: place.busid for place in placed if place.unit >= 0}
        self._switch = _busid(len(placed) + 1)
        # Cards and GPUs are numbered as the file of the fabric has them.
        self._dev = {
            n: dev
            for kind in ("gpu", "nic")
            for dev, n in enumerate(k for k, unit in enumerate(units) if unit.kind == kind)
        }
        below = {(place.unit, child.unit) for place in placed for child in place.below}
        self._across = [
            wire
            for wire in wires
            if wire.medium == "pcie"
            and units[wire.a].kind == units[wire.z].kind == "switch"
            and not {(wire.a, wire.z), (wire.z, wire.a)} & below
        ]

    def lines(self) -> Iterator[str]:
        """Yield the processors and what is below them."""
        for n, root in enumerate(self._roots):
            part = self._units[root.unit].part if root.unit >= 0 else ""
            arch = {"arch": "arm64"} if part in _ARM else {}
            yield _tag("cpu", 1, {"numaid": n, **arch}, is_open=True)
            for place in root.below:
                yield from self._place(place, 2)
            yield "  </cpu>"

    def _place(self, place: _Bridge, depth: int) -> Iterator[str]:
        yield _tag(
            "pci",
            depth,
            {"busid": place.busid, "class": _CLASSES[place.kind], **_speed(place.gbps)},
            is_open=True,
        )
        if place.kind == "gpu":
            yield from self._gpu(place.unit, depth + 1)
        elif place.kind == "nic":
            yield from self._card(place.unit, depth + 1)
        for child in place.below:
            yield from self._place(child, depth + 1)
        for wire in self._across:
            if place.unit in (wire.a, wire.z):
                other = wire.z if wire.a == place.unit else wire.a
                yield _tag("pcilink", depth + 1, {"target": self._busid[other]})
        yield f"{'  ' * depth}</pci>"

    def _gpu(self, n: int, depth: int) -> Iterator[str]:
        unit, dev = self._units[n], self._dev[n]
        sm = _SM.get(unit.part)
        own = {"dev": dev, **({"sm": sm} if sm else {}), "rank": dev}
        links = list(self._nvlinks(unit, sm, depth + 1))
        links += [
            _tag("c2c", depth + 1, {"bw": round(wire.gbps * 1000 / 8), "count": wire.n})
            for wire in self._wires
            if wire.medium == "c2c" and n in (wire.a, wire.z)
        ]
        yield _tag("gpu", depth, own, is_open=bool(links))
        if links:
            yield from links
            yield f"{'  ' * depth}</gpu>"

    def _nvlinks(self, unit: HostUnit, sm: str | None, depth: int) -> Iterator[str]:
        count: dict[int, float] = defaultdict(float)
        for far, gbps, n in unit.nvlinks:
            # Links of NCCL are those of the GPU's generation, however the file bundles them.
            count[far] += n * gbps / NVLINK_GBPS[sm] if sm else n
        for far, links in count.items():
            if far != ELSEWHERE:
                target = self._switch if far == SWITCHES else self._busid[far]
                kind = NVSWITCH_CLASS if far == SWITCHES else _CLASSES["gpu"]
                yield _tag("nvlink", depth, {"target": target, "count": max(1, round(links)), "tclass": kind})

    def _card(self, n: int, depth: int) -> Iterator[str]:
        unit, dev = self._units[n], self._dev[n]
        stem = "mlx5_" if unit.part.startswith(("cx", "bf")) else "nic"
        speed = {"speed": round(unit.net_gbps * 1000)} if unit.net_gbps else {}
        rail = {"rail": unit.rail} if unit.rail >= 0 else {}
        own = {"name": f"{stem}{dev}", "dev": dev, **speed, "port": 1, "latency": "0.000000"}
        yield f"{'  ' * depth}<nic>"
        yield _tag("net", depth + 1, {**own, "maxconn": 131072, "gdr": 1, **rail})
        yield f"{'  ' * depth}</nic>"


def _tag(name: str, depth: int, attributes: dict[str, object], *, is_open: bool = False) -> str:
    told = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"{'  ' * depth}<{name}{told}{'' if is_open else '/'}>"


def _speed(gbps: float) -> dict[str, object]:
    """Return generation and width of PCIe that carry most nearly so much; nothing where there is none.

    Examples
    --------
    >>> _speed(504.0), _speed(126.0)["link_width"]
    ({'link_speed': '32.0 GT/s PCIe', 'link_width': 16}, 16)
    """
    if not gbps:
        return {}
    ways = [(speed, width) for width in _WIDTHS for speed in LANE_GBPS]

    def apart(way: tuple[str, int]) -> tuple[float, int]:
        speed, width = way
        return round(abs(math.log(gbps / (float(speed) * width * _CODES[speed]))), 6), -width

    speed, width = min(ways, key=apart)
    return {"link_speed": f"{float(speed)} GT/s PCIe", "link_width": width}
