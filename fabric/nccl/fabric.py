"""What NCCL sees of a fabric: the node of a job, from the cables and parts of the file."""

from __future__ import annotations

import re

from fabric.blueprint.census import Census, census
from fabric.blueprint.model import Blueprint
from fabric.errors import QuestionError
from fabric.nccl.cards import Cards, node_cards
from fabric.nccl.hardware import Node
from fabric.nccl.tables import VERSION, tables
from fabric.schedule.algorithms import Shape

ABOUT = f"what NCCL {VERSION} itself expects, and chooses by; not fitted to any measurement"

_PCIE_RE = re.compile(r"pcie(\d)_x(\d+)")
# Processors whose parts NCCL tells from the x86 ones it takes for granted.
_ARM = ("grace", "vera")


def node_of(
    blueprint: Blueprint,
    ranks: str,
    shape: Shape,
    *,
    among: str | None = None,
    has_collnet: bool = False,
) -> tuple[Node, int]:
    """Return a node of a job, and how many there are.

    Parameters
    ----------
    blueprint : Blueprint
    ranks : str
        Group of the ranks.
    shape : Shape
        Scale-up domains, which NCCL counts as nodes; of equal size.
    among : str, optional
        Selector of the ranks; all of the group by default.
    has_collnet : bool
        Whether the network reduces and NCCL's plugin for it runs.

    Raises
    ------
    QuestionError
        If NCCL 2.30.7 does not know the NVLink of the GPUs, or domains are not alike.

    Notes
    -----
    A processor without a part counts as Intel's, PCIe without a protocol as Gen5 x16. Cards are those of
    `fabric.nccl.cards`; one of several ports counts once, with all that its cables carry. Nodes are taken to
    be like the one whose cards send least.
    """
    counted = census(blueprint)
    n_gpus = counted.present(ranks)
    links, protocol = _nvlinks(blueprint, counted, ranks)
    known = tables().gpus
    if protocol not in known:
        between = protocol or "no NVLink with a protocol"
        names = ", ".join(known)
        msg = f"NCCL's model knows {names} between GPUs; {ranks} has {between}; use calibration measured"
        raise QuestionError(msg)
    # A node as NCCL counts: the ranks of one scale-up domain.
    if len(set(shape.sizes)) > 1:
        msg = (
            f"NCCL's model is of nodes with as many ranks each; a group here has {min(shape.sizes)} to "
            f"{max(shape.sizes)} in a scale-up domain; use calibration measured"
        )
        raise QuestionError(msg)
    g = shape.equal()
    cards = node_cards(blueprint, among).of(g) if shape.n_domains > 1 else Cards(0.0, 0.0, g)
    n_nics = max(1, round(cards.n)) if cards.n else 0
    generation, lanes = _pcie(blueprint, ranks)
    is_arm = any(g.part and g.part.id in _ARM for g in blueprint.groups.values())
    return (
        Node(
            sm=known[protocol],
            n_gpus=g,
            n_nvlinks=round(links / n_gpus) if g > 1 else 0,
            cpu="arm" if is_arm else "intel",
            pcie_generation=generation,
            pcie_lanes=lanes,
            n_nics=n_nics,
            nic_gbps=cards.gbps / n_nics if n_nics else 0.0,
            has_nvls=shape.reduces_in_domain,
            has_collnet=has_collnet and shape.reduces_across,
        ),
        shape.n_domains,
    )


def _nvlinks(blueprint: Blueprint, counted: Census, ranks: str) -> tuple[int, str]:
    """Return the cables between ranks and scale-up switches, and their protocol."""
    total, protocol = 0, ""
    for rule, cables in zip(blueprint.rules, counted.rules, strict=True):
        ends = (rule.left.group, rule.right.group)
        if rule.net == "scale-up" and ends.count(ranks) == 1:
            total += cables.total
            protocol = rule.protocol
    return total, protocol


def _pcie(blueprint: Blueprint, ranks: str) -> tuple[int, int]:
    """Return generation and lanes of the PCIe that GPUs hang on, or else NICs."""
    # Rules that name the ranks come first; the sort keeps the order of the file otherwise.
    for rule in sorted(blueprint.rules, key=lambda r: ranks not in (r.left.group, r.right.group)):
        match = _PCIE_RE.fullmatch(rule.protocol)
        if match:
            return int(match[1]), int(match[2])
    return 5, 16
