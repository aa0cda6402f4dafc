"""Drawings of graphs: DOT with ports, as cabling tools read it."""

from __future__ import annotations

import re

from fabric.interop.sources.found import Survey

_MAX_LINE = 2_000  # characters
# Quoted names hold no quotes and nothing is nested, so that one line is one edge.
_EDGE = re.compile(
    r'"(?P<a>[^"]*)"\s*:\s*"(?P<p>[^"]*)"\s*--\s*"(?P<z>[^"]*)"\s*:\s*"(?P<q>[^"]*)"(?P<more>[^"]*|\s*\[.*\]\s*)'
)
_NODE = re.compile(r'"(?P<name>[^"]*)"\s*\[(?P<attributes>.*)\]')
_ROLE = re.compile(r'\brole="(?P<role>[^"]*)"')
_KINDS = {
    **dict.fromkeys(("host", "server", "node"), "host"),
    **dict.fromkeys(
        ("leaf", "spine", "super_spine", "superspine", "core", "tor", "exit", "switch"), "switch"
    ),
}


def dot(text: str, path: str, found: Survey) -> None:
    """Read the edges of a ``topology.dot`` whose ends are ports, and what its nodes are."""
    for number, line in enumerate(text.splitlines(), start=1):
        line, at = line[:_MAX_LINE].strip().removesuffix(";").rstrip(), (path, number)
        if line.startswith(("#", "//")):
            continue
        if "--" in line:
            match = _EDGE.fullmatch(line)
            if match is None:
                todo = 'write it as "leaf0":"swp1" -- "spine0":"swp3"'
                found.problem(at, "edge", "an edge that cannot be read", got=line[:60], todo=todo)
                continue
            ends = (match["a"], match["p"]), (match["z"], match["q"])
            if not (match["p"] or match["q"]):
                found.problem(at, "edge", f"both ends without port: {match['a']} - {match['z']}")
                continue
            found.cable(*ends, at)
            continue
        node = _NODE.fullmatch(line)
        role = _ROLE.search(node["attributes"]) if node else None
        if node is None or role is None:
            continue
        if role["role"] not in _KINDS:
            known = ", ".join(_KINDS)
            found.problem(
                at, "role", f"{node['name']} has an unknown role", got=role["role"][:40], todo=known
            )
        else:
            found.node(node["name"], _KINDS[role["role"]], at)
