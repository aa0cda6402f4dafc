"""Arguments are checked where they enter: the types that a public verb declares hold when it is called.

The signature is the one place that says what an argument may be: a `typing.Literal` its choices, a
``Sequence[str]`` a collection of names, a class its instances. `checked` reads it once and refuses what does
not fit with an error that names the argument, what was got and the nearest choice.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args, get_origin

from fabric.errors import ArgumentError, argument_name, nearest

Method = Literal["auto", "axes", "refinement", "links"]
"""How a question is answered: on the classes that axes say or refinement finds, or on every link."""

_INT64 = 2**63 - 1
_SHOWN = 60

P = ParamSpec("P")
T = TypeVar("T")


class _MisfitError(Exception):
    """A value that does not fit: what was expected, a hint, and which part of a collection it is."""

    def __init__(self, expected: str, hint: str = "", inside: tuple[object, ...] = ()) -> None:
        super().__init__(expected)
        self.expected, self.hint, self.inside = expected, hint, inside


def checked(verb: Callable[P, T]) -> Callable[P, T]:
    """Return `verb` with its arguments held to their annotations.

    Keyword arguments of an ``Unpack[...]`` of a `typing.TypedDict` are spelled out in its signature.

    Raises
    ------
    ArgumentError
        From the verb returned: if an argument is missing, unknown, of another type, or not among the choices.

    Examples
    --------
    >>> @checked
    ... def cut(*, paths: Literal["rules", "no-relay", "any"] = "rules"):
    ...     return paths
    >>> cut(paths="no_relay")
    Traceback (most recent call last):
        ...
    fabric.errors.ArgumentError: cut: paths: got 'no_relay'; expected rules, no-relay or any; \
did you mean no-relay?
    """
    name = verb.__name__

    @functools.cache
    def signature() -> inspect.Signature:
        # Types are resolved at the first call: some of them are imported lazily.
        return signature_of(inspect.signature(verb), typing.get_type_hints(verb, include_extras=True))

    @functools.wraps(verb)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        spelled = signature()
        try:
            bound = spelled.bind(*args, **kwargs)
        except TypeError as error:
            msg = f"{name}: {_why_unbound(spelled, len(args), kwargs) or error}"
            raise ArgumentError(msg) from None
        for key, value in bound.arguments.items():
            parameter = spelled.parameters[key]
            # ``*args`` are held to their annotation one by one.
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                for item in value:
                    fitting(item, parameter.annotation, argument_name(name, key))
            else:
                bound.arguments[key] = fitting(value, parameter.annotation, argument_name(name, key))
        return verb(*bound.args, **bound.kwargs)

    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(verb).parameters.values()):
        # Spelled out for help and completion at run time; type checkers read the TypedDict.
        inner.__signature__ = signature()  # type: ignore[attr-defined]
    return inner


@functools.lru_cache(maxsize=256)
def _options(kind: type) -> tuple[tuple[str, object], ...]:
    """Return the keys of a `typing.TypedDict` with their types."""
    return tuple(typing.get_type_hints(kind, include_extras=True).items())


def signature_of(signature: inspect.Signature, hints: Mapping[str, object]) -> inspect.Signature:
    """Return a signature with types for their names, and the keys of an ``Unpack`` as keyword arguments."""
    parameters = []
    for parameter in signature.parameters.values():
        hint = hints.get(parameter.name, parameter.annotation)
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            parameters.append(parameter.replace(annotation=hint))
            continue
        (options,) = get_args(hint) or (None,)
        if options is None or not hasattr(options, "__required_keys__"):
            parameters.append(parameter.replace(annotation=Any))
            continue
        required = options.__required_keys__
        parameters += [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                default=inspect.Parameter.empty if key in required else ...,
            )
            for key, kind in _options(options)
        ]
    return signature.replace(parameters=parameters)


def _why_unbound(signature: inspect.Signature, n_given: int, kwargs: Mapping[str, object]) -> str:
    """Return which keyword is unknown, with the nearest, or which arguments are missing, or nothing."""
    names = [p.name for p in signature.parameters.values()]
    for key in kwargs:
        if key not in names:
            return f"no argument {key!r}; {nearest(key, names) or 'arguments are ' + ', '.join(names)}"
    empty = inspect.Parameter.empty
    needed = [p.name for p in list(signature.parameters.values())[n_given:] if p.default is empty]
    missing = [name for name in needed if name not in kwargs]
    return f"{' and '.join(missing)} missing" if missing else ""


def check_fields(value: object) -> None:
    """Hold the fields of a frozen dataclass to their annotations; call it first in ``__post_init__``.

    Raises
    ------
    ArgumentError
        If one does not fit. Lists become the tuples that the fields declare.
    """
    kind: Any = type(value)
    hints = _fields(kind)
    for field in dataclasses.fields(kind):
        where = argument_name(kind.__name__, field.name)
        object.__setattr__(value, field.name, fitting(getattr(value, field.name), hints[field.name], where))


@functools.lru_cache(maxsize=256)
def _fields(kind: Callable[..., object]) -> dict[str, object]:
    return typing.get_type_hints(kind, include_extras=True)


def fitting(value: T, hint: object, where: str) -> T:
    """Return `value` as its annotation wants it: a list as a tuple, a NumPy integer as an int.

    Parameters
    ----------
    value
    hint : object
        An annotation, resolved.
    where : str
        What the error calls the argument, such as ``"max_flow: paths"``.

    Raises
    ------
    ArgumentError
        If it does not fit.
    """
    try:
        return cast("T", _fit(value, hint))
    except _MisfitError as error:
        tail = f"; {error.hint}" if error.hint else ""
        got = shown(error.inside[0] if error.inside else value)
        msg = f"{where}: got {got}; expected {error.expected}{tail}"
        raise ArgumentError(msg) from None


def shown(value: object) -> str:
    """Return a value as an error shows it: short, and never by running code of it that fails."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object does, the error must come through
        text = f"<{type(value).__name__}>"
    if len(text) > _SHOWN or not isinstance(value, str | int | float | bool | type(None) | tuple | list):
        return f"{text[: _SHOWN - 4]} ..." if isinstance(value, str) else f"a {type(value).__name__}"
    return text


def _fit(value: object, hint: object) -> object:
    origin = get_origin(hint)
    if origin is typing.Annotated or origin is typing.Unpack:
        return _fit(value, get_args(hint)[0])
    if hint is Any or hint is object or hint is inspect.Parameter.empty or isinstance(hint, TypeVar):
        return value
    if origin is Literal:
        return _choice(value, get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return _either(value, get_args(hint))
    if origin is not None:
        return _collection(value, origin, get_args(hint))
    return _plain(value, hint)


def _choice(value: object, choices: tuple[object, ...]) -> object:
    # 1 == True and 0 == False, and what cannot be hashed or compared is no choice.
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    raise _MisfitError(_join([str(choice) for choice in choices]), _nearest(value, choices))


def _nearest(value: object, choices: Iterable[object]) -> str:
    # A choice that differs by case or by the kind of dash is the nearest of all.
    if not isinstance(value, str):
        return ""
    names = [choice for choice in choices if isinstance(choice, str)]
    plain = value.lower().replace("_", "-")
    close = [name for name in names if name.lower().replace("_", "-") == plain]
    return f"did you mean {close[0]}?" if close else nearest(plain, names)


def _join(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _either(value: object, hints: tuple[object, ...]) -> object:
    if value is None and type(None) in hints:
        return None
    expected, hint = [], ""
    # The first alternative that fits; else all of them are named in the error.
    for option in hints:
        if option is type(None):  # as good as left out, so nothing to recommend
            continue
        try:
            return _fit(value, option)
        except _MisfitError as error:
            if error.inside:  # the right kind of collection with something wrong in it
                raise
            expected.append(error.expected)
            hint = hint or error.hint
    raise _MisfitError(_join(list(dict.fromkeys(expected))), hint)


def _collection(value: object, origin: object, parts: tuple[object, ...]) -> object:
    if origin is Callable:
        if callable(value):
            return value
        raise _MisfitError(expected="a function")
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(value, parts)
    if isinstance(origin, type) and issubclass(origin, AbstractSet | Sequence | tuple):
        return _sequence(value, parts[0] if parts else Any)
    return value


def _mapping(value: object, parts: tuple[object, ...]) -> object:
    if not isinstance(value, Mapping):
        raise _MisfitError(expected="a mapping")
    key_hint, value_hint = parts or (Any, Any)
    for key, item in value.items():
        _part(key, key_hint)
        _part(item, value_hint)
    return value


def _part(value: object, hint: object) -> object:
    """Return one element of a collection; an error shows this element."""
    try:
        return _fit(value, hint)
    except _MisfitError as error:
        raise _MisfitError(error.expected, error.hint, error.inside or (value,)) from None


def _sequence(value: object, hint: object) -> object:
    is_text = hint is str
    expected = "a list of names" if is_text else "a list"
    if isinstance(value, str) and is_text:
        raise _MisfitError(expected, f"write [{value!r}]")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _MisfitError(expected)
    return tuple(_part(item, hint) for item in value)


def _plain(value: object, kind: object) -> object:
    """Return a value of a class, or of a number or text."""
    if kind is None or kind is type(None):
        if value is None:
            return None
        raise _MisfitError(expected="None")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise _MisfitError(expected="True or False")
    if kind is int:
        return _whole(value)
    if kind is float:
        return _number(value)
    if not isinstance(kind, type):
        return value
    if isinstance(value, kind):
        return value
    if kind is str:
        raise _MisfitError(expected="text")
    raise _MisfitError(_name_of(kind), _remedy(value, kind))


def _name_of(kind: type) -> str:
    name = "path" if issubclass(kind, Path) else kind.__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _remedy(value: object, kind: type) -> str:
    if kind.__name__ == "Fabric" and isinstance(value, str | Path):
        return "load it first: fabric.load(path)"
    return ""


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _MisfitError(expected="a whole number")
    if abs(int(value)) > _INT64:
        raise _MisfitError(expected=f"a whole number of at most {_INT64:,}")
    return int(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _MisfitError(expected="a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise _MisfitError(expected="a finite number")
    return result
