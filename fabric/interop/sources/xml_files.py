"""Formats that are XML: GraphML, and NCCL's topology of a host. Entities and document types are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from fabric.interop.nccl_rates import LANE_GBPS, NVLINK_GBPS, NVSWITCH_CLASS
from fabric.interop.sources.documents import edge_of
from fabric.interop.sources.found import Place, Survey

_MAX_DEPTH = 64
_MAX_TEXT = 10_000  # characters of one element
_MAX_COUNT = 4_096


@dataclass(slots=True)
class Element:
    """An element of a file: its tag without namespace, attributes, line, text, and what is in it."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def get(self, key: str, default: str = "") -> str:
        """Return an attribute."""
        return self.attributes.get(key, default)

    def all(self, tag: str) -> Iterator[Element]:
        """Yield the elements of a tag right in this one."""
        return (child for child in self.children if child.tag == tag)


class _RefusedError(Exception):
    """What no file may have."""


def read_xml(text: str, path: str, found: Survey) -> Element | None:
    """Return the root of an XML file; None, and a problem, where it cannot be read.

    Notes
    -----
    Expat expands entities of a document type. None is allowed: there is nothing to expand or to fetch.
    """
    root = Element("", {}, 1)
    stack = [root]
    # The text is decoded already, whatever encoding it says that it had.
    parser = expat.ParserCreate("utf-8")

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _MAX_DEPTH:
            msg = f"deeper than {_MAX_DEPTH} levels"
            raise _RefusedError(msg)
        element = Element(tag.rpartition(":")[2], attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def characters(data: str) -> None:
        if len(stack[-1].text) + len(data) > _MAX_TEXT:
            msg = f"a text of more than {_MAX_TEXT:,} characters"
            raise _RefusedError(msg)
        stack[-1].text += data

    def refuse(*_: object) -> None:
        msg = "a document type or an entity, which no such file needs"
        raise _RefusedError(msg)

    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)  # noqa: FBT003 - expat's own signature
    except expat.ExpatError as error:
        found.problem((path, error.lineno), "file", f"is no XML: {expat.ErrorString(error.code)}")
        return None
    except _RefusedError as error:
        found.problem((path, parser.CurrentLineNumber), "file", str(error))
        return None
    return root.children[0]


def graphml(text: str, path: str, found: Survey) -> None:
    """Read GraphML, with our attributes where they are: kind, rate_gbps, count."""
    root = read_xml(text, path, found)
    if root is None:
        return
    if root.tag != "graphml":
        found.problem((path, root.line), "file", "is no GraphML", got=root.tag[:40])
        return
    names = {key.get("id"): key.get("attr.name") for key in root.all("key")}
    for graph in root.all("graph"):
        for node in graph.all("node"):
            kind = _data(node, names).get("kind", "")
            if kind:
                found.kind(node.get("id"), kind, (path, node.line))
        for edge in graph.all("edge"):
            at, data = (path, edge.line), _data(edge, names)
            rate = _number(data["rate_gbps"], at, found) if "rate_gbps" in data else None
            count, failed = (_whole(data.get(k, d)) for k, d in (("count", "1"), ("failed_count", "0")))
            edge_of(found, (edge.get("source"), edge.get("target")), at, rate, count, failed)


def _data(element: Element, names: Mapping[str, str]) -> dict[str, str]:
    return {names.get(data.get("key"), ""): data.text.strip() for data in element.all("data")}


def _number(text: str, at: Place, found: Survey) -> float | None:
    return found.rate(f"{text}Gb/s", at)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def nccl_topology(text: str, path: str, found: Survey) -> None:
    """Read NCCL's topology of one host, which has the name of the file: ``node0.xml``.

    GPUs, cards, PCIe switches and CPUs are nodes. NVLink is at its wire rate, PCIe at what NCCL counts.
    """
    root = read_xml(text, path, found)
    if root is None:
        return
    if root.tag != "system" or root.get("version") != "1":
        got = f"{root.tag[:30]} version {root.get('version')[:10]}"
        found.problem((path, root.line), "system", "expected NCCL's system of version 1", got=got)
        return
    _Host(Path(path).name.split(".")[0], path, found).read(root)


class _Host:
    def __init__(self, name: str, path: str, found: Survey) -> None:
        self._name, self._path, self._found = name, path, found
        self._gpu_at: dict[str, str] = {}
        self._node_at: dict[str, str] = {}
        self._links: list[tuple[str, str, Element]] = []
        self._n_bridges = 0

    def read(self, system: Element) -> None:
        for cpu in system.all("cpu"):
            name = f"{self._name}-cpu{cpu.get('numaid') or '0'}"
            self._found.node(name, "host", self._at(cpu))
            self._inside(cpu, name, name)
        for gpu, sm, link in self._links:
            self._nvlink(gpu, sm, link)

    def _at(self, element: Element) -> Place:
        return self._path, element.line

    def _inside(self, element: Element, above: str, cpu: str) -> None:
        for child in element.children:
            if child.tag == "pci":
                self._pci(child, above, cpu)
            elif child.tag == "nic":
                self._card(child, element, above)

    def _pci(self, pci: Element, above: str, cpu: str) -> None:
        gpus, cards = list(pci.all("gpu")), list(pci.all("nic"))
        for gpu in gpus:
            name = f"{self._name}-gpu{gpu.get('dev')}"
            self._gpu_at[pci.get("busid")] = name
            self._found.node(name, "gpu", self._at(pci))
            # NCCL goes by C2C where there is some; PCIe to the same processor is beside it.
            if above != cpu or not any(gpu.all("c2c")):
                self._joined(name, "gpu", pci, above)
            self._links += [(name, gpu.get("sm"), link) for link in gpu.all("nvlink")]
            for c2c in gpu.all("c2c"):
                self._c2c(name, cpu, c2c)
        for card in cards:
            self._card(card, pci, above)
        if not gpus and not cards:
            name = f"{self._name}-pci{self._n_bridges}"
            self._n_bridges += 1
            self._node_at[pci.get("busid")] = name
            self._joined(name, "switch", pci, above)
            for link in pci.all("pcilink"):
                other = self._node_at.get(link.get("target"))
                if other:
                    self._found.cable((name, ""), (other, ""), self._at(link), self._pci_gbps(pci))
            self._inside(pci, name, cpu)

    def _card(self, card: Element, pci: Element, above: str) -> None:
        nets = list(card.all("net"))
        if nets:
            self._joined(
                f"{self._name}-{nets[0].get('name') or 'net' + nets[0].get('dev')}", "nic", pci, above
            )

    def _joined(self, name: str, kind: str, pci: Element, above: str) -> None:
        self._found.node(name, kind, self._at(pci))
        self._found.cable((name, ""), (above, ""), self._at(pci), self._pci_gbps(pci))

    def _pci_gbps(self, pci: Element) -> float | None:
        speed = pci.get("link_speed").split(" ")[0].removesuffix(".0")
        width = _whole(pci.get("link_width") or "0")
        if not pci.get("link_speed"):
            return LANE_GBPS["8"] * (width or 16)  # what NCCL takes where the system does not say
        if speed not in LANE_GBPS or width is None:
            self._found.problem(
                self._at(pci), "pci", "an unknown speed or width", got=pci.get("link_speed")[:40]
            )
            return None
        return LANE_GBPS[speed] * (width or 16)

    def _count(self, element: Element) -> int:
        count = _whole(element.get("count") or "1")
        if count is None or count > _MAX_COUNT:
            self._found.problem(self._at(element), element.tag, "no count", got=element.get("count")[:20])
            return 0
        return count

    def _c2c(self, gpu: str, cpu: str, c2c: Element) -> None:
        megabytes = _whole(c2c.get("bw"))
        rate = None if megabytes is None else megabytes * 8 / 1000
        for _ in range(self._count(c2c)):
            self._found.cable((gpu, ""), (cpu, ""), self._at(c2c), rate)

    def _nvlink(self, gpu: str, sm: str, link: Element) -> None:
        other = self._gpu_at.get(link.get("target"))
        if other is None and link.get("tclass") not in (NVSWITCH_CLASS, "") and link.get("target") != "-1":
            self._found.problem(
                self._at(link), "nvlink", "its target is no GPU here", got=link.get("target")[:20]
            )
            return
        if other is None:
            other = f"{self._name}-nvswitch"
            self._found.node(other, "switch", self._at(link))
        elif other < gpu:
            return  # the other GPU tells of it
        for _ in range(self._count(link)):
            self._found.cable((gpu, ""), (other, ""), self._at(link), NVLINK_GBPS.get(sm))
