"""How a design behaves as the cluster grows: a row for every size, and the sizes at which something changes.

A *knee* is the smallest number of racks from which on another link class binds, another tier is needed,
another algorithm is to be expected by more than 1 %, or its steps take more of its time than its bytes.
Sizes are asked for one by one; between two that differ the knee is found by bisection over whole racks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

from fabric.arguments import checked
from fabric.bounds.bound import OPERATIONS, bound
from fabric.costing import cost
from fabric.costing.answer import AlgorithmCost, Cost
from fabric.costing.calibration import Calibration
from fabric.costing.sweep import ends_of
from fabric.errors import FabricError, QuestionError
from fabric.flow.question import Question
from fabric.flow.throughput import answer_question
from fabric.graph import Fabric
from fabric.routing import Progress
from fabric.sizing import Design, DesignOptions, design
from fabric.sizing.bom import bom
from fabric.sizing.request import resolve
from fabric.sizing.search import can_build
from fabric.study.scale_table import (
    ALL_TO_ALL,
    TIERS,
    BusbwBound,
    CollectiveTime,
    FastAlgorithm,
    Knee,
    ScaleRow,
    ScaleTable,
    traits_of,
)
from fabric.units import parse_bytes, parse_count

COLLECTIVES = ("all-reduce",)
MAX_POINTS = 500
TIE = 0.01
"""Part of its time by which an algorithm must be the faster to make a knee."""


@checked
def scale(
    gpus: Sequence[int],
    *,
    collectives: Sequence[str] = COLLECTIVES,
    size: int | str = "1GiB",
    calibration: str | Path | Calibration = "measured",
    has_knees: bool = True,
    has_bounds: bool = True,
    progress: Progress | None = None,
    **arguments: Unpack[DesignOptions],
) -> ScaleTable:
    """Return how a design behaves at several sizes.

    Parameters
    ----------
    gpus : sequence of int
        Sizes, each rounded up to whole racks.
    collectives : sequence of str
        To cost at every size.
    size : int or str
        Of the collectives' buffers.
    calibration : str, Path or Calibration
        Of the costs.
    has_knees : bool
        Whether to look for the sizes between at which something changes.
    has_bounds : bool
        Whether to say what no algorithm exceeds at each size.
    progress : callable, optional
        Called with the sizes that are done and their number.
    **arguments
        Those of `fabric.design`, but for ``gpus``.

    Raises
    ------
    QuestionError
        If there is no size.
    DesignError, PartError, UnitError
        If an argument of the design is wrong at any size. A size that cannot be built is a row that says why.

    Examples
    --------
    >>> table = scale(gpus=[256, 4096], rack="hgx-h100", leaf="64x400G", has_knees=False)
    >>> [(row.gpus, row.tiers, row.all_to_all_binding) for row in table.rows]
    [(256, 2, 'nic-leaf'), (4096, 3, 'nic-leaf')]
    """
    sizes = sorted(set(gpus))
    if not sizes or sizes[0] < 1:
        msg = "scale needs at least one size, each of one GPU or more"
        raise QuestionError(msg)
    resolve({**arguments, "gpus": 1, "populated": None})
    measure = _Measure(arguments, tuple(collectives), parse_bytes(size), calibration, has_bounds)
    rows = []
    for i, n in enumerate(sizes):
        rows.append(measure.row(n))
        if progress:
            progress(i + 1, len(sizes))
    knees = tuple(measure.knees(rows)) if has_knees else ()
    costed = next(iter(measure.costs), None)
    about = (costed.calibration, costed.about) if costed else ()
    return ScaleTable(tuple(rows), knees, measure.size_bytes, *about)


def design_knees(table: ScaleTable, **arguments: Unpack[DesignOptions]) -> tuple[Knee, ...]:
    """Return from which sizes on a design has another tier, and what then binds all-to-all.

    Parameters
    ----------
    table : ScaleTable
        Of the sizes between which is looked.
    **arguments
        Of `fabric.design`, as for the table.

    Returns
    -------
    tuple of Knee
        By size. Each step of the bisection is a design alone, so that they cost little; ``-`` is no design.
        That another class binds all-to-all is looked for where a tier or a second rack comes: it is a knee if
        the old one binds one rack before. One that comes elsewhere is not found.
    """
    measure = _Measure(arguments, (), table.size_bytes, "measured", has_bounds=False)
    tiers = tuple(measure.knees(table.rows, (TIERS,)))
    return tuple(sorted([*tiers, *measure.spread_knees(table.rows, tiers)], key=lambda knee: knee.gpus))


def space_sizes(text: str, n_points: int = 20) -> tuple[int, ...]:
    """Return the sizes of a list with commas, or of a range, evenly spaced on a log scale.

    Raises
    ------
    QuestionError
        If it is neither.

    Examples
    --------
    >>> space_sizes("72, 144"), space_sizes("100..10000", 3)
    ((72, 144), (100, 1000, 10000))
    """
    if ".." not in text:
        return tuple(parse_count(word.strip()) for word in text.split(",") if word.strip())
    first, last = (parse_count(end) for end in ends_of(text))
    if not 2 <= n_points <= MAX_POINTS or not 1 <= first < last:
        msg = f"sizes {text!r} in {n_points} points: a range runs up, in 2 to {MAX_POINTS} points"
        raise QuestionError(msg)
    ratio = (last / first) ** (1 / (n_points - 1))
    return (first, *(round(first * ratio**i) for i in range(1, n_points - 1)), last)


@dataclass(frozen=True, slots=True)
class _Measure:
    """Measure a design at any size; what was measured for a knee is remembered."""

    arguments: DesignOptions
    collectives: tuple[str, ...]
    size_bytes: int
    calibration: str | Path | Calibration
    has_bounds: bool = True
    known: dict[tuple[int, str], ScaleRow] = field(default_factory=dict)
    # Of the last size; all sizes have one calibration.
    costs: list[Cost] = field(default_factory=list)

    def row(self, gpus: int) -> ScaleRow:
        """Return the row of a size, with all that does not make a knee: bounds and power."""
        try:
            built = design(**self.arguments, gpus=gpus)
        except FabricError as error:
            return ScaleRow(gpus, problem=str(error))
        row = self._measured(gpus, built, self.collectives)
        collectives = dict.fromkeys(("all-gather", *self.collectives)) if self.has_bounds else {}
        bound_of = {name: bound(built.fabric, name) for name in collectives if name in OPERATIONS}
        bounds = [BusbwBound(name, limit.busbw_gbps, limit.why) for name, limit in bound_of.items()]
        return replace(row, bounds=tuple(bounds), known_w=bom(built.blueprint).power_w or 0.0)

    def brief(self, gpus: int, trait: str) -> ScaleRow:
        """Return a row with one trait; what that trait does not take is neither solved nor costed."""
        if (gpus, trait) not in self.known:
            self.known[gpus, trait] = self._brief(gpus, trait)
        return self.known[gpus, trait]

    def _brief(self, gpus: int, trait: str) -> ScaleRow:
        try:
            # What could be built instead, which a design that fails looks for, makes no knee.
            if not can_build(resolve({**self.arguments, "gpus": gpus})):
                return ScaleRow(gpus, problem="no design")
            built = design(**self.arguments, gpus=gpus)
        except FabricError as error:
            return ScaleRow(gpus, problem=str(error))
        collectives = [name for name in self.collectives if trait in traits_of(name)]
        return self._measured(gpus, built, collectives, is_all_to_all=trait == ALL_TO_ALL)

    def _measured(
        self, gpus: int, built: Design, collectives: Sequence[str], *, is_all_to_all: bool = True
    ) -> ScaleRow:
        # One question of many: its proof draws links, as it does of every large fabric.
        ask = Question(built.fabric, "all-to-all", is_brief=True)
        spread = answer_question(ask) if is_all_to_all else None
        # Algorithms number their ranks along axes; a last block that is not full has no such numbers.
        filled = built.fabric
        if built.blueprint.absent:
            filled = Fabric(built.blueprint.name, replace(built.blueprint, absent=()))
        costs = [
            cost(filled, name, self.size_bytes, calibration=self.calibration, is_bounded=False)
            for name in collectives
        ]
        self.costs[:] = costs or self.costs
        top = spread.binding[0] if spread and spread.binding else None
        return ScaleRow(
            asked=gpus,
            gpus=built.gpus,
            tiers=built.n_tiers,
            switches=sum(built.switches.values()),
            cables=_network_cables(built),
            all_to_all_gbps=spread.per_endpoint_gbps if spread else 0.0,
            all_to_all_binding=top.link if top else "",
            all_to_all_share=top.share if top else 0.0,
            costed_gpus=costs[-1].n_ranks if costs else 0,
            times=tuple(_time(c) for c in costs),
            ties=tuple(
                FastAlgorithm(c.collective, a.algorithm, a.binding, _goes_to(a))
                for c in costs
                for a in _fastest(c)
            ),
        )

    def knees(self, rows: Sequence[ScaleRow], only: Sequence[str] = ()) -> Iterator[Knee]:
        """Yield the knees between neighbouring sizes, in their order; of all traits, or of some only."""
        for row in rows:
            self.known.update({(row.asked, trait): row for trait in row.signature()})
        before = {trait: values[0] for trait, values in rows[0].signature().items()}
        for low, high in zip(rows[:-1], rows[1:], strict=True):
            after = high.signature()
            knees = []
            for trait in only or dict.fromkeys([*before, *after]):
                old, new = before.get(trait, "-"), after.get(trait, ("-",))
                if old not in new:
                    knees.append(self._knee(low, high, trait, old))
                    before[trait] = new[0]
            yield from sorted(knees, key=lambda k: k.gpus)

    def spread_knees(self, rows: Sequence[ScaleRow], tiers: Sequence[Knee]) -> Iterator[Knee]:
        """Yield the knees of what binds all-to-all that are where a tier or a second rack comes."""
        built, step = [row for row in rows if not row.problem], self._per_rack()
        for low, high in zip(built[:-1], built[1:], strict=True):
            old, new = low.all_to_all_binding, high.all_to_all_binding
            for gpus in sorted({2 * step, *(knee.gpus for knee in tiers)}):
                if old == new or not low.gpus < gpus <= high.gpus:
                    continue
                before = self.brief(max(gpus - step, low.gpus), ALL_TO_ALL)
                after = self.brief(gpus, ALL_TO_ALL)
                if (before.all_to_all_binding, after.all_to_all_binding) == (old, new):
                    yield Knee(gpus, ALL_TO_ALL, old, new)

    def _per_rack(self) -> int:
        """Return the GPUs of one rack: what a design for one GPU is rounded up to."""
        try:
            return design(**self.arguments, gpus=1).gpus
        except FabricError:
            return 1

    def _knee(self, low: ScaleRow, high: ScaleRow, trait: str, old: str) -> Knee:
        """Return the smallest size at which `trait` is no longer `old`, as at the lower end."""
        step = self._per_rack()
        a, b = low.asked, high.asked
        while b - a > step:
            middle = a + max((b - a) // 2 // step, 1) * step
            if middle >= b:
                break
            if old in self.brief(middle, trait).signature().get(trait, ("-",)):
                a = middle
            else:
                b = middle
        end = self.brief(b, trait)
        return Knee(end.gpus or b, trait, old, end.signature().get(trait, ("-",))[0])


def _time(cost: Cost) -> CollectiveTime:
    support, run = cost.support, cost.chosen
    return CollectiveTime(
        cost.collective,
        cost.time_s,
        run.algorithm,
        cost.binding,
        cost.busbw_gbps,
        support.low_gbps if support else 0.0,
        support.high_gbps if support else 0.0,
        run.latency_s / run.time_s,
        support.standing if support else "",
    )


def _goes_to(run: AlgorithmCost) -> str:
    """Return what takes most of the time: the bytes, or the steps one after the other."""
    return "steps" if 2 * run.latency_s > run.time_s else "bytes"


def _fastest(cost: Cost) -> list[AlgorithmCost]:
    """Return the algorithms that a library would choose as soon, but for `TIE`, the chosen one first."""
    most = cost.chosen.time_s * (1 + TIE)
    near = [
        a for a in cost.algorithms if math.isfinite(a.doubt) and a.time_s <= most and a is not cost.chosen
    ]
    return [cost.chosen, *near]


def _network_cables(built: Design) -> int:
    """Return the cables of the network beyond the racks."""
    rules = {r.name: r.net for r in built.blueprint.rules}
    return sum(n for name, n in built.cables.items() if rules.get(name, "scale-out") == "scale-out")
