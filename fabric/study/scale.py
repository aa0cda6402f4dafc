"""How a design behaves as the cluster grows: a row for every size, and the sizes at which something changes.

A *knee* is the smallest number of racks from which on another link class binds, another tier is needed, or
another algorithm is the fastest. Sizes are asked for one by one; between two that differ the knee is found by
bisection over whole racks.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fabric.collective import cost
from fabric.collective.bound import OPERATIONS, bound
from fabric.errors import FabricError, QuestionError
from fabric.flow.throughput import throughput
from fabric.graph import Fabric
from fabric.sizing import Ask, Design, design_for
from fabric.sizing.bom import bom
from fabric.units import format_count, gbps_to_gbytes, parse_bytes, parse_count

if TYPE_CHECKING:
    from fabric.routing import Progress

COLLECTIVES = ("all-reduce",)
MAX_POINTS = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One size.

    Parameters
    ----------
    asked, gpus : int
        GPUs asked for, and built: whole racks.
    tiers, switches, cables : int
        Tiers of switches, switches, and cables of the network beyond the racks.
    all_to_all_gbps : float
        Rate of every GPU in uniform all-to-all, exact [Gb/s].
    all_to_all_binding : str
        Link class with the largest share of its price, and that share.
    all_to_all_share : float
    bounds_gbps : tuple of (str, float)
        For an all-gather and each collective the busbw that no algorithm exceeds [Gb/s].
    known_w : float
        Power of the parts whose power is known [W].
    costed_gpus : int
        GPUs that the collectives are costed for: the design with its last block filled.
    times_s : tuple of (str, float, str, str)
        For each collective its time [s], algorithm and binding link class.
    problem : str
        Why there is no design of this size; then all else is zero or empty.
    """

    asked: int
    gpus: int = 0
    tiers: int = 0
    switches: int = 0
    cables: int = 0
    all_to_all_gbps: float = 0.0
    all_to_all_binding: str = ""
    all_to_all_share: float = 0.0
    bounds_gbps: tuple[tuple[str, float], ...] = ()
    known_w: float = 0.0
    costed_gpus: int = 0
    times_s: tuple[tuple[str, float, str, str], ...] = ()
    problem: str = ""

    def signature(self) -> dict[str, object]:
        """Return what a knee is a change of."""
        found: dict[str, object] = {"tiers": self.tiers, "all-to-all binds": self.all_to_all_binding}
        for name, _, algorithm, binding in self.times_s:
            found[f"{name} by"] = algorithm
            found[f"{name} binds"] = binding
        return {"design": self.problem} if self.problem else found

    def cells(self) -> dict[str, object]:
        """Return the columns of the table."""
        found: dict[str, object] = {
            "gpus": self.gpus or self.asked,
            "tiers": self.tiers,
            "switches": self.switches,
            "cables": self.cables,
            "switches_per_1000_gpus": 1000 * self.switches / self.gpus if self.gpus else 0.0,
            "all_to_all_gbps": self.all_to_all_gbps,
            "all_to_all_binding": self.all_to_all_binding,
            "all_to_all_share": self.all_to_all_share,
            "known_kw_per_gpu": self.known_w / 1000 / self.gpus if self.gpus else 0.0,
            "costed_gpus": self.costed_gpus,
        }
        for name, rate in self.bounds_gbps:
            found[f"{name.replace('-', '_')}_busbw_bound_gbytes"] = gbps_to_gbytes(rate)
        for name, time_s, algorithm, binding in self.times_s:
            key = name.replace("-", "_")
            found |= {f"{key}_s": time_s, f"{key}_algorithm": algorithm, f"{key}_binding": binding}
        return found | {"problem": self.problem}


@dataclass(frozen=True, slots=True)
class Knee:
    """A size from which on something is different.

    Parameters
    ----------
    gpus : int
        The smallest size, in whole racks, that has the new value.
    what : str
    before, after : str
    """

    gpus: int
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return the knee in a line."""
        return f"from {format_count(self.gpus)} GPUs: {self.what}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Table:
    """Answer of `scale`.

    Parameters
    ----------
    rows : tuple of Row
        By size.
    knees : tuple of Knee
    size_bytes : int
        Of the collectives.
    """

    rows: tuple[Row, ...]
    knees: tuple[Knee, ...]
    size_bytes: int

    def cells(self) -> list[dict[str, object]]:
        """Return the rows as records; every record has all columns."""
        records = [row.cells() for row in self.rows]
        names = list(dict.fromkeys(name for record in records for name in record))
        return [{name: record.get(name, "") for name in names} for record in records]

    def to_dict(self) -> dict[str, object]:
        """Return rows and knees with stable keys."""
        return {
            "size_bytes": self.size_bytes,
            "rows": self.cells(),
            "knees": [
                {"gpus": k.gpus, "what": k.what, "before": k.before, "after": k.after} for k in self.knees
            ],
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_csv(self) -> str:
        """Return the rows as CSV."""
        records = self.cells()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def to_markdown(self) -> str:
        """Return rows and knees as Markdown."""
        records = self.cells()
        names = [n for n in records[0] if n != "problem"]
        lines = ["| " + " | ".join(names) + " |", "|" + "--:|" * len(names)]
        for record in records:
            shown = [_shown(record[n]) for n in names]
            if record["problem"]:
                shown = [_shown(record["gpus"]), f"no design: {record['problem']}", *[""] * (len(names) - 2)]
            lines.append("| " + " | ".join(shown) + " |")
        if self.knees:
            lines += ["", "Knees:", "", *(f"- {knee}" for knee in self.knees)]
        return "\n".join(lines)

    def to_frame(self, backend: str = "pandas") -> Any:  # noqa: ANN401 - a frame of either library
        """Return the rows as a data frame.

        Parameters
        ----------
        backend : {"pandas", "polars"}
            Neither is installed with this package.

        Raises
        ------
        QuestionError
            If the library is unknown or not installed.
        """
        if backend not in ("pandas", "polars"):
            msg = f"frames are made by pandas or polars; got {backend!r}"
            raise QuestionError(msg)
        try:
            library = __import__(backend)
        except ImportError:
            msg = f"{backend} is not installed; pip install {backend}"
            raise QuestionError(msg) from None
        return library.DataFrame(self.cells())

    def __str__(self) -> str:
        """Return `to_markdown`."""
        return self.to_markdown()


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return format_count(value) if isinstance(value, int) else str(value)


def scale(
    ask: Ask | None = None,
    gpus: Sequence[int] = (),
    *,
    collectives: Sequence[str] = COLLECTIVES,
    size: int | str = "1GiB",
    calibration: str = "wire",
    has_knees: bool = True,
    progress: Progress | None = None,
    **arguments: Any,  # noqa: ANN401 - those of a design
) -> Table:
    """Return how a design behaves at several sizes.

    Parameters
    ----------
    ask : Ask, optional
        The arguments of the design; its number of GPUs is replaced.
    gpus : sequence of int
        Sizes, each rounded up to whole racks.
    collectives : sequence of str
        To cost at every size.
    size : int or str
        Of the collectives' buffers.
    calibration : str
        Of the costs.
    has_knees : bool
        Whether to look for the sizes between at which something changes.
    progress : callable, optional
        Called with the sizes that are done and their number.
    **arguments
        Those of `fabric.sizing.design`, in place of `ask`.

    Raises
    ------
    QuestionError
        If there is no size.

    Examples
    --------
    >>> table = scale(gpus=[256, 4096], rack="hgx-h100", leaf="64x400G", has_knees=False)
    >>> [(row.gpus, row.tiers, row.all_to_all_binding) for row in table.rows]
    [(256, 2, 'nic-leaf'), (4096, 3, 'nic-leaf')]
    """
    sizes = sorted(set(gpus))
    if not sizes or sizes[0] < 1:
        msg = "scale needs at least one size, each of one GPU or more"
        raise QuestionError(msg)
    if ask is None:
        missing = [name for name in ("rack", "leaf") if name not in arguments]
        if missing:
            msg = f"scale: {' and '.join(missing)} missing"
            raise QuestionError(msg)
        ask = Ask(1, **arguments)
    measure = _Measure(ask, tuple(collectives), parse_bytes(size), calibration)
    rows = []
    for i, n in enumerate(sizes):
        rows.append(measure.row(n))
        if progress:
            progress(i + 1, len(sizes))
    found = tuple(measure.knees(rows)) if has_knees else ()
    return Table(tuple(rows), found, measure.size_bytes)


def spaced(text: str, n_points: int = 20) -> tuple[int, ...]:
    """Return the sizes of a list with commas, or of a range, evenly spaced on a log scale.

    Raises
    ------
    QuestionError
        If it is neither.

    Examples
    --------
    >>> spaced("72, 144"), spaced("100..10000", 3)
    ((72, 144), (100, 1000, 10000))
    """
    low, dots, high = text.partition("..")
    if not dots:
        return tuple(parse_count(word.strip()) for word in text.split(",") if word.strip())
    first, last = parse_count(low.strip()), parse_count(high.strip())
    if not 2 <= n_points <= MAX_POINTS or not 1 <= first < last:
        msg = f"sizes {text!r} in {n_points} points: a range runs up, in 2 to {MAX_POINTS} points"
        raise QuestionError(msg)
    ratio = (last / first) ** (1 / (n_points - 1))
    return (first, *(round(first * ratio**i) for i in range(1, n_points - 1)), last)


@dataclass(frozen=True, slots=True)
class _Measure:
    """Measure a design at any size; what was measured is remembered."""

    ask: Ask
    collectives: tuple[str, ...]
    size_bytes: int
    calibration: str
    known: dict[int, Row] = field(default_factory=dict)

    def row(self, gpus: int) -> Row:
        """Return the row of a size, with all that does not make a knee: bounds and power."""
        try:
            made = design_for(replace(self.ask, gpus=gpus))
        except FabricError as error:
            return Row(gpus, problem=str(error))
        found = self.brief(gpus, made)
        known = dict.fromkeys(("all-gather", *self.collectives))
        bounds = [(name, bound(made.fabric, name).busbw_gbps) for name in known if name in OPERATIONS]
        return replace(found, bounds_gbps=tuple(bounds), known_w=bom(made.blueprint).power_w or 0.0)

    def brief(self, gpus: int, made: Design | None = None) -> Row:
        """Return what makes a knee of a size."""
        if gpus not in self.known:
            self.known[gpus] = self._brief(gpus, made)
        return self.known[gpus]

    def _brief(self, gpus: int, made: Design | None) -> Row:
        try:
            made = made or design_for(replace(self.ask, gpus=gpus))
        except FabricError as error:
            return Row(gpus, problem=str(error))
        fabric = made.fabric
        spread = throughput(fabric)
        # Algorithms number their ranks along axes; a last block that is not full has no such numbers.
        filled = Fabric(fabric.name, replace(made.blueprint, absent=()))
        times, costed = [], 0
        for name in self.collectives:
            one = cost(filled, name, self.size_bytes, calibration=self.calibration, is_bounded=False)
            times.append((name, one.time_s, one.chosen.algorithm, one.binding))
            costed = one.n_ranks
        top = spread.binding[0] if spread.binding else None
        return Row(
            gpus,
            made.gpus,
            made.n_tiers,
            sum(made.switches.values()),
            _network_cables(made),
            spread.per_endpoint_gbps,
            top.link if top else "",
            top.share if top else 0.0,
            costed_gpus=costed,
            times_s=tuple(times),
        )

    def knees(self, rows: Sequence[Row]) -> Iterator[Knee]:
        """Yield the knees between neighbouring sizes, in their order."""
        for low, high in zip(rows[:-1], rows[1:], strict=True):
            before, after = low.signature(), high.signature()
            found = []
            for what in dict.fromkeys([*before, *after]):
                if before.get(what, "") != after.get(what, ""):
                    found.append(self._knee(low, high, what))
            yield from sorted(found, key=lambda k: k.gpus)

    def _per_rack(self) -> int:
        """Return the GPUs of one rack: what a design for one GPU is rounded up to."""
        try:
            return design_for(replace(self.ask, gpus=1)).gpus
        except FabricError:
            return 1

    def _knee(self, low: Row, high: Row, what: str) -> Knee:
        """Return the smallest size at which `what` is no longer as at the lower end."""
        old = low.signature().get(what, "")
        step = self._per_rack()
        a, b = low.asked, high.asked
        while b - a > step:
            middle = a + max((b - a) // 2 // step, 1) * step
            if middle >= b:
                break
            if self.brief(middle).signature().get(what, "") == old:
                a = middle
            else:
                b = middle
        end = self.brief(b)
        return Knee(end.gpus or b, what, str(old) or "-", str(end.signature().get(what, "")) or "-")


def _network_cables(made: Design) -> int:
    """Return the cables of the network beyond the racks."""
    rules = {r.name: r.net for r in made.blueprint.rules}
    return sum(n for name, n in made.cables.items() if rules.get(name, "scale-out") == "scale-out")
