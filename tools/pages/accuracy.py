"""Published numbers beside ours: a file of cases in, a page with every ratio out.

A case is a question to this program, the number that somebody published, and a tolerance; one that is not
held to its tolerance says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fabric.blueprint.reader import read_file
from fabric.bounds.answer import Bound
from fabric.bounds.bound import bound
from fabric.bounds.chunks import chunk_bound
from fabric.costing import Spread, calibration, cost, moe_cost
from fabric.errors import QuestionError
from fabric.graph import Fabric, load, loads
from fabric.nccl import Node, machine, predict, tuning
from fabric.routing.balls import busy_share, delivered_share, hashed_factor, max_load
from fabric.schedule import Moe
from fabric.text.markdown import table
from fabric.text.writing import write_file
from fabric.units import gbps_to_gbytes
from fabric.workload.serve import serve
from fabric.workload.serving_job import load_serving
from fabric.workload.share import share
from fabric.workload.sharing import Sharing
from fabric.workload.train import train
from fabric.workload.training import Training
from tools.pages.evidence import evidence_section, pictures

_INTRO = """\
# Accuracy

Every number that others published and this program can be asked for, beside ours. `make reports` makes the
page from [topologies/measured/published.yaml](../topologies/measured/published.yaml), and the same cases are
tests. How our numbers come about is told in [collectives.md](collectives.md).

{all} numbers; {held} are held to the tolerance of their row, {reported} are reported only, each with the
reason. The calibration `measured` has one value for each class of links, kind of transfer and protocol, and
none for a row."""
UNITS = {
    "busbw": "GB/s",
    "algbw": "GB/s",
    "time": "s",
    "latency": "us",
    "bandwidth": "GB/s",
    "share": "",
    "load": "flows",
    "step": "s/step",
    "tflops": "TFLOPS",
    "tokens": "tokens/s",
    "speedup": "",
    "sent": "GB",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One published number.

    Parameters
    ----------
    group, what, source : str
    kind : str
        Which question: ``cost``, ``bound``, ``chunks``, ``moe``, ``nccl``, ``hashed``, ``train``, ``serve``
        or ``share``.
    quantity : str
        One of `UNITS`.
    published : float
    tolerance : float
        Largest relative difference.
    asked : mapping
        What the question needs, by name.
    why : str
        Why the case is not held to its tolerance; empty where it is.
    """

    group: str
    what: str
    source: str
    kind: str
    quantity: str
    published: float
    tolerance: float
    asked: Mapping[str, Any]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A case and our number.

    Parameters
    ----------
    case : Case
    ours : float
    binding : str
        The link class that binds, where the question has one.
    """

    case: Case
    ours: float
    binding: str = ""

    @property
    def ratio(self) -> float:
        """Ours over published."""
        return self.ours / self.case.published

    @property
    def is_held(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.ratio - 1) <= self.case.tolerance * (1 + 1e-9)


def read_cases(path: str | Path) -> tuple[Case, ...]:
    """Read a file of cases.

    Raises
    ------
    TopologyError
        If it cannot be read.
    QuestionError
        If a case lacks something.
    """
    data = read_file(path).data
    cases = []
    for group in data["groups"]:  # type: ignore[attr-defined]
        common = group.get("common", {})
        for row in group["rows"]:
            options = {**common, **row}
            fields = {key: options.pop(key) for key in ("kind", "quantity", "published", "tolerance", "what")}
            source, why = options.pop("source", group["source"]), options.pop("why", "")
            if fields["quantity"] not in UNITS:
                msg = f"{path}: {fields['what']}: unknown quantity {fields['quantity']!r}"
                raise QuestionError(msg)
            cases.append(Case(group["title"], asked=options, source=source, why=why, **fields))
    return tuple(cases)


def evaluate_case(case: Case, folder: Path) -> Result:
    """Return our number for a case; files are relative to `folder`.

    Raises
    ------
    QuestionError
        If the kind of question is unknown.
    """
    kinds: dict[str, Callable[[Case, Path], tuple[float, str]]] = {
        "cost": _cost,
        "bound": _bound,
        "chunks": _chunks,
        "moe": _moe,
        "nccl": _nccl,
        "hashed": _hashed,
        "train": _train,
        "serve": _serve,
        "share": _share,
    }
    if case.kind not in kinds:
        msg = f"{case.what}: unknown kind of case {case.kind!r}; known are {', '.join(kinds)}"
        raise QuestionError(msg)
    return Result(case, *kinds[case.kind](case, folder))


@cache
def _fabric(file: str, text: str, folder: Path) -> Fabric:
    return loads(text) if text else load(folder / f"{file}.fabric.yaml")


def _split(case: Case, folder: Path) -> tuple[Fabric, dict[str, Any]]:
    options = dict(case.asked)
    return _fabric(options.pop("file", ""), options.pop("text", ""), folder), options


def _of(answer: Any, quantity: str) -> float:  # noqa: ANN401 - any answer with rates and a time
    if quantity == "time":
        return float(answer.time_s)
    return gbps_to_gbytes(answer.algbw_gbps if quantity == "algbw" else answer.busbw_gbps)


def _cost(case: Case, folder: Path) -> tuple[float, str]:
    fabric, options = _split(case, folder)
    queue_pairs = options.pop("queue_pairs", 1)
    answer = cost(
        fabric, options.pop("collective"), options.pop("size"), spread=Spread(queue_pairs), **options
    )
    return _of(answer, case.quantity), answer.binding


def _bound(case: Case, folder: Path) -> tuple[float, str]:
    """Return a bound, or the part of it that a calibration gives to a class of links."""
    fabric, options = _split(case, folder)
    share = 1.0
    options.pop("calibration", None)
    options.pop("in_place", None)
    if "efficiency" in options:
        share = calibration("measured").overhead((options.pop("efficiency"),), "copy").rate
    answer = bound(fabric, options.pop("collective"), options.pop("size", "1GiB"), **options)
    assert isinstance(answer, Bound)
    return share * _of(answer, case.quantity), ", ".join(answer.binding)


def _chunks(case: Case, folder: Path) -> tuple[float, str]:
    fabric, options = _split(case, folder)
    answer = chunk_bound(fabric, options.pop("collective"), options.pop("size"), **options)
    return _of(answer, case.quantity), ""


def _moe(case: Case, folder: Path) -> tuple[float, str]:
    fabric, options = _split(case, folder)
    ways, moe = options.pop("ways", {}), options.pop("moe")
    # There and back again, with so many bytes a value each way.
    both = [moe_cost(fabric, way, Moe(**moe, bytes_per_value=n), **options) for way, n in ways.items()]
    if both:
        return sum(answer.time_s for answer in both), both[0].binding
    answer = moe_cost(fabric, options.pop("way"), Moe(**moe), **options)
    return _of(answer, case.quantity), answer.binding


def _nccl(case: Case, folder: Path) -> tuple[float, str]:
    options = dict(case.asked)
    cluster = machine(Node(**options["node"]), options.get("n_nodes", 1))
    if case.quantity in ("latency", "bandwidth"):
        line = tuning(cluster, options["collective"])[options["algorithm"], options["protocol"]]
        return (line.latency_us if case.quantity == "latency" else line.bandwidth_gb_s), ""
    prediction = predict(cluster, options["collective"], options["size"])
    if "algorithm" not in options:
        return _of(prediction, case.quantity), ""
    return gbps_to_gbytes(prediction.busbw_of(prediction.of(options["algorithm"]))), ""


def _hashed(case: Case, folder: Path) -> tuple[float, str]:
    n, m = case.asked["flows"], case.asked["links"]
    if case.quantity == "load":
        load_, share = max_load(n, m)
        return float(load_ @ share), ""
    if case.asked["share"] == "slowest":
        return hashed_factor(n, m).expected, ""
    return {"busy": busy_share, "delivered": delivered_share}[case.asked["share"]](n, m), ""


def _train(case: Case, folder: Path) -> tuple[float, str]:
    """Return a figure of a step, or the step of another job over it; jobs are beside the folder of cases."""
    answer = _step(folder.parent / "jobs", case.asked["job"])
    if case.quantity == "speedup":
        return _step(folder.parent / "jobs", case.asked["than"]).step_s / answer.step_s, answer.binding
    if case.quantity == "sent":
        (row,) = (d for d in answer.dimensions if d.group == case.asked["group"])
        return row.sent_bytes / 1e9, row.binding
    figures = {"step": answer.step_s, "tflops": answer.tflops, "tokens": answer.tokens_per_s}
    return figures[case.quantity], answer.binding


def _serve(case: Case, folder: Path) -> tuple[float, str]:
    """Return how long the cache of a prompt is on its way; jobs are beside the folder of cases."""
    job = load_serving(folder.parent / "jobs" / f"{case.asked['job']}.serve.yaml")
    answer = serve(replace(job, prompt=case.asked["prompt"]), load(job.fabric))
    (way,) = (one for one in answer.transfers if one.way == case.asked["way"])
    return way.time_s, way.binding


def _share(case: Case, folder: Path) -> tuple[float, str]:
    """Return an iteration of one of several jobs at random phase, or what the best offset gains."""
    fabric, options = _split(case, folder)
    answer = share(fabric, options["jobs"])
    assert isinstance(answer, Sharing)
    if "of" in options:
        (job,) = (one for one in answer.jobs if one.name == options["of"])
        times = job.every_s if case.quantity == "step" else 1.0
        return times * job.stretch, ", ".join(price.link for price in job.binding)
    # All of them communicate at the same moments, or apart as far as they fit.
    gains = [(1 - j.busy + j.busy * j.slowdown) / (j.best_stretch or 1.0) for j in answer.jobs]
    return sum(gains) / len(gains), answer.jobs[0].binding[0].link


@cache
def _step(folder: Path, job: str) -> Training:
    return train(folder / f"{job}.job.yaml")


def page(results: Iterator[Result] | tuple[Result, ...]) -> str:
    """Return the page of all cases as Markdown."""
    all_results = list(results)
    gated = [r for r in all_results if not r.case.why]
    lines = [_INTRO.format(all=len(all_results), held=len(gated), reported=len(all_results) - len(gated))]
    groups = dict.fromkeys(r.case.group for r in all_results)
    for group in groups:
        of_group = [r for r in all_results if r.case.group == group]
        lines += ["", f"## {group}", "", f"Source: {of_group[0].case.source}.", ""]
        rows = []
        for r in of_group:
            unit = UNITS[r.case.quantity]
            tolerance = f"{100 * r.case.tolerance:.3g} %" if not r.case.why else "reported"
            rows.append([r.case.what, _show(r.case.published, unit), _show(r.ours, unit)])
            rows[-1] += [f"{r.ratio:.3f}", tolerance, r.binding]
        lines.append(table(["case", ">published", ">ours", ">ratio", ">tolerance", "binds"], rows))
        missed = [r for r in of_group if r.case.why]
        if missed:
            lines += ["", *(f"- *{r.case.what}*: {r.case.why}" for r in missed)]
    return "\n".join(lines) + "\n"


def _show(value: float, unit: str) -> str:
    if unit == "s":
        return f"{1e6 * value:.5g} us"
    return f"{value:.5g} {unit}".strip()


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    cases = read_cases(options.cases)
    text = page(evaluate_case(case, options.cases.parent) for case in cases)
    text += "\n" + evidence_section()
    write_file(options.out, text, force=True)
    beside = options.out.with_suffix("")
    beside.mkdir(exist_ok=True)
    for name, drawn in pictures().items():
        write_file(beside / f"{name}.svg", drawn, force=True)


if __name__ == "__main__":
    main()
