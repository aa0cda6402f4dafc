"""What schedulers read of placements: blocks for Slurm's plugin topology/block, pods for Kueue.

Names of nodes and labels are those of `fabric.interop.export.schedulers`.
"""

from __future__ import annotations

import os.path
import re

import numpy as np
import yaml

from fabric.interop.export.schedulers import (
    DOMAIN_LABEL,
    HOST_LABEL,
    TIER_LABEL,
    block_sizes,
    hostlist,
)
from fabric.interop.sources import Survey
from fabric.interop.sources.schedulers import hosts
from fabric.workload.nodes import ClusterNodes, domain_axes
from fabric.workload.placements import JobRoom, Placements


def slurm_blocks(nodes: ClusterNodes) -> str:
    """Return ``topology.conf`` of topology/block with the blocks that segments may not leave.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.workload.nodes import nodes_of
    >>> text = "{fabric: a, islands: 2, axes: {rack: 2, i: 4}, devices: {gpu: {kind: gpu, axes: [rack, "
    >>> text += "i]}, leaf: {kind: switch, axes: [rack]}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> print(slurm_blocks(nodes_of(loads(text))), end="")
    BlockName=rack0 Nodes=rack0-gpu[0-3]
    BlockName=rack1 Nodes=rack1-gpu[0-3]
    BlockSizes=4,8
    """
    blocks = _blocks(nodes)
    lines = [f"BlockName={name} Nodes={hostlist(own)}" for name, own in blocks.items()]
    return "\n".join([*lines, f"BlockSizes={','.join(map(str, block_sizes(blocks)))}"]) + "\n"


def _blocks(nodes: ClusterNodes) -> dict[str, list[str]]:
    """Return the nodes of each block that has any, those that are down too, by its name."""
    there = np.flatnonzero(nodes.is_there)
    names = np.array(nodes.names(there), dtype=object)
    numbers, of = np.unique(nodes.block[there], return_inverse=True)
    own = [names[of == i].tolist() for i in range(len(numbers))]
    # What the names of all nodes of a block begin with, where that tells blocks apart; else its indices.
    said = ["-".join(os.path.commonprefix([name.split("-") for name in some])) for some in own]
    if not all(said) or len(set(said)) < len(said):
        axes = [axis for axis in nodes.axes if axis in nodes.block_axes]
        said = [
            "-".join(
                f"{axis}{i}" for axis, i in zip(axes, np.unravel_index(n, nodes.block_shape), strict=True)
            )
            or nodes.fabric.name
            for n in (numbers.tolist() if axes else [])
        ] or [nodes.fabric.name]
    return dict(zip(said, own, strict=True))


def kueue_jobs(answer: Placements, nodes: ClusterNodes) -> str:
    """Return what a Job of Kubernetes has to say for the best placement of each job that fits.

    Each document is merged into the manifest of its job (``kubectl patch --local``, or a patch of Kustomize):
    as many pods as nodes, the nodes, and that the pods of a segment are under one value of a label, which
    ``fabtopo export --format kueue`` gives to nodes.

    References
    ----------
    Kueue, Topology Aware Scheduling: ``kueue.x-k8s.io/podset-slice-required-topology``,
    ``podset-slice-size`` and ``podset-unconstrained-topology``.
    """
    label = _label(nodes)
    texts = []
    for job in answer.jobs:
        if job.best is None:
            texts.append(f"# {job.name}: does not fit: {job.why}\n")
        else:
            texts.append(yaml.safe_dump(_patch(job, label), sort_keys=False, width=110))
    return "---\n".join(texts)


def _label(nodes: ClusterNodes) -> str:
    """Return the label whose values are blocks: that of scale-up domains, of leaves, or none."""
    domain = domain_axes(nodes.fabric.axes_or_refuse("a placement"), nodes.group, nodes.axes)
    if nodes.block_axes == domain:
        return DOMAIN_LABEL
    return TIER_LABEL.format(0) if nodes.is_by_leaf else ""


def _patch(job: JobRoom, label: str) -> dict[str, object]:
    """Return the part of the manifest of one job."""
    assert job.best is not None
    kueue = "kueue.x-k8s.io/podset"
    near = {f"{kueue}-unconstrained-topology": "true"}
    # Slices are all of one size.
    if label and job.segment > 1 and job.n_nodes % job.segment == 0:
        near = {
            f"{kueue}-slice-required-topology": label,
            f"{kueue}-slice-size": str(job.segment),
        }
    names = hosts(job.best.nodelist, ("", 0), Survey())  # a list of our own: nothing is wrong in it
    terms = {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": HOST_LABEL, "operator": "In", "values": names}]}]
    }
    name = re.sub(r"[^a-z0-9-]+", "-", job.name.lower()).strip("-") or "job"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "parallelism": job.n_nodes,
            "completions": job.n_nodes,
            "completionMode": "Indexed",
            "template": {
                "metadata": {"annotations": near},
                "spec": {
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
                },
            },
        },
    }
