"""What cannot be built: the constraint that fails, and the changes of one argument that work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from fabric.errors import setting
from fabric.sizing.explain import why_not
from fabric.sizing.rack import leading_products
from fabric.sizing.rates import CABLES, common_rates
from fabric.sizing.reading import by_key
from fabric.sizing.request import MAX_TIERS, Request, resolve
from fabric.sizing.search import can_build, most_racks
from fabric.sizing.switch import DesignError
from fabric.sizing.text import plural

_RATIOS = (Fraction(5, 4), Fraction(4, 3), Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4))


def impossible(request: Request) -> str:
    """Return why there is no design, and what can be built instead."""
    tiers = request.tiers[-1]
    why = why_not(request, request.groups[-1], tiers)
    near = nearest_that_work(request)
    head = f"no design for {request.gpus} GPUs on {tiers} {plural(tiers, 'tier')}: {why}"
    return (
        f"{head}; nearest that work: {'; '.join(near)}"
        if near
        else f"{head}; no change of one argument helps"
    )


def nearest_that_work(request: Request) -> tuple[str, ...]:
    """Return what can be built instead, each by a change of one argument.

    Parameters
    ----------
    request : Request
        For which there is no design.
    """
    remedies: dict[str, str] = {}
    for argument, value in _changes(request):
        if argument not in remedies and _works({**request.given, argument: value}):
            remedies[argument] = setting(argument, value)
    most = most_racks(request)
    if most:
        remedies["gpus"] = setting("gpus", most * request.rack.n_gpus)
    return tuple(remedies.values())


def _changes(request: Request) -> Iterator[tuple[str, object]]:
    """Yield arguments to change, each with its values from the nearest on."""
    able, is_rail = leading_products(request.rack), request.layout == "rail"
    groups, rails = request.groups[-1], request.rails
    values: dict[str, Iterable[object]] = {
        "tiers": range(request.tiers[-1] + 1, MAX_TIERS + 1),
        "planes": [n for n in (2, 4, 8) if n > request.planes],
        "rail_groups": [n for n in able if n > groups] if is_rail else (),
        "rails": [n for n in able if n > rails] if request.layout != "tor" else (),
        "breakout": _breakouts(request),
        # What was asked for is dropped.
        **{argument: [None] for argument in ("block", "pod", "reserve") if argument in request.given},
        "layout": ["rail"] if request.layout == "tor" else ["rail-only"] if "rails" in request.given else (),
        "stripes": ["uneven"] if request.is_even else (),
        "oversubscription": [
            _read_given(request, "oversubscription") | {"leaf": f"{ratio.numerator}:{ratio.denominator}"}
            for ratio in _RATIOS
            if ratio > request.leaf_ratio
        ],
    }
    for argument, value_of_key in values.items():
        for value in value_of_key:
            yield argument, value


def _breakouts(request: Request) -> Iterator[object]:
    """Yield breakouts: none in place of one asked for, and uplinks slower than the cables of NICs."""
    if "breakout" in request.given:
        yield None
    rates = _read_given(request, "breakout")
    for rate in common_rates(request.leaf, request.spine):
        if rate < request.cables.nic_gbps:
            yield {**rates, "leaf": f"{rate:g}G"}


def _read_given(request: Request, argument: str) -> dict[str, object]:
    """Return what was given for each key of an argument."""
    value = request.given.get(argument, {})
    keys = CABLES if argument == "breakout" else ("leaf", "spine")
    if isinstance(value, str) and "=" not in value:
        return dict.fromkeys(keys, value)
    return by_key(argument, value, keys, lambda _, part: part)


def _works(arguments: Mapping[str, object]) -> bool:
    try:
        return can_build(resolve(arguments))
    except DesignError:
        return False
