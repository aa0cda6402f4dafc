"""The shape of a topology file: pydantic at the boundary, and the JSON Schema for editors.

These models know keys, types and quantities. What a file means (axes, joins, ports) is checked in
`fabric.blueprint.elements` and `fabric.blueprint.checks`.
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from fabric.blueprint.fields import (
    WORD_SCHEMA,
    Along,
    AxisSize,
    Between,
    Cables,
    Count,
    Degraded,
    Failed,
    Given,
    Islands,
    Label,
    Name,
    OptionalCount,
    OptionalEach,
    OptionalIndex,
    OptionalLabel,
    OptionalLength,
    OptionalName,
    OptionalPairs,
    OptionalRate,
    OptionalText,
    OptionalWord,
    Reference,
    Shift,
    Word,
    Words,
    list_schema,
)
from fabric.blueprint.wiring import PATTERNS, WiringPattern

SCHEMA_ID = "urn:fabtopo:fabric.schema.json"

_ONE_INCLUDE: list[dict[str, Any]] = [WORD_SCHEMA, {"$ref": "#/definitions/IncludeItem"}]
_INCLUDE_SCHEMA = {"anyOf": [*_ONE_INCLUDE, list_schema({"anyOf": _ONE_INCLUDE}, 0)]}

_RELATIONS = ("mesh", "ring", "line", "wiring")
# What the validators of two models say, for editors.
_DEVICE_EXTRA: JsonDict = {"oneOf": [{"required": ["part"]}, {"required": ["kind"]}]}
_LINK_EXTRA: JsonDict = {
    "anyOf": [{"required": ["rate"]}, {"required": ["link"]}],
    "allOf": [{"not": {"required": list(pair)}} for pair in combinations(_RELATIONS, 2)],
    "dependencies": {"twist": ["ring"]},
}


def _risk(value: object) -> object:
    return {"over": value} if isinstance(value, list) else value


def _include(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    return [{"fabric": item} if isinstance(item, str) else item for item in items]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)


class IncludeItem(_Strict):
    """Another fabric, repeated over new axes."""

    fabric: Reference = Field(description="a template of the library, or a path relative to this file")
    over: dict[Name, Count] = Field(default_factory=dict, description="new axes, outermost first")
    prefix: OptionalName = Field(None, alias="as", description="renames its devices and axes to prefix.name")


class DeviceItem(_Strict):
    """A part placed on axes."""

    model_config = ConfigDict(json_schema_extra=_DEVICE_EXTRA)

    part: OptionalWord = Field(None, description="row of fabtopo parts, or a generic switch: 64x400G")
    kind: Annotated[Literal["gpu", "switch", "nic", "host"] | None, Given] = Field(
        None, description="a generic device without port budget, instead of a part"
    )
    axes: Words = Field(description="outermost first; [] is one device")
    transit: Annotated[Literal["turn", "pass", "end", "relay", "all"] | None, Given] = Field(
        None, description="who may forward"
    )
    endpoint: Annotated[bool | None, Given] = Field(
        None, description="traffic starts and ends here; default: GPUs"
    )

    @model_validator(mode="after")
    def _one_of(self) -> DeviceItem:
        if self.part is None and self.kind is None:
            msg = "part or kind missing; give part, a row of the catalogue, or kind, a generic device"
            raise ValueError(msg)
        if self.part is not None and self.kind is not None:
            msg = "part and kind together; leave out kind, which the part has"
            raise ValueError(msg)
        return self


def _pattern_schema(name: str, pattern: WiringPattern) -> JsonDict:
    """Return what editors are told of the keys that go with one pattern."""
    parameters = pattern.parameters
    required = [p for p, is_required in parameters.items() if is_required]
    keys: JsonDict = {
        p: False for another in PATTERNS.values() for p in another.parameters if p not in parameters
    }
    if pattern.along:
        n = len(pattern.along)
        keys["along"] = {"type": "array", "minItems": n, "maxItems": n}
    return {
        "if": {"properties": {"pattern": {"const": name}}},
        "then": {"properties": keys, "required": [*required]},
    }


_WIRING_EXTRA: JsonDict = {"allOf": [_pattern_schema(name, pattern) for name, pattern in PATTERNS.items()]}


class WiringItem(_Strict):
    """A named pattern for what axes cannot say."""

    model_config = ConfigDict(json_schema_extra=_WIRING_EXTRA)

    pattern: Annotated[Word, WithJsonSchema({"enum": list(PATTERNS)})] = Field(description="its name")
    along: Along = Field(description="the axis, or axes, that the pattern runs over")
    pairs: OptionalPairs = Field(None, description="[[left index, right index], ...]")
    cables: OptionalCount = Field(None, description="between every two groups; default: 1")
    arrangement: Annotated[Literal["absolute", "relative"] | None, Given] = Field(
        None, description="which port of a group leads where; default: absolute"
    )
    degree: OptionalCount = Field(None, description="cables of each switch")
    seed: OptionalIndex = Field(None, description="of the one sequence of random numbers; default: 0")


class LinkItem(_Strict):
    """A link rule between two device groups."""

    model_config = ConfigDict(json_schema_extra=_LINK_EXTRA)

    between: Between = Field(description="[lower, upper], the side nearer the endpoints first")
    name: OptionalLabel = Field(None, description="default: left-right")
    peer: bool = Field(False, description="like with like: neither side is above the other")
    net: Annotated[Literal["scale-up", "host", "scale-out"] | None, Given] = Field(
        None, description="default: the protocol's, else scale-out"
    )
    mesh: OptionalWord = Field(None, description="axis: every two different indices")
    ring: OptionalWord = Field(None, description="axis: each index with the next, the last with the first")
    twist: Annotated[dict[str, Shift] | None, Given] = Field(
        None, description="axis: what the wrap cable of the ring adds to it"
    )
    line: OptionalWord = Field(None, description="axis: each index with the next")
    wiring: Annotated[WiringItem | None, Given] = Field(
        None, description="a named pattern, or pairs, for what axes cannot say"
    )
    rate: OptionalRate = Field(None, description="of a cable, per direction; needed unless link says it")
    link: OptionalWord = Field(None, description="protocol of the catalogue, such as nvlink5")
    count: Cables = Field(1, description="parallel cables of a pair, or {axis: [one number per index]}")
    each: OptionalEach = Field(None, description="cables expected per left and per right device; checked")
    oneway: bool = Field(False, description="traffic from left to right only")
    medium: OptionalWord = Field(None, description="row of the catalogue")
    length: OptionalLength = Field(None, description="of a cable, such as 30m")
    about: OptionalText = Field(None, description="what it is, for people")

    @model_validator(mode="after")
    def _consistent(self) -> LinkItem:
        relations = [k for k in _RELATIONS if getattr(self, k) is not None]
        if len(relations) > 1:
            msg = f"more than one relation; got {' and '.join(relations)}; write a rule for each"
            raise ValueError(msg)
        if self.twist is not None and self.ring is None:
            msg = "twist without a ring; write ring: axis, or leave twist out"
            raise ValueError(msg)
        if self.rate is None and self.link is None:
            msg = (
                "rate missing; give rate with its unit, such as 400Gb/s, or link, a protocol of the catalogue"
            )
            raise ValueError(msg)
        return self


class RiskItem(_Strict):
    """What fails at once: all that stands on an index of some axes, or what is listed of it."""

    over: Words = Field(default_factory=list, description="one such risk for each index of these axes")
    down: list[Failed] = Field(
        default_factory=list, description="what is down, as in failed; all that stands there if left out"
    )


class FabricFile(_Strict):
    """A topology file, format 1."""

    fabric: Label = Field(description="name of the fabric")
    format: Literal[1] = Field(1, description="of the grammar of this file")
    about: OptionalText = Field(None, description="what it is, what is assumed, where it comes from")
    include: Annotated[list[IncludeItem], BeforeValidator(_include)] = Field(
        default_factory=list, description="templates and files that this one is built on"
    )
    axes: dict[Name, AxisSize] = Field(
        default_factory=dict, description="sizes, or [parts] of a composed axis"
    )
    devices: dict[Name, DeviceItem] = Field(default_factory=dict, description="groups of devices by name")
    links: list[LinkItem] = Field(default_factory=list, description="rules that join two groups")
    absent: list[Word] = Field(default_factory=list, description="selectors of devices never populated")
    failed: list[Failed] = Field(default_factory=list, description="devices and cables that are down")
    degraded: list[Degraded] = Field(
        default_factory=list, description="cables below their rate, as in failed, with how fast they are"
    )
    risk: dict[Name, Annotated[RiskItem, BeforeValidator(_risk)]] = Field(
        default_factory=dict, description="shared risks: what fails at once, such as feed: [row]"
    )
    islands: Islands = Field(
        1,
        description="physically separate parts with endpoints that are meant; 0 where there are none",
    )
    names: dict[Name, Word] = Field(
        default_factory=dict, description="what devices are called at the site, such as dc1-l{slot+1:02}"
    )
    ports: dict[Name, Word] = Field(
        default_factory=dict, description="what ports are called, by n and lane, such as swp{n}s{lane}"
    )
    expect: list[Word] = Field(
        default_factory=list,
        description="what `fabtopo check` holds the fabric to, such as all-to-all >= 300Gb/s",
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of a topology file.

    Returns
    -------
    dict
        Plain data; the same on every call.

    Examples
    --------
    >>> json_schema()["$schema"]
    'http://json-schema.org/draft-07/schema#'
    """
    body = FabricFile.model_json_schema(ref_template="#/definitions/{model}", by_alias=True)
    definitions = body.pop("$defs")
    # A name stands for an item, and an item for a list of one; pydantic knows only what both become.
    del body["properties"]["include"]["items"], body["properties"]["include"]["type"]
    body["properties"]["include"] |= _INCLUDE_SCHEMA
    # Axes alone stand for all that is on them.
    for risks in body["properties"]["risk"]["patternProperties"].values():
        risks["anyOf"] = [list_schema(WORD_SCHEMA), {"$ref": risks.pop("$ref")}]
    tidy(body)
    tidy(definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        **body,
        "definitions": dict(sorted(definitions.items())),
    }


def tidy(node: object) -> None:
    """Drop what says nothing, and the null of a key left out; close mappings of names."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        tidy(child)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if "default" in node and node["default"] is None:
        del node["default"]
    if {"type": "null"} in node.get("anyOf", ()):
        options = [option for option in node.pop("anyOf") if option != {"type": "null"}]
        node.update(options[0] if len(options) == 1 else {"anyOf": options})
    if "patternProperties" in node:
        node["additionalProperties"] = False


def schema_text() -> str:
    """Return the JSON Schema as the file ``fabric.schema.json`` of the package has it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
