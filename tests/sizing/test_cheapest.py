"""The design is the cheapest of all that the ports allow: against an enumeration of every choice."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest

from fabric import design
from fabric.sizing.rack import leading_products
from fabric.sizing.rates import common_rates
from fabric.sizing.request import Request, resolve
from fabric.sizing.search import solve
from fabric.sizing.switch import DesignError, add_rates


def splits(n_below: int, least: int, capacity: int, *, is_even: bool):
    """Yield any number of switches above, any uplinks that they take, and the cables of one above."""
    for above in range(1, least + 1):
        # Some more than needed may stripe evenly over fewer.
        for up in range(least, least + above):
            if is_even and up % above == 0 and n_below * up // above <= capacity:
                yield above, up, n_below * up // above
            if not is_even and up == least and -(-n_below * up // above) <= capacity:
                yield above, up, -(-n_below * up // above)


def rates_above(below: float, lower, upper):
    native = min(lower.port.rate_gbps, upper.port.rate_gbps)
    return [rate for rate in common_rates(lower, upper) if rate >= below or rate == native]


def uplinks(down: int, down_gbps: float, up_gbps: float, ratio: Fraction) -> int:
    return math.ceil(Fraction(down) * Fraction(down_gbps) / Fraction(up_gbps) / ratio)


def two_tiers(r: Request, groups: int):
    """Yield the switches of all designs of leaves and spines."""
    nic, per_leaf = r.cables.nic_gbps, r.per_rack // r.rails * r.cables.per_leaf
    for rate, block in itertools.product(rates_above(nic, r.leaf, r.spine), range(1, r.slots + 1)):
        down, blocks = block * per_leaf, -(-r.slots // block)
        least, below = uplinks(down, nic, rate, r.leaf_ratio), blocks * r.homes * r.rails // groups
        for spines, up, _ in splits(below, least, r.capacity("spine", rate), is_even=r.is_even):
            if r.fits("leaf", add_rates((nic, down), (rate, up))):
                yield r.planes * (below * groups + groups * spines)


def three_tiers(r: Request, groups: int):
    """Yield the switches of all designs with cores."""
    nic, per_leaf = r.cables.nic_gbps, r.per_rack // r.rails * r.cables.per_leaf
    kinds = [k for k in leading_products(r.rack) if r.rails // groups % k == 0]
    for rate, block in itertools.product(rates_above(nic, r.leaf, r.spine), range(1, r.slots + 1)):
        down, blocks = block * per_leaf, -(-r.slots // block)
        leaves = r.planes * r.homes * blocks * r.rails
        least = uplinks(down, nic, rate, r.leaf_ratio)
        for top, kind, pod in itertools.product(
            rates_above(rate, r.spine, r.core), kinds, range(1, blocks + 1)
        ):
            pods, below = -(-blocks // pod), pod * r.homes * r.rails // groups // kind
            for spines, up, lower in splits(below, least, r.capacity("spine", rate), is_even=r.is_even):
                if not r.fits("leaf", add_rates((nic, down), (rate, up))):
                    continue
                least_up = uplinks(lower, rate, top, r.spine_ratio)
                folds = [1] if r.is_even else [f for f in range(1, spines + 1) if spines % f == 0]
                for fold in folds:
                    n = pods * kind * fold
                    for cores, higher, _ in splits(n, least_up, r.capacity("core", top), is_even=r.is_even):
                        if r.fits("spine", add_rates((rate, lower), (top, higher))):
                            yield leaves + r.planes * groups * (kind * pods * spines + spines // fold * cores)


SWITCHES = ("8x400G", "12x400G", "16x400G", "24x400G", "16x800G", "20x800G", "sn5600")


def drawn(rng: random.Random) -> dict[str, object]:
    """Return arguments of a small cluster on small switches."""
    rack = rng.choice(("hgx-h100", "mi300x", "hgx-b300", "gb300-nvl72"))
    racks = rng.randint(1, 2 if rack.endswith("72") else 12)
    asked = {"rack": rack, "gpus": racks * (72 if rack.endswith("72") else 8), "leaf": rng.choice(SWITCHES)}
    free = {
        "spine": SWITCHES,
        "core": SWITCHES,
        "planes": (1, 2),
        "homes": (1, 2),
        "rails": (1, 2, 4),
        "stripes": ("even", "uneven"),
        "oversubscription": ("leaf=2", "leaf=7:5", "leaf=3,spine=2", "spine=3"),
        "rail_groups": (2, "auto"),
        "reserve": ("leaf=2,spine=1", "core=2"),
        "tiers": (2, 3),
    }
    return asked | {name: rng.choice(values) for name, values in free.items() if rng.random() < 0.25}


def check(asked: dict[str, object]) -> bool:
    """Hold a design against all others of as many tiers and groups, and all of fewer tiers against none."""
    try:
        request = resolve(asked)
    except DesignError:
        return False
    best = solve(request)
    for tiers in (2, 3):
        for groups in request.groups if tiers in request.tiers else ():
            if best and best.sizes.tiers == 1:
                return False
            n = min((two_tiers if tiers == 2 else three_tiers)(request, groups), default=None)
            if n is not None:
                assert best, (asked, n)
                found = (best.sizes.tiers, best.sizes.groups, best.sizes.n_switches)
                assert found == (tiers, groups, n), asked
                return True
    assert best is None or best.sizes.tiers == 1, asked
    return False


@pytest.mark.parametrize("seed", range(2))
def test_no_design_that_the_ports_allow_has_fewer_switches(seed: int) -> None:
    rng = random.Random(seed)
    assert sum(check(drawn(rng)) for _ in range(6)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42))
def test_no_design_that_the_ports_allow_has_fewer_switches_at_length(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        check(drawn(rng))


@pytest.mark.parametrize(
    ("arguments", "switches"),
    [
        # 13 down want 7 uplinks at 2:1; with 9 three spines do, three cables each, where 7 need 7 spines.
        ({"gpus": 104, "leaf": "24x400G", "oversubscription": "leaf=2"}, {"leaf": 8, "spine": 3}),
        # Nine blocks of 30 nodes, pods of two rails of three blocks; pods of all rails need 197 switches.
        ({"gpus": 2056, "leaf": "qm9700"}, {"leaf": 72, "spine": 72, "core": 36}),
        # The 92 switches of pods of all rails are 80 with pods of four.
        ({"gpus": 320, "leaf": "24x400G"}, {"leaf": 32, "spine": 32, "core": 16}),
    ],
)
def test_uplinks_and_kinds_of_pods_that_save_switches(arguments, switches) -> None:
    found = design(rack="hgx-h100", **arguments)
    assert found.switches == switches
    # What it asks for is kept.
    assert all(tier.free >= 0 for tier in found.tiers)
