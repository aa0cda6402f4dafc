"""The shape of a topology file: pydantic at the boundary, and the JSON Schema for editors.

These models know keys, types and quantities. What a file means (axes, joins, ports) is checked in
`fabric.blueprint.elements` and `fabric.blueprint.checks`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from fabric import units
from fabric.blueprint.limits import MAX_PARTS
from fabric.blueprint.selector import NAME
from fabric.blueprint.wiring import PATTERNS, WiringPattern

SCHEMA_ID = "urn:fabtopo:fabric.schema.json"

_NAME = re.compile(NAME)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MAX_NAME = 80
# A reference may hold prefixes of several includes, a selector several terms.
_MAX_WORD = 400


def _name(value: object) -> str:
    if isinstance(value, str) and len(value) <= _MAX_NAME and _NAME.fullmatch(value):
        return value
    msg = "a name starts and ends with a letter and holds letters, digits and ._- only"
    if isinstance(value, str) and value[-1:].isdigit():
        msg = "a name must not end in a digit, which would read as an index"
    if isinstance(value, str) and len(value) > _MAX_NAME:
        msg = f"a name has at most {_MAX_NAME} characters"
    raise ValueError(msg)


def _label(value: object) -> str:
    if isinstance(value, str) and is_label(value):
        return value
    msg = "a name starts and ends with a letter or a digit and holds letters, digits and ._- only"
    if isinstance(value, str) and len(value) > _MAX_NAME:
        msg = f"a name has at most {_MAX_NAME} characters"
    raise ValueError(msg)


def is_label(value: str) -> bool:
    """Return whether `value` may name a fabric or a rule.

    Examples
    --------
    >>> is_label("b300-8su"), is_label("<b>")
    (True, False)
    """
    return len(value) <= _MAX_NAME and _LABEL.fullmatch(value) is not None


def _word(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= _MAX_WORD and value.isprintable():
        return value
    msg = f"expected a name or a selector, at most {_MAX_WORD} characters"
    raise ValueError(msg)


def _words(value: object) -> list[str]:
    if isinstance(value, list) and len(value) <= MAX_PARTS:
        return [_word(v) for v in value]
    msg = "expected a list of axes, such as [rack, slot]; [] is one device"
    if isinstance(value, list):
        msg = f"a list of {len(value):,} axes; expected at most {MAX_PARTS}"
    raise ValueError(msg)


def _text(value: object) -> str:
    if not isinstance(value, str) or not all(c.isprintable() or c in "\n\t" for c in value):
        msg = "expected printable text"
        raise ValueError(msg)
    return value


def _reference(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= _MAX_WORD and value.isprintable():
        return value
    msg = "expected the name of a template, or a relative path such as ./rack.fabric.yaml"
    raise ValueError(msg)


def _count(value: object) -> int:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return units.parse_count(value)
    msg = "expected a whole number of at least 1"
    raise ValueError(msg)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= units.MAX_COUNT:
        msg = "expected a whole number of at least 0"
        raise ValueError(msg)
    return value


def _islands(value: object) -> int:
    return 0 if value == 0 and type(value) is int else _count(value)


def _axis(value: object) -> int | list[str]:
    if isinstance(value, list):
        if not value or not all(isinstance(v, str) for v in value):
            msg = "a composed axis lists the names of its parts, such as [block, r]"
            raise ValueError(msg)
        return _words(value)
    return _count(value)


def _rate(value: object) -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return units.parse_rate(value)
    msg = "expected a rate with its unit, such as 400Gb/s"
    raise ValueError(msg)


def _length(value: object) -> float:
    if isinstance(value, str):
        return units.parse_length(value)
    msg = "expected a length with its unit, such as 30m"
    raise ValueError(msg)


def _each(value: object) -> tuple[int, int]:
    both = value if isinstance(value, list) else [value, value]
    if len(both) != 2:
        msg = "expected one number, or [per left device, per right device]"
        raise ValueError(msg)
    return _count(both[0]), _count(both[1])


def _cables(value: object) -> int | dict[str, tuple[int, ...]]:
    if isinstance(value, dict):
        if len(value) != 1:
            msg = "a count list has one axis, such as {p: [2, 1, 1, 2]}"
            raise ValueError(msg)
        [(axis, numbers)] = value.items()
        if not isinstance(numbers, list) or not numbers:
            msg = f"expected a list with one number per index of {axis}"
            raise ValueError(msg)
        try:
            return {axis: tuple(_number(n) for n in numbers)}
        except ValueError:
            msg = f"a count list holds whole numbers of at least 0, one per index of {axis}"
            raise ValueError(msg) from None
    return _count(value)


def _between(value: object) -> tuple[str, str]:
    if isinstance(value, list) and len(value) == 2:
        return _word(value[0]), _word(value[1])
    msg = "expected [lower, upper]: two device groups, or selectors of one group each"
    raise ValueError(msg)


def _along(value: object) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if names and all(isinstance(n, str) for n in names):
        return _words(names)
    msg = "expected an axis, or a list of axes"
    raise ValueError(msg)


def _index(value: object) -> list[int]:
    digits = value if isinstance(value, list) else [value]
    return [_number(digit) for digit in digits]


def _pairs(value: object) -> list[tuple[list[int], list[int]]]:
    if not isinstance(value, list) or not value:
        msg = "expected a list of [left index, right index]"
        raise ValueError(msg)
    pairs = []
    for number, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            msg = f"pairs[{number}] is not [left index, right index]"
            raise ValueError(msg)
        try:
            pairs.append((_index(pair[0]), _index(pair[1])))
        except ValueError:
            msg = (
                f"pairs[{number}]: an index is a whole number of at least 0, or a list with one for each axis"
            )
            raise ValueError(msg) from None
    return pairs


def _given(value: object) -> object:
    if value is None:
        msg = "no value; give one, or leave the key out"
        raise ValueError(msg)
    return value


def _shift(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= units.MAX_COUNT:
        return value
    msg = "expected a whole number, by which the wrap cable shifts the axis"
    raise ValueError(msg)


def _failed(value: object) -> str | tuple[str, str, int | None]:
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, list) and len(value) in (2, 3) and all(isinstance(v, str) for v in value[:2]):
        return _word(value[0]), _word(value[1]), _count(value[2]) if len(value) == 3 else None
    msg = "expected a selector, [selector, selector], or [selector, selector, number of cables]"
    raise ValueError(msg)


def _include(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    return [{"fabric": item} if isinstance(item, str) else item for item in items]


_NAME_SCHEMA = {"type": "string", "pattern": f"^{NAME}$", "maxLength": _MAX_NAME}
_LABEL_SCHEMA = {"type": "string", "pattern": f"^{_LABEL.pattern}$", "maxLength": _MAX_NAME}
_WORD_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _MAX_WORD}
_COUNT_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": units.MAX_COUNT},
        {"type": "string", "pattern": "^[0-9]", "description": "such as 1_048_576 or 1M"},
    ]
}
_INDEX_SCHEMA = {"type": "integer", "minimum": 0, "maximum": units.MAX_COUNT}
_INDICES_SCHEMA = {"anyOf": [_INDEX_SCHEMA, {"type": "array", "items": _INDEX_SCHEMA, "minItems": 1}]}


def _list_schema(item: Mapping[str, object], at_least: int = 1, at_most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": at_least} | ({"maxItems": at_most} if at_most else {})


_AXIS_SCHEMA = {"anyOf": [_COUNT_SCHEMA, _list_schema(_WORD_SCHEMA)]}
_EACH_SCHEMA = {"anyOf": [_COUNT_SCHEMA, _list_schema(_COUNT_SCHEMA, 2, 2)]}
_COUNT_LIST_SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": _list_schema(_INDEX_SCHEMA),
}
_FAILED_LIST_SCHEMA = {
    "type": "array",
    "items": [_WORD_SCHEMA, _WORD_SCHEMA, _COUNT_SCHEMA],
    "additionalItems": False,
    "minItems": 2,
}
_RATE_SCHEMA = {
    "type": "string",
    "pattern": "^[^-].*[A-Za-z]",
    "description": "per direction: 400Gb/s, 50GB/s, 8Tb/s/3, NDR",
}
_LENGTH_SCHEMA = {"type": "string", "pattern": "^[^-].*m$", "description": "30m"}
_ALONG_SCHEMA = {"anyOf": [_WORD_SCHEMA, _list_schema(_WORD_SCHEMA)]}
_ONE_INCLUDE: list[dict[str, Any]] = [_WORD_SCHEMA, {"$ref": "#/definitions/IncludeItem"}]
_INCLUDE_SCHEMA = {"anyOf": [*_ONE_INCLUDE, _list_schema({"anyOf": _ONE_INCLUDE}, 0)]}

Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema(_LABEL_SCHEMA)]
Word = Annotated[str, BeforeValidator(_word), WithJsonSchema(_WORD_SCHEMA)]
Words = Annotated[list[str], BeforeValidator(_words), WithJsonSchema(_list_schema(_WORD_SCHEMA, 0))]
Reference = Annotated[str, BeforeValidator(_reference), WithJsonSchema(_WORD_SCHEMA)]
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema(_COUNT_SCHEMA)]
Islands = Annotated[
    int,
    BeforeValidator(_islands),
    WithJsonSchema({"anyOf": [{"const": 0}, *_COUNT_SCHEMA["anyOf"]]}),
]
Shift = Annotated[int, BeforeValidator(_shift), WithJsonSchema({"type": "integer"})]
AxisSize = Annotated[int | list[str], BeforeValidator(_axis), WithJsonSchema(_AXIS_SCHEMA)]
Cables = Annotated[
    int | dict[str, tuple[int, ...]],
    BeforeValidator(_cables),
    WithJsonSchema({"anyOf": [_COUNT_SCHEMA, _COUNT_LIST_SCHEMA]}),
]
Between = Annotated[
    tuple[str, str], BeforeValidator(_between), WithJsonSchema(_list_schema(_WORD_SCHEMA, 2, 2))
]
Along = Annotated[list[str], BeforeValidator(_along), WithJsonSchema(_ALONG_SCHEMA)]
Failed = Annotated[
    str | tuple[str, str, int | None],
    BeforeValidator(_failed),
    WithJsonSchema({"anyOf": [_WORD_SCHEMA, _FAILED_LIST_SCHEMA]}),
]
# None stands for a key that is left out; a key without a value is an error.
OptionalName = Annotated[str | None, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
OptionalLabel = Annotated[str | None, BeforeValidator(_label), WithJsonSchema(_LABEL_SCHEMA)]
OptionalWord = Annotated[str | None, BeforeValidator(_word), WithJsonSchema(_WORD_SCHEMA)]
OptionalText = Annotated[str | None, BeforeValidator(_text), WithJsonSchema({"type": "string"})]
OptionalRate = Annotated[float | None, BeforeValidator(_rate), WithJsonSchema(_RATE_SCHEMA)]
OptionalCount = Annotated[int | None, BeforeValidator(_count), WithJsonSchema(_COUNT_SCHEMA)]
OptionalIndex = Annotated[int | None, BeforeValidator(_number), WithJsonSchema(_INDEX_SCHEMA)]
OptionalLength = Annotated[float | None, BeforeValidator(_length), WithJsonSchema(_LENGTH_SCHEMA)]
OptionalEach = Annotated[tuple[int, int] | None, BeforeValidator(_each), WithJsonSchema(_EACH_SCHEMA)]
OptionalPairs = Annotated[
    list[tuple[list[int], list[int]]] | None,
    BeforeValidator(_pairs),
    WithJsonSchema(_list_schema(_list_schema(_INDICES_SCHEMA, 2, 2))),
]
_Given = BeforeValidator(_given)
_RELATIONS = ("mesh", "ring", "line", "wiring")
# What the validators of two models say, for editors.
_DEVICE_EXTRA: JsonDict = {"oneOf": [{"required": ["part"]}, {"required": ["kind"]}]}
_LINK_EXTRA: JsonDict = {
    "anyOf": [{"required": ["rate"]}, {"required": ["link"]}],
    "allOf": [{"not": {"required": list(pair)}} for pair in combinations(_RELATIONS, 2)],
    "dependencies": {"twist": ["ring"]},
}


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
    kind: Annotated[Literal["gpu", "switch", "nic", "host"] | None, _Given] = Field(
        None, description="a generic device without port budget, instead of a part"
    )
    axes: Words = Field(description="outermost first; [] is one device")
    transit: Annotated[Literal["turn", "pass", "end", "relay", "all"] | None, _Given] = Field(
        None, description="who may forward"
    )
    endpoint: Annotated[bool | None, _Given] = Field(
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

    pattern: Annotated[Word, WithJsonSchema({"enum": list(PATTERNS)})]
    along: Along = Field(description="the axis, or axes, that the pattern runs over")
    pairs: OptionalPairs = Field(None, description="[[left index, right index], ...]")
    cables: OptionalCount = Field(None, description="between every two groups; default: 1")
    arrangement: Annotated[Literal["absolute", "relative"] | None, _Given] = Field(
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
    net: Annotated[Literal["scale-up", "host", "scale-out"] | None, _Given] = Field(
        None, description="default: the protocol's, else scale-out"
    )
    mesh: OptionalWord = Field(None, description="axis: every two different indices")
    ring: OptionalWord = Field(None, description="axis: each index with the next, the last with the first")
    twist: Annotated[dict[str, Shift] | None, _Given] = Field(
        None, description="axis: what the wrap cable of the ring adds to it"
    )
    line: OptionalWord = Field(None, description="axis: each index with the next")
    wiring: Annotated[WiringItem | None, _Given] = None
    rate: OptionalRate = None
    link: OptionalWord = Field(None, description="protocol of the catalogue, such as nvlink5")
    count: Cables = Field(1, description="parallel cables of a pair, or {axis: [one number per index]}")
    each: OptionalEach = Field(None, description="cables expected per left and per right device; checked")
    oneway: bool = Field(False, description="traffic from left to right only")
    medium: OptionalWord = Field(None, description="row of the catalogue")
    length: OptionalLength = None
    about: OptionalText = None

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


class FabricFile(_Strict):
    """A topology file, format 1."""

    fabric: Label = Field(description="name of the fabric")
    format: Literal[1] = 1
    about: OptionalText = None
    include: Annotated[list[IncludeItem], BeforeValidator(_include)] = Field(
        default_factory=list, description="templates and files that this one is built on"
    )
    axes: dict[Name, AxisSize] = Field(
        default_factory=dict, description="sizes, or [parts] of a composed axis"
    )
    devices: dict[Name, DeviceItem] = Field(default_factory=dict)
    links: list[LinkItem] = Field(default_factory=list)
    absent: list[Word] = Field(default_factory=list, description="selectors of devices never populated")
    failed: list[Failed] = Field(default_factory=list, description="devices and cables that are down")
    islands: Islands = Field(
        1,
        description="physically separate parts with endpoints that are meant; 0 where there are none",
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
    _tidy(body)
    _tidy(definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        **body,
        "definitions": dict(sorted(definitions.items())),
    }


def _tidy(node: object) -> None:
    """Drop what says nothing, and the null that stands for a key left out; close mappings of names."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tidy(child)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if "default" in node and node["default"] is None:
        del node["default"]
    if {"type": "null"} in node.get("anyOf", ()):
        (only,) = (option for option in node.pop("anyOf") if option != {"type": "null"})
        node.update(only)
    if "patternProperties" in node:
        node["additionalProperties"] = False


def schema_text() -> str:
    """Return the JSON Schema as the file ``fabric.schema.json`` of the package has it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
