"""The shape of a topology file: pydantic at the boundary, and the JSON Schema for editors.

These models know keys, types and quantities. What a file means (axes, joins, ports) is checked in
`fabric.blueprint.resolve` and `fabric.blueprint.checks`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from fabric import units
from fabric.blueprint.selector import NAME

SCHEMA_ID = "urn:fabtopo:fabric.schema.json"

_NAME = re.compile(NAME)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MAX_NAME = 80


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME or not _NAME.fullmatch(value):
        tail = "; a digit at the end would read as an index" if str(value)[-1:].isdigit() else ""
        msg = f"a name starts and ends with a letter and holds letters, digits and ._- only{tail}"
        raise ValueError(msg)
    return value


def _label(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME or not _LABEL.fullmatch(value):
        msg = "a name holds letters, digits and ._- only, at most 80 of them"
        raise ValueError(msg)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not all(c.isprintable() or c in "\n\t" for c in value):
        msg = "expected printable text"
        raise ValueError(msg)
    return value


def _reference(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        msg = "expected a template name or a relative path"
        raise ValueError(msg)
    return value


def _count(value: object) -> int:
    if isinstance(value, str | int | float):
        return units.parse_count(value)
    msg = "expected a whole number of at least 1"
    raise ValueError(msg)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= units.MAX_COUNT:
        msg = "expected a whole number of at least 0"
        raise ValueError(msg)
    return value


def _axis(value: object) -> int | list[str]:
    if isinstance(value, list):
        if not value or not all(isinstance(v, str) for v in value):
            msg = "a composed axis lists the names of its parts, such as [block, r]"
            raise ValueError(msg)
        return value
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
        return {axis: tuple(_number(n) for n in numbers)}
    return _count(value)


def _between(value: object) -> tuple[str, str]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value):
        return value[0], value[1]
    msg = "expected [lower, upper]: two device groups, or selectors of one group each"
    raise ValueError(msg)


def _along(value: object) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if names and all(isinstance(n, str) for n in names):
        return names
    msg = "expected an axis, or a list of axes"
    raise ValueError(msg)


def _failed(value: object) -> str | tuple[str, str, int | None]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) in (2, 3) and all(isinstance(v, str) for v in value[:2]):
        return value[0], value[1], _count(value[2]) if len(value) == 3 else None
    msg = "expected a selector, [selector, selector], or [selector, selector, number of cables]"
    raise ValueError(msg)


def _include(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    return [{"fabric": item} if isinstance(item, str) else item for item in items]


_NAME_SCHEMA = {"type": "string", "pattern": f"^{NAME}$", "maxLength": _MAX_NAME}
_LABEL_SCHEMA = {"type": "string", "pattern": f"^{_LABEL.pattern}$", "maxLength": _MAX_NAME}
_COUNT_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "description": "such as 1_048_576 or 1M"}]
}
_STRING_SCHEMA = {"type": "string"}
_AXIS_SCHEMA = {"anyOf": [_COUNT_SCHEMA, {"type": "array", "items": _NAME_SCHEMA, "minItems": 1}]}
_PAIR_SCHEMA = {"type": "array", "items": _STRING_SCHEMA, "minItems": 2, "maxItems": 2}

Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema(_LABEL_SCHEMA)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema(_STRING_SCHEMA)]
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema(_COUNT_SCHEMA)]
AxisSize = Annotated[int | list[str], BeforeValidator(_axis), WithJsonSchema(_AXIS_SCHEMA)]
Rate = Annotated[
    float,
    BeforeValidator(_rate),
    WithJsonSchema({"type": "string", "description": "per direction: 400Gb/s, 50GB/s, 8Tb/s/3"}),
]
Length = Annotated[float, BeforeValidator(_length), WithJsonSchema({"type": "string", "description": "30m"})]
Each = Annotated[
    tuple[int, int],
    BeforeValidator(_each),
    WithJsonSchema({"anyOf": [_COUNT_SCHEMA, {"type": "array", "items": _COUNT_SCHEMA, "minItems": 2, "maxItems": 2}]}),
]
Cables = Annotated[
    int | dict[str, tuple[int, ...]],
    BeforeValidator(_cables),
    WithJsonSchema(
        {
            "anyOf": [
                _COUNT_SCHEMA,
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
                },
            ]
        }
    ),
]
Between = Annotated[tuple[str, str], BeforeValidator(_between), WithJsonSchema(_PAIR_SCHEMA)]
Along = Annotated[
    list[str],
    BeforeValidator(_along),
    WithJsonSchema({"anyOf": [_STRING_SCHEMA, {"type": "array", "items": _STRING_SCHEMA, "minItems": 1}]}),
]
Failed = Annotated[
    str | tuple[str, str, int | None],
    BeforeValidator(_failed),
    WithJsonSchema({"anyOf": [_STRING_SCHEMA, {"type": "array", "minItems": 2, "maxItems": 3}]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)


class IncludeItem(_Strict):
    """Another fabric, repeated over new axes."""

    fabric: Annotated[str, BeforeValidator(_reference), WithJsonSchema(_STRING_SCHEMA)] = Field(
        description="a template of the library, or a path relative to this file"
    )
    over: dict[Name, Count] = Field(default_factory=dict, description="new axes, outermost first")
    prefix: Name | None = Field(None, alias="as", description="renames its devices and axes to prefix.name")


class DeviceItem(_Strict):
    """A part placed on axes."""

    part: Text | None = Field(None, description="row of the catalogue: fabtopo parts")
    kind: Literal["gpu", "switch", "nic", "host"] | None = Field(None, description="a generic device instead of a part")
    axes: list[str] = Field(description="outermost first; [] is one device")
    transit: Literal["turn", "pass", "end", "relay", "all"] | None = None
    endpoint: bool | None = None

    @model_validator(mode="after")
    def _one_of(self) -> DeviceItem:
        if (self.part is None) == (self.kind is None):
            msg = "give either part (a row of the catalogue) or kind (a generic device)"
            raise ValueError(msg)
        return self


class WiringItem(_Strict):
    """A named pattern for what axes cannot say."""

    pattern: str = Field(description="pairs")
    along: Along
    pairs: list[list[int | list[int]]] | None = Field(None, description="[[left index, right index], ...]")


class LinkItem(_Strict):
    """A link rule between two device groups."""

    between: Between = Field(description="[lower, upper], the side nearer the endpoints first")
    name: Label | None = None
    peer: bool = False
    net: Literal["scale-up", "host", "scale-out"] | None = None
    mesh: str | None = None
    ring: str | None = None
    twist: dict[str, int] | None = None
    line: str | None = None
    wiring: WiringItem | None = None
    rate: Rate | None = None
    link: Text | None = Field(None, description="protocol of the catalogue, such as nvlink5")
    count: Cables = 1
    each: Each | None = None
    oneway: bool = False
    medium: Text | None = None
    length: Length | None = None
    about: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> LinkItem:
        relations = [k for k in ("mesh", "ring", "line", "wiring") if getattr(self, k) is not None]
        if len(relations) > 1:
            msg = f"at most one relation; got {' and '.join(relations)}"
            raise ValueError(msg)
        if self.twist is not None and self.ring is None:
            msg = "twist belongs to a ring"
            raise ValueError(msg)
        if self.rate is None and self.link is None:
            msg = "rate missing: give rate with its unit, such as 400Gb/s, or link with a protocol of the catalogue"
            raise ValueError(msg)
        return self


class FabricFile(_Strict):
    """A topology file, format 1."""

    fabric: Label = Field(description="name of the fabric")
    format: Literal[1] = 1
    about: Text | None = None
    include: Annotated[
        list[IncludeItem],
        BeforeValidator(_include),
        WithJsonSchema(
            {
                "anyOf": [
                    _STRING_SCHEMA,
                    {"$ref": "#/definitions/IncludeItem"},
                    {"type": "array", "items": {"anyOf": [_STRING_SCHEMA, {"$ref": "#/definitions/IncludeItem"}]}},
                ]
            }
        ),
    ] = Field(default_factory=list)
    axes: dict[Name, AxisSize] = Field(default_factory=dict)
    devices: dict[Name, DeviceItem] = Field(default_factory=dict)
    links: list[LinkItem] = Field(default_factory=list)
    absent: list[str] = Field(default_factory=list)
    failed: list[Failed] = Field(default_factory=list)
    islands: Count = 1


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of a topology file.

    Examples
    --------
    >>> json_schema()["$schema"]
    'http://json-schema.org/draft-07/schema#'
    """
    body = FabricFile.model_json_schema(ref_template="#/definitions/{model}", by_alias=True)
    definitions = body.pop("$defs")
    include = IncludeItem.model_json_schema(by_alias=True)
    definitions["IncludeItem"] = include
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        **body,
        "definitions": dict(sorted(definitions.items())),
    }
