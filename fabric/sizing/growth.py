"""Growing a fabric in phases: what each adds, and which cables move if it was not built for the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fabric.sizing.build import Design, design_for
from fabric.sizing.request import Ask
from fabric.sizing.switch import DesignError
from fabric.units import parse_count


@dataclass(frozen=True, slots=True)
class Phase:
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


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in found.items() if n) or "none"


def growth(ask: Ask, phases: Sequence[int | str]) -> tuple[Phase, ...]:
    """Plan the growth to the size that `ask` builds for.

    Parameters
    ----------
    ask : Ask
        ``gpus`` is the size of the end; ``populated`` is not used.
    phases : sequence of int or str
        GPUs installed after each phase, rising; the end may be left out.

    Returns
    -------
    tuple of Phase
        One for each size, and one for the end.

    Raises
    ------
    DesignError
        If a phase is not larger than the one before, or larger than the end.

    Examples
    --------
    >>> first, last = growth(Ask(gpus=2048, rack="hgx-h100", leaf="qm9700"), [512])
    >>> first.added_switches, last.added_switches, last.moved_if_sized_alone
    ({'leaf': 16, 'spine': 32}, {'leaf': 48, 'spine': 0}, {'nic-leaf': 0, 'leaf-spine': 384})
    """
    sizes = [parse_count(n) for n in phases]
    if not sizes or sizes[-1] < parse_count(ask.gpus):
        sizes.append(parse_count(ask.gpus))
    if sizes != sorted(set(sizes)):
        msg = f"phases: got {', '.join(map(str, sizes))}; expected rising numbers of GPUs"
        raise DesignError(msg)
    found: list[Phase] = []
    before: Design | None = None
    alone: Design | None = None
    for n in sizes:
        now = design_for(replace(ask, populated=n))
        new = design_for(replace(ask, gpus=n, populated=None))
        found.append(
            Phase(
                gpus=now.built.gpus,
                added_racks=now.built.racks - (before.built.racks if before else 0),
                added_switches=_added(now.switches, before.switches if before else {}),
                added_cables=_added(now.cables, before.cables if before else {}),
                stranded={t.name: t.stranded for t in now.tiers},
                moved=_moved(before, now),
                moved_if_sized_alone=_moved(alone, new),
            )
        )
        before, alone = now, new
    return tuple(found)


def _added(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in now.items()}


def _moved(before: Design | None, now: Design) -> dict[str, int]:
    """Count the cables of `before` that are elsewhere in `now`.

    Notes
    -----
    Leaves and spines keep their number. A leaf keeps as many cables to each spine as both designs have
    there, and moves the others; so does a spine with its cores. Where the blocks, the rails or the number of
    tiers are not the same, every cable is laid anew.
    """
    moved = dict.fromkeys(now.cables, 0)
    if before is None:
        return moved
    old, new = before.sizes, now.sizes
    if (old.tiers, old.block, old.rails, old.groups) != (new.tiers, new.block, new.rails, new.groups):
        return {name: before.cables.get(name, 0) for name in moved}
    if new.tiers > 1:
        is_alike = old.tiers < 3 or (old.pod, old.subgroups) == (new.pod, new.subgroups)
        kept = _kept(old.up, old.spines, new.up, new.spines) if is_alike else 0
        moved["leaf-spine"] = before.built.tiers[0].switches * (old.up - kept)
        if new.tiers > 2:
            is_alike = is_alike and old.spines == new.spines
            kept = _kept(old.spine_up, old.cores, new.spine_up, new.cores) if is_alike else 0
            moved["spine-core"] = before.built.tiers[1].switches * (old.spine_up - kept)
    return moved


def _kept(old_up: int, old_above: int, new_up: int, new_above: int) -> int:
    """Return how many uplinks of a switch stay where they are when those above it become more or fewer."""
    return min(old_above, new_above) * min(old_up // old_above, new_up // new_above)
