"""What acceptance tests of a cluster should reach: a busbw for each size of group, collective and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from fabric.arguments import checked
from fabric.blueprint import Blueprint
from fabric.costing import Calibration, Cost, cost
from fabric.errors import FabricError, QuestionError, nearest
from fabric.graph import Fabric
from fabric.job.jobs import job
from fabric.job.question import JobQuestion, ranks_group
from fabric.job.split import split_axes
from fabric.results import Result
from fabric.study.acceptance import Threshold, csv_of, readiness_of, script_of, superbench_of
from fabric.text.columns import columns
from fabric.text.markdown import escape, table
from fabric.units import format_bytes, gbps_to_gbytes, parse_bytes

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
SIZES = ("1MiB", "64MiB", "1GiB", "8GiB")
PAIR = "pair"


class AcceptanceGroup(NamedTuple):
    """Ranks that are tested together: a name, the axes that one spans, and a selector of the ranks."""

    name: str
    over: tuple[str, ...]
    among: str


@dataclass(frozen=True, slots=True)
class Thresholds(Result):
    """Answer of `thresholds`.

    Parameters
    ----------
    fabric, calibration : str
    rows : tuple of Threshold
    """

    fabric: str
    calibration: str
    rows: tuple[Threshold, ...]

    columns: ClassVar[tuple[str, ...]] = (
        "group",
        "n_ranks",
        "n_domains",
        "collective",
        "size_bytes",
        "expected_gbps",
        "pass_gbps",
        "standing",
        "binding",
        "n_nodes",
    )

    def table(self) -> list[dict[str, object]]:
        """Return a row for every test."""
        return [{name: getattr(row, name) for name in self.columns} for row in self.rows]

    def to_csv(self) -> str:
        """Return the tests as CSV: binary of nccl-tests, ranks, size, and the least busbw [GB/s]."""
        return csv_of(self.rows)

    def to_script(self) -> str:
        """Return a shell script that runs nccl-tests and fails where one does not reach its mark."""
        return script_of(self.rows)

    def to_superbench(self) -> str:
        """Return rules for the data diagnosis of SuperBench, of the tests that have a pass mark."""
        return superbench_of(self.rows)

    def to_readiness(self) -> str:
        """Return a certification for NVIDIA's Cluster Readiness Engine, of tests that have a pass mark."""
        return readiness_of(self.fabric, self.rows)

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        head, rows = self._cells()
        return f"{escape(self._about())}\n\n{table(head, [[escape(cell) for cell in row] for row in rows])}"

    def __str__(self) -> str:
        """Return the table as text."""
        return f"{self._about()}\n\n{columns(*self._cells())}"

    def _about(self) -> str:
        return f"{self.fabric}, calibration {self.calibration}; busbw in GB/s as nccl-tests prints it"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                row.group,
                f"{row.n_ranks:,}",
                row.collective,
                format_bytes(row.size_bytes),
                f"{gbps_to_gbytes(row.expected_gbps):.2f}",
                row.least,
                row.binding,
            ]
            for row in self.rows
        ]
        head = ["group", ">ranks", "collective", ">size", ">expected", ">pass from", "binding"]
        return head, rows


def groups_of(fabric: Fabric, question: JobQuestion | None = None) -> tuple[AcceptanceGroup, ...]:
    """Return the groups that acceptance tests run on, the smallest first.

    Raises
    ------
    QuestionError
        If the fabric has no axes.

    Notes
    -----
    Two GPUs of one unit, then for each axis of the GPUs, the innermost first, the GPUs that differ along it
    and those inside it: slot, tray, rack, pod and so on, up to all; the GPUs under one switch of the first
    tier; and a rail: those with the same place in every scale-up domain.
    """
    if fabric.blueprint is None:
        msg = "thresholds need groups of GPUs, which axes name; this fabric has none"
        raise QuestionError(msg)
    asked = question or JobQuestion()
    group = fabric.blueprint.groups[ranks_group(fabric, asked)]
    axes = [axis for axis in group.axes if fabric.blueprint.axes[axis].size > 1]
    found = []
    if axes and fabric.blueprint.axes[axes[-1]].size >= 2:
        found.append(AcceptanceGroup(PAIR, tuple(axes[-1:]), f"{axes[-1]}0-1"))
    for i in range(len(axes) - 1, -1, -1):
        # What one place of the next axis out holds is named by that axis.
        name = axes[i - 1] if i else "all"
        found.append(AcceptanceGroup(name, tuple(axes[i:]), ""))
    named = {group.over for group in found}
    leaf = _under_leaf(fabric.blueprint, group.name)
    if leaf is not None and leaf.over and leaf.over not in named:
        found.append(leaf)
    outer, _ = split_axes(fabric, asked)
    if outer and outer not in named:
        found.append(AcceptanceGroup("rail", outer, ""))
    return tuple(found)


def _under_leaf(blueprint: Blueprint, ranks: str) -> AcceptanceGroup | None:
    """Return the ranks under one switch of the first tier of the network; None where there is none."""
    leaves = (
        blueprint.groups[rule.right_group]
        for rule in blueprint.rules
        if rule.net == "scale-out"
        and blueprint.groups[rule.right_group].kind == "switch"
        and blueprint.groups[rule.left_group].kind != "switch"
    )
    leaf = next(leaves, None)
    if leaf is None:
        return None
    parts = {part for axis in leaf.axes for part in (axis, *blueprint.axes[axis].parts)}
    over = []
    for axis in blueprint.groups[ranks].axes:
        own = blueprint.axes[axis].parts or (axis,)
        free = [part for part in own if part not in parts and blueprint.axes[part].size > 1]
        over += [axis] if axis not in parts and len(free) == len(own) else free if axis not in parts else []
    return AcceptanceGroup(leaf.name, tuple(over), "")


@checked
def thresholds(
    fabric: Fabric,
    *,
    groups: Sequence[str] = (),
    collectives: Sequence[str] = COLLECTIVES,
    sizes: Sequence[str] = SIZES,
    calibration: str | Path | Calibration = "measured",
) -> Thresholds:
    """Return what acceptance tests should reach on a fabric.

    Parameters
    ----------
    fabric : Fabric
    groups : sequence of str
        Names of those of `groups_of`; all by default.
    collectives, sizes : sequence of str
    calibration : str, Path or Calibration

    Raises
    ------
    QuestionError
        If a group is unknown, or the fabric has no axes.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> found = thresholds(loads("{fabric: box, include: hgx-h100}"), sizes=["1GiB"], groups=["all"])
    >>> [(row.group, row.collective, row.pass_gbps is None) for row in found.rows[:1]]
    [('all', 'all-reduce', False)]
    """
    known = {group.name: group for group in groups_of(fabric)}
    for name in groups:
        if name not in known:
            msg = f"no group {name!r}; {nearest(name, known) or 'groups are ' + ', '.join(known)}"
            raise QuestionError(msg)
    chosen = [known[name] for name in groups] or list(known.values())
    sizes_bytes = [parse_bytes(s) for s in sizes]
    rows = tuple(
        _rows(fabric, chosen, collectives, sizes_bytes, calibration, _node_of(fabric, known.values()))
    )
    name = calibration.name if isinstance(calibration, Calibration) else str(calibration)
    return Thresholds(fabric.name, name, rows)


def _rows(
    fabric: Fabric,
    groups: Sequence[AcceptanceGroup],
    collectives: Sequence[str],
    sizes: Sequence[int],
    calibration: str | Path | Calibration,
    node: TestedNode,
) -> Iterator[Threshold]:
    for group in groups:
        is_whole = group.name != PAIR and set(node.over) <= set(group.over)
        for collective in collectives:
            for size in sizes:
                try:
                    answer = cost(
                        fabric,
                        collective,
                        size,
                        calibration=calibration,
                        is_bounded=False,
                        over=group.over,
                        among=group.among or None,
                    )
                # A group of which this collective cannot run needs no test of it.
                except FabricError:
                    continue
                yield _threshold(group.name, answer, answer.n_ranks // node.n_ranks if is_whole else 0)


class TestedNode(NamedTuple):
    """One host: the axes that tell its GPUs apart, and how many they are."""

    over: tuple[str, ...]
    n_ranks: int


def _node_of(fabric: Fabric, groups: Iterable[AcceptanceGroup]) -> TestedNode:
    """Return the innermost of whole units: a box, or a tray of a rack."""
    over = next((group.over for group in groups if group.name != PAIR), ())
    return TestedNode(over, job(fabric, JobQuestion(over=over)).shape.n)


def _threshold(group: str, answer: Cost, n_nodes: int) -> Threshold:
    support = answer.support
    return Threshold(
        group=group,
        n_ranks=answer.n_ranks,
        n_domains=answer.n_domains,
        collective=answer.collective,
        size_bytes=answer.size_bytes,
        expected_gbps=answer.busbw_gbps,
        pass_gbps=support.pass_gbps if support else None,
        standing=answer.status
        if answer.status == "cut off"
        else support.standing
        if support
        else "at wire rates",
        binding=answer.binding,
        n_nodes=n_nodes,
    )
