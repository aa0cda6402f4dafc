"""What a reader should know of a design: idle arguments, switches that cut off, cliffs nearby."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from fabric.errors import setting
from fabric.sizing.reading import by_key, show
from fabric.sizing.request import Request, resolve
from fabric.sizing.search import can_build, solve
from fabric.sizing.switch import DesignError
from fabric.sizing.text import plural
from fabric.sizing.tiers import Sizes

# A size is near within so much of the GPUs, and a cliff if so much of the switches is saved beyond what the
# smaller size saves.
_NEAR = 0.05
_CLIFF = 0.1
# The fewest tiers at which there is something of an argument, or of a key of one.
_NEEDS = {"spine": 2, "core": 3}
_NEEDS_BY_KEY = {
    "oversubscription": {"leaf": 2, "spine": 3},
    "breakout": {"leaf": 2, "spine": 3},
    "reserve": {"spine": 2, "core": 3},
}


def warnings_of(request: Request, sizes: Sizes) -> tuple[str, ...]:
    """Return what a reader should know before a design is built.

    Parameters
    ----------
    request : Request
        With the rates of the design.
    sizes : Sizes
        The design.
    """
    return (
        *idle(request, sizes),
        *_cut_off(request, sizes),
        *_cliff_below(request, sizes),
        *_cliff_above(request, sizes),
    )


def idle(request: Request, sizes: Sizes) -> tuple[str, ...]:
    """Return the arguments that were given and change nothing, each with why."""
    return tuple(f"{argument} changes nothing: {why}" for argument, why in _idle(request, sizes))


def _idle(request: Request, sizes: Sizes) -> Iterator[tuple[str, str]]:
    ask, tiers = request.given, sizes.tiers
    without = f"with {tiers} {plural(tiers, 'tier')} there is nothing of it"
    for argument, least in _NEEDS.items():
        if argument in ask and tiers < least:
            yield setting(argument, ask[argument]), without  # type: ignore[literal-required]
    for argument, keys in _NEEDS_BY_KEY.items():
        value = ask.get(argument, {})
        if isinstance(value, str) and "=" not in value:
            continue
        by_end = by_key(argument, value, ("nic", "leaf", "spine", "core"), lambda _, value: show(value))
        missed = {key: value for key, value in by_end.items() if tiers < keys.get(key, 1)}
        if missed:
            yield setting(argument, missed), without
    # Asked for, and yet no stripe came out uneven.
    if not request.is_even and not _is_uneven(sizes):
        yield setting("stripes", "uneven"), "even stripes need no more switches"
    if "layout" in ask and tiers == 1 and sizes.rails < request.rails:
        n_rails = request.rails // sizes.rails
        why = "one leaf has the ports for all rails" if sizes.rails == 1 else f"{n_rails} rails share a leaf"
        joined = f"{why}, which joins them; a leaf for each: {setting('rails', request.rails)}"
        yield setting("layout", request.layout), joined
    if "base" in ask and request.rack.is_template:
        yield setting("base", str(ask["base"])), f"{request.rack.name} is a template, and no path is read"


def _is_uneven(sizes: Sizes) -> bool:
    stripes = (sizes.leaf_stripe, sizes.spine_stripe)[: sizes.tiers - 1]
    return sizes.folds > 1 or any(stripe.extra for stripe in stripes)


def redundancy(request: Request, sizes: Sizes) -> str:
    """Say what is lost with one switch of each tier."""
    lost = {"leaf": f"1/{request.faces} of the rate of {_nics(sizes)}"}
    # With one plane and home a NIC has no other leaf.
    if request.faces == 1:
        by = ", whose GPUs go by the other rails" if _is_relayed(request, sizes) else ", which are cut off"
        lost["leaf"] = f"{_nics(sizes)}{by}"
    if sizes.tiers > 1:
        lost["spine"] = f"1/{sizes.spines} of what leaves a leaf"
    if sizes.tiers > 2:
        cores = sizes.cores * sizes.spines // sizes.folds
        lost["core"] = f"1/{cores} of what leaves a pod in its plane"
        lost["spine"] = f"1/{sizes.spines} of what leaves a leaf or the pod"
    return "; ".join(f"{tier}: {loss}" for tier, loss in lost.items())


def _nics(sizes: Sizes) -> str:
    return f"{sizes.down} {plural(sizes.down, 'NIC')}"


def _is_relayed(request: Request, sizes: Sizes) -> bool:
    return request.rack.is_relay and sizes.rails > 1


def _cut_off(request: Request, sizes: Sizes) -> Iterator[str]:
    """Yield the tiers of which one switch takes GPUs off the network."""
    remedies = [setting(argument, 2) for argument in ("planes", "homes") if _works(request, argument)]
    remedy = f"; another for every NIC: {' or '.join(remedies)}" if remedies else ""
    if request.faces == 1 and not _is_relayed(request, sizes):
        racks = min(sizes.block, request.populated)
        gpus = racks * request.rack.n_gpus // (1 if sizes.rails == 1 else sizes.rails)
        total = "all " if racks == request.populated and sizes.rails == 1 else ""
        yield f"no redundancy: {total}{gpus:,} GPUs hang on one leaf, and are cut off when it fails{remedy}"
    if sizes.tiers > 1 and sizes.spines == 1 and request.planes == 1:
        meet = f"{sizes.leaves_of_pod} leaves meet at one spine, and no more when it fails"
        yield f"no redundancy: {meet}{remedy}"


def _works(request: Request, argument: str) -> bool:
    try:
        # Another plane or home is a remedy only if such a design exists.
        return can_build(resolve({**request.given, argument: 2}))
    except DesignError:
        return False


def _cliff_below(request: Request, sizes: Sizes) -> Iterator[str]:
    """Yield the largest size nearby that needs far fewer switches."""
    racks = request.racks

    def saves(fewer: int) -> bool:
        n = _switches(request, fewer)
        return 0 < n <= (1 - _CLIFF) * sizes.n_switches * fewer / racks

    near = max(1, min(racks - 1, math.ceil(racks * (1 - _NEAR))))
    # A saving at the far end, or else just below: the edge lies between there and the size asked for.
    low = next((n for n in (near, racks - 1) if 0 < n < racks and saves(n)), 0)
    if low:
        best = _edge(low, racks, lambda n: not saves(n)) - 1
        fewer = (racks - best) * request.rack.n_gpus
        n, n_switches = _switches(request, best), sizes.n_switches
        yield (
            f"near a cliff: {fewer:,} GPUs fewer ({best * request.rack.n_gpus:,}) need {n:,} "
            f"{plural(n, 'switch')}, not {n_switches:,}"
        )


def _cliff_above(request: Request, sizes: Sizes) -> Iterator[str]:
    """Yield the smallest size nearby that needs a tier more, or cannot be built."""
    racks = request.racks

    # Can it be built with the tiers it has?
    no_higher = tuple(n for n in request.tiers if n <= sizes.tiers)

    def climbs(more: int) -> bool:
        return not can_build(replace(request.at(more), tiers=no_higher))

    high = max(racks + 1, math.floor(racks * (1 + _NEAR)))
    if climbs(high):
        first = _edge(racks, high, climbs)
        n = _switches(request, first)
        more = f"{(first - racks) * request.rack.n_gpus:,} GPUs more ({first * request.rack.n_gpus:,})"
        needs = f"need {n:,} {plural(n, 'switch')}, not {sizes.n_switches:,}" if n else "cannot be built so"
        yield f"near a cliff: {more} {needs}"


def _edge(low: int, high: int, is_over: Callable[[int], bool]) -> int:
    """Return the first number of racks that is over, where `low` is not and `high` is, by bisection."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_over(middle) else (middle, high)
    return high


def _switches(request: Request, racks: int) -> int:
    """Return the switches for so many racks; 0 where there is no design."""
    best = solve(request.at(racks))
    return best.sizes.n_switches if best else 0
