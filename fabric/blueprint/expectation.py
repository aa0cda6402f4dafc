"""What a file expects of its fabric, a line each, such as ``all-to-all >= 300Gb/s``.

::

    expectation = measure relation quantity
                | "survives any one" (group | group " - " group) ["at" part]
                | "rails disjoint"
    measure     = name ["(" argument {"," argument} ")" | " " argument] ["." figure]
    argument    = words | key "=" word | key "=[" word {"," word} "]"
    relation    = ">=" | "<=" | ">" | "<" | "="

A line is read by two regular expressions and never run; what it names is looked up when the file is loaded.
Measured is it in `fabric.study.expectations`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NoReturn

from fabric import units
from fabric.blueprint.model import Axis, Blueprint, Comparison, DeviceGroup, Expectation, Origin, Unit
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import FabricError, Problem, nearest
from fabric.schedule import COLLECTIVES

SURVIVES = "survives"
RAILS = "rails disjoint"
COUNT = "count"
TRAFFIC = ("all-to-all", "bisection", "longest-matching")
RATES = ("busbw", "algbw")

_STATEMENT = re.compile(
    r"(?P<measure>[^<>=()]+(?:\([^()]*\))?[^<>=()]*?)\s*(?P<relation>[<>]=|[<>=])\s*(?P<demand>[^<>=()]+)"
)
_MEASURE = re.compile(
    r"(?P<name>[\w.-]+?)(?:\s*\((?P<inside>[^()]*)\)|\s+(?P<of>[\w.-]+))?(?:\.(?P<figure>busbw|algbw|time))?"
)
_SURVIVES = re.compile(
    r"survives\s+any\s+(?P<n>\w+)\s+(?P<left>[\w.-]+?)(?:\s+-\s+(?P<right>[\w.-]+?))?(?:\s+at\s+(?P<part>\S+))?"
)
_ARGUMENT = re.compile(r"[^,\[\]]+(?:\[[^\[\]]*\])?")
_FORMS = "such as 'all-to-all >= 300Gb/s', 'leaf <= 64', 'survives any one spine at 0.9' or 'rails disjoint'"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a line may measure.

    Parameters
    ----------
    units : tuple of str
        Units of its demand; a rate or a part are told apart by how the demand is written.
    arguments : str
        What stands in parentheses: "" for nothing, ``group``, ``axes``, ``size``, ``collective``, ``ends``.
    options : tuple of str
    """

    units: tuple[Unit, ...]
    arguments: str = ""
    options: tuple[str, ...] = ()


_JOB = ("over", "among")
MEASURES: Mapping[str, Measure] = {
    "all-to-all": Measure(("rate", "part"), options=_JOB),
    "longest-matching": Measure(("rate", "part"), options=("among",)),
    "bisection": Measure(("rate", "part"), "axes", ("among",)),
    "max-flow": Measure(("rate",), "ends"),
    "bound": Measure(("rate", "time"), "collective", _JOB),
    "oversubscription": Measure(("ratio",), "group"),
    "cables": Measure(("count",)),
    "switches": Measure(("count",)),
    "endpoints": Measure(("count",)),
    "power": Measure(("power",)),
    "price": Measure(("price",)),
}
"""Everything but collectives, counts of groups and links, and the two statements without a relation."""

_OF_COLLECTIVES = Measure(("rate", "time"), "size", (*_JOB, "algorithm", "calibration", "routing"))


class _MisreadError(FabricError):
    """What is wrong with a line, and the remedy."""

    def __init__(self, fault: str, todo: str = "") -> None:
        super().__init__(fault)
        self.fault, self.todo = fault, todo


def _refuse(fault: str, todo: str = "") -> NoReturn:
    raise _MisreadError(fault, todo)


@dataclass(frozen=True, slots=True)
class Named:
    """What a line may name.

    Parameters
    ----------
    blueprint : Blueprint
        Its axes and groups, and what they are called at the site.
    rules : collection of str
    """

    blueprint: Blueprint
    rules: Collection[str]

    @property
    def axes(self) -> Mapping[str, Axis]:
        """Axes by name."""
        return self.blueprint.axes

    @property
    def groups(self) -> Mapping[str, DeviceGroup]:
        """Device groups by name."""
        return self.blueprint.groups


def read_expectation(text: str, origin: Origin, named: Named) -> Expectation | Problem:
    """Return what a line says, or what is wrong with it.

    Examples
    --------
    >>> named = Named(Blueprint("a", {}, {}, ()), ())
    >>> line = read_expectation("cables <= 20k", Origin("a.yaml", 3, 5, "expect[0]"), named)
    >>> line.measure, line.relation, line.demand, line.unit
    ('cables', '<=', 20000.0, 'count')
    >>> print(read_expectation("cabels <= 20k", Origin("a.yaml", 3, 5, "expect[0]"), named))
    a.yaml:3:5: expect[0]: nothing called 'cabels' to measure; did you mean cables?
    """
    words = " ".join(text.split())
    try:
        if words == RAILS:
            return Expectation(text, RAILS, (), {}, "", "=", 1.0, "part", origin)
        if words.startswith(SURVIVES):
            return _survival(text, words, origin, named)
        return _measured(text, words, origin, named)
    except _MisreadError as error:
        return origin.problem(error.fault, todo=error.todo)
    except FabricError as error:
        return origin.problem(str(error))


def _survival(text: str, words: str, origin: Origin, named: Named) -> Expectation:
    match = _SURVIVES.fullmatch(words)
    if match is None:
        _refuse("cannot be read", "write it as 'survives any one spine at 0.9'")
    if match["n"] not in ("one", "1"):
        _refuse(f"survives any {match['n']}: only any one can be told", "write any one")
    ends = tuple(end for end in (match["left"], match["right"]) if end)
    for end in ends:
        _known(end, "group", named.groups)
    if match["part"]:
        return Expectation(text, SURVIVES, ends, {}, "", ">=", _part(match["part"]), "part", origin)
    return Expectation(text, SURVIVES, ends, {}, "", ">", 0.0, "part", origin)


def _measured(text: str, words: str, origin: Origin, named: Named) -> Expectation:
    statement = _STATEMENT.fullmatch(words)
    match = _MEASURE.fullmatch(statement["measure"].rstrip()) if statement else None
    if statement is None or match is None:
        _refuse("cannot be read", f"a line is a measure, a relation and a quantity, {_FORMS}")
    name, of, options = match["name"], [match["of"]] if match["of"] else [], {}
    for argument in _ARGUMENT.findall(match["inside"] or ""):
        key, is_option, value = (word.strip() for word in argument.partition("="))
        if is_option:
            # Brackets around the whole are of a list, others of a name of the site.
            listed = value[1:-1] if value.startswith("[") and value.endswith("]") else value
            options[key] = tuple(word.strip() for word in listed.split(",") if word.strip())
        elif key:
            of.append(key)
    if name in MEASURES:
        measure = MEASURES[name]
    elif name in COLLECTIVES:
        measure = _OF_COLLECTIVES
    elif name in named.groups or name in named.rules:
        name, of, measure = COUNT, [name, *of], Measure(("count",), "counted")
    else:
        known = list(dict.fromkeys([*MEASURES, *COLLECTIVES, *named.groups, *named.rules]))
        hint = nearest(name, known) or f"known are {', '.join(MEASURES)}, collectives, groups and links"
        _refuse(f"nothing called {name[:60]!r} to measure", hint)
    _ARGUMENTS[measure.arguments](name, of, named)
    _check_options(name, options, measure, named)
    figure, unit, demand = _demand(name, match["figure"] or "", statement["demand"], measure)
    relation: Comparison = statement["relation"]  # type: ignore[assignment]  # one of the expression's
    return Expectation(text, name, tuple(of), options, figure, relation, demand, unit, origin)


def _known(name: str, what: str, known: Collection[str]) -> None:
    if name not in known:
        hint = nearest(name, list(known)) or (f"known are {', '.join(known)}" if known else "there is none")
        _refuse(f"no {what} {name[:60]!r}", hint)


def _no_arguments(name: str, of: list[str], _: Named) -> None:
    if of:
        _refuse(f"{name} is measured of the whole fabric; got {', '.join(of)[:60]!r}")


def _one(name: str, of: list[str], what: str) -> str:
    if len(of) != 1:
        _refuse(f"{name} needs {what}, as in {name}({what.split()[-1]})")
    return of[0]


def _group(name: str, of: list[str], named: Named) -> None:
    _known(_one(name, of, "one group"), "group", named.groups)


def _counted(name: str, of: list[str], named: Named) -> None:
    _one(name, of, "one group")


def _axes(name: str, of: list[str], named: Named) -> None:
    _known(_one(name, of, "one axis"), "axis", named.axes)


def _size(name: str, of: list[str], _: Named) -> None:
    units.parse_bytes(_one(name, of, "one size"))


def _collective(name: str, of: list[str], _: Named) -> None:
    _known(_one(name, of, "one collective"), "collective", COLLECTIVES)


def _ends(name: str, of: list[str], named: Named) -> None:
    if len(of) != 2:
        _refuse(f"{name} needs a source and a target, as in {name}(rack0, rack1)")
    for end in of:
        read_selector(named.blueprint, end, needs_group=False)


_ARGUMENTS: Mapping[str, Callable[[str, list[str], Named], None]] = {
    "": _no_arguments,
    "group": _group,
    "counted": _counted,
    "axes": _axes,
    "size": _size,
    "collective": _collective,
    "ends": _ends,
}


def _check_options(name: str, options: Mapping[str, tuple[str, ...]], measure: Measure, named: Named) -> None:
    for key, values in options.items():
        if key not in measure.options:
            hint = (
                nearest(key, list(measure.options)) or f"options are {', '.join(measure.options) or 'none'}"
            )
            _refuse(f"{name} has no option {key[:60]!r}", hint)
        if not values or (key != "over" and len(values) > 1):
            _refuse(f"{name}: {key}: expected {'axes' if key == 'over' else 'one word'}")
        for axis in values if key == "over" else ():
            _known(axis, "axis", named.axes)
        if key == "among":
            read_selector(named.blueprint, values[0], needs_group=False)


def _demand(name: str, figure: str, text: str, measure: Measure) -> tuple[str, Unit, float]:
    """Return which figure of an answer is meant, the unit, and what is demanded of it."""
    is_plain = text[-1:].isdigit() or text.endswith("%")
    unit = measure.units[0]
    if figure and "time" not in measure.units:
        _refuse(f"{name} has no .{figure}")
    if "time" in measure.units:
        unit = "time" if figure == "time" else "rate"
        figure = figure or "busbw"
    elif "part" in measure.units and is_plain:
        unit = "part"
    return figure, unit, _READERS[unit](text)


def _part(text: str) -> float:
    value = units.parse_number(text.removesuffix("%").rstrip()) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        _refuse(
            f"{text!r} is no part of a whole, 0 to 1", "write a rate with its unit, or a part or percentage"
        )
    return value


def _ratio(text: str) -> float:
    return units.parse_ratio(text) if ":" in text else units.parse_number(text)


def _price(text: str) -> float:
    return units.parse_number(text.strip().removeprefix("$").removesuffix("USD").strip())


def _count(text: str) -> float:
    return 0.0 if text.strip() == "0" else float(units.parse_count(text))


_READERS: Mapping[str, Callable[[str], float]] = {
    "rate": units.parse_rate,
    "part": _part,
    "time": units.parse_time,
    "count": _count,
    "ratio": _ratio,
    "power": units.parse_power,
    "price": _price,
}


def holds(relation: Comparison, value: float, demand: float) -> bool:
    """Return whether a value is as demanded, up to a millionth, which is what solvers are exact to.

    Examples
    --------
    >>> holds(">=", 299.9999999, 300.0), holds("<", 3.0, 3.0), holds("=", 64.0, 64.0)
    (True, False, True)
    """
    near = math.isclose(value, demand, rel_tol=1e-6)
    if relation == "=":
        return near
    is_more = value > demand
    strict = (is_more if relation[0] == ">" else not is_more) and not near
    return strict or (near and relation in (">=", "<="))
