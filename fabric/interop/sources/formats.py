"""The table of formats that can be read, and `read_sources`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabric.errors import QuestionError, TopologyError, nearest
from fabric.interop.sources import (
    documents,
    graphs,
    infragraph,
    lists,
    neighbours,
    schedulers,
    simulators,
    xml_files,
)
from fabric.interop.sources.found import MAX_BYTES, Survey
from fabric.text.reading import STANDARD, decode, read_bytes, read_standard_input

Progress = Callable[[int, int], None]
Reader = Callable[[str, str, Survey], None]
"""From a text, its path, to what it says."""


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """A format that can be read.

    Parameters
    ----------
    name, about : str
    lacks : str
        What of a fabric it does not say.
    read : callable
    """

    name: str
    about: str
    lacks: str
    read: Reader


_PORTS = "rates, and what is inside boxes"
_PARTS = "parts, transit, which net a link is of"
_ROWS = (
    ("p2p-ethernet", "point-to-point list of UFM's cable validation", _PORTS, lists.p2p_ethernet),
    ("p2p-infiniband", "the same for InfiniBand", f"{_PORTS}, what nodes are", lists.p2p_infiniband),
    ("netbox", "cables of NetBox, with interfaces for rates", "what is inside boxes", lists.netbox),
    ("dot", "topology.dot of PTM and NVIDIA Air", _PORTS, graphs.dot),
    ("lldp", "lldpcli show neighbors -f json0, a file a node", _PORTS, neighbours.lldp),
    ("ibnetdiscover", "a sweep by ibnetdiscover", "lengths, media", neighbours.ibnetdiscover),
    ("edges", "CSV with source,target", "what its columns do not say", lists.edges),
    ("containerlab", "containerlab topology", "what nodes are", documents.containerlab),
    ("netlab", "netlab topology", "what nodes are", documents.netlab),
    ("nvidia-air", "simulation of NVIDIA Air", _PORTS, documents.nvidia_air),
    (
        "nccl-topo",
        "NCCL_TOPO_FILE of one host, a file a host",
        "the network, PCIe beside C2C",
        xml_files.nccl_topology,
    ),
    ("nvidia-smi", "nvidia-smi topo -m, a file a host", "rates, PCIe, the network", simulators.nvidia_smi),
    ("infragraph", "InfraGraph 3.1", _PARTS, infragraph.infragraph),
    ("astra-sim", "network.yml of ASTRA-sim", "cables of switches", documents.astra_sim),
    ("simai", "topology of SimAI", "cards, hosts, parallel cables", simulators.simai),
    ("slurm", "topology.yaml or topology.conf", "rates, planes, parallel switches", schedulers.slurm),
    ("graphml", "GraphML of NetworkX", _PARTS, xml_files.graphml),
    ("node-link", "node-link JSON of NetworkX", _PARTS, documents.node_link),
    ("cytoscape", "JSON of Cytoscape", _PARTS, documents.cytoscape),
)
SOURCES = {row[0]: SourceFormat(*row) for row in _ROWS}
"""Formats that can be read, by name."""


def read_sources(
    paths: Sequence[str | Path], form: str, *, is_strict: bool = True, progress: Progress | None = None
) -> Survey:
    """Return what sources say, each cable once.

    Parameters
    ----------
    paths : sequence of str or path
        ``-`` is standard input.
    form : str
        A name of `SOURCES`.
    is_strict : bool
        As `Survey` has it.
    progress : callable, optional
        Called with the files that are read so far and how many there are.

    Raises
    ------
    QuestionError
        If there is no such form.
    TopologyError
        With all problems of all sources, or if there is no cable in any of them.
    FileError
        If one cannot be read.
    """
    if form not in SOURCES:
        msg = f"no format {form!r} to read; {nearest(form, SOURCES) or 'formats are ' + ', '.join(SOURCES)}"
        raise QuestionError(msg)
    if not paths:
        msg = "no sources; name at least one file"
        raise QuestionError(msg)
    found = Survey(is_strict=is_strict)
    for n, path in enumerate(paths):
        if progress and len(paths) > 1:
            progress(n, len(paths))
        is_piped = str(path) == STANDARD
        data = read_standard_input(limit=MAX_BYTES) if is_piped else read_bytes(path, limit=MAX_BYTES)
        SOURCES[form].read(decode(data, str(path)), str(path), found)
    found.finish()
    if not found.cables and not found.problems:
        found.problem((str(paths[0]), 1), "file", f"names no cable as {form} has it")
    if found.problems:
        raise TopologyError(found.problems)
    return found
