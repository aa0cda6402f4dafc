"""The file of a calibration: what may stand in it, how it is read, and how it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from fabric.blueprint.document import Document, dotted
from fabric.blueprint.parse import show_value
from fabric.blueprint.selector import near
from fabric.costing.overheads import (
    TRANSFERS,
    Calibration,
    ChannelCount,
    GpuOverhead,
    Overhead,
    ProtocolCost,
    Seen,
)
from fabric.errors import Problem, TopologyError, nearest, printable
from fabric.evidence.residuals import Residual
from fabric.schedule.algorithms import ALGORITHMS
from fabric.schedule.tree import Transfer
from fabric.units import gbps_to_gbytes, parse_bytes, parse_rate, parse_time

# What gets less of its rate is no link, and still smaller numbers end in infinite times.
_LEAST_PART = 1e-9


def _time(value: object) -> float:
    return parse_time(value)  # type: ignore[arg-type]


def _rate(value: object) -> float:
    rate = parse_rate(value)  # type: ignore[arg-type]
    if rate > 0:
        return rate
    msg = "a rate above 0, such as 800GB/s"
    raise ValueError(msg)


def _date(text: str) -> str:
    with contextlib.suppress(ValueError):
        if date.fromisoformat(text).isoformat() == text:
            return text
    msg = "not a date such as 2026-01-31"
    raise ValueError(msg)


def _size(value: object) -> int:
    return parse_bytes(value)  # type: ignore[arg-type]


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
_Rate = Annotated[float, BeforeValidator(_rate)]
_Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_line)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ByProtocol(_StrictModel):
    rate: _Part = 1.0
    latency: _Time = 0.0
    source: _Line = ""


class _Overhead(_ByProtocol):
    protocols: dict[_Name, _ByProtocol] = {}
    once: _Time = 0.0


class _Gpu(_StrictModel):
    launch: dict[_Name, _Time] = {}
    rank: _Time = 0.0
    own: _Rate | None = None
    peers: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    message: _Rate | None = None
    source: _Line = ""


class _Gpus(_StrictModel):
    copy_: Annotated[_Gpu | None, Field(alias="copy")] = None
    in_switch: Annotated[_Gpu | None, Field(alias="in-switch")] = None
    all_to_all: Annotated[_Gpu | None, Field(alias="all-to-all")] = None
    tokens: _Gpu | None = None


class _Channels(_StrictModel):
    n: Annotated[int, Field(strict=True, ge=1, le=4096)]
    rate: _Rate
    source: _Line = ""


class _Seen(_StrictModel):
    domains: Annotated[int, Field(strict=True, ge=1)]
    domain_ranks: Annotated[int, Field(strict=True, ge=0)] = 0
    size: Annotated[int, BeforeValidator(_size)] = 0
    doubt: Annotated[float, Field(strict=True, gt=1, le=1e6, allow_inf_nan=False)] | None = None
    source: _Line = ""


class _Residual(_StrictModel):
    collective: _Name
    algorithm: _Name
    size: Annotated[int, BeforeValidator(_size)]
    ranks: Annotated[int, Field(strict=True, ge=1)]
    domains: Annotated[int, Field(strict=True, ge=1)]
    gpu: _Line = ""
    time: Annotated[float, BeforeValidator(_time)]
    ratio: Annotated[float, Field(strict=True, gt=0, le=1e9, allow_inf_nan=False)]


class _Protocol(_StrictModel):
    rate: _Part = 1.0
    latency: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)] = 1.0
    source: _Line = ""


class _Kinds(_StrictModel):
    copy_: Annotated[_Overhead | None, Field(alias="copy")] = None
    in_switch: Annotated[_Overhead | None, Field(alias="in-switch")] = None
    all_to_all: Annotated[_Overhead | None, Field(alias="all-to-all")] = None
    tokens: _Overhead | None = None


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
    gpus: dict[_Name, _Gpus] = {}
    channel_counts: dict[_Name, dict[Annotated[str, AfterValidator(_algorithm)], _Channels]] = {}
    seen: dict[Annotated[str, AfterValidator(_algorithm)], _Seen] = {}
    residuals: list[_Residual] = []


def read_calibration(document: Document) -> Calibration:
    """Return the calibration of a document.

    Raises
    ------
    TopologyError
        With every problem of the file at its line and column.
    """
    try:
        file = _File.model_validate(document.data)
    except ValidationError as error:
        raise TopologyError(_problem(document, e) for e in error.errors()) from None
    protocols = tuple(ProtocolCost(n, p.rate, p.latency, p.source) for n, p in file.protocols.items())
    return Calibration(
        name=file.calibration,
        about=file.about,
        source=file.source,
        date=file.date,
        launch_s=file.launch,
        links={key: _by_kind(kinds, _overhead) for key, kinds in file.links.items()},
        protocols=protocols or (ProtocolCost("Simple"),),
        algorithms=tuple(file.algorithms),
        channels=file.channels,
        gpus={key: _by_kind(kinds, _gpu) for key, kinds in file.gpus.items()},
        channel_counts={
            key: {name: ChannelCount(c.n, c.rate, c.source) for name, c in counts.items()}
            for key, counts in file.channel_counts.items()
        },
        seen={
            name: Seen(s.domains, s.domain_ranks, s.size, s.doubt or 0.0, s.source)
            for name, s in file.seen.items()
        },
        residuals=tuple(
            Residual(r.collective, r.algorithm, r.size, r.domains, r.ratio, True, r.ranks, r.gpu, r.time)
            for r in file.residuals
        ),
    )


_Said = TypeVar("_Said")


def _by_kind(kinds: _Kinds | _Gpus, as_said: Callable[[Any], _Said]) -> dict[Transfer, _Said]:
    said = zip(TRANSFERS, (kinds.copy_, kinds.in_switch, kinds.all_to_all, kinds.tokens), strict=True)
    # A kind that the file leaves out has no overhead of its own.
    return {transfer: as_said(kind) for transfer, kind in said if kind is not None}


def _overhead(said: _Overhead) -> Overhead:
    protocols = {n: Overhead(p.rate, p.latency, p.source) for n, p in said.protocols.items()}
    return Overhead(said.rate, said.latency, said.source, protocols, said.once)


def _gpu(said: _Gpu) -> GpuOverhead:
    message = said.message or 0.0
    return GpuOverhead(dict(said.launch), said.rank, said.own or 0.0, said.peers, message, said.source)


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
        ("links", 6): _ByProtocol,
        ("gpus", 3): _Gpus,
        ("gpus", 4): _Gpu,
        ("channel_counts", 4): _Channels,
        ("seen", 3): _Seen,
        ("residuals", 3): _Residual,
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
            name: _overhead_rows(o)
            | ({"protocols": {n: _overhead_rows(p) for n, p in o.protocols.items()}} if o.protocols else {})
            for name, o in kinds.items()
        }
        for key, kinds in (calibration.links or {}).items()
    }
    data["protocols"] = {
        p.name: {"rate": p.rate, "latency": p.latency} | _source_row(p.source) for p in calibration.protocols
    }
    data["algorithms"] = list(calibration.algorithms)
    data |= {"channels": calibration.channels} if calibration.channels else {}
    data |= {"gpus": _gpu_rows(calibration)} if calibration.gpus else {}
    if calibration.channel_counts:
        data["channel_counts"] = {
            key: {
                name: {"n": c.n, "rate": _shown_rate(c.rate_gbps)} | _source_row(c.source)
                for name, c in counts.items()
            }
            for key, counts in calibration.channel_counts.items()
        }
    if calibration.seen:
        data["seen"] = {
            name: {"domains": s.domains}
            | ({"domain_ranks": s.domain_ranks} if s.domain_ranks else {})
            | ({"size": s.size_bytes} if s.size_bytes else {})
            | ({"doubt": s.doubt} if s.doubt else {})
            | _source_row(s.source)
            for name, s in calibration.seen.items()
        }
    # Those that come with the package have theirs beside them.
    if own := [r for r in calibration.residuals if r.time_s]:
        data["residuals"] = [_residual_row(r) for r in own]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _shown(seconds: float) -> str:
    return f"{seconds * 1e6:.6g}us"


def _residual_row(r: Residual) -> dict[str, object]:
    row: dict[str, object] = {"collective": r.collective, "algorithm": r.algorithm, "size": r.size_bytes}
    row |= {"ranks": r.ranks, "domains": r.domains} | ({"gpu": r.gpu} if r.gpu else {})
    return row | {"time": _shown(r.time_s), "ratio": float(f"{r.ratio:.5g}")}


def _source_row(source: str) -> dict[str, str]:
    return {"source": source} if source else {}


def _shown_rate(rate_gbps: float) -> str:
    return f"{gbps_to_gbytes(rate_gbps):.6g}GB/s"


def _overhead_rows(o: Overhead) -> dict[str, Any]:
    rows: dict[str, Any] = {"rate": float(f"{o.rate:.4g}"), "latency": _shown(o.latency_s)}
    return rows | ({"once": _shown(o.once_s)} if o.once_s else {}) | _source_row(o.source)


def _gpu_rows(calibration: Calibration) -> dict[str, Any]:
    def row(gpu: GpuOverhead) -> dict[str, Any]:
        row: dict[str, Any] = {"launch": {name: _shown(s) for name, s in gpu.launch_s.items()}}
        row |= {"rank": _shown(gpu.rank_s)} if gpu.rank_s else {}
        row |= {"own": _shown_rate(gpu.own_gbps)} if gpu.own_gbps else {}
        row |= {"peers": float(f"{gpu.peers:.4g}")} if gpu.peers else {}
        row |= {"message": _shown_rate(gpu.message_gbps)} if gpu.message_gbps else {}
        return row | _source_row(gpu.source)

    return {key: {kind: row(gpu) for kind, gpu in kinds.items()} for key, kinds in calibration.gpus.items()}
