"""A collective over a range of sizes, in the columns of nccl-tests, with the busbw that a run must reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

from fabric.arguments import checked
from fabric.costing.answer import Cost
from fabric.costing.cost import CostOptions, cost
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.interop.nccl_log import kind_of
from fabric.interop.nccl_tests import format_rows, predicted_row
from fabric.results import Result
from fabric.text.chart import curve
from fabric.text.columns import columns, width
from fabric.units import format_bytes, format_time, gbps_to_gbytes, parse_bytes


@dataclass(frozen=True, slots=True)
class Sweep(Result):
    """Answer of `sweep`.

    Parameters
    ----------
    costs : tuple of Cost
        By size.
    threshold : float or None
        Part of the predicted busbw that a measured run must reach to pass; None for what healthy runs of the
        kind of each size reached.
    """

    costs: tuple[Cost, ...]
    threshold: float | None

    shown: ClassVar[tuple[str, ...]] = ("pass_gbps",)

    @property
    def pass_gbps(self) -> tuple[float | None, ...]:
        """Busbw that a run must reach, by size [Gb/s]; None where nothing tells."""
        if self.threshold is not None:
            return tuple(self.threshold * answer.busbw_gbps for answer in self.costs)
        return tuple(c.support.pass_gbps if c.support else None for c in self.costs)

    def _about(self) -> Iterator[str]:
        """Yield what the columns beside those of nccl-tests say, and how sure the prediction is."""
        least = "what healthy runs of its kind reached; none: outside the evidence"
        if self.threshold is not None:
            least = f"{100 * self.threshold:.4g} % of the busbw"
        yield f"a run passes from {least}"
        support = self.costs[-1].support
        if support is None:
            return
        yield "80 % of runs lie from low to high; on the wires no run by this algorithm is faster"
        places = {c.support.standing: c.size_bytes for c in self.costs if c.support}
        yield f"at {format_bytes(self.costs[-1].size_bytes)}: {support.basis}"
        if len(places) > 1:
            yield "up to " + ", ".join(f"{format_bytes(size)} {place}" for place, size in places.items())

    def table(self) -> list[dict[str, object]]:
        """Return a row for every size."""
        return [
            {
                "size_bytes": answer.size_bytes,
                "time_s": answer.time_s,
                "algbw_gbps": answer.algbw_gbps,
                "busbw_gbps": answer.busbw_gbps,
                "pass_gbps": least,
                "low_gbps": answer.support.low_gbps if answer.support else None,
                "high_gbps": answer.support.high_gbps if answer.support else None,
                "most_gbps": answer.chosen.most_gbps,
                "algorithm": answer.chosen.algorithm,
                "protocol": answer.chosen.protocol,
                "binding": answer.binding,
                "standing": _place(answer),
            }
            for answer, least in zip(self.costs, self.pass_gbps, strict=True)
        ]

    def __str__(self) -> str:
        """Return the rows of nccl-tests, and behind each what a run must reach, the algorithm and what binds.

        Every row has as many words as the line that names the columns, so that what reads logs of nccl-tests,
        `fabric.interop.nccl_tests` too, reads it.
        """
        first = self.costs[0]
        if first.status == "cut off":
            return str(first)  # whatever the size
        if width() is not None:
            return self._on_a_terminal()
        rows = [predicted_row(c.collective, c.size_bytes, c.time_s, n_ranks=c.n_ranks) for c in self.costs]
        lines = format_rows(rows).split("\n")
        n_head = len(lines) - len(rows)
        chosen = [c.chosen for c in self.costs]
        names = [f"{a.algorithm}/{a.protocol}" if a.protocol else a.algorithm for a in chosen]
        rates = self._rates()
        # nccl-tests names columns and units on the last two lines of the head: ours go beside them.
        heads = ([""] * len(rates), list(rates), ["(GB/s)"] * len(rates))
        words = (["", ""], ["algorithm", "binds"], ["", ""])
        ends = [[*head, *word] for head, word in zip(heads, words, strict=True)][-n_head:]
        ends += [
            [*row, name, a.binding]
            for row, name, a in zip(zip(*rates.values(), strict=True), names, chosen, strict=True)
        ]
        wide = [max(map(len, column)) for column in zip(*ends, strict=True)]
        widest = max(map(len, lines))
        printed = self._head()
        for line, cells in zip(lines, ends, strict=True):
            # Rates are flush right, words flush left.
            padded = [
                cell.rjust(w) if i < len(rates) else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(cells, wide, strict=True))
            ]
            printed.append("  ".join([f"{line:{widest}}", *padded]).rstrip())
        return "\n".join(printed)

    def picture(self) -> str:
        """Return busbw over sizes: what a run will show, and what it must reach."""
        if any(one.cut_off for one in self.costs):
            return ""
        sizes = [format_bytes(one.size_bytes) for one in self.costs]
        expected = [gbps_to_gbytes(one.busbw_gbps) for one in self.costs]
        least = [None if rate is None else gbps_to_gbytes(rate) for rate in self.pass_gbps]
        name = "wires" if self.costs[0].support is None else "expected"
        title = f"busbw of {self.costs[0].collective} rises to {max(expected):.4g} GB/s"
        return curve(title, "GB/s", sizes, {name: expected, "must reach": least})

    def _head(self) -> list[str]:
        first = self.costs[0]
        return [
            f"# Prediction for {kind_of(first.collective).binary}_perf, {first.routing} routing",
            *(f"# {line}" for line in self._about()),
            f"# Using {first.n_ranks} ranks in {first.n_domains:,} scale-up "
            f"domain{'s' if first.n_domains > 1 else ''}",
            f"# Calibration {first.calibration}: {first.about}",
        ]

    def _on_a_terminal(self) -> str:
        """Return what differs from size to size in fewer columns than nccl-tests has."""
        rates = {name: cells for name, cells in self._rates().items() if name != "wires"}
        head = ["size", ">time", ">busbw", *(f">{name}" for name in rates), "algorithm", "binds"]
        rows = [
            [
                format_bytes(one.size_bytes),
                format_time(one.time_s),
                f"{gbps_to_gbytes(one.busbw_gbps):.2f}",
                *cells,
                one.chosen.name,
                one.binding,
            ]
            for one, cells in zip(self.costs, zip(*rates.values(), strict=True), strict=True)
        ]
        return "\n".join([*self._head(), "# Rates in GB/s", columns(head, rows)])

    def _rates(self) -> dict[str, list[str]]:
        """Return by heading the busbw that a run must reach, that 80 % of runs lie between, and the most."""
        rates: dict[str, list[float | None]] = {"pass": list(self.pass_gbps)}
        if self.costs[0].support is not None:
            known = [c.support for c in self.costs if c.support]
            rates["low"] = [s.low_gbps or None for s in known]
            rates["high"] = [s.high_gbps or None for s in known]
            rates["wires"] = [c.chosen.most_gbps or None for c in self.costs]
        return {
            name: [f"{gbps_to_gbytes(rate):.2f}" if rate is not None else "none" for rate in column]
            for name, column in rates.items()
        }


def _place(answer: Cost) -> str:
    return answer.support.standing if answer.support else ""


def ends_of(text: str) -> tuple[str, str]:
    """Return the two ends of a range.

    Raises
    ------
    QuestionError
        If one is missing.

    Examples
    --------
    >>> ends_of("1KiB..16GiB")
    ('1KiB', '16GiB')
    """
    low, _, high = (word.strip() for word in text.partition(".."))
    if not (low and high):
        msg = f"range {text!r}: {'upper' if low else 'lower'} end missing"
        raise QuestionError(msg)
    return low, high


def sizes_of(text: str, factor: int = 2) -> tuple[int, ...]:
    """Return the sizes of a range, such as ``"1KiB..16GiB"``, each `factor` times the one before.

    Raises
    ------
    QuestionError
        If the range runs backwards or lacks an end, or the factor is less than 2.

    Examples
    --------
    >>> sizes_of("1KiB..4KiB")
    (1024, 2048, 4096)
    """
    first, last = (parse_bytes(end) for end in (ends_of(text) if ".." in text else (text, text)))
    if first > last:
        msg = f"sizes {text!r}: from the smallest up; write such as 1KiB..16GiB"
        raise QuestionError(msg)
    if factor < 2:
        msg = f"sizes {text!r}: a step factor of 2 or more; got {factor}"
        raise QuestionError(msg)
    # The range may end between two sizes: the last is the largest that fits.
    sizes = [first]
    while sizes[-1] * factor <= last:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


@checked
def sweep(
    fabric: Fabric,
    collective: str,
    sizes: str = "1KiB..16GiB",
    *,
    factor: int = 2,
    threshold: float | None = None,
    **options: Unpack[CostOptions],
) -> Sweep:
    """Return what a collective costs over a range of sizes.

    Parameters
    ----------
    fabric : Fabric
    collective : str
    sizes : str
        Such as ``"1KiB..16GiB"``.
    factor : int
        From one size to the next.
    threshold : float, optional
        Part of the predicted busbw that a measured run must reach, 0 < threshold <= 1; by default what
        healthy runs of its kind reached.
    **options
        As for `fabric.costing.cost.cost`: ``algorithm``, ``calibration``, ``spread``, ``progress``, and which
        ranks and how they are routed.

    Raises
    ------
    QuestionError
        If the question does not fit the fabric.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 8}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> found = sweep(loads(text), "all-gather", "1MiB..4MiB", calibration="wire")
    >>> [round(c.busbw_gbps) for c in found.costs]
    [400, 400, 400]
    """
    if threshold is not None and not 0 < threshold <= 1:
        msg = f"threshold: above 0 and at most 1; got {threshold}"
        raise QuestionError(msg)
    # The first size routes the patterns; the others find them known.
    costs = (cost(fabric, collective, size, **options) for size in sizes_of(sizes, factor))
    return Sweep(tuple(costs), threshold)
