"""What an answer says about the routing that it counts with."""

from __future__ import annotations

from collections.abc import Callable

from fabric.blueprint.planes import boxes, refusal
from fabric.errors import setting
from fabric.graph import Fabric
from fabric.job.ranks import Job
from fabric.schedule.tree import Schedule, phases

# Patterns that are the same however the ranks are numbered.
_ALIKE = ("pairwise", "to-switches", "from-switches")
# What is slower by less is not worth a word.
WORTH = 1e-3


def chip_notes(fabric: Fabric, routing: str) -> tuple[str, ...]:
    """Return what hashed routing makes of boxes of several chips."""
    chips = boxes(fabric.blueprint.whole) if fabric.blueprint is not None else {}
    if routing != "hashed" or not chips:
        return ()
    assert fabric.blueprint is not None
    # Boxes whose chips cannot be opened are counted as one switch.
    if why := refusal(fabric.blueprint):
        return (f"{why}; so they are whole, and every flow is spread over their chips",)
    several = ", ".join(f"{name} ({n} ASICs)" for name, n in chips.items())
    return (f"a flow goes through one chip of each box, with its share of every port: {several}",)


def card_notes(job: Job, routing: str) -> tuple[str, ...]:
    """Return what is counted differently from a library that chooses the cards of messages."""
    if job.cards == "none":
        return ()
    if routing == "ideal":
        return ("ideal routes take any cards; a library puts a message on one",)
    if job.cards == "shared":
        return (
            "near cards are dealt out among all GPUs of a box; NCCL counts those that are ranks, and may "
            "give a lone one more",
        )
    return ()


def route_notes(job: Job, routing: str, chosen: Schedule) -> tuple[str, ...]:
    """Return that the best routes are those of the average rank, where ranks differ and are too many."""
    sending = [p for p in phases(chosen) if p.bytes_per_endpoint and p.transfer != "in-switch"]
    if routing != "ideal" or all(job.is_known_exactly(phase.pattern) for phase in sending):
        return ()
    return (
        "ranks differ in what they do, and are too many for the best routes of each: these are of their "
        "average; no run is faster, and it may take longer, at most what ecmp says",
    )


def split_notes(fabric: Fabric, routing: str, slower: Callable[[], float]) -> tuple[str, ...]:
    """Return what an equal split per hop costs beside one that follows what capacity is left.

    Parameters
    ----------
    fabric : Fabric
    routing : str
    slower : callable
        Returns the time by plain ECMP over that by adaptive routing.
    """
    blueprint = fabric.blueprint
    if routing != "ecmp" or blueprint is None or not (blueprint.failed or blueprint.marked_cables):
        return ()
    more = slower() - 1
    if more < WORTH:
        return ()
    return (
        f"plain ECMP: {100 * more:.3g} % slower than adaptive routing here, as it splits equally at every "
        "hop, also towards what has lost cables beyond",
    )


def numbering_notes(fabric: Fabric, job: Job, chosen: Schedule) -> tuple[str, ...]:
    """Return that ranks are numbered in all ways at once, where something is down and that may matter."""
    blueprint = fabric.blueprint
    if job.method != "axes" or blueprint is None or not (blueprint.failed or blueprint.marked_cables):
        return ()
    if all(phase.pattern.kind in _ALIKE for phase in phases(chosen)):
        return ()
    return (
        "something is down: on classes the ranks are numbered in all ways that the axes allow, each for an "
        f"equal part of the bytes; with {setting('method', 'links')} as they are",
    )
