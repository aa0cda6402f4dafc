"""Why a design has the numbers that it has: the rule, the figures put in, and what was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fabric.errors import setting
from fabric.sizing.counts import Installed
from fabric.sizing.layout import block_name
from fabric.sizing.notices import idle, redundancy
from fabric.sizing.rack import leading_products
from fabric.sizing.rates import Cables
from fabric.sizing.request import Request
from fabric.sizing.search import CheapestDesign, rates_of, solve
from fabric.sizing.stripes import Stripe
from fabric.sizing.switch import add_rates
from fabric.sizing.text import plural
from fabric.sizing.tiers import Sizes, blocks, uplinks
from fabric.units import format_rate, format_ratio

_MAX_REJECTED = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """One number, or a few that hang together.

    Parameters
    ----------
    what : str
        What was decided.
    rule : str
        By which rule.
    numbers : str
        The rule with its figures.
    rejected : tuple of str
        Alternatives, each with why not.
    """

    what: str
    rule: str
    numbers: str
    rejected: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the decision in a few lines."""
        lines = [f"{self.what}: {self.numbers}", f"  rule: {self.rule}"]
        return "\n".join([*lines, *(f"  not: {r}" for r in self.rejected)])


def explain(request: Request, built: Installed, best: CheapestDesign) -> tuple[Decision, ...]:
    """Explain a design.

    Parameters
    ----------
    request : Request
        With the rates of the design.
    built : Installed
        All that is installed.
    best : CheapestDesign
        What was chosen, and from what.
    """
    sizes, looked_at = best.sizes, best.looked_at
    decisions = [_racks(request, built), _rates(request, best), _tiers(request, sizes)]
    if sizes.tiers > 1:
        decisions += [_block(request, sizes, looked_at), _leaf(request, sizes)]
        if sizes.tiers > 2:
            decisions.append(_pod(request, sizes, looked_at))
        decisions.append(_spines(request, sizes))
        if sizes.tiers > 2:
            decisions.append(_cores(request, sizes))
    decisions.append(_ports(built))
    decisions.append(Decision("redundancy", "what is lost with one switch", redundancy(request, sizes)))
    idle_ones = idle(request, sizes)
    if idle_ones:
        rule = "whatever was given and does not bind is named"
        decisions.append(Decision("without effect", rule, "; ".join(idle_ones)))
    return tuple(decisions)


def _racks(request: Request, built: Installed) -> Decision:
    rack, n = request.rack, request.racks
    text = f"asked for {request.gpus} GPUs, built {n:,} {plural(n, rack.unit)} x {rack.n_gpus}"
    text += f" = {n * rack.n_gpus:,}"
    if request.populated < n:
        text += f", of which {built.gpus:,} are installed"
    return Decision(f"{rack.unit}s", f"whole {rack.unit}s only", text)


def _rates(request: Request, best: CheapestDesign) -> Decision:
    cables, sizes = request.cables, best.sizes
    nic = f"{request.rack.nic_part}: {cables.per_leaf} x {format_rate(cables.nic_gbps)} to each of"
    nic += f" {request.faces} {plural(request.faces, 'leaf')}"
    rule = "a NIC is shared evenly; cables above, no slower, are those of the fewest switches"
    if "breakout" in request.given:
        rule = (
            "as given; where nothing is, a NIC is shared evenly, and above is what needs the fewest switches"
        )
    rejected = [
        f"{_above(rates, sizes.tiers)}: {sizes_of.n_switches:,} switches"
        for rates, sizes_of in best.others.items()
    ]
    tried = (cables, *best.others)
    none = f"none of {sizes.tiers} {plural(sizes.tiers, 'tier')} with fewer switches"
    rejected += [
        f"{_above(rates, sizes.tiers)}: {none}"
        for rates in rates_of(request, sizes.tiers)
        if rates not in tried
    ]
    above = _above(cables, sizes.tiers)
    return Decision("cables", rule, f"{nic}{'; ' if above else ''}{above}", tuple(rejected))


def _above(cables: Cables, tiers: int) -> str:
    """Return the rates of the cables between switches, where there are any."""
    rates = (cables.leaf_gbps, "leaf"), (cables.spine_gbps, "spine")
    return ", ".join(f"{format_rate(rate)} above the {tier}" for rate, tier in rates[: tiers - 1])


def _tiers(request: Request, sizes: Sizes) -> Decision:
    rule = "a tier more only when the ports force it"
    fewer = [t for t in request.tiers if t < sizes.tiers]
    rejected = [f"{t} {plural(t, 'tier')}: {why_not(request, sizes.groups, t)}" for t in fewer]
    if sizes.tiers > 1 and len(request.groups) == 1 and request.layout == "rail":
        rejected += _try_rail_groups(request, sizes)
    return Decision("tiers", rule, f"{sizes.tiers}, {sizes.n_switches:,} switches", tuple(rejected))


def _try_rail_groups(request: Request, sizes: Sizes) -> list[str]:
    """Return the groups of rails that would do with fewer tiers."""
    able = tuple(g for g in leading_products(request.rack) if g > 1 and request.rails % g == 0)
    best = solve(replace(request, groups=able, tiers=tuple(range(2, sizes.tiers))))
    if best is None:
        return []
    groups, tiers = best.sizes.groups, best.sizes.tiers
    cost = f"{best.sizes.n_switches:,} switches, but they meet inside the {request.rack.unit} only"
    return [f"{groups} groups of rails on {tiers} tiers: {cost}; ask with {setting('rail_groups', groups)}"]


def _block(request: Request, sizes: Sizes, designs: Sequence[Sizes]) -> Decision:
    unit = request.rack.unit
    numbers = f"{sizes.block} {plural(sizes.block, unit)} on {sizes.rails} {plural(sizes.rails, 'leaf')}"
    numbers += f" a plane: {sizes.blocks:,} blocks, {sizes.n_leaves:,} leaves"
    best: dict[int, Sizes] = {}
    for design in designs:
        best.setdefault(design.block, design)
    rejected = [
        f"{b} {plural(b, unit)}: {d.n_switches:,} switches in all, not {sizes.n_switches:,}"
        for b, d in best.items()
        if b != sizes.block
    ]
    more = _too_many(request, sizes.block + 1)
    rule = "as given" if request.block else "fewest switches in all, then fewest cables between them"
    return Decision(block_name(request), rule, numbers, (*more, *rejected[:_MAX_REJECTED]))


def _too_many(request: Request, block: int) -> tuple[str, ...]:
    """Return why a block of so many racks has no room on its leaves, if it has none."""
    needed = leaf_ports(request, block)
    if block > request.slots or needed <= request.budget("leaf"):
        return ()
    has = f"{request.leaf.name} has {request.budget('leaf')}"
    return (f"{block} {plural(block, request.rack.unit)}: {needed} ports of a leaf, {has}",)


def leaf_ports(request: Request, block: int) -> int:
    """Return the ports that a leaf needs to serve `block` racks at the oversubscription asked for."""
    down, up = _leaf_cables(request, block)
    return request.ports("leaf", add_rates((request.cables.nic_gbps, down), (request.cables.leaf_gbps, up)))


def _leaf_cables(request: Request, block: int) -> tuple[int, int]:
    cables = request.cables
    down = block * request.per_rack // request.rails * cables.per_leaf
    return down, uplinks(down, cables.nic_gbps, cables.leaf_gbps, request.leaf_ratio)


def _leaf(request: Request, sizes: Sizes) -> Decision:
    cables = request.cables
    ratio = format_ratio(sizes.down * cables.nic_gbps / (sizes.up * cables.leaf_gbps))
    wanted = format_ratio(float(request.leaf_ratio))
    numbers = f"{sizes.down} down, {sizes.up} up; {ratio} built, {wanted} asked"
    ports = request.ports("leaf", add_rates((cables.nic_gbps, sizes.down), (cables.leaf_gbps, sizes.up)))
    numbers += f"; {ports} of {request.leaf.port.n_ports} ports"
    return Decision("leaf", "as few uplinks as the oversubscription allows", numbers)


def _pod(request: Request, sizes: Sizes, designs: Sequence[Sizes]) -> Decision:
    name = block_name(request)
    numbers = f"{sizes.pod} {plural(sizes.pod, name)} each, "
    numbers += f"{sizes.leaves_of_pod} leaves under {sizes.spines} spines a plane"
    best: dict[int, Sizes] = {}
    for design in designs:
        if design.block == sizes.block:
            best.setdefault(design.pod, design)
    rejected = [
        f"{p} {plural(p, name)}: {d.pods:,} pods, {d.n_switches:,} switches in all"
        for p, d in best.items()
        if p != sizes.pod
    ]
    rule = "as given" if request.pod else "fewest switches, then fewest cables, then fewest pods"
    return Decision("pods", rule, f"{sizes.pods:,} of {numbers}", tuple(rejected[:_MAX_REJECTED]))


def _spines(request: Request, sizes: Sizes) -> Decision:
    rule = "the smallest number with ports enough that divides the uplinks of a leaf: whole cables"
    if not request.is_even:
        rule = "the smallest number with ports enough"
    numbers = f"{sizes.spines} for {sizes.leaves_of_pod} leaves, {_a_pair(sizes.leaf_stripe)}; "
    ports = add_rates(
        (request.cables.leaf_gbps, sizes.spine_down), (request.cables.spine_gbps, sizes.spine_up)
    )
    numbers += f"{request.ports('spine', ports)} of {request.spine.port.n_ports} ports"
    return Decision("spines", rule, numbers, _uneven(request, sizes))


def _a_pair(stripe: Stripe) -> str:
    """Return the cables of a pair of switches."""
    n = stripe.count + bool(stripe.extra)
    return f"{f'{stripe.count} or {n}' if stripe.extra else n} {plural(n, 'cable')} a pair"


def _uneven(request: Request, sizes: Sizes) -> tuple[str, ...]:
    """Return the smaller number of spines that has the ports, but no whole cables, if there is one."""
    total = sizes.leaves_of_pod * sizes.up
    if sizes.tiers > 2 or not request.is_even:
        return ()
    least = -(-total // request.capacity("spine", request.cables.leaf_gbps))
    if least >= sizes.spines:
        return ()
    ask = f"; ask with {setting('stripes', 'uneven')}"
    return (f"{least}: ports enough for {total:,} uplinks, but {sizes.up} do not divide by {least}{ask}",)


def _cores(request: Request, sizes: Sizes) -> Decision:
    rule = "core plane k joins spine k of every pod; the smallest number that divides its uplinks"
    if not request.is_even:
        rule = "a core plane joins the same spines of every pod; the smallest number with ports enough"
    ratio = sizes.spine_down * request.cables.leaf_gbps / (sizes.spine_up * request.cables.spine_gbps)
    numbers = (
        f"{sizes.spines // sizes.folds} planes of {sizes.cores}, {_a_pair(sizes.spine_stripe)}; "
        f"a spine has {sizes.spine_down} down, {sizes.spine_up} up, "
        f"{format_ratio(ratio)} built, {format_ratio(float(request.spine_ratio))} asked"
    )
    return Decision("cores", rule, numbers)


def _ports(built: Installed) -> Decision:
    rows = [
        f"{t.name} {t.used:,} used, {t.free:,} free"
        + (f" ({t.stranded:,} wait for what is absent)" if t.stranded else "")
        for t in built.tiers
    ]
    return Decision("ports", "used and free are all ports of the switches installed", "; ".join(rows))


def why_not(request: Request, groups: int, tiers: int) -> str:
    """Return the constraint that fails for a number of tiers that no design was found for."""
    if tiers == 1:
        cables = request.slots * request.per_rack // groups * request.cables.per_leaf
        return f"{cables:,} cables of NICs on one leaf; {request.leaf.name} takes {_radix(request, 'leaf')}"
    sizes = next(blocks(request), None)
    if sizes is None:
        return _leaf_too_small(request)
    block, down, up = sizes
    n = -(-request.slots // block)
    leaves = n * request.homes * request.rails // groups
    if tiers == 2:
        radix = request.capacity("spine", request.cables.leaf_gbps)
        return f"{leaves:,} leaves want a cable each to every spine; {request.spine.name} takes {radix:,}"
    radix = request.capacity("core", request.cables.spine_gbps)
    has = f"{leaves:,} leaves with {up} uplinks want more pods"
    has += f" than the {radix:,} that {request.core.name} joins"
    return (
        has
        if request.pod is None
        else f"a pod of {request.pod} {block_name(request)} has no room on {request.spine.name}"
    )


def _radix(request: Request, tier: str) -> str:
    return f"{request.capacity(tier, request.cables.nic_gbps):,}"


def _leaf_too_small(request: Request) -> str:
    block = request.block or 1
    down, up = _leaf_cables(request, block)
    needed = leaf_ports(request, block)
    unit = f"{block} {plural(block, request.rack.unit)}"
    return (
        f"radix: {unit} with {down} cables to a leaf and {up} uplinks needs {needed} ports; "
        f"{request.leaf.name} has {request.budget('leaf')}"
    )
