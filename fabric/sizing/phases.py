"""Growing a fabric in phases: what each adds, and which cables move if it was not built for the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from fabric.arguments import checked
from fabric.sizing.arguments import DesignArguments
from fabric.sizing.build import Design, design
from fabric.sizing.reading import show, whole
from fabric.sizing.request import resolve
from fabric.sizing.stripes import Stripe
from fabric.sizing.switch import DesignError


@dataclass(frozen=True, slots=True)
class GrowthPhase:
    """One step of growth.

    Parameters
    ----------
    gpus : int
        Installed after it.
    added_racks : int
    added_switches, added_cables : dict of str to int
        By tier, and by rule.
    stranded : dict of str to int
        Free ports by tier that are kept for what later phases bring.
    moved : dict of str to int
        Cables by rule that were plugged in before and have to move: none, since every phase has the stripes
        of the last.
    moved_if_sized_alone : dict of str to int
        The same if every phase were designed for its own size alone.
    """

    gpus: int
    added_racks: int
    added_switches: dict[str, int]
    added_cables: dict[str, int]
    stranded: dict[str, int]
    moved: dict[str, int]
    moved_if_sized_alone: dict[str, int]

    def __str__(self) -> str:
        """Return the phase in three lines."""
        alone = _counts(self.moved_if_sized_alone)
        lines = [
            f"{self.gpus:,} GPUs: {self.added_racks:,} racks, {_counts(self.added_switches)} more, "
            f"cables {_counts(self.added_cables)}",
            f"  kept free: ports {_counts(self.stranded)}",
            f"  moves: {_counts(self.moved)}; sized alone it would move {alone}",
        ]
        return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none"


@checked
def growth(phases: Sequence[int | str], **arguments: Unpack[DesignArguments]) -> tuple[GrowthPhase, ...]:
    """Plan the growth to the size that a design is built for.

    Parameters
    ----------
    phases : sequence of int or str
        GPUs installed after each phase, rising; the end may be left out.
    **arguments
        Those of `fabric.design`, but for ``populated``; ``gpus`` is the size of the end.

    Returns
    -------
    tuple of GrowthPhase
        One for each size, and one for the end.

    Raises
    ------
    DesignError
        If a phase is not larger than the one before, or larger than the end, or if ``populated`` is given.

    Examples
    --------
    >>> first, last = growth([512], gpus=2048, rack="hgx-h100", leaf="qm9700")
    >>> first.added_switches, last.added_switches, last.moved_if_sized_alone
    ({'leaf': 16, 'spine': 32}, {'leaf': 48, 'spine': 0}, {'nic-leaf': 0, 'leaf-spine': 384})
    """
    if arguments.get("populated") is not None:
        msg = f"populated: the phases say what is installed; got {show(arguments['populated'])} too"
        raise DesignError(msg)
    sizes = [whole("phases", n) for n in phases]
    end = resolve(arguments).gpus
    if not sizes or sizes[-1] < end:
        sizes.append(end)
    if sizes != sorted(set(sizes)):
        msg = f"phases: got {', '.join(map(str, sizes))}; expected rising numbers of GPUs"
        raise DesignError(msg)
    steps: list[GrowthPhase] = []
    before: Design | None = None
    alone: Design | None = None
    for n in sizes:
        # The end of the design with so many installed, beside a design of just that size.
        in_part: DesignArguments = {**arguments, "populated": n}
        by_itself: DesignArguments = {**arguments, "gpus": n}
        phase, new = design(**in_part), design(**by_itself)
        steps.append(
            GrowthPhase(
                gpus=phase.built.gpus,
                added_racks=phase.built.racks - (before.built.racks if before else 0),
                added_switches=_count_added(phase.switches, before.switches if before else {}),
                added_cables=_count_added(phase.cables, before.cables if before else {}),
                stranded={t.name: t.stranded for t in phase.tiers},
                moved=_count_moved(before, phase),
                moved_if_sized_alone=_count_moved(alone, new),
            )
        )
        before, alone = phase, new
    return tuple(steps)


def _count_added(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in after.items()}


def _count_moved(before: Design | None, after: Design) -> dict[str, int]:
    """Count the cables of `before` that are elsewhere in `after`.

    Notes
    -----
    Leaves and spines keep their number. A leaf keeps as many cables to each spine as both designs have
    there, and moves the others; so does a spine with its cores. Where the blocks, the rails, the rates or the
    number of tiers are not the same, every cable is laid anew.
    """
    moved = dict.fromkeys(after.cables, 0)
    if before is None:
        return moved
    old, new = before.sizes, after.sizes
    kept_alike = [
        (d.sizes.tiers, d.sizes.block, d.sizes.rails, d.sizes.groups, d.request.cables)
        for d in (before, after)
    ]
    # Leaves are not the same leaves any more.
    if kept_alike[0] != kept_alike[1]:
        return {name: before.cables.get(name, 0) for name in moved}
    if new.tiers > 1:
        # With other pods the spines of a leaf are other spines.
        is_alike = old.tiers < 3 or (old.pod, old.subgroups) == (new.pod, new.subgroups)
        n = before.built.tiers[0].switches
        moved["leaf-spine"] = n * old.up - (
            _count_kept(old.leaf_stripe, new.leaf_stripe, n) if is_alike else 0
        )
        if new.tiers > 2:
            is_alike = is_alike and (old.spines, old.folds) == (new.spines, new.folds)
            n = before.built.tiers[1].switches
            n_kept = _count_kept(old.spine_stripe, new.spine_stripe, n) if is_alike else 0
            moved["spine-core"] = n * old.spine_up - n_kept
    return moved


def _count_kept(old: Stripe, new: Stripe, n_switches: int) -> int:
    """Return how many uplinks of the switches below stay when those above become more or fewer.

    Notes
    -----
    Both have the same switches below, as far as the older goes; other pods and planes do as the first.
    """
    n, above = min(old.below[0], new.below[0]), min(old.above, new.above)
    # Even stripes: every pair alike.
    if not old.extra and not new.extra:
        return n_switches * above * min(old.count, new.count)
    # A pair keeps the smaller of its old and its new number of cables.
    pairs = [stripe.cables(n)[:, :above] for stripe in (old, new)]
    # Rounded down, so that no cable is promised to stay that moves.
    return int(np.minimum(*pairs).sum()) * n_switches // len(pairs[0])
