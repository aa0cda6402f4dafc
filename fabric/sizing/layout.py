"""From sizes to a topology file: axes, device groups, link rules, and what of it is absent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fabric.sizing.counts import extent
from fabric.sizing.rack import Rack, Splits, cut_rails
from fabric.sizing.request import TIERS, Request
from fabric.sizing.stripes import Stripe
from fabric.sizing.switch import DesignError
from fabric.sizing.tiers import Sizes

UFM = "ufm"
# Axes of core planes that several spines of a pod share.
CORE_PLANE, FOLD = "coreplane", "fold"


@dataclass(frozen=True, slots=True)
class Group:
    """A device group of the file: its part or kind, as ``part: sn5610``, its axes, and more keys of it."""

    name: str
    what: str
    axes: tuple[str, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link rule of the file; ``each`` is the number of cables at a lower and at an upper device.

    A rule with a name adds a cable to some pairs of the rule before it.
    """

    lower: str
    upper: str
    rate_gbps: float
    count: int
    each: tuple[int, int]
    name: str = ""


@dataclass(frozen=True, slots=True)
class FileLayout:
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


def lay_out(request: Request, sizes: Sizes) -> FileLayout:
    """Place a design on axes.

    Raises
    ------
    DesignError
        If UFM or the names of the rack get in the way.
    """
    over = _over(request, sizes)
    parted = sizes.groups * sizes.subgroups
    named, splits = cut_rails(request.rack, tuple(sorted({sizes.groups, parted, sizes.rails})))
    axes: dict[str, int | tuple[str, ...]] = {}
    # A split axis of the template becomes the product of its parts.
    for axis, parts in splits.items():
        axes |= dict(parts)
        axes[axis] = tuple(n for n, _ in parts)
    faces = {"plane": request.planes, "home": request.homes}
    axes |= {a: n for a, n in faces.items() if n > 1}
    plane = tuple(a for a in ("plane",) if request.planes > 1)
    home = tuple(a for a in ("home",) if request.homes > 1)
    pod = tuple(a for a in over if a == "pod")
    block = tuple(a for a in over if a != "pod")[:1] if sizes.tiers > 1 else ()
    # A switch stands on the axes of what it tells apart: plane, home, pod, block, rails.
    placed = {"leaf": (*plane, *home, *pod, *block, *named[sizes.rails])}
    if sizes.tiers > 1:
        axes["spine"] = sizes.spines
        placed["spine"] = (*plane, *pod, *named[parted], "spine")
    if sizes.tiers > 2:
        core = "spine"
        if sizes.folds > 1:
            core = CORE_PLANE
            axes |= {CORE_PLANE: sizes.spines // sizes.folds, FOLD: sizes.folds, "spine": (CORE_PLANE, FOLD)}
        axes["core"] = sizes.cores
        placed["core"] = (*plane, *named[sizes.groups], core, "core")
    _check_names(request, {*over, *axes} - set(splits))
    groups = [Group(t, f"part: {request.switch(t).name}", placed[t]) for t in TIERS[: sizes.tiers]]
    links = _links(request, sizes, over, splits)
    if request.ufm:
        groups.append(Group(UFM, "kind: host", (), "endpoint: false"))
        pieces = dict(request.rack.sizes) | {name: n for parts in splits.values() for name, n in parts}
        rails = {axis: _size(request.rack, axis, pieces) for axis in named[sizes.rails]}
        links.append(_ufm_link(request, sizes, pod + block, rails))
    return FileLayout(over, axes, tuple(groups), tuple(links), _absent(request, sizes, over))


def _over(request: Request, sizes: Sizes) -> dict[str, int]:
    unit = request.rack.unit
    over = {"pod": sizes.pods} if sizes.tiers > 2 else {}
    # A block of one rack needs no axis of its own.
    if sizes.tiers > 1 and sizes.block > 1:
        return over | {block_name(request): sizes.pod, unit: sizes.block}
    return over | {unit: sizes.block if sizes.tiers == 1 else sizes.pod}


def _check_names(request: Request, axes: set[str]) -> None:
    rack = request.rack
    clash = sorted(axes & rack.taken | {*TIERS, UFM} & rack.groups)
    if clash:
        msg = f"rack {rack.reference} has {', '.join(clash)} of its own; a design needs these names"
        raise DesignError(msg)


def _links(request: Request, sizes: Sizes, over: dict[str, int], splits: Splits) -> list[Link]:
    cables, faces = request.cables, request.faces * request.cables.per_leaf
    links = [Link(request.rack.nic, "leaf", cables.nic_gbps, cables.per_leaf, (faces, sizes.down))]
    parted = sizes.groups * sizes.subgroups
    if sizes.tiers > 1:
        block = [a for a in over if a != "pod"][0]
        rails = _between(request.rack, splits, parted, sizes.rails)
        links += _stripe_links(
            ("leaf", "spine"),
            cables.leaf_gbps,
            sizes.leaf_stripe,
            ([(block, sizes.pod)], [("home", 0)], rails),
        )
    if sizes.tiers > 2:
        parts = _between(request.rack, splits, sizes.groups, parted)
        links += _stripe_links(
            ("spine", "core"), cables.spine_gbps, sizes.spine_stripe, ([("pod", 0)], parts, [(FOLD, 0)])
        )
    return links


def _stripe_links(
    ends: tuple[str, str], rate_gbps: float, stripe: Stripe, axes: Sequence[Sequence[tuple[str, int]]]
) -> list[Link]:
    """Cable switches to those above: all pairs alike, and one cable more where stripes are uneven.

    Parameters
    ----------
    ends : tuple of str, str
        Lower and upper tier.
    rate_gbps : float
    stripe : Stripe
    axes : sequence of sequence of (str, int)
        The names and sizes of the axes that make up each axis of the stripe.
    """
    lower, upper = ends
    n_up_down = stripe.above * stripe.count, stripe.n_below * stripe.count
    links = [Link(lower, upper, rate_gbps, stripe.count, n_up_down)]
    for window in stripe.windows():
        # The switches below the window, as a selector; an axis of one index needs no term.
        terms = [
            term
            for named, size, ends_of in zip(axes, stripe.below, window.below, strict=False)
            if size > 1
            for term in _terms(named, *ends_of)
        ]
        n_below = math.prod(hi - lo + 1 for lo, hi in window.below)
        n_below *= math.prod(stripe.below[len(window.below) :])
        for lo, hi in window.above:
            many = f"{lo}-{hi}" if hi > lo else f"{lo}"
            name = f"{lower}-{upper}-more{len(links)}"
            pair = "/".join([*terms, lower]), f"{upper}{many}"
            links.append(Link(*pair, rate_gbps, 1, (hi - lo + 1, n_below), name))
    return links


def _terms(axes: Sequence[tuple[str, int]], first: int, last: int) -> list[str]:
    """Write a range of indices of an axis, or one index of a product of axes, as terms of a selector."""
    if len(axes) == 1:
        return [f"{axes[0][0]}{first}" + (f"-{last}" if last > first else "")]
    terms = []
    # Digits of the index, the last axis counts fastest.
    for name, size in reversed(axes):
        terms.append(f"{name}{first % size}")
        first //= size
    return terms[::-1]


def _between(rack: Rack, splits: Splits, low: int, high: int) -> list[tuple[str, int]]:
    """Return the plain axes, with their sizes, that tell `high` groups of rails apart within `low`."""
    axes, product = [], 1
    for axis, size in rack.sizes.items():
        for name, n in splits.get(axis, ((axis, size),)):
            # Pieces from the product `low` on, up to `high`.
            if low <= product < high:
                axes.append((name, n))
            product *= n
    return axes


def _size(rack: Rack, axis: str, pieces: Mapping[str, int]) -> int:
    """Return the size of an axis of the rails, of which `pieces` has the plain ones."""
    return math.prod(pieces[p] for p in rack.parts.get(axis, (axis,)))


def _ufm_link(request: Request, sizes: Sizes, above: tuple[str, ...], rails: Mapping[str, int]) -> Link:
    """Cable UFM to the first leaves of the first block, in place of its last rack."""
    n = request.ufm
    if sizes.block == 1 or request.faces > 1:
        msg = "ufm: takes the place of a rack in a block, on one plane and home; here is no such place"
        raise DesignError(msg)
    # Index 0 on every axis above: the first leaves.
    terms = [f"{a}0" for a in (*above, *list(rails)[:-1])]
    if not rails:
        return Link(UFM, "/".join([*terms, "leaf"]), request.cables.nic_gbps, n, (n, n))
    size = list(rails.values())[-1]
    if not 1 < n <= size:
        msg = f"ufm: got {n} cables; expected 2 to {size}, each to a leaf of its own"
        raise DesignError(msg)
    return Link(UFM, "/".join([*terms, f"leaf0-{n - 1}"]), request.cables.nic_gbps, 1, (n, 1))


def _absent(request: Request, sizes: Sizes, over: dict[str, int]) -> tuple[str, ...]:
    """Return selectors of the places that stay empty: that of UFM, and all behind the last rack."""
    reach = extent(request, sizes, request.populated)
    names = list(over)
    # The index of the last place taken on each axis, and how many places the axis has taken.
    n_taken = {"pod": reach.pods, names[-1]: reach.last_block}
    if sizes.tiers > 1:
        n_taken[names[-1] if sizes.block == 1 else names[-2]] = reach.last_pod
    selectors: list[str] = []
    if request.ufm and reach.blocks > 1:
        selectors.append("/".join([*(f"{a}0" for a in names[:-1]), f"{names[-1]}{sizes.block - 1}", "*"]))
    is_short = bool(request.ufm) and reach.blocks == 1
    before: list[str] = []
    rows = []
    # Axis by axis what lies behind the last place, within the last place of those before.
    for axis, size in over.items():
        first = n_taken[axis] - (is_short and axis == names[-1])
        if first < size:
            last = size - 1
            rows.append("/".join([*before, f"{axis}{first}" + (f"-{last}" if last > first else ""), "*"]))
        before.append(f"{axis}{n_taken[axis] - 1}")
    return (*selectors, *rows)
