"""Pass marks in the forms that acceptance tools read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabric.interop.nccl_log import kind_of
from fabric.text.spreadsheet import write_csv
from fabric.units import gbps_to_gbytes

CATALOGUE = {"all-reduce": "nccl-all-reduce", "all-gather": "nccl-all-gather", "all-to-all": "nccl-alltoall"}
"""Tests of NVIDIA's Cluster Readiness Engine by collective."""


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
    n_nodes : int
        Nodes that the group takes whole: hosts of NVL72 trays or boxes; 0 where it takes parts of them.
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
    n_nodes: int = 0

    @property
    def least(self) -> str:
        """The pass mark in GB/s, or why there is none."""
        if self.pass_gbps is None:
            return f"none: {self.standing}"
        return f"{gbps_to_gbytes(self.pass_gbps):.2f}"


def csv_of(rows: Sequence[Threshold]) -> str:
    """Return the tests as CSV: binary of nccl-tests, ranks, size, and the least busbw [GB/s]."""
    head = ["group", "n_ranks", "binary", "size_bytes", "least_busbw_gb_s", "binding"]
    cells = (
        [r.group, r.n_ranks, f"{kind_of(r.collective).binary}_perf", r.size_bytes, r.least, r.binding]
        for r in rows
    )
    return write_csv(head, cells)


def script_of(rows: Sequence[Threshold]) -> str:
    """Return a shell script that runs nccl-tests and fails where one does not reach its mark.

    References
    ----------
    NVIDIA/nccl-tests, README: ``-b`` and ``-e`` the sizes, ``-g`` GPUs of a thread; the busbw out of place
    is the eighth column. A ``LAUNCH`` such as ``mpirun -np`` gets the ranks and the program.
    """
    lines = ["#!/bin/sh", "# LAUNCH starts so many ranks, such as: LAUNCH='mpirun -np' sh thresholds.sh"]
    lines += [
        "set -u",
        "failed=0",
        "test_one() {",
        "  # group, ranks, program, bytes, least busbw [GB/s]",
    ]
    lines += [
        '  got=$($LAUNCH "$2" "$3" -b "$4" -e "$4" -g 1 | awk -v n="$4" \'$1 == n {print $8; exit}\')',
        '  if awk -v g="${got:-0}" -v l="$5" \'BEGIN {exit !(g >= l)}\'; then word=pass;'
        " else word=FAIL; failed=1; fi",
        '  echo "$word $1 $3 $4 bytes: ${got:-nothing} of $5 GB/s"',
        "}",
    ]
    for row in rows:
        binary = f"{kind_of(row.collective).binary}_perf"
        call = f"test_one {row.group} {row.n_ranks} {binary} {row.size_bytes} {row.least}"
        lines.append(call if row.pass_gbps is not None else f"# {call}")
    return "\n".join([*lines, "exit $failed"]) + "\n"


def superbench_of(rows: Sequence[Threshold]) -> str:
    """Return rules for the data diagnosis of SuperBench, of the tests that have a pass mark.

    References
    ----------
    Microsoft SuperBench, docs/user-tutorial/data-diagnosis.md (rules with function, criteria, categories
    and metrics; criteria of the function ``value`` hold where a node is at fault) and
    docs/user-tutorial/benchmarks/micro-benchmarks.md (``nccl-bw``). The groups are the annotations of
    the benchmark, such as ``nccl-bw:node``.
    """
    import yaml

    rules = {}
    for row in rows:
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


def readiness_of(fabric: str, rows: Sequence[Threshold]) -> str:
    """Return a certification for NVIDIA's Cluster Readiness Engine, of the tests that have a pass mark.

    A test there passes by the highest busbw of its sizes: of every group and collective the largest size
    that has a mark.

    References
    ----------
    NVIDIA/cluster-readiness-engine, ADR-054 (``options``: ``testScale``, ``maxBytes``, ``groupSize``,
    ``thresholds`` in the language CEL).
    """
    import yaml

    last = {
        (row.group, row.collective): row
        for row in sorted(rows, key=lambda row: row.size_bytes)
        if row.pass_gbps is not None and row.n_nodes and row.collective in CATALOGUE
    }
    whole = max((row.n_nodes for row in rows), default=0)
    categories = [
        {
            "domain": "communication",
            "variant": CATALOGUE[row.collective],
            "options": {
                **_scale_of(row, whole),
                "maxBytes": str(row.size_bytes),
                "thresholds": {"busBandwidthGBps": f"value >= {row.least}"},
            },
        }
        for row in last.values()
    ]
    document = {
        "apiVersion": "cre.nvidia.com/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": _label(fabric)},
        "spec": {
            "target": {"nodeSelector": {"nvidia.com/gpu.present": "true"}},
            "categories": categories,
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _scale_of(row: Threshold, whole: int) -> dict[str, object]:
    """Return how the Cluster Readiness Engine divides nodes for a group."""
    if row.n_nodes == 1:
        return {"testScale": "intra-node"}
    if row.n_domains == 1:
        return {"testScale": "intra-rack", "enableMNNVL": True}
    if row.n_nodes == whole:
        return {"testScale": "full-scale"}
    if row.n_nodes == 2:
        return {"testScale": "pairwise"}
    return {"testScale": "combinatorial", "groupSize": row.n_nodes}


def _label(name: str) -> str:
    """Return a name as Kubernetes takes it: small letters, digits and hyphens."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return letters.strip("-")[:63].strip("-") or "fabric"
