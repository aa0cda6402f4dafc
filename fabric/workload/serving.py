"""The answer of `serve`: what a cache takes from pool to pool, by its way, and what all of them load."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

from fabric.flow.certificate import Verdict
from fabric.results import DeviceText, Result
from fabric.text.columns import columns
from fabric.text.markdown import bullets, escape, table
from fabric.text.words import fold, number
from fabric.units import format_bytes, format_count, format_rate_gbyte, format_time


class ServingFigure(NamedTuple):
    """A figure that no fabric tells, and where it is from."""

    of: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class CacheTransfer:
    """The cache of one request on its way from pool to pool.

    Parameters
    ----------
    way : {"same domain", "same rail", "across rails", "through the host"}
    example : str
        The first stream.
    n_streams : int
        Transfers that run at once.
    rate_gbps : float
        Of all on the wires, shared max-min fairly [Gb/s].
    time_s : float
        Until the last one is done, with what every transfer takes beside [s].
    binding : str
        The link rule that is full.
    part : float or None
        Of the time to the first token: transfer over prefill and transfer; None where prefill is not known.
    """

    way: str
    example: DeviceText
    n_streams: int
    rate_gbps: float
    time_s: float
    binding: str
    part: float | None


class CacheLoad(NamedTuple):
    """Load over capacity of the busiest direction of a link rule, and whether it fills first."""

    link: str
    n_cables: int
    load: float
    is_binding: bool


@dataclass(frozen=True, slots=True)
class ExpertStep:
    """The all-to-all of experts in one step of decode.

    Parameters
    ----------
    n_ranks : int
    tokens : int
        Of a rank.
    top_k : int
        Experts that a token goes to, shared ones that lie on other ranks included.
    dispatch_s, combine_s : float
        Of a layer [s].
    layers : int
        With experts.
    time_s : float
        Of all layers [s].
    binding : str
    """

    n_ranks: int
    tokens: int
    top_k: int
    dispatch_s: float
    combine_s: float
    layers: int
    time_s: float
    binding: str


@dataclass(frozen=True, slots=True)
class Serving(Result):
    """Answer of `serve`.

    Parameters
    ----------
    job, fabric, model : str
    n_prefill, n_decode : int
        Endpoints of the pools that are up.
    prompt : int
        Tokens.
    kv_bytes_per_token, kv_bytes : float
        Of the cache of a token, and of a request.
    transfers : tuple of CacheTransfer
        By way, those that there are.
    requests_per_s : float
        Asked.
    most_requests_per_s : float
        At which a link class is full, every GPU of the one pool sending to all of the other alike.
    loads : tuple of CacheLoad
        At the rate that is asked.
    status : {"optimal", "bounded"}
        Of the rate at which a class is full.
    certificate : Verdict
        Of what a GPU of the first pool can send [Gb/s].
    prefill_s : float or None
        Of a prompt on the GPUs of one instance [s]; None where their FLOPs are not known.
    experts : ExpertStep or None
        None for a dense model.
    assumed : tuple of ServingFigure
    notes : tuple of str
    """

    job: str
    fabric: str
    model: str
    n_prefill: int
    n_decode: int
    prompt: int
    kv_bytes_per_token: float
    kv_bytes: float
    transfers: tuple[CacheTransfer, ...]
    requests_per_s: float
    most_requests_per_s: float
    loads: tuple[CacheLoad, ...]
    status: str
    certificate: Verdict
    prefill_s: float | None
    experts: ExpertStep | None
    assumed: tuple[ServingFigure, ...]
    notes: tuple[DeviceText, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("binding",)

    @property
    def binding(self) -> tuple[str, ...]:
        """Link classes that are full first."""
        return tuple(load.link for load in self.loads if load.is_binding)

    def table(self) -> list[dict[str, object]]:
        """Return a record for each way of a transfer."""
        return [asdict(transfer) for transfer in self.transfers]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        shown = [columns(*self._cells(), indent="  ")] if self.transfers else []
        return "\n".join([fold([self._title()]), *shown, fold(f"  {line}" for line in self._lines())])

    def to_markdown(self) -> str:
        """Return the answer as Markdown."""
        head, rows = self._cells()
        cells = [[escape(cell) for cell in row] for row in rows]
        return (
            "\n\n".join([escape(self._title()), table(head, cells), bullets(map(escape, self._lines()))])
            + "\n"
        )

    def _title(self) -> str:
        pools = f"{format_count(self.n_prefill)} GPUs of prefill, {format_count(self.n_decode)} of decode"
        cache = f"{format_bytes(self.kv_bytes)} of keys and values for {self.prompt:,} tokens"
        return f"{self.job}: {self.model} on {self.fabric}, {pools}; {cache}"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        head = ["way of a request", ">streams", ">wire rate", ">time", ">of first token", "binds"]
        rows = [
            [
                one.way,
                str(one.n_streams),
                format_rate_gbyte(one.rate_gbps),
                format_time(one.time_s),
                "" if one.part is None else f"{100 * one.part:.3g} %",
                one.binding,
            ]
            for one in self.transfers
        ]
        return head, rows

    def _lines(self) -> list[str]:
        most = f"{number(self.most_requests_per_s)} requests/s ({self.status})"
        full = f"{' and '.join(self.binding)} full at {most}"
        loads = ", ".join(f"{one.link} {100 * one.load:.3g} %" for one in self.loads)
        lines = [
            f"{self.kv_bytes_per_token:,.6g} bytes a token",
            f"{full}; at {number(self.requests_per_s)} requests/s: {loads}",
        ]
        if self.prefill_s is not None:
            lines.append(f"prefill of a prompt: {format_time(self.prefill_s)} of compute")
        if (step := self.experts) is not None:
            each = f"{format_time(step.dispatch_s)} to experts, {format_time(step.combine_s)} back in a layer"
            whole = f"{format_time(step.time_s)} in {step.layers} layers; {step.binding} binds"
            what = f"{step.tokens} tokens a GPU, {step.top_k} experts each, {step.n_ranks:,} ranks"
            lines.append(f"decode step of {what}: {each}, {whole}")
        lines += [f"assumed: {one.of} {one.value:.4g} ({one.source})" for one in self.assumed]
        return [*lines, *(f"note: {note}" for note in self.notes)]
