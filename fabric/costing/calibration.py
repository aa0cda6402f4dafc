"""Calibrations: how much of the wire rate a kind of transfer gets on a class of links, and how late it comes.

A calibration is a file of a few lines. ``wire`` has no overheads at all and is the base of every bound;
``measured`` holds one value for each class of links, kind of transfer and protocol, from published
measurements. Users pass their own, or let ``fabtopo calibrate`` fit one to their logs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

from fabric.blueprint.reader import read_file, read_text
from fabric.costing.calibration_file import calibration_text, read_calibration
from fabric.costing.overheads import TRANSFERS, Calibration, Overhead, ProtocolCost
from fabric.errors import QuestionError, nearest
from fabric.evidence.residuals import residuals

__all__ = [
    "TRANSFERS",
    "Calibration",
    "Overhead",
    "ProtocolCost",
    "calibration",
    "calibration_names",
    "calibration_text",
    "parse_calibration",
]

_SUFFIX = ".calibration.yaml"


@cache
def calibration_names() -> tuple[str, ...]:
    """Return the names of the calibrations that come with the package.

    Examples
    --------
    >>> "wire" in calibration_names()
    True
    """
    folder = resources.files("fabric.costing") / "calibrations"
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in folder.iterdir() if f.name.endswith(_SUFFIX)))


def calibration(name: str | Path | Calibration) -> Calibration:
    """Return a calibration by name, or from a file.

    Parameters
    ----------
    name : str, Path or Calibration
        One of `calibration_names`, the path of a YAML or JSON file, or a calibration as it is.

    Raises
    ------
    QuestionError
        If there is neither such a name nor such a file.
    TopologyError
        With every problem of the file at its line and column.

    Examples
    --------
    >>> calibration("wire").overhead(("nvlink5",), "copy")
    Overhead(rate=1.0, latency_s=0.0, source='', protocols={}, once_s=0.0)
    """
    if isinstance(name, Calibration):
        return name
    known = calibration_names()
    # A name that comes with the package goes before a file that is called so.
    if str(name) in known:
        return _shipped(str(name))
    if str(name) == "nccl":
        msg = "nccl is NCCL's own model, not a calibration, and does not know this question; name another"
        raise QuestionError(msg)
    if not Path(name).exists():
        hint = nearest(str(name), (*known, "nccl")) or f"known are {', '.join(known)}, nccl, or give a file"
        msg = f"no calibration {str(name)!r}; {hint}"
        raise QuestionError(msg)
    return read_calibration(read_file(name))


@cache  # every cost asks for one or two
def _shipped(name: str) -> Calibration:
    """Return a calibration that comes with the package."""
    file = resources.files("fabric.costing") / "calibrations" / f"{name}{_SUFFIX}"
    shipped = read_calibration(read_text(file.read_bytes(), name))
    return replace(shipped, residuals=residuals(name))


def parse_calibration(text: str | bytes, path: str) -> Calibration:
    """Return the calibration that a text holds; `path` names it in the errors.

    Raises
    ------
    TopologyError
        With every problem of the text at its line and column.
    """
    return read_calibration(read_text(text, path))
