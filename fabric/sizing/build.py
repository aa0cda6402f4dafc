"""From a number of GPUs to a fabric: the one verb of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from fabric.blueprint import Blueprint, loads_blueprint
from fabric.graph import Fabric
from fabric.sizing.counts import Installed, Tier, installed
from fabric.sizing.explain import Decision, explain, why_not
from fabric.sizing.layout import lay_out
from fabric.sizing.rack import leading_products
from fabric.sizing.request import Ask, Layout, Request, resolve
from fabric.sizing.switch import DesignError
from fabric.sizing.text import plural, write
from fabric.sizing.tiers import BUILDERS, Sizes, survey
from fabric.units import parse_count


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A fabric that was designed.

    Parameters
    ----------
    text : str
        The topology file, with comments.
    blueprint : Blueprint
        That file, loaded and checked.
    explain : tuple of Decision
        Every number that was chosen, and why.
    asked : int
        GPUs asked for.
    gpus : int
        GPUs built for: whole racks.
    built : Installed
        What is installed; all that is built for, unless fewer GPUs are populated.
    sizes : Sizes
        All numbers of the design.
    request : Request
        What it was made from.
    """

    text: str
    blueprint: Blueprint
    explain: tuple[Decision, ...]
    asked: int
    gpus: int
    built: Installed
    sizes: Sizes
    request: Request = field(repr=False)

    @property
    def populated(self) -> int:
        """GPUs that are installed."""
        return self.built.gpus

    @property
    def n_tiers(self) -> int:
        """Tiers of switches."""
        return self.sizes.tiers

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Switches and ports of each tier, from the leaves up."""
        return self.built.tiers

    @property
    def switches(self) -> dict[str, int]:
        """Switches by tier."""
        return self.built.switches

    @property
    def cables(self) -> dict[str, int]:
        """Cables by rule of the file."""
        return dict(self.built.cables)

    @property
    def fabric(self) -> Fabric:
        """The fabric, to ask questions of.

        Islands and reachability are not checked, as `fabric.load` does up to a size: that needs every device.
        """
        missed = "islands and reachability: not checked on a design; write the file and load it"
        skipped = (*self.blueprint.skipped, missed)
        return Fabric(self.blueprint.name, self.blueprint, None, skipped)

    def __str__(self) -> str:
        """Return the explanation."""
        return "\n".join(str(d) for d in self.explain)


def design(
    *,
    gpus: int | str,
    rack: str,
    leaf: str,
    spine: str | None = None,
    core: str | None = None,
    layout: Layout = "rail",
    oversubscription: Mapping[str, float | str | Fraction] | None = None,
    rails: int | None = None,
    rail_groups: int | Literal["auto"] = 1,
    planes: int = 1,
    homes: int = 1,
    tiers: int | Literal["auto"] = "auto",
    block: int | None = None,
    pod: int | None = None,
    populated: int | str | None = None,
    breakout: str | Mapping[str, str] | None = None,
    ufm: int = 0,
    reserve: Mapping[str, int] | None = None,
    name: str = "",
    about: str = "",
    base: str | Path = ".",
) -> Design:
    """Design the fabric of a cluster.

    Parameters
    ----------
    gpus : int or str
        GPUs to build for, rounded up to whole racks or nodes.
    rack : str
        Template of a rack or server, or the path of a file of one, from `base`.
    leaf, spine, core : str
        Switches: a row of the catalogue, or a generic one, ``64x400G``. A spine is as the leaf unless given,
        and a core as the spine.
    layout : {"rail", "tor", "rail-only"}
        A leaf for each rail of a block of racks; one leaf for all NICs of it (block 1: top of rack); or as
        ``rail`` without anything that joins the rails.
    oversubscription : mapping of str to float, str or Fraction
        At most so much downlink over uplink capacity of ``leaf`` and ``spine``; 1 where left out.
    rails : int
        Leaves that the NICs of a rack are spread over in each plane; one for every NIC of a server.
    rail_groups : int or "auto"
        Groups of rails that have spines of their own; ``auto`` takes the fewest that save a tier.
    planes : int
        Networks side by side, which share every NIC evenly.
    homes : int
        Leaves of a plane that share every NIC evenly, such as 2 for dual top-of-rack.
    tiers : int or "auto"
        Tiers of switches; the fewest that the ports allow.
    block : int
        Racks on the same leaves; that of the fewest switches.
    pod : int
        Blocks under the same spines where there are cores; that of the fewest switches.
    populated : int or str
        GPUs to install now; the others are ``absent`` in the file.
    breakout : str or mapping of str to str
        Rate of the cables ``nic`` (to leaf), ``leaf`` (to spine) and ``spine`` (to core), as ``2x400G`` or
        ``400G``; for all if one text.
    ufm : int
        Cables of a manager of the subnet to leaves of the first block, where it takes the place of a node.
    reserve : mapping of str to int
        Ports of each ``leaf``, ``spine`` and ``core`` that stay free.
    name, about : str
        Name of the fabric, and what its file says of itself first.
    base : str or Path
        Folder of relative paths.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        If it cannot be built: the constraint that fails, and the nearest that works.

    Notes
    -----
    Uplinks are as few as the oversubscription allows. They stripe evenly, in whole cables, over the smallest
    number of switches that has the ports. Block and pod are those of the fewest switches, then of the fewest
    cables between switches.

    Examples
    --------
    >>> pod = design(gpus=1000, rack="hgx-h100", leaf="qm9700")
    >>> pod.gpus, pod.switches, pod.cables
    (1000, {'leaf': 32, 'spine': 16}, {'nic-leaf': 1000, 'leaf-spine': 1024})
    >>> print(pod.explain[-2])
    spines: 16 for 32 leaves, 2 cables a pair; 64 of 64 ports
      rule: the smallest number with ports enough that divides the uplinks of a leaf: whole cables
    """
    return design_for(
        Ask(
            gpus=gpus,
            rack=rack,
            leaf=leaf,
            spine=spine,
            core=core,
            layout=layout,
            oversubscription=oversubscription or {},
            rails=rails,
            rail_groups=rail_groups,
            planes=planes,
            homes=homes,
            tiers=tiers,
            block=block,
            pod=pod,
            populated=populated,
            breakout=breakout,
            ufm=ufm,
            reserve=reserve or {},
            name=name,
            about=about,
            base=base,
        )
    )


def design_for(ask: Ask) -> Design:
    """Design what `ask` asks for, as `design` does."""
    request = resolve(ask)
    found = solve(request)
    if not found:
        raise DesignError(_impossible(request))
    sizes = found[0]
    built = installed(request, sizes, request.populated)
    name = ask.name or f"{request.rack.name}-{request.racks * request.rack.n_gpus}"
    text = write(request, sizes, lay_out(request, sizes), built, name)
    return Design(
        text=text,
        blueprint=loads_blueprint(text, path=f"{name}.fabric.yaml", base=ask.base),
        explain=explain(request, sizes, built, found),
        asked=parse_count(ask.gpus),
        gpus=request.racks * request.rack.n_gpus,
        built=built,
        sizes=sizes,
        request=request,
    )


def solve(request: Request) -> list[Sizes]:
    """Return the designs of the fewest tiers, then groups of rails, best first; none if there is none."""
    for tiers in request.tiers:
        for groups in request.groups:
            found = survey(request, groups, tiers)
            if found:
                return found
    return []


def can_build(request: Request) -> bool:
    """Return whether there is a design at all."""
    return any(next(BUILDERS[t](request, g), None) for t in request.tiers for g in request.groups)


def _impossible(request: Request) -> str:
    tiers = request.tiers[-1]
    why = why_not(request, request.groups[-1], tiers)
    near = nearest_that_work(request)
    head = f"no design for {request.ask.gpus} GPUs on {tiers} {plural(tiers, 'tier')}: {why}"
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
    ask = request.ask
    found = [
        *_first(ask, "tiers", [3] if ask.tiers != "auto" else []),
        *_first(ask, "planes", [p for p in (2, 4, 8) if p > ask.planes]),
        *_first(ask, "rail_groups", leading_products(request.rack)[1:] if ask.rail_groups == 1 else ()),
        *_first(ask, "rails", [r for r in leading_products(request.rack) if r > request.rails]),
        *_first(ask, "block", [None] if ask.block else []),
        *_first(ask, "layout", ["rail"] if ask.layout == "tor" else []),
    ]
    for ratio in (Fraction(5, 4), Fraction(4, 3), Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4)):
        if ratio > request.leaf_ratio:
            wanted = replace(ask, oversubscription={**ask.oversubscription, "leaf": ratio})
            if _works(wanted):
                found.append(f"oversubscription={{'leaf': '{ratio.numerator}:{ratio.denominator}'}}")
                break
    most = _most_racks(request)
    if most:
        found.append(f"gpus={most * request.rack.n_gpus}")
    return tuple(found)


def _first(ask: Ask, argument: str, values: Sequence[object]) -> list[str]:
    """Return the first value of one argument that works, as text."""
    for value in values:
        if _works(replace(ask, **{argument: value})):  # type: ignore[arg-type]
            return [f"{argument}={value!r}"]
    return []


def _works(ask: Ask) -> bool:
    try:
        return can_build(resolve(ask))
    except DesignError:
        return False


def _most_racks(request: Request) -> int:
    """Return the most racks that can be built with everything else as asked, by bisection."""
    low, high = 0, request.racks
    while high - low > 1:
        middle = (low + high) // 2
        trial = replace(request, racks=middle, populated=middle, slots=middle + bool(request.ask.ufm))
        low, high = (middle, high) if can_build(trial) else (low, middle)
    return low
