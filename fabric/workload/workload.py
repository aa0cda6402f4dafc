"""A workload: a model, a batch and a parallel layout, on some endpoints; what a job file says, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, get_args

from fabric.errors import QuestionError
from fabric.workload.models import Model
from fabric.workload.written import AsWritten

Number = Literal["fp32", "bf16", "fp16", "fp8", "fp4"]
MatrixNumber = Literal["bf16", "fp8", "fp4"]
Sharding = Literal["none", "zero-1", "zero-3"]
Recompute = Literal["none", "full"]
ParallelDimension = Literal["tp", "cp", "ep", "pp", "dp"]

VALUE_BYTES: Mapping[Number, float] = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp4": 0.5}
"""Bytes of a value, scales of blocks not counted."""

PARALLEL: tuple[ParallelDimension, ...] = get_args(ParallelDimension)
"""Dimensions of a layout, those that talk most first."""

PLACED = ("tp", "cp", "pp", "dp")
"""Dimensions that ranks are a product of; those of experts lie in tp, cp and dp."""

ASSUMED = "assumed"

Fault = tuple[tuple[str, ...], str, str]
"""Keys that lead to what is wrong in a file, the fault, and the remedy."""


class Assumption(NamedTuple):
    """What is not known of a job and has to be given, and where it is from."""

    value: float
    source: str = ASSUMED


PART_PEAK = Assumption(0.0, "catalogue of parts")
"""Stands for the peak FLOPs that the catalogue has for the part of the ranks."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step works on.

    Parameters
    ----------
    sequences : int
        Of all replicas together.
    micro : int
        Sequences of a micro-batch.
    length : int
        Tokens of a sequence.
    """

    sequences: int
    micro: int
    length: int

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.sequences * self.length


@dataclass(frozen=True, slots=True)
class Parallel:
    """Sizes of the parallel dimensions.

    Parameters
    ----------
    tp, cp, ep, pp, dp : int
        Tensor, with the sequence between its layers; context; experts; pipeline; data, 0 for what is left.
    vpp : int
        Chunks of layers of a pipeline stage (interleaving).

    Notes
    -----
    Ranks are tp x cp x pp x dp. Those of experts lie in tp, cp and dp (parallel folding, arXiv 2504.14960):
    with ep above 1 an expert is whole on one rank, with ep = 1 experts are cut by tp as any layer.
    """

    tp: int = 1
    cp: int = 1
    ep: int = 1
    pp: int = 1
    vpp: int = 1
    dp: int = 0

    def on(self, n_ranks: int) -> Parallel:
        """Return the layout with as many replicas as `n_ranks` ranks are, where it does not say how many."""
        return self if self.dp else replace(self, dp=n_ranks // self.n_fixed)

    @property
    def n_fixed(self) -> int:
        """Ranks of one replica."""
        return self.tp * self.cp * self.pp

    @property
    def n_ranks(self) -> int:
        """Ranks of all; 0 where dp is what is left."""
        return self.n_fixed * self.dp

    def size(self, dimension: ParallelDimension) -> int:
        """Return the size of a dimension."""
        sizes = {"tp": self.tp, "cp": self.cp, "ep": self.ep, "pp": self.pp, "dp": self.dp}
        return sizes[dimension]


@dataclass(frozen=True, slots=True)
class Precision:
    """What numbers are made of.

    Parameters
    ----------
    weights, gradients, activations : str
        As they are sent; gradients as they are summed over replicas.
    dispatch : str
        Tokens on their way to experts; they come back as `activations`.
    compute : str
        Of the matrix units, by which the peak of a GPU is looked up.
    """

    weights: Number = "bf16"
    gradients: Number = "fp32"
    activations: Number = "bf16"
    dispatch: Number = "bf16"
    compute: MatrixNumber = "bf16"


DEFAULT_OVERLAP: Mapping[ParallelDimension, Assumption] = {
    "tp": Assumption(0.0),
    "cp": Assumption(0.0),
    "ep": Assumption(0.0),
    "pp": Assumption(1.0),
    "dp": Assumption(1.0),
}
"""Part of the transfers of a dimension that may run beside the compute."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A training job.

    Parameters
    ----------
    name, about : str
    model : Model
    batch : Batch
    parallel : Parallel
    fabric : str
        Path of a topology file; empty where the question names it.
    among : tuple of str
        Selectors of the ranks; empty for all endpoints.
    order : str
        How ranks are numbered, see `fabric.job.placement`; empty for ``dp pp cp tp`` on the axes of the file.
    sharding : {"none", "zero-1", "zero-3"}
    recompute : {"none", "full"}
        Whether the backward pass does the forward one again.
    precision : Precision
    achieved : Assumption
        Part of the peak FLOPs that a GPU gets while it computes.
    peak : Assumption
        Dense peak of a GPU [TFLOPS]; 0 for what the catalogue of parts says.
    overlap : mapping of str to Assumption
        For each dimension, the part of its transfers that may run beside the compute.
    written : AsWritten, optional
        The file that it is of, for errors to point to.

    Raises
    ------
    QuestionError
        If the parts do not fit each other.
    """

    name: str
    model: Model
    batch: Batch
    parallel: Parallel = Parallel()
    about: str = ""
    fabric: str = ""
    among: tuple[str, ...] = ()
    order: str = ""
    sharding: Sharding = "zero-1"
    recompute: Recompute = "none"
    precision: Precision = Precision()
    achieved: Assumption = Assumption(0.5)
    peak: Assumption = PART_PEAK
    overlap: Mapping[ParallelDimension, Assumption] = field(default_factory=lambda: dict(DEFAULT_OVERLAP))
    written: AsWritten | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        for loc, fault, todo in faults(self.model, self.batch, self.parallel):
            msg = f"job {self.name}: {'.'.join(loc)}: {fault}; {todo}"
            raise QuestionError(msg)

    def on(self, n_ranks: int) -> Workload:
        """Return the workload with the size of dp that `n_ranks` ranks leave, where it says none.

        Raises
        ------
        QuestionError
            If they are no whole number of replicas, or not as many as the layout has.
        """
        for loc, fault, todo in self.unfit(n_ranks):
            msg = f"job {self.name}: {'.'.join(loc)}: {fault}; {todo}"
            raise QuestionError(msg)
        return replace(self, parallel=self.parallel.on(n_ranks))

    def unfit(self, n_ranks: int) -> Iterator[Fault]:
        """Yield what does not fit on `n_ranks` ranks."""
        have = self.parallel
        if have.dp and have.n_ranks != n_ranks:
            ranks = f"tp x cp x pp x dp = {have.n_ranks:,} ranks, and {n_ranks:,} endpoints are chosen"
            yield ("parallel", "dp"), ranks, "choose as many by among, or leave dp out"
        elif n_ranks % have.n_fixed:
            ranks = f"{n_ranks:,} ranks are no whole number of replicas of tp x cp x pp = {have.n_fixed:,}"
            yield ("parallel",), ranks, "choose other sizes, or ranks by among"
        else:
            yield from faults(self.model, self.batch, have.on(n_ranks))

    @property
    def n_micro(self) -> int:
        """Micro-batches of a replica and step."""
        return self.batch.sequences // (self.batch.micro * self.parallel.dp)

    @property
    def micro_tokens(self) -> int:
        """Tokens of a micro-batch, of all ranks of a stage."""
        return self.batch.micro * self.batch.length


def faults(model: Model, batch: Batch, parallel: Parallel) -> Iterator[Fault]:
    """Yield what does not fit: where in a job file, what is wrong, and what to do."""
    # The first and the last chunk may hold no layer, but an embedding (Llama 3, section 3.3.2).
    if (n := parallel.pp * parallel.vpp) > model.layers + 2:
        yield ("parallel", "pp"), f"pp x vpp = {n} chunks of {model.layers} layers", "choose fewer"
    for name, of, what in (("tp", model.heads, "heads"), ("ep", model.experts, "experts")):
        size = getattr(parallel, name)
        if size > 1 and not of:
            yield ("parallel", name), f"{model.name} has no {what}", f"leave {name} out"
        elif size > 1 and of % size:
            yield ("parallel", name), f"{size} for {of} {what}", f"choose a divisor of {of}"
    if parallel.vpp > 1 and parallel.pp == 1:
        yield ("parallel", "vpp"), "chunks of one stage", "leave vpp out, or give pp"
    if batch.length % (parallel.cp * parallel.tp):
        ranks = parallel.cp * parallel.tp
        tokens = f"{batch.length} tokens on cp x tp = {ranks} ranks"
        yield ("batch", "length"), tokens, f"choose a multiple of {ranks}"
    if parallel.dp and batch.sequences % (parallel.dp * batch.micro):
        n = parallel.dp * batch.micro
        yield ("batch", "sequences"), f"{batch.sequences} on dp x micro = {n}", f"choose a multiple of {n}"
    folded = parallel.tp * parallel.cp * parallel.dp
    if parallel.dp and parallel.ep > 1 and folded % parallel.ep:
        yield ("parallel", "ep"), f"{parallel.ep} ranks of tp x cp x dp = {folded}", "choose a divisor of it"


def bubble(parallel: Parallel, n_micro: int) -> float:
    """Return the idle part of a pipeline over its busy part.

    Notes
    -----
    (p - 1) / (v m): p stages, v chunks each, m micro-batches.

    References
    ----------
    Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM",
    SC'21, arXiv 2104.04473, section 2.2.2.

    Examples
    --------
    >>> round(bubble(Parallel(pp=16, vpp=8), 32), 4)
    0.0586
    """
    return (parallel.pp - 1) / (parallel.vpp * n_micro)
