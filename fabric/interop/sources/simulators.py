"""Formats of simulators and of drivers, line by line: SimAI, and ``nvidia-smi topo -m``."""

from __future__ import annotations

import re
from pathlib import Path

from fabric.interop.sources.found import MAX_CABLES, Place, Survey

_MAX_LINE = 4_000  # characters
_LATENCY = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?:ns|us|ms|s)")


def simai(text: str, path: str, found: Survey) -> None:
    """Read a topology of SimAI: GPUs come first, then the switches of domains, then those of the network."""
    lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) < 2 or len(lines[0][1]) != 6:
        found.problem((path, 1), "head", "expected: nodes gpus_per_server nvswitches switches links gpu_type")
        return
    numbers = [_whole(word) for word in lines[0][1][:5]]
    if None in numbers:
        found.problem((path, lines[0][0]), "head", "expected five numbers and the type of the GPUs")
        return
    n, _, n_inside, n_outside, n_links = (int(number or 0) for number in numbers)
    ids = [_whole(word) for word in lines[1][1]]
    if len(ids) != n_inside + n_outside or None in ids:
        fault = f"expected the ids of {n_inside} and {n_outside} switches"
        found.problem((path, lines[1][0]), "switches", fault, got=f"{len(ids)}")
        return
    if n > MAX_CABLES or n_links != len(lines) - 2:
        found.problem(
            (path, lines[0][0]), "head", f"{n_links:,} links are said, {len(lines) - 2:,} are there"
        )
        return
    switches = {int(i or 0): "nvswitch" if k < n_inside else "switch" for k, i in enumerate(ids)}
    names = {i: f"{switches[i]}{i}" if i in switches else f"gpu{i}" for i in range(n)}
    for i, name in names.items():
        found.node(name, "switch" if i in switches else "gpu", (path, lines[1][0]))
    for number, words in lines[2:]:
        _simai_link(words, names, (path, number), found)


def _simai_link(words: list[str], names: dict[int, str], at: Place, found: Survey) -> None:
    if len(words) != 5:
        found.problem(at, "link", "expected: source target rate latency error", got=" ".join(words)[:60])
        return
    ends = [_whole(word) for word in words[:2]]
    unknown = [word for word, end in zip(words, ends, strict=False) if end not in names]
    if unknown:
        found.problem(at, "link", "a dangling end: no such node", got=unknown[0][:20])
        return
    if not _LATENCY.fullmatch(words[3]):
        found.problem(at, "latency", "an unknown unit", got=words[3][:20], todo="ns, us, ms or s")
        return
    rate = found.rate(words[2], at)
    if rate is not None:
        found.cable((names[int(words[0])], ""), (names[int(words[1])], ""), at, rate)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


_COLOUR = re.compile(r"\x1b\[[0-9;]{0,12}m")
_DEVICE = re.compile(r"GPU\d{1,4}|NIC\d{1,4}|mlx5_\d{1,4}")
_GPU = re.compile(r"GPU\d{1,4}")
_NVLINKS = re.compile(r"NV(?P<n>\d{1,3})")
_NEAR = ("X", "PIX", "PXB", "PHB", "NODE", "SYS", "N/A", "PXN", "P2C")
_MAX_LINKS = 18
"""NVLinks of a GPU: 18 from H100 on; more in a matrix are those to switches."""


def nvidia_smi(text: str, path: str, found: Survey) -> None:
    """Read the matrix of ``nvidia-smi topo -m`` of one host, which has the name of the file.

    What is read are NVLinks. Where a GPU would need more than 18 of them to reach each other GPU directly,
    all go to a switch. PCIe is told there as nearness, and not as cables.
    """
    host = Path(path).name.split(".")[0]
    head: list[str] = []
    rows: dict[str, dict[str, int]] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = _COLOUR.sub("", line[:_MAX_LINE]).split()
        if not head:
            head = [word for word in words if _DEVICE.fullmatch(word)] if "GPU0" in words else []
        elif words and _GPU.fullmatch(words[0]):
            rows[words[0]] = _nvlinks(words[1 : 1 + len(head)], head, (path, number), found)
            line_of[words[0]] = number
    gpus = [word for word in head if _GPU.fullmatch(word)]
    missing = [gpu for gpu in gpus if gpu not in rows]
    if not gpus or missing:
        fault = f"no row of {missing[0]}" if missing else "no matrix of GPUs"
        found.problem((path, 1), "matrix", fault)
        return
    _cabled(host, gpus, rows, {gpu: (path, line) for gpu, line in line_of.items()}, found)


def _nvlinks(cells: list[str], head: list[str], at: Place, found: Survey) -> dict[str, int]:
    links = {}
    if len(cells) != len(head):
        found.problem(at, "matrix", f"{len(cells)} cells under {len(head)} devices")
    for device, cell in zip(head, cells, strict=False):
        match = _NVLINKS.fullmatch(cell)
        if match and _GPU.fullmatch(device):
            links[device] = int(match["n"])
        elif match is None and cell not in _NEAR:
            found.problem(at, "matrix", "an unknown way between two devices", got=cell[:20])
    return links


def _cabled(
    host: str, gpus: list[str], rows: dict[str, dict[str, int]], at: dict[str, Place], found: Survey
) -> None:
    for gpu in gpus:
        found.node(f"{host}-{gpu.lower()}", "gpu", at[gpu])
    for gpu in gpus:
        for other, n in rows[gpu].items():
            if rows.get(other, {}).get(gpu, n) != n:
                found.problem(at[gpu], "matrix", f"{gpu} and {other} do not say the same of each other")
    if not found.problems:
        _joined(host, gpus, rows, at, found)


def _joined(
    host: str, gpus: list[str], rows: dict[str, dict[str, int]], at: dict[str, Place], found: Survey
) -> None:
    counts = {n for own in rows.values() for n in own.values()}
    if any(sum(own.values()) > _MAX_LINKS for own in rows.values()):
        if len(counts) != 1:
            found.problem(at[gpus[0]], "matrix", "GPUs with different numbers of links to switches")
            return
        found.node(f"{host}-nvswitch", "switch", at[gpus[0]])
    for gpu in gpus:
        is_switched = sum(rows[gpu].values()) > _MAX_LINKS
        for _ in range(max(rows[gpu].values()) if is_switched else 0):
            found.cable((f"{host}-{gpu.lower()}", ""), (f"{host}-nvswitch", ""), at[gpu])
        for other, n in rows[gpu].items():
            if not is_switched and gpus.index(gpu) < gpus.index(other):
                for _ in range(n):
                    found.cable((f"{host}-{gpu.lower()}", ""), (f"{host}-{other.lower()}", ""), at[gpu])
