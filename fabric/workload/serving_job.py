"""The serving job, ``*.serve.yaml``: two pools, a model, what is asked of them, and what is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fabric.arguments import checked
from fabric.blueprint.document import Document, Loc
from fabric.blueprint.fields import Count, Label, OptionalText, OptionalWord
from fabric.blueprint.reader import read_file, read_text
from fabric.errors import QuestionError, TopologyError, UnitError
from fabric.units import parse_time
from fabric.workload.files import as_text, beside, columns_of, problem_at, schema_of, validated
from fabric.workload.job_file import ModelItem, model_item
from fabric.workload.models import Model
from fabric.workload.workload import ASSUMED, PART_PEAK, Assumption, MatrixNumber, Number
from fabric.workload.written import AsWritten

MOONCAKE = "Mooncake with vLLM, 8 RoCE cards of 200 Gb/s: 0.37 ms and 137 GiB/s of 200 GB/s"
SETUP, EFFICIENCY = Assumption(0.37e-3, MOONCAKE), Assumption(0.735, MOONCAKE)
"""What every transfer of a cache takes beside its bytes [s], and the part of the wire rate that it gets."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Endpoints that do one half of the work.

    Parameters
    ----------
    among : str
        Selector.
    tp : int
        GPUs over which the keys and values of one request lie.
    """

    among: str
    tp: int = 1


@dataclass(frozen=True, slots=True)
class ServingJob:
    """A model served by two pools: one reads prompts and makes keys and values, the other one writes answers.

    Parameters
    ----------
    name : str
    model : Model
    prefill, decode : Pool
    prompt : int
        Tokens of a request.
    requests_per_s : float
        Of all.
    decode_tokens : int
        Tokens of a GPU in a step of decode, one for each of its requests.
    kv, dispatch, combine : str
        Numbers of the cache, and of tokens to their experts and back.
    compute : str
        By which the peak FLOPs of a GPU are looked up.
    setup, efficiency : Assumption
        Of a transfer: time beside its bytes [s], and part of the wire rate.
    achieved : Assumption
        Part of its peak FLOPs that a GPU gets in prefill.
    peak : Assumption
        Dense peak of a GPU [TFLOPS]; 0 for what the catalogue of parts says.
    fabric, about : str
    written : AsWritten, optional
        The file that it is of, for errors to point to.
    """

    name: str
    model: Model
    prefill: Pool
    decode: Pool
    prompt: int
    requests_per_s: float = 1.0
    decode_tokens: int = 32
    kv: Number = "bf16"
    dispatch: Number = "fp8"
    combine: Number = "bf16"
    compute: MatrixNumber = "bf16"
    setup: Assumption = SETUP
    efficiency: Assumption = EFFICIENCY
    achieved: Assumption = Assumption(0.5)
    peak: Assumption = PART_PEAK
    fabric: str = ""
    about: str = ""
    written: AsWritten | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is no serving job."""
        if min(self.prompt, self.decode_tokens, self.prefill.tp, self.decode.tp) < 1:
            msg = f"serving job {self.name}: a prompt has tokens, a step too, and tp is at least 1"
            raise QuestionError(msg)
        if not (self.requests_per_s > 0 and self.setup.value >= 0 and 0 < self.efficiency.value <= 1):
            msg = (
                f"serving job {self.name}: requests come above 0 a second, and efficiency is above 0 up to 1"
            )
            raise QuestionError(msg)
        if not 0 < self.achieved.value <= 1 or self.peak.value < 0:
            msg = f"serving job {self.name}: a GPU gets a part of its peak, above 0 up to 1"
            raise QuestionError(msg)


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PoolItem(_Item):
    """Endpoints that do one half of the work."""

    among: Annotated[str, Field(min_length=1, max_length=400)] = Field(description="selector")
    tp: Count = Field(1, description="GPUs over which the cache of one request lies")


class RequestItem(_Item):
    """What is asked."""

    prompt: Count = Field(description="tokens of a request")
    rate: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] = Field(1.0, description="a second")
    decode_tokens: Count = Field(32, description="tokens of a GPU in a step of decode")


class NumbersItem(_Item):
    """What numbers are made of."""

    kv: Number = "bf16"
    dispatch: Number = "fp8"
    combine: Number = "bf16"
    compute: MatrixNumber = "bf16"


def _given(value: object) -> object:
    return {"value": value} if isinstance(value, int | float | str) and not isinstance(value, bool) else value


class SetupItem(_Item):
    """A time, and where it is from."""

    value: str
    source: Annotated[str, Field(max_length=2_000)] = ASSUMED


class NumberItem(_Item):
    """A number, and where it is from."""

    value: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
    source: Annotated[str, Field(max_length=2_000)] = ASSUMED


_Number = Annotated[NumberItem | None, BeforeValidator(_given)]
_Setup = Annotated[SetupItem | None, BeforeValidator(_given)]


class ServeAssumeItem(_Item):
    """What no fabric tells; Mooncake's own figures for transfers if left out."""

    setup: _Setup = Field(None, description="time of a transfer beside its bytes, such as 0.37ms")
    efficiency: _Number = Field(None, description="part of the wire rate that a transfer gets")
    achieved: _Number = Field(None, description="part of its peak FLOPs that a GPU gets in prefill")
    peak: _Number = Field(None, description="dense peak of a GPU [TFLOPS]; that of its part if left out")


class ServingFile(_Item):
    """A model served on a fabric."""

    serve: Label = Field(description="name of the job")
    about: OptionalText = None
    fabric: OptionalWord = Field(None, description="topology file, relative to this one")
    model: Annotated[ModelItem, BeforeValidator(model_item)]
    prefill: PoolItem
    decode: PoolItem
    request: RequestItem
    precision: NumbersItem = Field(default_factory=lambda: NumbersItem.model_validate({}))
    assume: ServeAssumeItem = Field(default_factory=lambda: ServeAssumeItem.model_validate({}))


@checked
def load_serving(path: str | Path) -> ServingJob:
    """Read the file of a serving job.

    Parameters
    ----------
    path : str or Path
        YAML or JSON, ``*.serve.yaml``. The path of its fabric is returned relative to where the file is.

    Raises
    ------
    TopologyError
        With every problem of the file at its line and column.
    """
    document = read_file(path)
    read = _job(document)
    read = replace(read, fabric=beside(path, read.fabric))
    return replace(read, written=AsWritten(document, read))


def parse_serving(text: str | bytes, path: str = "job.serve.yaml") -> ServingJob:
    """Return the serving job that a text says; `path` names it in problems.

    Raises
    ------
    TopologyError
        With every problem of the text at its line and column.

    Examples
    --------
    >>> job = parse_serving("{serve: s, model: llama3-405b, prefill: {among: rack0, tp: 8}, "
    ...                     "decode: {among: rack1, tp: 8}, request: {prompt: 8192}}")
    >>> job.model.kv_bytes_per_token() * job.prompt / 2**30
    3.9375
    """
    document = read_text(text, path)
    read = _job(document)
    return replace(read, written=AsWritten(document, read))


def _job(document: Document) -> ServingJob:
    file = validated(document, ServingFile, _keys)
    try:
        return _read(file)
    except UnitError as error:
        raise TopologyError([problem_at(document, ("assume", "setup"), str(error))]) from None
    except QuestionError as error:
        raise TopologyError([problem_at(document, ("serve",), str(error))]) from None


def _read(file: ServingFile) -> ServingJob:
    assume, numbers = file.assume, file.precision

    def assumed(item: NumberItem | None, default: Assumption) -> Assumption:
        return default if item is None else Assumption(item.value, item.source)

    setup = assume.setup
    return ServingJob(
        name=file.serve,
        model=Model(file.model.row or file.serve, **columns_of(file.model, file.serve)),
        prefill=Pool(file.prefill.among, file.prefill.tp),
        decode=Pool(file.decode.among, file.decode.tp),
        prompt=file.request.prompt,
        requests_per_s=file.request.rate,
        decode_tokens=file.request.decode_tokens,
        kv=numbers.kv,
        dispatch=numbers.dispatch,
        combine=numbers.combine,
        compute=numbers.compute,
        setup=SETUP if setup is None else Assumption(parse_time(setup.value), setup.source),
        efficiency=assumed(assume.efficiency, EFFICIENCY),
        achieved=assumed(assume.achieved, Assumption(0.5)),
        peak=assumed(assume.peak, PART_PEAK),
        fabric=file.fabric or "",
        about=file.about or "",
    )


_ITEMS: Mapping[str, type[BaseModel]] = {
    "model": ModelItem,
    "prefill": PoolItem,
    "decode": PoolItem,
    "request": RequestItem,
    "precision": NumbersItem,
    "assume": ServeAssumeItem,
}


def _keys(loc: Loc) -> list[str]:
    """Return the keys that may stand where `loc` ends."""
    item = _ITEMS.get(str(loc[0]), ServingFile) if len(loc) > 1 else ServingFile
    # An assumption is a value and its source.
    return list((NumberItem if loc[:1] == ("assume",) and len(loc) > 2 else item).model_fields)  # noqa: PLR2004


def serving_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of a serving job file.

    Examples
    --------
    >>> sorted(serving_schema()["required"])
    ['decode', 'model', 'prefill', 'request', 'serve']
    """
    number: object = {"type": "number", "minimum": 0}
    shorts = {("ServeAssumeItem", key): number for key in ("efficiency", "achieved", "peak")}
    shorts["ServeAssumeItem", "setup"] = {"type": "string"}
    return schema_of(ServingFile, "serve.schema.json", shorts)


def serving_schema_text() -> str:
    """Return the JSON Schema as the file ``serve.schema.json`` of the package has it."""
    return as_text(serving_schema())
