"""The answer of `place`: what of the nodes is usable, and where each job may stand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from fabric.results import CutOff, DeviceText, Result, say_lost
from fabric.text.columns import columns
from fabric.text.markdown import escape, table
from fabric.text.spreadsheet import write_csv
from fabric.text.words import counted, fold
from fabric.units import format_bytes, format_count, format_rate_gbyte, format_time


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What of the nodes segments of one size can use.

    Parameters
    ----------
    segment : int
        Nodes that may not leave a block.
    expected : float
        Usable part of all nodes on average, each being down for its part of the time, 0 to 1.
    now : float
        Usable part with what is down now, 0 to 1.
    """

    segment: int
    expected: float
    now: float


@dataclass(frozen=True, slots=True)
class PlacedJob:
    """One way to place a job, and what it gets there.

    Parameters
    ----------
    way : str
        How the nodes were chosen.
    nodelist : str
        The nodes as Slurm writes them.
    n_blocks : int
        Blocks that the job is in.
    busbw_gbps : float
        Of the collective, with no other job [Gb/s].
    time_s : float
        That it takes [s].
    binding : str
        What binds it.
    step_s : float or None
        Of a step of training there [s]; None where none is asked, or it is not known.
    step_why : str
        Why it is not known.
    """

    way: str
    nodelist: str
    n_blocks: int
    busbw_gbps: float
    time_s: float
    binding: str
    step_s: float | None = None
    step_why: DeviceText = ""


@dataclass(frozen=True, slots=True)
class JobRoom:
    """Whether there is room for a job, and how surely.

    Parameters
    ----------
    name : str
    n_nodes, segment : int
    fits : bool
        With the jobs before it that fit.
    why : str
        Why not.
    best, worst : PlacedJob or None
        By busbw, of the placements that were tried; those after it still fit.
    n_tried : int
        Placements that differ.
    chance : float
        That the fabric has room for this job alone, each node being down for its part of the time.
    n_blocks_for : int or None
        Blocks of the usual size that have room for it as often as asked; None where none are enough.
    n_spares : int or None
        Nodes of those blocks beyond the nodes of the job.
    """

    name: str
    n_nodes: int
    segment: int
    fits: bool
    why: DeviceText
    best: PlacedJob | None
    worst: PlacedJob | None
    n_tried: int
    chance: float
    n_blocks_for: int | None
    n_spares: int | None


@dataclass(frozen=True, slots=True)
class Placements(Result):
    """Answer of `place`.

    Parameters
    ----------
    fabric : str
    node, block : str
        Axes that say them.
    n_nodes, n_up, n_blocks : int
        Nodes that are there, those of them that are up, and blocks that have any.
    unavailability : float
        Part of the time that a node is down.
    availability : float
        Part of the time that spares suffice.
    curve : tuple of SegmentRow
    jobs : tuple of JobRoom
        In the order of the question.
    collective : str
    size_bytes : int
    calibration : str
    cut_off : tuple of CutOff
        Endpoints that failures cut off from most of the others, one of each class; their nodes count as down.
    """

    fabric: str
    node: str
    block: str
    n_nodes: int
    n_up: int
    n_blocks: int
    unavailability: float
    availability: float
    curve: tuple[SegmentRow, ...]
    jobs: tuple[JobRoom, ...]
    collective: str
    size_bytes: int
    calibration: str
    cut_off: tuple[CutOff, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("n_fit",)

    @property
    def n_fit(self) -> int:
        """Jobs that fit together."""
        return sum(job.fits for job in self.jobs)

    def table(self) -> list[dict[str, object]]:
        """Return a record for each job, or the segment curve where there is none."""
        if not self.jobs:
            return [asdict(row) for row in self.curve]
        return [
            {
                "job": job.name,
                "n_nodes": job.n_nodes,
                "segment": job.segment,
                "fits": job.fits,
                "best_gbps": job.best.busbw_gbps if job.best else None,
                "best_blocks": job.best.n_blocks if job.best else None,
                "best_step_s": job.best.step_s if job.best else None,
                "worst_step_s": job.worst.step_s if job.worst else None,
                "worst_gbps": job.worst.busbw_gbps if job.worst else None,
                "worst_blocks": job.worst.n_blocks if job.worst else None,
                "chance": job.chance,
                "n_blocks_for": job.n_blocks_for,
                "n_spares": job.n_spares,
                "why": job.why,
            }
            for job in self.jobs
        ]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        lines = [fold([self._title()]), columns(*self._curve_cells(), indent="  ")]
        if self.jobs:
            lines += [fold([self._jobs_title()]), columns(*self._job_cells(), indent="  ")]
            lines.append(fold(f"  {line}" for line in self._lines()))
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return the answer as Markdown."""
        parts = [escape(self._title()), _markdown(*self._curve_cells())]
        if self.jobs:
            parts += [escape(self._jobs_title()), _markdown(*self._job_cells())]
            parts += ["\n".join(f"- {escape(line)}" for line in self._lines())] if self._lines() else []
        return "\n\n".join(parts) + "\n"

    def to_csv(self) -> str:
        """Return `table` as CSV."""
        rows = self.table()
        return write_csv(list(rows[0]), [list(row.values()) for row in rows])

    def to_slurm(self) -> str:
        """Return what asks Slurm for the best placement of each job that fits, a job after another."""
        parts = []
        for job in self.jobs:
            if job.best is None:
                parts.append(f"# {job.name}: does not fit: {job.why}")
                continue
            busbw = _busbw(job.best)
            parts.append(
                f"# {job.name}: {self.collective} of {format_bytes(self.size_bytes)} at busbw {busbw}\n"
                f"#SBATCH --nodes={job.n_nodes} --segment={job.segment}\n"
                f"#SBATCH --nodelist={job.best.nodelist}"
            )
        return "\n".join(parts)

    def _title(self) -> str:
        up = f"{format_count(self.n_up)} of {format_count(self.n_nodes)} nodes up"
        blocks = f"{counted(self.n_blocks, 'block')} ({self.block})"
        lost = say_lost(self.cut_off, 0, "")
        return "\n".join([f"nodes of {self.fabric} ({self.node}): {up}, {blocks}", *lost])

    def _jobs_title(self) -> str:
        what = f"{self.collective} of {format_bytes(self.size_bytes)}, calibration {self.calibration}"
        return f"{self.n_fit} of {len(self.jobs)} jobs fit together; {what}, each job alone:"

    def _curve_cells(self) -> tuple[list[str], list[list[str]]]:
        head = [">segment", f">usable at {100 * self.unavailability:.4g} % down", ">usable now"]
        # Beside jobs, theirs and powers of two; the table and the picture have all.
        asked = {job.segment for job in self.jobs}
        told = [r for r in self.curve if not asked or r.segment in asked or not r.segment & (r.segment - 1)]
        return head, [[str(r.segment), f"{100 * r.expected:.2f} %", f"{100 * r.now:.2f} %"] for r in told]

    def _job_cells(self) -> tuple[list[str], list[list[str]]]:
        head = [
            "job",
            ">nodes",
            ">segment",
            "fits",
            ">best",
            ">blocks",
            ">worst",
            ">blocks",
            ">chance",
            ">spares",
        ]
        rows = []
        for job in self.jobs:
            ways = [
                cell
                for one in (job.best, job.worst)
                for cell in ((_busbw(one), str(one.n_blocks)) if one else ("", ""))
            ]
            spares = "none enough" if job.n_spares is None else format_count(job.n_spares)
            own = [job.name, format_count(job.n_nodes), str(job.segment), "yes" if job.fits else "no"]
            rows.append([*own, *ways, f"{100 * job.chance:.4g} %", spares])
        return head, rows

    def _lines(self) -> list[str]:
        lines = [f"{job.name}: {job.why}" for job in self.jobs if job.why]
        for job in self.jobs:
            if job.best and job.worst and job.n_tried > 1:
                told = [
                    f"{word} {one.way}, {format_time(one.time_s)}, bound by {one.binding}"
                    for word, one in (("best", job.best), ("worst", job.worst))
                ]
                lines.append(f"{job.name}, {job.n_tried} placements tried: {'; '.join(told)}")
            lines += [f"{job.name}, step of training: {step}" for step in _steps(job)]
        usual = f"spares: nodes beyond the job's that suffice {100 * self.availability:.4g} % of the time"
        return [*lines, usual]


def _busbw(placed: PlacedJob) -> str:
    """Return in words how fast a placement is."""
    return format_rate_gbyte(placed.busbw_gbps) if placed.busbw_gbps > 0 else "cut off"


def _steps(job: JobRoom) -> list[str]:
    """Return in words what a step takes in the best and the worst placement."""
    told = []
    for word, one in (("best", job.best), ("worst", job.worst)):
        if one is not None and one.step_s is not None:
            told.append(f"{word} placement {format_time(one.step_s)}")
        elif one is not None and one.step_why:
            told.append(f"{word} placement not known: {one.step_why}")
    return [", ".join(told)] if told else []


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return table(head, [[escape(cell) for cell in row] for row in rows])
