"""The job file, ``*.job.yaml``: what may stand in it, how it is read, and its JSON Schema for editors.

Habits are those of topology files: every error at once, with line and column; names are checked and the
nearest one is offered; nothing in a file can run, hide a value or exhaust memory (`fabric.blueprint.reader`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
)

from fabric.arguments import checked
from fabric.blueprint.document import Document, Loc
from fabric.blueprint.fields import WORD_SCHEMA, Count, Label, OptionalText, OptionalWord, list_schema
from fabric.blueprint.reader import read_file, read_text
from fabric.errors import Problem, QuestionError, TopologyError
from fabric.workload.files import as_text, beside, columns_of, problem_at, schema_of, validated
from fabric.workload.layout import lay_out, read_dimensions
from fabric.workload.models import Biases, Model, model
from fabric.workload.workload import (
    ASSUMED,
    DEFAULT_OVERLAP,
    PART_PEAK,
    Assumption,
    Batch,
    MatrixNumber,
    Number,
    Parallel,
    Precision,
    Recompute,
    Sharding,
    Workload,
    faults,
)
from fabric.workload.written import AsWritten

_MAX_SOURCE = 2_000
_Whole = Annotated[int, Field(ge=0, le=10**12)]


class _StrictItem(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ModelItem(_StrictItem):
    """A model spelled out: the columns of the catalogue."""

    name: OptionalText = Field(None, description="as answers name it")
    layers: Count
    hidden: Count = Field(description="values of a token")
    ffn: Count = Field(description="inner size of a dense feed-forward layer")
    heads: Count
    kv_heads: Count = Field(description="heads of keys and values")
    head_dim: Count = Field(description="values of a head, without those that latent attention rotates")
    vocabulary: Count
    matrices: Annotated[int, Field(ge=2, le=3)] = Field(3, description="3 with a gate (SwiGLU), else 2")
    tied: bool = Field(False, description="whether the output layer is the input embedding")
    biases: Biases = "none"
    qk_norm: bool = False
    positions: _Whole = Field(0, description="learned positions")
    sequence: _Whole = 0
    experts: _Whole = Field(0, description="routed experts of a layer")
    top_k: _Whole = Field(0, description="routed experts that a token goes to")
    shared_experts: _Whole = 0
    expert_ffn: _Whole = Field(0, description="inner size of an expert")
    dense_layers: _Whole = Field(0, description="first layers, which have no experts")
    groups: Annotated[int, Field(ge=1)] = Field(1, description="groups of experts")
    group_limit: Annotated[int, Field(ge=1)] = Field(1, description="groups that a token may use")
    q_rank: _Whole = Field(0, description="of latent attention")
    kv_rank: _Whole = Field(0, description="of latent attention")
    rope_dim: _Whole = Field(0, description="of latent attention: the part of a key that is rotated")
    note: OptionalText = None
    _row: str = PrivateAttr("")

    @classmethod
    def of_row(cls, name: str) -> ModelItem:
        """Return the item that a row of the catalogue stands for."""
        item = cls(**{key: value for key, value in asdict(model(name)).items() if key != "id"})
        item._row = name
        return item

    @property
    def row(self) -> str:
        """Row of the catalogue; empty where the model is spelled out."""
        return self._row


class BatchItem(_StrictItem):
    """What a step works on."""

    sequences: Count = Field(description="of all replicas together")
    micro: Count = Field(1, description="sequences of a micro-batch")
    length: Count = Field(description="tokens of a sequence")


class ParallelItem(_StrictItem):
    """Sizes of the parallel dimensions."""

    tp: Count = 1
    cp: Count = 1
    ep: Count = 1
    pp: Count = 1
    vpp: Count = Field(1, description="chunks of layers of a stage (interleaving)")
    dp: Annotated[int, Field(ge=0, le=10**9)] = Field(0, description="0, or left out: what the ranks leave")


class PrecisionItem(_StrictItem):
    """What numbers are made of."""

    weights: Number = "bf16"
    gradients: Number = "fp32"
    activations: Number = "bf16"
    dispatch: Number | None = Field(None, description="tokens on their way to experts; as activations")
    compute: MatrixNumber = Field("bf16", description="by which the peak FLOPs of a GPU are looked up")


_PART = {"type": "number", "minimum": 0, "maximum": 1}


def _part(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    msg = "expected a part, from 0 to 1"
    raise ValueError(msg)


def _assumed(value: object) -> object:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class AssumedItem(_StrictItem):
    """A part, 0 to 1, and where it is from."""

    value: Annotated[float, BeforeValidator(_part), WithJsonSchema(_PART)]
    source: Annotated[str, Field(max_length=_MAX_SOURCE)] = ASSUMED


class PeakItem(_StrictItem):
    """Dense peak FLOPs of a GPU, and where they are from."""

    value: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = Field(description="TFLOPS")
    source: Annotated[str, Field(max_length=_MAX_SOURCE)] = ASSUMED


Assumed = Annotated[AssumedItem, BeforeValidator(_assumed)]


class OverlapItem(_StrictItem):
    """Part of the transfers of each dimension that may run beside the compute."""

    tp: Assumed | None = None
    cp: Assumed | None = None
    ep: Assumed | None = None
    pp: Assumed | None = None
    dp: Assumed | None = None


class AssumeItem(_StrictItem):
    """What no fabric tells."""

    achieved: Assumed = Field(
        AssumedItem(value=0.5, source=ASSUMED),
        description="part of its peak FLOPs that a GPU gets while it computes",
    )
    peak: Annotated[PeakItem | None, BeforeValidator(_assumed)] = Field(
        None, description="dense peak of a GPU [TFLOPS]; that of its part if left out"
    )
    overlap: OverlapItem = Field(default_factory=lambda: OverlapItem.model_validate({}))


def model_item(value: object) -> object:
    """Return the item of a name of the catalogue; an item as it is."""
    if not isinstance(value, str):
        return value
    try:
        return ModelItem.of_row(value)
    except QuestionError as error:
        # The name itself is shown as what was got.
        raise ValueError(str(error).replace(f" {value!r}", "", 1)) from None


def _selectors(value: object) -> object:
    return [value] if isinstance(value, str) else value


_AMONG_SCHEMA = {"anyOf": [WORD_SCHEMA, list_schema(WORD_SCHEMA)]}


class JobFile(_StrictItem):
    """A training job on a fabric."""

    job: Label = Field(description="name of the job")
    about: OptionalText = None
    fabric: OptionalWord = Field(None, description="topology file, relative to this one")
    among: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=400)]],
        BeforeValidator(_selectors),
        WithJsonSchema(_AMONG_SCHEMA),
    ] = Field(default_factory=list, description="selector, or selectors, of the ranks; all endpoints")
    model: Annotated[ModelItem, BeforeValidator(model_item)] = Field(
        description="row of the catalogue of models, or its columns"
    )
    batch: BatchItem
    parallel: ParallelItem = Field(default_factory=lambda: ParallelItem.model_validate({}))
    order: OptionalText = Field(
        None, description="how ranks are numbered: (pod rack tray slot) -> (dp pp cp tp), or dp pp cp tp"
    )
    sharding: Sharding = Field("zero-1", description="of weights, gradients and optimizer over dp")
    recompute: Recompute = Field("none", description="whether backward passes do the forward one again")
    precision: PrecisionItem = Field(default_factory=lambda: PrecisionItem.model_validate({}))
    assume: AssumeItem = Field(default_factory=lambda: AssumeItem.model_validate({}))


@checked
def load_job(path: str | Path) -> Workload:
    """Read a job file.

    Parameters
    ----------
    path : str or Path
        YAML or JSON, ``*.job.yaml``. The path of its fabric is returned relative to where the file is.

    Returns
    -------
    Workload

    Raises
    ------
    TopologyError
        With every problem of the file at its line and column.
    """
    document = read_file(path)
    read = _workload(document)
    read = replace(read, fabric=beside(path, read.fabric))
    return replace(read, written=AsWritten(document, read))


def parse_job(text: str | bytes, path: str = "job.yaml") -> Workload:
    """Return the workload that a text says; `path` names it in problems.

    Raises
    ------
    TopologyError
        With every problem of the text at its line and column.

    Examples
    --------
    >>> job = parse_job("{job: small, model: llama3-8b, batch: {sequences: 64, length: 8192}}")
    >>> job.model.name, job.batch.tokens, job.parallel.dp
    ('Llama 3 8B', 524288, 0)
    """
    document = read_text(text, path)
    read = _workload(document)
    return replace(read, written=AsWritten(document, read))


def _workload(document: Document) -> Workload:
    file = validated(document, JobFile, _keys)
    read, wrong = _parts(document, file)
    if wrong:
        raise TopologyError(wrong)
    said, assume = file.precision, file.assume
    overlap = {
        name: Assumption(item.value, item.source) if (item := getattr(assume.overlap, name)) else standard
        for name, standard in DEFAULT_OVERLAP.items()
    }
    return Workload(
        name=file.job,
        about=file.about or "",
        fabric=file.fabric or "",
        among=tuple(file.among),
        order=file.order or "",
        sharding=file.sharding,
        recompute=file.recompute,
        precision=Precision(
            said.weights,
            said.gradients,
            said.activations,
            said.dispatch or said.activations,
            said.compute,
        ),
        achieved=Assumption(assume.achieved.value, assume.achieved.source),
        overlap=overlap,
        peak=Assumption(assume.peak.value, assume.peak.source) if assume.peak else PART_PEAK,
        **read,
    )


def _parts(document: Document, file: JobFile) -> tuple[dict[str, Any], list[Problem]]:
    """Return the model, the batch and the layout of a file, and what does not fit."""
    item, problems = file.model, list[Problem]()

    def say(loc: Loc, fault: str, todo: str) -> None:
        problems.append(problem_at(document, loc, fault, todo))

    batch = Batch(file.batch.sequences, file.batch.micro, file.batch.length)
    sizes = file.parallel
    layout = Parallel(sizes.tp, sizes.cp, sizes.ep, sizes.pp, sizes.vpp, sizes.dp)
    if file.assume.achieved.value <= 0:
        say(("assume", "achieved"), "a GPU that computes nothing", "give a part above 0, such as 0.5")
    try:
        chosen = Model(item.row or file.job, **columns_of(item, file.job))
    except QuestionError as error:
        say(("model",), str(error).partition(": ")[2], "")
        return {}, problems
    for loc, fault, todo in faults(chosen, batch, layout):
        say(loc, fault, todo)
    try:
        left, dimensions = read_dimensions(file.order or "", layout, ())
        if file.order and layout.dp and not problems:
            lay_out(left, dimensions, layout)
    except QuestionError as error:
        say(("order",), str(error).removeprefix("order: "), "")
    return {"model": chosen, "batch": batch, "parallel": layout}, problems


_ITEMS: Mapping[str, type[BaseModel]] = {
    "model": ModelItem,
    "batch": BatchItem,
    "parallel": ParallelItem,
    "precision": PrecisionItem,
    "assume": AssumeItem,
}


def _keys(loc: Loc) -> list[str]:
    """Return the keys that may stand where `loc` ends."""
    item = _ITEMS.get(str(loc[0]), JobFile) if len(loc) > 1 else JobFile
    if loc[:2] == ("assume", "overlap"):
        item = OverlapItem
    if loc[:2] == ("assume", "peak") and len(loc) > 2:
        return list(PeakItem.model_fields)
    if loc[:1] == ("assume",) and len(loc) > 2 and (loc[1] == "achieved" or len(loc) > 3):
        item = AssumedItem
    return list(item.model_fields)


def job_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of a job file.

    Examples
    --------
    >>> sorted(job_schema()["required"])
    ['batch', 'job', 'model']
    """
    # A number stands for an item.
    shorts: dict[tuple[str, str], object] = {
        ("OverlapItem", name): _PART for name in OverlapItem.model_fields
    }
    shorts["AssumeItem", "achieved"] = _PART
    shorts["AssumeItem", "peak"] = {"type": "number", "minimum": 0}
    return schema_of(JobFile, "job.schema.json", shorts)


def job_schema_text() -> str:
    """Return the JSON Schema as the file ``job.schema.json`` of the package has it."""
    return as_text(job_schema())
