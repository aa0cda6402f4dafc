"""The answer about a step of training, and how it prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fabric.results import Result
from fabric.text.columns import columns
from fabric.text.markdown import escape, table
from fabric.text.words import fold
from fabric.units import format_gbytes, format_time, gbps_to_gbytes
from fabric.workload.tiers import LinkUse

# Gains below this are not printed.
_LEAST = 5e-5

COMPUTE = "compute"
"""What binds where the GPUs do."""


class Gain(NamedTuple):
    """A tenth more of something, and the part of the step that it saves."""

    of: str
    saves: float


class DimensionOrder(NamedTuple):
    """An order of the parallel dimensions and the step that it makes [s]; infinite where it does not fit."""

    order: str
    step_s: float
    binding: str
    why: str = ""


class TurnedBytes(NamedTuple):
    """Bytes that a GPU sends in a step, of one sort of groups, by where they turn.

    Parameters
    ----------
    group : str
    place : str
        Group of switches, or a rule between devices without one.
    n_bytes : float
    is_inside : bool
        Whether that is in a scale-up domain.
    """

    group: str
    place: str
    n_bytes: float
    is_inside: bool


@dataclass(frozen=True, slots=True)
class DimensionTraffic:
    """What the groups of one dimension do in a step.

    Parameters
    ----------
    group : str
        ``tp``, ``cp``, ``ep``, ``pp``, ``dp``, or ``edp`` for replicas of experts.
    n_ranks, n_domains : int
        Of a group, and the scale-up domains that it lies in.
    where : str
        The switches that its farthest bytes turn at.
    what : str
        What is sent, in words.
    sent_bytes : float
        Of a GPU in a step, by the convention of busbw.
    busbw_gbps : float
        Over all that it sends.
    time_s, hidden_s, exposed_s : float
        Run alone; beside the compute; what the step is longer for it.
    binding : str
        Class of links, or ``NCCL channels``, that sets the time of what takes longest.
    algorithm : str
    """

    group: str
    n_ranks: int
    n_domains: int
    where: str
    what: str
    sent_bytes: float
    busbw_gbps: float
    time_s: float
    hidden_s: float
    exposed_s: float
    binding: str
    algorithm: str


class AssumedValue(NamedTuple):
    """What was given and not worked out, its value, and where it is from."""

    of: str
    value: float | str
    source: str


@dataclass(frozen=True, slots=True)
class Training(Result):
    """Answer of `train`.

    Parameters
    ----------
    job, fabric, model, gpu : str
    n_ranks, n_micro : int
        Ranks, and micro-batches of a replica.
    order : str
        How ranks are numbered.
    step_s, compute_s, bubble_s, exposed_s : float
        A step; its compute, bubble and transfers that are not hidden, which add up to it.
    tokens_per_s : float
    tflops : float
        Of a GPU.
    mfu : float
        Part of the peak.
    dimensions : tuple of DimensionTraffic
    turned : tuple of TurnedBytes
    links : tuple of LinkUse
    binding : str
        ``compute``, or the class of links of which a tenth more gains most.
    gains : tuple of Gain
        What a tenth more gains, most first.
    orders : tuple of DimensionOrder
        Where all were asked for, the best first.
    assumed : tuple of AssumedValue
    routing, calibration, method : str
    notes : tuple of str
    """

    job: str
    fabric: str
    model: str
    gpu: str
    n_ranks: int
    n_micro: int
    order: str
    step_s: float
    compute_s: float
    bubble_s: float
    exposed_s: float
    tokens_per_s: float
    tflops: float
    mfu: float
    dimensions: tuple[DimensionTraffic, ...]
    turned: tuple[TurnedBytes, ...]
    links: tuple[LinkUse, ...]
    binding: str
    gains: tuple[Gain, ...]
    orders: tuple[DimensionOrder, ...] = ()
    assumed: tuple[AssumedValue, ...] = ()
    routing: str = "ecmp"
    calibration: str = "measured"
    method: str = "axes"
    notes: tuple[str, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ()

    def table(self) -> list[dict[str, object]]:
        """Return a row for each dimension."""
        names = DimensionTraffic.__dataclass_fields__
        return [{name: getattr(row, name) for name in names} for row in self.dimensions]

    def to_markdown(self) -> str:
        """Return the answer for a page: the numbers, a row for each dimension, and where its bytes turn."""
        head = (
            f"**{escape(self.job)}** on {escape(self.fabric)}: a step of {escape(self.model)} on "
            f"{self.n_ranks:,} GPUs takes {format_time(self.step_s)}, {self.tokens_per_s:,.0f} tokens/s, "
            f"{self.tflops:.4g} TFLOPS a GPU, MFU {100 * self.mfu:.3g} %. {escape(self.binding)} binds."
        )
        heads = ["groups", ">ranks", ">sent", ">GB/s", ">time", ">hidden", ">exposed", "binding"]
        rows = [[cell for i, cell in enumerate(row) if i != 2] for row in self._cells()]
        places, cells = self._places()
        turned = table(
            ["groups", *(f">{escape(place)}" for place in places)],
            [[escape(group), *row] for group, row in cells],
        )
        named = [[escape(row[0]), *row[1:-1], escape(row[-1])] for row in rows]
        return "\n\n".join([head, table(heads, named), turned])

    def __str__(self) -> str:
        """Return the answer in some lines."""
        head = [
            f"{self.job}: a step of {self.model} on {self.n_ranks:,} {self.gpu or 'GPUs'} of {self.fabric} "
            f"takes {format_time(self.step_s)}: {self.tokens_per_s:,.0f} tokens/s, {self.tflops:.4g} TFLOPS "
            f"a GPU, MFU {100 * self.mfu:.3g} %",
            f"  compute {_of(self.compute_s, self.step_s)}, bubble {_of(self.bubble_s, self.step_s)}, "
            f"transfers not hidden {_of(self.exposed_s, self.step_s)}",
        ]
        gains = ", ".join(f"{of} {100 * saves:.2g} %" for of, saves in self.gains if saves >= _LEAST)
        tail = [f"  binding: {self.binding}; a tenth more saves: {gains}"]
        tail += [
            f"  {'best order' if not i else '          '} {o.order}: "
            + (f"{format_time(o.step_s)}, {o.binding} binds" if not o.why else f"does not fit: {o.why}")
            for i, o in enumerate(self.orders)
        ]
        if any(not t.is_inside for t in self.turned):
            tail.append("  * outside of scale-up domains")
        tail.append(f"  order {self.order}; {self.routing} routing, calibration {self.calibration}")
        tail += [
            f"  given: {of} {value:.4g}, {source}"
            if isinstance(value, float)
            else f"  given: {of} {value}, {source}"
            for of, value, source in self.assumed
        ]
        tail += [f"  {note}" for note in self.notes]
        return "\n".join(
            part for part in (fold(head), self._rows(), self._turned(), self._links(), fold(tail)) if part
        )

    def _cells(self) -> list[list[str]]:
        """Return a row of words for each dimension."""
        return [
            [
                d.group,
                f"{d.n_ranks:,}",
                d.where,
                format_gbytes(d.sent_bytes),
                f"{gbps_to_gbytes(d.busbw_gbps):.4g}",
                *(format_time(s) if s else "0" for s in (d.time_s, d.hidden_s, d.exposed_s)),
                d.binding,
            ]
            for d in self.dimensions
        ]

    def _rows(self) -> str:
        heads = ["  groups", ">ranks", "turn at", ">sent", ">GB/s", ">time", ">hidden", ">exposed", "binding"]
        rows = [[f"  {group}", *rest] for group, *rest in self._cells()]
        return columns(heads, rows) if rows else ""

    def _places(self) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
        """Return where bytes turn, and for each dimension how many at each place, in words."""
        places = tuple(dict.fromkeys(t.place for t in self.turned))
        cells = {(t.group, t.place): t.n_bytes for t in self.turned}
        return places, [
            (d.group, [format_gbytes(cells.get((d.group, place), 0.0)) for place in places])
            for d in self.dimensions
        ]

    def _turned(self) -> str:
        places, cells = self._places()
        if not places:
            return ""
        inside = {t.place for t in self.turned if t.is_inside}
        heads = ["  sent, by where it turns", *(f">{p}{'' if p in inside else ' *'}" for p in places)]
        return columns(heads, [[f"  {group}", *row] for group, row in cells])

    def _links(self) -> str:
        rows = [
            [f"  {use.link}", f"{100 * use.share:.3g} %", f"{100 * use.busiest:.3g} %"] for use in self.links
        ]
        return columns(["  links", ">of capacity", ">busiest, of the step"], rows) if rows else ""


def _of(part_s: float, whole_s: float) -> str:
    return f"{format_time(part_s)} ({100 * part_s / whole_s:.3g} %)" if part_s else "0"
