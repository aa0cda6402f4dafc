"""From sizes to a topology file: axes, device groups, link rules, and what of it is absent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabric.sizing.counts import extent
from fabric.sizing.rack import cut_rails
from fabric.sizing.request import TIERS, Request
from fabric.sizing.switch import DesignError, Switch
from fabric.sizing.tiers import Sizes

UFM = "ufm"


@dataclass(frozen=True, slots=True)
class Group:
    """A device group of the file: its part or kind, as ``part: sn5610``, its axes, and more keys of it."""

    name: str
    what: str
    axes: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link rule of the file; ``each`` is the number of cables at a lower and at an upper device."""

    lower: str
    upper: str
    rate_gbps: float
    count: int
    each: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """A topology file before it is written.

    Parameters
    ----------
    over : dict of str to int
        New axes in front of those of the rack, outermost first.
    axes : dict of str to int or tuple of str
        Other axes of the file, plain or composed.
    groups : tuple of Group
    links : tuple of Link
    absent : tuple of str
        Selectors.
    """

    over: dict[str, int]
    axes: dict[str, int | tuple[str, ...]]
    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    absent: tuple[str, ...]


def block_name(request: Request) -> str:
    """Return what a block is called: a scalable unit where nodes are placed, as in NVIDIA's SuperPODs."""
    return "su" if request.rack.unit == "node" else "block"


def lay_out(request: Request, sizes: Sizes) -> Layout:
    """Place a design on axes.

    Raises
    ------
    DesignError
        If UFM or the names of the rack get in the way.
    """
    over = _over(request, sizes)
    cuts = {sizes.groups, sizes.groups * sizes.subgroups, sizes.rails}
    named, splits = cut_rails(request.rack, tuple(sorted(cuts)))
    axes: dict[str, int | tuple[str, ...]] = {}
    for axis, parts in splits.items():
        axes |= dict(parts)
        axes[axis] = tuple(n for n, _ in parts)
    faces = {"plane": request.ask.planes, "home": request.ask.homes}
    axes |= {a: n for a, n in faces.items() if n > 1}
    plane = tuple(a for a in ("plane",) if request.ask.planes > 1)
    home = tuple(a for a in ("home",) if request.ask.homes > 1)
    pod = tuple(a for a in over if a == "pod")
    block = tuple(a for a in over if a != "pod")[:1] if sizes.tiers > 1 else ()
    leaf = (*plane, *home, *pod, *block, *named[sizes.rails])
    placed = {"leaf": leaf}
    if sizes.tiers > 1:
        axes["spine"] = sizes.spines
        placed["spine"] = (*plane, *pod, *named[sizes.groups * sizes.subgroups], "spine")
    if sizes.tiers > 2:
        axes["core"] = sizes.cores
        placed["core"] = (*plane, *named[sizes.groups], "spine", "core")
    _check_names(request, {*over, *axes} - set(splits))
    groups = [Group(t, _part(getattr(request, t)), placed[t]) for t in TIERS[: sizes.tiers]]
    links = _links(request, sizes)
    if request.ask.ufm:
        groups.append(Group(UFM, "kind: host", (), "endpoint: false"))
        links.append(_ufm_link(request, sizes, pod + block, named[sizes.rails]))
    return Layout(over, axes, tuple(groups), tuple(links), _absent(request, sizes, over))


def _over(request: Request, sizes: Sizes) -> dict[str, int]:
    unit = request.rack.unit
    over = {"pod": sizes.pods} if sizes.tiers > 2 else {}
    if sizes.tiers > 1 and sizes.block > 1:
        return over | {block_name(request): sizes.pod, unit: sizes.block}
    return over | {unit: sizes.block if sizes.tiers == 1 else sizes.pod}


def _check_names(request: Request, axes: set[str]) -> None:
    rack = request.rack
    clash = sorted(axes & rack.taken | {*TIERS, UFM} & rack.groups)
    if clash:
        msg = f"rack {rack.reference} has {', '.join(clash)} of its own; a design needs these names"
        raise DesignError(msg)


def _part(switch: Switch) -> str:
    return "kind: switch" if switch.is_generic else f"part: {switch.name}"


def _links(request: Request, sizes: Sizes) -> list[Link]:
    cables, faces = request.cables, request.faces * request.cables.per_leaf
    links = [Link(request.rack.nic, "leaf", cables.nic_gbps, cables.per_leaf, (faces, sizes.down))]
    if sizes.tiers > 1:
        each = (sizes.up, sizes.spine_down)
        links.append(Link("leaf", "spine", cables.leaf_gbps, sizes.up // sizes.spines, each))
    if sizes.tiers > 2:
        each = (sizes.spine_up, sizes.core_down)
        links.append(Link("spine", "core", cables.spine_gbps, sizes.spine_up // sizes.cores, each))
    return links


def _ufm_link(request: Request, sizes: Sizes, above: tuple[str, ...], rails: tuple[str, ...]) -> Link:
    """Cable UFM to the first leaves of the first block, in place of its last rack."""
    n = request.ask.ufm
    if sizes.block == 1 or request.faces > 1:
        msg = "ufm: takes the place of a rack in a block, on one plane and home; here is no such place"
        raise DesignError(msg)
    terms = [f"{a}0" for a in (*above, *rails[:-1])]
    if not rails:
        return Link(UFM, "/".join([*terms, "leaf"]), request.cables.nic_gbps, n, (n, n))
    size = math.prod(request.rack.sizes[p] for p in request.rack.parts.get(rails[-1], (rails[-1],)))
    if not 1 < n <= size:
        msg = f"ufm: got {n} cables; expected 2 to {size}, each to a leaf of its own"
        raise DesignError(msg)
    return Link(UFM, "/".join([*terms, f"leaf0-{n - 1}"]), request.cables.nic_gbps, 1, (n, 1))


def _absent(request: Request, sizes: Sizes, over: dict[str, int]) -> tuple[str, ...]:
    """Return selectors of the places that stay empty: that of UFM, and all behind the last rack."""
    reach = extent(request, sizes, request.populated)
    names = list(over)
    # The index of the last place taken on each axis, and how many places the axis has taken.
    taken = {"pod": reach.pods, names[-1]: reach.last_block}
    if sizes.tiers > 1:
        taken[names[-1] if sizes.block == 1 else names[-2]] = reach.last_pod
    found: list[str] = []
    if request.ask.ufm and reach.blocks > 1:
        found.append("/".join([*(f"{a}0" for a in names[:-1]), f"{names[-1]}{sizes.block - 1}", "*"]))
    is_short = bool(request.ask.ufm) and reach.blocks == 1
    before: list[str] = []
    rows = []
    for axis, size in over.items():
        first = taken[axis] - (is_short and axis == names[-1])
        if first < size:
            last = size - 1
            rows.append("/".join([*before, f"{axis}{first}" + (f"-{last}" if last > first else ""), "*"]))
        before.append(f"{axis}{taken[axis] - 1}")
    return (*found, *rows)
