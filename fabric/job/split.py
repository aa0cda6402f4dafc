"""Where the axes of ranks leave a scale-up domain."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from fabric.errors import FabricError
from fabric.graph import Fabric
from fabric.job.jobs import job
from fabric.job.question import JobQuestion, ranks_group


def split_axes(fabric: Fabric, asked: JobQuestion) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the axes of the ranks whose places lie in domains of their own, and those inside a domain.

    Parameters
    ----------
    fabric : Fabric
        With axes.
    asked : JobQuestion
        Which ranks; along which axes they are grouped does not count.

    Returns
    -------
    tuple of tuple of str
        Both are empty where no such axes are found, as where there is one domain.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> boxes = loads("{fabric: a, islands: 4, include: {fabric: hgx-h100, over: {node: 4}}}")
    >>> split_axes(boxes, JobQuestion())
    (('node',), ('slot',))
    """
    blueprint = fabric.axes_or_refuse("axes outside and inside of a domain")
    group = blueprint.groups[ranks_group(fabric, asked)]
    axes = tuple(axis for axis in group.axes if blueprint.axes[axis].size > 1)
    for k in range(len(axes) - 1, 0, -1):
        # Groups that are not alike are none to ask about.
        with contextlib.suppress(FabricError):
            shape = job(fabric, replace(asked, over=axes[:k])).shape
            if shape.n_domains == shape.n:
                return axes[:k], axes[k:]
    return (), ()
