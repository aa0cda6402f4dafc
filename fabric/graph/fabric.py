"""The fabric: what `load` returns and every question is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Bools
from fabric.blueprint import load_blueprint, loads_blueprint
from fabric.blueprint.failures import degradation_texts, failure_texts
from fabric.blueprint.model import Blueprint
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, SelectorError, TopologyError, nearest, printable
from fabric.graph.expanded import EXPAND_LIMIT, Expanded, matching
from fabric.graph.expanded import expand as expand_blueprint
from fabric.graph.reach import reach_problems


@dataclass(frozen=True, eq=False)
class Fabric:
    """A fabric: a blueprint, or arrays where it came from a graph.

    Parameters
    ----------
    name : str
    blueprint : Blueprint or None
        None for a fabric read from a graph.
    graph : Expanded or None
        None for a fabric read from a file; `expand` makes it.
    skipped : tuple of str
        Checks that were not run, and why.
    notes : tuple of str
        What was guessed about a graph that did not say it.
    """

    name: str
    blueprint: Blueprint | None = None
    graph: Expanded | None = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def axes_or_refuse(self, purpose: str) -> Blueprint:
        """Return the blueprint, for what cannot be done without axes and parts.

        Parameters
        ----------
        purpose : str
            What needs them, such as ``"a bill of materials"``.

        Raises
        ------
        QuestionError
            If the fabric was read from a graph.
        """
        if self.blueprint is None:
            msg = f"{purpose} needs axes; a fabric read from a graph has none"
            raise QuestionError(msg)
        return self.blueprint

    def __repr__(self) -> str:
        """Return a line that names the fabric and its size."""
        if self.blueprint is not None:
            groups = self.blueprint.groups
            sizes = ", ".join(f"{self.blueprint.n_devices(g):,} {g}" for g in groups)
            damage = {"failed": failure_texts(self.blueprint), "degraded": degradation_texts(self.blueprint)}
            words = "".join(f"; {word}: {', '.join(texts)}" for word, texts in damage.items() if texts)
            return f"<Fabric {self.name}: {sizes}{words}>"
        n = self.graph.n_devices if self.graph else 0
        return printable("; ".join((f"<Fabric {self.name}: {n:,} devices", *self.notes)) + ">")


@checked
def load(path: str | Path) -> Fabric:
    """Load and check a topology file.

    Parameters
    ----------
    path : str or Path
        A ``*.fabric.yaml`` file, or the same model as JSON.

    Returns
    -------
    Fabric
        Of any size; what only the expanded form can tell is checked up to its limit, see ``skipped``.

    Raises
    ------
    TopologyError
        With all problems at once, each with path, line and column.
    """
    return _check(load_blueprint(path))


@checked
def loads(text: str | bytes, *, path: str = "<text>", base: str | Path = ".") -> Fabric:
    """Load and check a topology given as text; relative includes start at the folder `base`.

    Raises
    ------
    TopologyError
        As `load`.
    """
    return _check(loads_blueprint(text, path=path, base=base))


@checked
def expand(fabric: Fabric, *, limit: int = EXPAND_LIMIT) -> Expanded:
    """Return every device and cable bundle of `fabric` as arrays.

    Raises
    ------
    LimitError
        If there are more than `limit`.
    """
    if fabric.graph is not None:
        return fabric.graph
    if fabric.blueprint is None:
        msg = "a Fabric has a blueprint or a graph"
        raise QuestionError(msg)
    return expand_blueprint(fabric.blueprint, limit=limit)


@checked
def select(fabric: Fabric, text: str, *, limit: int = EXPAND_LIMIT) -> Bools:
    """Return the devices that a selector means in a question, shape (n,).

    Parameters
    ----------
    fabric : Fabric
    text : str
        ``rack0/gpu``, ``gpu0-3``, or without a group, ``rack0``, for the endpoints there. A name of a device
        for a fabric that came from a graph.

    Raises
    ------
    SelectorError
        If it cannot be read or matches no device.
    """
    expanded = expand(fabric, limit=limit)
    if fabric.blueprint is None:
        return by_name(expanded, text)
    selector = read_selector(fabric.blueprint, text, needs_group=False)
    selected = matching(fabric.blueprint, expanded, selector)
    # A place without a group means its endpoints; with ``*``, all devices there.
    if selector.group is None and not selector.text.endswith("*"):
        selected &= expanded.is_endpoint
    if not selected.any():
        msg = f"selector {text!r} matches no device of {fabric.name}"
        raise SelectorError(msg)
    return selected


def by_name(expanded: Expanded, text: object) -> Bools:
    """Return the one device of that name, or whose name reads so, shape (n,).

    Raises
    ------
    SelectorError
        If there is none, with the nearest names.
    """
    index = next((i for i, name in enumerate(expanded.names) if name == text or str(name) == text), None)
    if index is None:
        hint = nearest(str(text), [str(n) for n in islice(expanded.names, 10_000)])
        msg = f"no device {text!r} in {expanded.name}; {hint or 'a graph has no axes: name one of its nodes'}"
        raise SelectorError(msg)
    mask = np.zeros(expanded.n_devices, dtype=np.bool_)
    mask[index] = True
    return mask


def _check(blueprint: Blueprint) -> Fabric:
    """Check what only paths between devices can tell."""
    problems, skipped = reach_problems(blueprint)
    if problems:
        raise TopologyError(problems)
    return Fabric(blueprint.name, blueprint, skipped=(*blueprint.skipped, *skipped))
