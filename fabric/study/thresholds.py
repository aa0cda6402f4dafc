"""What acceptance tests of a cluster should reach: a busbw for each size of group, collective and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from fabric.arguments import checked
from fabric.costing import Calibration, Cost, cost
from fabric.errors import FabricError, QuestionError, nearest
from fabric.graph import Fabric
from fabric.interop.nccl_log import kind_of
from fabric.job.question import JobQuestion, ranks_group
from fabric.results import Result
from fabric.text.markdown import table
from fabric.text.spreadsheet import write_csv
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
class Threshold:
    """What one test must reach.

    Parameters
    ----------
    group : str
    n_ranks, n_domains : int
    collective : str
    size_bytes : int
    expected_gbps : float
        Busbw [Gb/s].
    pass_gbps : float or None
        Busbw from which a run passes; None outside the evidence [Gb/s].
    standing : str
        ``measured``, ``interpolated`` or ``extrapolated``.
    binding : str
        What binds.
    """

    group: str
    n_ranks: int
    n_domains: int
    collective: str
    size_bytes: int
    expected_gbps: float
    pass_gbps: float | None
    standing: str
    binding: str

    @property
    def least(self) -> str:
        """The pass mark in GB/s, or why there is none."""
        if self.pass_gbps is None:
            return f"none: {self.standing}"
        return f"{gbps_to_gbytes(self.pass_gbps):.2f}"


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
    )

    def table(self) -> list[dict[str, object]]:
        """Return a row for every test."""
        return [{name: getattr(row, name) for name in self.columns} for row in self.rows]

    def to_csv(self) -> str:
        """Return the tests as CSV: binary of nccl-tests, ranks, size, and the least busbw [GB/s]."""
        head = ["group", "n_ranks", "binary", "size_bytes", "least_busbw_gb_s", "binding"]
        rows = (
            [r.group, r.n_ranks, f"{kind_of(r.collective).binary}_perf", r.size_bytes, r.least, r.binding]
            for r in self.rows
        )
        return write_csv(head, rows)

    def to_superbench(self) -> str:
        """Return rules for the data diagnosis of SuperBench, of the tests that have a pass mark.

        References
        ----------
        Microsoft SuperBench, docs/user-tutorial/data-diagnosis.md, function ``value``.
        """
        import yaml

        rules = {}
        for row in self.rows:
            if row.pass_gbps is None:
                continue
            name = f"{row.group}-{row.collective}-{row.size_bytes}"
            metric = f"nccl-bw:{row.group}/{row.collective.replace('-', '')}_{row.size_bytes}_busbw"
            rules[name] = {
                "function": "value",
                "criteria": f"lambda x: x < {row.least}",
                "categories": "NCCL",
                "metrics": [metric],
            }
        return yaml.safe_dump({"version": "v0.12", "superbench": {"rules": rules}}, sort_keys=False)

    def __str__(self) -> str:
        """Return the table."""
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
        about = f"{self.fabric}, calibration {self.calibration}; busbw in GB/s as nccl-tests prints it"
        return f"{about}\n\n{table(head, rows)}"


def groups_of(fabric: Fabric, question: JobQuestion | None = None) -> tuple[AcceptanceGroup, ...]:
    """Return the groups that acceptance tests run on, the smallest first.

    Raises
    ------
    QuestionError
        If the fabric has no axes.

    Notes
    -----
    Two GPUs of one unit, then for each axis of the GPUs, the innermost first, the GPUs that differ along it
    and those inside it: slot, tray, rack, pod and so on, up to all; and a rail: those that differ along
    the outermost axis alone.
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
    if len(axes) > 1:
        found.append(AcceptanceGroup("rail", (axes[0],), ""))
    return tuple(found)


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
    rows = tuple(_rows(fabric, chosen, collectives, [parse_bytes(s) for s in sizes], calibration))
    name = calibration.name if isinstance(calibration, Calibration) else str(calibration)
    return Thresholds(fabric.name, name, rows)


def _rows(
    fabric: Fabric,
    groups: Sequence[AcceptanceGroup],
    collectives: Sequence[str],
    sizes: Sequence[int],
    calibration: str | Path | Calibration,
) -> Iterator[Threshold]:
    for group in groups:
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
                yield _threshold(group.name, answer)


def _threshold(group: str, answer: Cost) -> Threshold:
    support = answer.support
    return Threshold(
        group=group,
        n_ranks=answer.n_ranks,
        n_domains=answer.n_domains,
        collective=answer.collective,
        size_bytes=answer.size_bytes,
        expected_gbps=answer.busbw_gbps,
        pass_gbps=support.pass_gbps if support else None,
        standing=support.standing if support else "at wire rates",
        binding=answer.binding,
    )
