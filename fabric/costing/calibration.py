"""Calibrations: how much of the wire rate a kind of transfer gets on a class of links, and how late it comes.

A calibration is a file of a few lines. ``wire`` has no overheads at all and is the base of every bound;
``measured`` holds one value for each class of links and kind of transfer, from published measurements. Users
pass their own, or let ``fabtopo calibrate`` fit one to their logs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from fabric.blueprint.parse import show_value
from fabric.blueprint.reader import Document, dotted, read_file, read_text
from fabric.blueprint.selector import near
from fabric.errors import Problem, QuestionError, TopologyError, nearest, printable
from fabric.schedule.algorithms import ALGORITHMS
from fabric.schedule.tree import Transfer
from fabric.units import parse_time

_SUFFIX = ".calibration.yaml"
# What gets less of its rate is no link, and still smaller numbers end in infinite times.
_LEAST_PART = 1e-9
TRANSFERS: tuple[Transfer, ...] = ("copy", "in-switch", "all-to-all")


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a class of links adds to a kind of transfer.

    Parameters
    ----------
    rate : float
        Part of the wire rate that the buffer's bytes get, 0 < rate <= 1.
    latency_s : float
        Of every link that a message passes [s].
    source : str
        Where the values come from.
    """

    rate: float = 1.0
    latency_s: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class ProtocolCost:
    """How a library moves data: low latency at part of the rate, or the full rate later.

    Parameters
    ----------
    name : str
        Such as ``LL``, ``LL128`` or ``Simple``.
    rate : float
        Part of the rate of the links, 0 < rate <= 1.
    latency : float
        Part of their latency.
    source : str
    """

    name: str
    rate: float = 1.0
    latency: float = 1.0
    source: str = ""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Overheads of all classes of links.

    Parameters
    ----------
    name : str
    about, source, date : str
    launch_s : float
        Of every collective [s].
    links : mapping of str to mapping of str to Overhead
        By rule, protocol with its medium, protocol, or network (``scale-up``, ``host``, ``scale-out``), in
        that order of preference; then by kind of transfer.
    protocols : tuple of ProtocolCost
        A copy takes the fastest; switches and all-to-all go by the last.
    algorithms : tuple of str
        What ``auto`` chooses among: the algorithms that the libraries measured here run unasked.
    channels : str
        Whose channels limit trees beside the links: ``"nccl"``, or empty for nobody's.
    """

    name: str
    about: str = ""
    source: str = ""
    date: str = ""
    launch_s: float = 0.0
    links: Mapping[str, Mapping[Transfer, Overhead]] | None = None
    protocols: tuple[ProtocolCost, ...] = (ProtocolCost("Simple"),)
    algorithms: tuple[str, ...] = ()
    channels: str = ""

    def overhead(self, keys: tuple[str, ...], transfer: Transfer) -> Overhead:
        """Return the overhead of a class of links: of the first of its keys that is known."""
        for key in keys:
            kinds = (self.links or {}).get(key, {})
            if transfer in kinds:
                return kinds[transfer]
        return Overhead()


def _time(value: object) -> float:
    return parse_time(value)  # type: ignore[arg-type]


def _date(text: str) -> str:
    with contextlib.suppress(ValueError):
        if date.fromisoformat(text).isoformat() == text:
            return text
    msg = "not a date such as 2026-01-31"
    raise ValueError(msg)


def _part(rate: float) -> float:
    if rate >= _LEAST_PART:
        return rate
    msg = f"too small; expected at least {_LEAST_PART:g}"
    raise ValueError(msg)


def _line(text: str) -> str:
    """Return a text as one line; it is printed into tables and behind ``#``."""
    line = " ".join(text.split())
    if printable(line) == line:
        return line
    msg = "expected printable text"
    raise ValueError(msg)


def _algorithm(name: str) -> str:
    names = dict.fromkeys(a.name for a in ALGORITHMS)
    if name in names:
        return name
    msg = f"unknown algorithm; {nearest(name, names) or 'known are ' + ', '.join(names)}"
    raise ValueError(msg)


_Part = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False), AfterValidator(_part)]
_Time = Annotated[float, BeforeValidator(_time)]
_Line = Annotated[str, Field(max_length=2_000), AfterValidator(_line)]
_Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_line)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Overhead(_StrictModel):
    rate: _Part = 1.0
    latency: _Time = 0.0
    source: _Line = ""


class _Protocol(_StrictModel):
    rate: _Part = 1.0
    latency: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)] = 1.0
    source: _Line = ""


class _Kinds(_StrictModel):
    copy_: Annotated[_Overhead | None, Field(alias="copy")] = None
    in_switch: Annotated[_Overhead | None, Field(alias="in-switch")] = None
    all_to_all: Annotated[_Overhead | None, Field(alias="all-to-all")] = None


class _File(_StrictModel):
    calibration: _Name
    about: _Line = ""
    source: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_line)]
    date: Annotated[str, AfterValidator(_date)]
    launch: _Time = 0.0
    links: dict[_Name, _Kinds] = {}
    protocols: Annotated[dict[_Name, _Protocol], Field(max_length=20)] = {"Simple": _Protocol()}
    algorithms: list[Annotated[str, AfterValidator(_algorithm)]] = []
    channels: Literal["", "nccl"] = ""


def calibration_names() -> tuple[str, ...]:
    """Return the names of the calibrations that come with the package.

    Examples
    --------
    >>> "wire" in calibration_names()
    True
    """
    folder = resources.files("fabric.costing") / "calibrations"
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in folder.iterdir() if f.name.endswith(_SUFFIX)))


def calibration(name: str | Path | Calibration) -> Calibration:
    """Return a calibration by name, or from a file.

    Parameters
    ----------
    name : str, Path or Calibration
        One of `calibration_names`, the path of a YAML or JSON file, or a calibration as it is.

    Raises
    ------
    QuestionError
        If there is neither such a name nor such a file.
    TopologyError
        With every problem of the file at its line and column.

    Examples
    --------
    >>> calibration("wire").overhead(("nvlink5",), "copy")
    Overhead(rate=1.0, latency_s=0.0, source='')
    """
    if isinstance(name, Calibration):
        return name
    known = calibration_names()
    # A name that comes with the package goes before a file that is called so.
    if str(name) in known:
        file = resources.files("fabric.costing") / "calibrations" / f"{name}{_SUFFIX}"
        return _read(read_text(file.read_bytes(), str(name)))
    if str(name) == "nccl":
        msg = "nccl is NCCL's own model, not a calibration, and does not know this question; name another"
        raise QuestionError(msg)
    if not Path(name).exists():
        hint = nearest(str(name), (*known, "nccl")) or f"known are {', '.join(known)}, nccl, or give a file"
        msg = f"no calibration {str(name)!r}; {hint}"
        raise QuestionError(msg)
    return _read(read_file(name))


def parse_calibration(text: str | bytes, path: str) -> Calibration:
    """Return the calibration that a text holds; `path` names it in the errors.

    Raises
    ------
    TopologyError
        With every problem of the text at its line and column.
    """
    return _read(read_text(text, path))


def _read(document: Document) -> Calibration:
    try:
        file = _File.model_validate(document.data)
    except ValidationError as error:
        raise TopologyError(_problem(document, e) for e in error.errors()) from None
    links = {
        key: {
            transfer: Overhead(kind.rate, kind.latency, kind.source)
            for transfer, kind in zip(
                TRANSFERS, (kinds.copy_, kinds.in_switch, kinds.all_to_all), strict=True
            )
            if kind is not None  # a kind that the file leaves out has no overhead of its own
        }
        for key, kinds in file.links.items()
    }
    protocols = tuple(ProtocolCost(n, p.rate, p.latency, p.source) for n, p in file.protocols.items())
    return Calibration(
        file.calibration,
        file.about,
        file.source,
        file.date,
        file.launch,
        links,
        protocols or (ProtocolCost("Simple"),),
        tuple(file.algorithms),
        file.channels,
    )


def _problem(document: Document, error: ErrorDetails) -> Problem:
    """Word one finding of pydantic as the program words its own."""
    loc, kind = tuple(error["loc"]), error["type"]
    rule, got, todo = error["msg"], show_value(error["input"]), ""
    # Of a key that is unknown or missing there is no value to show.
    is_key = kind in ("extra_forbidden", "missing")
    if kind == "extra_forbidden":
        keys = _keys(loc)
        rule, got, todo = f"unknown key {loc[-1]!r}", "", near(str(loc[-1]), keys, "keys are")
    elif kind == "missing":
        rule, got, loc = f"missing key {loc[-1]!r}", "", loc[:-1]
    elif kind == "value_error":
        rule, _, todo = str(error["ctx"]["error"]).partition("; ")
    mark = document.locate(loc, key=is_key)
    return Problem(document.path, mark.line, mark.col, dotted(loc), rule, got, todo=todo)


def _keys(loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that may stand where `loc` ends."""
    models: dict[tuple[str, int], type[BaseModel]] = {
        ("links", 3): _Kinds,
        ("links", 4): _Overhead,
        ("protocols", 3): _Protocol,
    }
    fields = models.get((str(loc[0]), len(loc)), _File).model_fields
    return [field.alias or name for name, field in fields.items()]


def calibration_text(calibration: Calibration) -> str:
    """Return the text of a calibration file.

    Examples
    --------
    >>> text = calibration_text(Calibration("mine", source="log of today", date="2026-01-01"))
    >>> print(text.splitlines()[0])
    calibration: mine
    """
    import yaml

    data: dict[str, Any] = {"calibration": calibration.name}
    said = {name: getattr(calibration, name) for name in ("about", "source", "date")}
    data |= {name: text for name, text in said.items() if text}
    data["launch"] = _shown(calibration.launch_s)
    data["links"] = {
        key: {
            name: {"rate": float(f"{o.rate:.4g}"), "latency": _shown(o.latency_s)}
            | ({"source": o.source} if o.source else {})
            for name, o in kinds.items()
        }
        for key, kinds in (calibration.links or {}).items()
    }
    data["protocols"] = {
        p.name: {"rate": p.rate, "latency": p.latency} | _source_row(p.source) for p in calibration.protocols
    }
    data["algorithms"] = list(calibration.algorithms)
    data |= {"channels": calibration.channels} if calibration.channels else {}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _shown(seconds: float) -> str:
    return f"{seconds * 1e6:.6g}us"


def _source_row(source: str) -> dict[str, str]:
    return {"source": source} if source else {}
