"""From a document to a validated `FabricFile`, with every error at its line and column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from fabric.blueprint.model import Origin
from fabric.blueprint.reader import Document
from fabric.blueprint.schema import DeviceItem, FabricFile, IncludeItem, LinkItem, WiringItem
from fabric.errors import Problem, nearest

Loc = tuple[str | int, ...]

_WORDS = {
    "missing": "missing key",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read of one file.

    Parameters
    ----------
    document : Document
    file : FabricFile or None
        Without the elements that are broken; None where nothing is left.
    broken : frozenset of tuple
        Positions of the elements left out, such as ``("devices", "leaf")``.
    """

    document: Document
    file: FabricFile | None
    broken: frozenset[Loc]

    def origin(self, *loc: str | int) -> Origin:
        """Return the origin of the element at `loc`."""
        mark = self.document.locate(loc, key=True)
        node: Any = self.document.data
        for step in loc:
            node = node[step] if isinstance(node, dict | list) else None
        keys = {}
        if isinstance(node, dict):
            for key in node:
                value = self.document.locate((*loc, key))
                keys[key] = (value.line, value.col)
        return Origin(self.document.path, mark.line, mark.col, where(self.document, loc), keys)


def where(document: Document, loc: Loc) -> str:
    """Return the dotted path of `loc`, rules by their names."""
    words = [str(step) for step in loc]
    if len(loc) > 1 and loc[0] == "links" and isinstance(loc[1], int):
        words[1] = _rule_name(document, loc[1])
    if len(loc) > 1 and isinstance(loc[1], int) and loc[0] != "links":
        words[:2] = [f"{loc[0]}[{loc[1]}]"]
    text = ".".join(words) or "file"
    return "".join(c if c.isprintable() else "\ufffd" for c in text)[:120]


def _rule_name(document: Document, index: int) -> str:
    try:
        item = cast(Mapping[str, Any], document.data)["links"][index]
        name = item.get("name") or "-".join(re.sub(r"\d.*$", "", s.split("/")[-1]) for s in item["between"])
    except (KeyError, TypeError, IndexError, AttributeError):
        return f"[{index}]"
    return str(name)[:80]


def parse(document: Document, problems: list[Problem]) -> Parsed:
    """Validate `document` and append what is wrong to `problems`.

    Elements that are broken are left out and the rest is validated again, so that one bad line does not hide
    the errors of the others.
    """
    broken: frozenset[Loc] = frozenset()
    data = cast(dict[str, Any], document.data)
    for _ in range(2):
        try:
            return Parsed(document, FabricFile.model_validate(data), broken)
        except ValidationError as error:
            if broken:
                break
            details = error.errors(include_url=False)
            problems += [_problem(document, _real(document, d["loc"]), d) for d in details]
            broken = frozenset(_element(_real(document, d["loc"])) for d in details)
            data = _without(data, broken)
    return Parsed(document, None, broken)


def _real(document: Document, loc: Loc) -> Loc:
    """Undo the list that a single include was wrapped in."""
    if loc[:2] == ("include", 0) and not isinstance(cast(dict[str, Any], document.data)["include"], list):
        return (loc[0], *loc[2:])
    return loc


def _element(loc: Loc) -> Loc:
    if not loc or loc[0] in ("fabric", "format", "about", "islands"):
        return loc[:1]
    return loc[:2]


def _without(data: dict[str, Any], broken: frozenset[Loc]) -> dict[str, Any]:
    """Return `data` without the broken elements; list positions are kept by an inert stand-in."""
    kept = dict(data)
    for loc in broken:
        if len(loc) == 1 or not isinstance(kept.get(str(loc[0])), dict | list):
            kept.pop(str(loc[0]) if loc else "", None)
    for top in {str(loc[0]) for loc in broken if len(loc) > 1}:
        if top in kept and isinstance(kept[top], dict) and top != "include":
            kept[top] = {k: v for k, v in kept[top].items() if (top, k) not in broken}
        elif top in kept and isinstance(kept[top], list):
            kept[top] = [_STAND_IN[top] if (top, i) in broken else v for i, v in enumerate(kept[top])]
        else:
            kept.pop(top, None)
    if ("fabric",) in broken or "fabric" not in kept:
        kept["fabric"] = "unnamed"
    return kept


# List items are addressed by position, so a broken one keeps its place; readers skip what is `broken`.
_STAND_IN: Mapping[str, Any] = {
    "links": {"between": ["", ""], "rate": "1Gb/s"},
    "include": {"fabric": "-"},
    "absent": "",
    "failed": "",
}


def _problem(document: Document, loc: Loc, detail: Mapping[str, Any]) -> Problem:
    kind = detail["type"]
    what, got, expected, todo = detail["msg"], _shown(detail["input"]), "", ""
    if kind == "extra_forbidden":
        keys = _keys(loc)
        what, got = f"unknown key {str(loc[-1])!r}", ""
        todo = nearest(str(loc[-1]), keys) or f"keys are {', '.join(keys)}"
    elif kind == "missing":
        what, got, loc = f"missing key {str(loc[-1])!r}", "", loc[:-1]
    elif kind == "literal_error":
        what, expected = "unknown value", str(detail["ctx"]["expected"])
    elif kind == "value_error":
        what = str(detail["ctx"]["error"])
    else:
        what = _WORDS.get(kind, what)
    if kind == "value_error" and isinstance(detail["input"], dict):
        got = ""
    mark = document.locate(loc, key=kind in ("extra_forbidden", "missing"))
    return Problem(document.path, mark.line, mark.col, where(document, loc), what, got, expected, todo)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys(loc: Loc) -> list[str]:
    """Return the keys that the model at the parent of `loc` has."""
    model: type[BaseModel] = FabricFile
    if len(loc) >= 2:
        models = {"include": IncludeItem, "devices": DeviceItem, "links": LinkItem}
        model = WiringItem if "wiring" in loc[:-1] else models.get(str(loc[0]), FabricFile)
    return [field.alias or name for name, field in model.model_fields.items()]
