"""What a value of a topology file may be: how each sort is read, and its JSON Schema for editors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from fabric import units
from fabric.blueprint.limits import MAX_PARTS
from fabric.blueprint.selector import NAME
from fabric.blueprint.slowing import Slow, read_slow

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


def _degraded(value: object) -> tuple[tuple[str, ...], int | None, Slow]:
    if (
        isinstance(value, list)
        and len(value) in (2, 3, 4)
        and all(isinstance(v, str) for v in value[: min(len(value) - 1, 2)])
    ):
        ends = tuple(_word(v) for v in value[: min(len(value) - 1, 2)])
        return ends, _count(value[2]) if len(value) == 4 else None, read_slow(value[-1])
    msg = (
        "expected [selector, how fast], [selector, selector, how fast], or "
        "[selector, selector, number of cables, how fast]"
    )
    raise ValueError(msg)


_NAME_SCHEMA = {"type": "string", "pattern": f"^{NAME}$", "maxLength": _MAX_NAME}
_LABEL_SCHEMA = {"type": "string", "pattern": f"^{_LABEL.pattern}$", "maxLength": _MAX_NAME}
WORD_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _MAX_WORD}
_COUNT_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": units.MAX_COUNT},
        {"type": "string", "pattern": "^[0-9]", "description": "such as 1_048_576 or 1M"},
    ]
}
_INDEX_SCHEMA = {"type": "integer", "minimum": 0, "maximum": units.MAX_COUNT}
_INDICES_SCHEMA = {"anyOf": [_INDEX_SCHEMA, {"type": "array", "items": _INDEX_SCHEMA, "minItems": 1}]}


def list_schema(item: Mapping[str, object], at_least: int = 1, at_most: int | None = None) -> dict[str, Any]:
    """Return the schema of a list of so many items."""
    return {"type": "array", "items": item, "minItems": at_least} | ({"maxItems": at_most} if at_most else {})


_AXIS_SCHEMA = {"anyOf": [_COUNT_SCHEMA, list_schema(WORD_SCHEMA)]}
_EACH_SCHEMA = {"anyOf": [_COUNT_SCHEMA, list_schema(_COUNT_SCHEMA, 2, 2)]}
_COUNT_LIST_SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": list_schema(_INDEX_SCHEMA),
}
_FAILED_LIST_SCHEMA = {
    "type": "array",
    "items": [WORD_SCHEMA, WORD_SCHEMA, _COUNT_SCHEMA],
    "additionalItems": False,
    "minItems": 2,
}
_RATE_SCHEMA = {
    "type": "string",
    "pattern": "^[^-].*[A-Za-z]",
    "description": "per direction: 400Gb/s, 50GB/s, 8Tb/s/3, NDR",
}
_SLOW_SCHEMA = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "string", "pattern": "^[0-9.]", "description": "1/2, 50%, 200Gb/s"},
        {"enum": ["EDR", "HDR", "NDR", "XDR"]},
    ]
}
_DEGRADED_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": items, "additionalItems": False, "minItems": len(items)}
        for items in (
            [WORD_SCHEMA, _SLOW_SCHEMA],
            [WORD_SCHEMA, WORD_SCHEMA, _SLOW_SCHEMA],
            [WORD_SCHEMA, WORD_SCHEMA, _COUNT_SCHEMA, _SLOW_SCHEMA],
        )
    ]
}
_LENGTH_SCHEMA = {"type": "string", "pattern": "^[^-].*m$", "description": "30m"}
_ALONG_SCHEMA = {"anyOf": [WORD_SCHEMA, list_schema(WORD_SCHEMA)]}


Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema(_LABEL_SCHEMA)]
Word = Annotated[str, BeforeValidator(_word), WithJsonSchema(WORD_SCHEMA)]
Words = Annotated[list[str], BeforeValidator(_words), WithJsonSchema(list_schema(WORD_SCHEMA, 0))]
Reference = Annotated[str, BeforeValidator(_reference), WithJsonSchema(WORD_SCHEMA)]
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
    tuple[str, str], BeforeValidator(_between), WithJsonSchema(list_schema(WORD_SCHEMA, 2, 2))
]
Along = Annotated[list[str], BeforeValidator(_along), WithJsonSchema(_ALONG_SCHEMA)]
Failed = Annotated[
    str | tuple[str, str, int | None],
    BeforeValidator(_failed),
    WithJsonSchema({"anyOf": [WORD_SCHEMA, _FAILED_LIST_SCHEMA]}),
]
Degraded = Annotated[
    tuple[tuple[str, ...], int | None, Slow], BeforeValidator(_degraded), WithJsonSchema(_DEGRADED_SCHEMA)
]
# None stands for a key that is left out; a key without a value is an error.
OptionalName = Annotated[str | None, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
OptionalLabel = Annotated[str | None, BeforeValidator(_label), WithJsonSchema(_LABEL_SCHEMA)]
OptionalWord = Annotated[str | None, BeforeValidator(_word), WithJsonSchema(WORD_SCHEMA)]
OptionalText = Annotated[str | None, BeforeValidator(_text), WithJsonSchema({"type": "string"})]
OptionalRate = Annotated[float | None, BeforeValidator(_rate), WithJsonSchema(_RATE_SCHEMA)]
OptionalCount = Annotated[int | None, BeforeValidator(_count), WithJsonSchema(_COUNT_SCHEMA)]
OptionalIndex = Annotated[int | None, BeforeValidator(_number), WithJsonSchema(_INDEX_SCHEMA)]
OptionalLength = Annotated[float | None, BeforeValidator(_length), WithJsonSchema(_LENGTH_SCHEMA)]
OptionalEach = Annotated[tuple[int, int] | None, BeforeValidator(_each), WithJsonSchema(_EACH_SCHEMA)]
OptionalPairs = Annotated[
    list[tuple[list[int], list[int]]] | None,
    BeforeValidator(_pairs),
    WithJsonSchema(list_schema(list_schema(_INDICES_SCHEMA, 2, 2))),
]
Given = BeforeValidator(_given)
