"""From a document to a validated `FabricFile`, with every error at its line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from fabric.blueprint.document import Document, dotted
from fabric.blueprint.fields import is_label
from fabric.blueprint.model import Origin
from fabric.blueprint.schema import DeviceItem, FabricFile, IncludeItem, LinkItem, RiskItem, WiringItem
from fabric.blueprint.selector import NAME, near
from fabric.errors import Problem, UnitError, nearest

Loc = tuple[str | int, ...]
_NAME_RE = re.compile(NAME)
# "rate '4: 5': cannot be read; ...", or "count 0: zero; ...".
_QUANTITY_RE = re.compile(r"""\w+ (?:'.*'|".*"|[^'":]*)(?:\.\.\.)?: (.*)""", re.DOTALL)

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


_MAX_SHOWN = 60
# Longer lists, such as the pairs of a wiring, are pointed at as a whole.
_MAX_MARKED = 16


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
            node = node[step]
        # A template named outright stands for {fabric: template}.
        keys = {"fabric": self._at(*loc)} if isinstance(node, str) else {}
        for key, value in node.items() if isinstance(node, dict) else ():
            keys[key] = self._at(*loc, key)
            if isinstance(value, list) and len(value) <= _MAX_MARKED:
                keys |= {f"{key}[{i}]": self._at(*loc, key, i) for i in range(len(value))}
        return Origin(self.document.path, mark.line, mark.col, where(self.document, loc), keys)

    def _at(self, *loc: str | int) -> tuple[int, int]:
        mark = self.document.locate(loc)
        return mark.line, mark.col


def where(document: Document, loc: Loc) -> str:
    """Return the dotted path of `loc`, rules by their names."""
    if len(loc) > 1 and loc[0] == "links" and isinstance(loc[1], int):
        return dotted(("links", _rule_name(document, loc[1]), *loc[2:]))
    return dotted(loc)


def _rule_name(document: Document, index: int) -> str | int:
    try:
        item = cast(Mapping[str, Any], document.data)["links"][index]
        groups = [_NAME_RE.match(side.split("/")[-1]) for side in item["between"]]
        name = item.get("name")
        return name if name and is_label(name) else "-".join(match[0] for match in groups if match)
    except (KeyError, TypeError, AttributeError):
        return index


def parse(document: Document, problems: list[Problem]) -> Parsed:
    """Validate `document` and append what is wrong to `problems`.

    Elements that are broken are left out and the rest is validated again, so that one bad line does not hide
    the errors of the others.
    """
    broken: frozenset[Loc] = frozenset()
    data = cast(dict[str, Any], document.data)
    # The second round judges the file without the elements that the first found broken.
    for _ in range(2):
        try:
            return Parsed(document, FabricFile.model_validate(data), broken)
        except ValidationError as error:
            details = error.errors(include_url=False)
            problems.extend(_problem(document, _real(document, d["loc"]), d) for d in details)
            broken = frozenset(_element(_real(document, d["loc"])) for d in details)
            data = _without(data, broken)
    # What is left is sound by construction; should it not be, the problems found so far stand.
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
    sound = {key: value for key, value in data.items() if (key,) not in broken}
    for top in {str(loc[0]) for loc in broken if len(loc) > 1}:
        value = sound.get(top)
        if isinstance(value, dict) and top != "include":
            sound[top] = {k: v for k, v in value.items() if (top, k) not in broken}
        elif isinstance(value, list):
            sound[top] = [_STAND_IN[top] if (top, i) in broken else v for i, v in enumerate(value)]
        else:
            sound.pop(top, None)
    return {"fabric": "unnamed"} | sound


# List items are addressed by position, so a broken one keeps its place; readers skip what is `broken`.
_STAND_IN: Mapping[str, Any] = {
    "links": {"between": ["-", "-"], "rate": "1Gb/s"},
    "include": {"fabric": "-"},
    "absent": "-",
    "failed": "-",
    "degraded": ["-", 0.5],
    "expect": "-",
}


def _problem(document: Document, loc: Loc, detail: Mapping[str, Any]) -> Problem:
    return word_problem(document, loc, detail, keys=_keys, where=where)


def word_problem(
    document: Document,
    loc: Loc,
    detail: Mapping[str, Any],
    *,
    keys: Callable[[Loc], list[str]],
    where: Callable[[Document, Loc], str],
) -> Problem:
    """Word one finding of pydantic as the program words its own.

    Parameters
    ----------
    document : Document
    loc : tuple of str and int
        Where it is in the data.
    detail : mapping
        The finding.
    keys : callable
        ``keys(loc)`` returns the keys that may stand where `loc` ends.
    where : callable
        ``where(document, loc)`` returns `loc` as problems show it.
    """
    kind, value = detail["type"], detail["input"]
    fault, got, expected, todo = _WORDS.get(kind, detail["msg"]), show_value(value), "", ""
    is_key = kind in ("extra_forbidden", "missing") or loc[-1:] == ("[key]",)
    if loc[-1:] == ("[key]",):
        loc = loc[:-1]
    if kind == "extra_forbidden":
        fault, got = f"unknown key {str(loc[-1])[:_MAX_SHOWN]!r}", ""
        todo = near(str(loc[-1]), keys(loc), "keys are")
    elif kind == "missing":
        fault, got, loc = f"missing key {str(loc[-1])!r}", "", loc[:-1]
    elif kind == "literal_error":
        words = str(detail["ctx"]["expected"]).replace("'", "")
        fault, expected = "unknown value", words
        todo = nearest(str(value)[:_MAX_SHOWN], words.replace(" or ", ", ").split(", "))
    elif kind == "value_error":
        error = detail["ctx"]["error"]
        fault = str(error)
        if isinstance(error, UnitError):
            fault, todo = _complaint(fault)
        elif isinstance(value, dict) and loc[-1:] != ("count",):
            got = ""  # an element as a whole has nothing to show
    mark = document.locate(loc, key=is_key)
    return Problem(document.path, mark.line, mark.col, where(document, loc), fault, got, expected, todo)


def _complaint(message: str) -> tuple[str, str]:
    """Return what a unit error complains of, and the remedy, without the quantity that it shows."""
    match = _QUANTITY_RE.fullmatch(message)
    fault, _, todo = (match[1] if match else message).partition("; ")
    return fault, todo


def show_value(value: object) -> str:
    """Return `value` as a file has it, cut where it is long.

    Examples
    --------
    >>> show_value(["rack", 3]), show_value(None), show_value(True)
    ('[rack, 3]', 'nothing', 'true')
    """
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{k}: {show_value(v)}' for k, v in value.items())}}}"
            if len(value) < 4
            else "a mapping"
        )
    if value is None:
        return "nothing"
    if isinstance(value, list):
        # Few items fill the space; a long list need not be written to be cut.
        text = f"[{', '.join(show_value(v) for v in value[:_MAX_SHOWN])}]"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return (text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}...") or "an empty text"


def _keys(loc: Loc) -> list[str]:
    """Return the keys that the model at the parent of `loc` has."""
    models: dict[str, type[BaseModel]] = {
        "include": IncludeItem,
        "devices": DeviceItem,
        "links": LinkItem,
        "risk": RiskItem,
    }
    model = models.get(str(loc[0]), FabricFile) if len(loc) >= 2 else FabricFile
    if "wiring" in loc[:-1]:
        model = WiringItem
    return [field.alias or name for name, field in model.model_fields.items()]
