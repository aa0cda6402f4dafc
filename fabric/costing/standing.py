"""What a prediction rests on, and how that prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fabric.units import format_rate_gbyte

Standing = Literal["measured", "interpolated", "extrapolated"]


@dataclass(frozen=True, slots=True)
class Support:
    """What a prediction rests on.

    Parameters
    ----------
    standing : {"measured", "interpolated", "extrapolated"}
    leaves : tuple of str
        The dimensions that leave the evidence: ``collective``, ``hardware``, ``ranks``,
        ``domains``, ``size``, and the ``algorithm`` where none was seen to be chosen in such a case.
    nearest : str
        The nearest measured point, in words; empty where the collective was not measured.
    low_gbps, high_gbps : float
        Busbw that eight of ten runs lie between; 0 where no residuals are known [Gb/s].
    pass_gbps : float or None
        Busbw that a healthy run reaches; None outside the evidence, and where no residuals are known
        [Gb/s].
    residuals : str
        The class of runs that the interval is of, and how many points it has.
    """

    standing: Standing
    leaves: tuple[str, ...]
    nearest: str
    low_gbps: float
    high_gbps: float
    pass_gbps: float | None
    residuals: str

    @property
    def passing(self) -> str:
        """Where a measured run passes, in words."""
        if self.pass_gbps is None and not self.leaves:
            return "no pass threshold: no measured runs are held against this calibration"
        if self.pass_gbps is None:
            return f"no pass threshold: {self.standing}"
        return f"a measured run passes from a busbw of {format_rate_gbyte(self.pass_gbps)}"

    @property
    def interval(self) -> str:
        """Where eight of ten runs lie, in words."""
        if not self.high_gbps:
            return "no interval: no measured runs are held against this calibration"
        low, high = format_rate_gbyte(self.low_gbps), format_rate_gbyte(self.high_gbps)
        return f"80 % of runs between busbw {low} and {high} ({self.residuals})"

    @property
    def basis(self) -> str:
        """What it rests on, in words."""
        leaves = f" ({' and '.join(self.leaves)} outside the evidence)" if self.leaves else ""
        nearest = f"nearest measured: {self.nearest}" if self.nearest else "nothing like it was measured"
        return f"{self.standing}{leaves}; {nearest}"

    @property
    def lines(self) -> tuple[str, ...]:
        """Interval, basis and pass mark in words."""
        return self.interval, self.basis, self.passing
