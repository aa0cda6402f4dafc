"""The answer of a bound: what no algorithm can beat, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fabric.errors import setting
from fabric.flow.certificate import GAP, Verdict
from fabric.graph import Paths
from fabric.results import CutOff, DamageCount, DeviceText, Result, say_damage, say_lost
from fabric.units import format_bytes, format_rate, format_time


@dataclass(frozen=True, slots=True)
class Bound(Result):
    """Answer of `bound`.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks : int
        In one group.
    algbw_gbps, busbw_gbps : float
        No algorithm exceeds them [Gb/s].
    time_s : float
        No algorithm is faster [s].
    status : {"optimum", "upper bound", "cut off"}
        ``optimum`` where an algorithm is known to reach it: trees over freely forwarding devices on links of
        equal rate both ways. ``cut off`` where nothing can flow.
    paths : str
    reduces_in : tuple of str
        Device groups whose switches reduce, and may be roots.
    binding : tuple of str
        Rules with a price in the program.
    n_variables : int
    cut_off : tuple of CutOff
        Where nothing can flow, or some are left out: one rank of each class that cannot take part, and how
        many.
    why : str
        Why the program was not solved, where the bound is by what parts of the ranks must take in.
    n_failed : int
        Ranks of the job that have failed themselves; they are left out.
    is_dropped : bool
        Whether ranks that failures cut off were left out; `cut_off` then says which.
    damage : DamageCount or None
        How much is absent or down, and of how many kinds; None if nothing is, or the axes do not say.
    certificate : Verdict
        What prices of links prove of the algbw, and what flows carry below it, where any are known to.
    """

    collective: str
    size_bytes: int
    n_ranks: int
    algbw_gbps: float
    busbw_gbps: float
    time_s: float
    status: Literal["optimum", "upper bound", "cut off"]
    paths: Paths
    reduces_in: tuple[str, ...]
    binding: tuple[str, ...]
    n_variables: int
    cut_off: tuple[CutOff, ...] = ()
    why: DeviceText = ""
    n_failed: int = 0
    is_dropped: bool = False
    damage: DamageCount | None = None
    certificate: Verdict = field(default=Verdict(0.0, 0.0), repr=False)

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        where = f", reducing in {', '.join(self.reduces_in)}" if self.reduces_in else ""
        question = f"{self.collective} of {format_bytes(self.size_bytes)} among {self.n_ranks:,} ranks{where}"
        remedy = setting("drop_unreachable", True)
        lost = say_lost(self.cut_off, self.n_failed, remedy, is_dropped=self.is_dropped, kind="ranks")
        lost += say_damage(self.damage)
        if self.algbw_gbps <= 0:
            return "\n".join(
                [f"{question}: never, for some ranks are cut off from most of the others", *lost]
            )
        lines = [
            f"{question}: at least {format_time(self.time_s)}",
            f"  algbw at most {format_rate(self.algbw_gbps)}, "
            f"busbw at most {format_rate(self.busbw_gbps)} ({self.status})",
            f"  binding: {', '.join(self.binding)}",
            f"  {_say_proven(self.certificate)}",
        ]
        return "\n".join([*lines, *([f"  {self.why}"] if self.why else []), *lost])


def _say_proven(proof: Verdict) -> str:
    """Return in words what is proven, and where."""
    cut = f"prices of {format_rate(proof.upper_gbps)}"
    if proof.lower_gbps and proof.gap <= GAP:
        cut = f"flows and {cut}"
    return f"proven: {cut}, checked {proof.scope}"
