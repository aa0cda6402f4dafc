"""Fit what kernels of a mixture of experts add, to the measured times of tokens.

A kernel posts its messages to all ranks at once: one launch, a part of the wire rate, and a number of ranks
at which the links take twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import least_squares

from fabric.arrays import Floats
from fabric.costing import Calibration, moe_cost
from fabric.costing.overheads import GpuOverhead, Overhead
from fabric.evidence import TokenPoint, token_points
from fabric.schedule import Moe
from tools.evidence.features import fabric_of

KEY = "nvlink5/nvl72_backplane"
"""The links of all points there are."""
_START = (10e-6, 0.7, 100.0)


def with_tokens(known: Calibration, points: Sequence[TokenPoint] | None = None) -> Calibration:
    """Return a calibration that knows tokens, fitted to some points; to all by default."""
    points = token_points() if points is None else points
    measured = np.array([p.time_s for p in points])

    def off(x: Floats) -> Floats:
        tried = _with(known, *np.exp(x).tolist(), source="")
        return np.log([predicted(tried, p) for p in points] / measured)

    found = least_squares(off, np.log(_START), diff_step=1e-3, max_nfev=20)
    sources = ", ".join(dict.fromkeys(p.source for p in points))
    return _with(known, *np.exp(found.x).tolist(), source=f"{len(points)} dispatches: {sources}")


def predicted(known: Calibration, point: TokenPoint) -> float:
    """Return the time of a point [s]."""
    moe = Moe(
        tokens=point.tokens,
        hidden=point.hidden,
        top_k=point.top_k,
        n_experts=point.experts,
        bytes_per_value=point.bytes_per_value,
        choice=point.choice,  # type: ignore[arg-type]
    )
    fabric = fabric_of(f"fabric: one-{point.fabric}\ninclude: {point.fabric}")
    return moe_cost(fabric, point.way, moe, among=point.among, calibration=known).time_s


def _with(known: Calibration, launch_s: float, rate: float, peers: float, *, source: str) -> Calibration:
    links = {key: dict(kinds) for key, kinds in (known.links or {}).items()}
    links[KEY]["tokens"] = Overhead(min(rate, 1.0), 0.0, source)
    gpus = {key: dict(kinds) for key, kinds in known.gpus.items()}
    gpus[KEY]["tokens"] = GpuOverhead({"Simple": launch_s}, peers=peers, source=source)
    return replace(known, links=links, gpus=gpus)
