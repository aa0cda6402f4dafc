"""Fit the calibration ``measured`` to the evidence, and hold it against what it did not know.

``python -m tools.evidence`` writes ``measured.calibration.yaml`` and, beside the points, how far each was
from a fit without its run, and from one without its site.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import fabric
from fabric.costing import Calibration, calibration
from fabric.costing.calibration import calibration_text
from fabric.costing.overheads import GpuOverhead, Overhead
from fabric.evidence import Point, points
from fabric.schedule.tree import Transfer
from fabric.text.writing import write_file
from tools.evidence.features import job_of, run_of
from tools.evidence.fit import ALL, BETWEEN, COMMON, GENERATIONS, calibration_of, fit, predicted
from tools.evidence.tokens import with_tokens

RUN_FOLDS, SITE_FOLDS, WORKERS = 10, 8, 4
ALIKE = 5.0
"""Points that the small messages of all other generations count for in one: boxes of one generation take up
to twice what others of it do (18 us on AWS, 42 us on Azure), and that generations do not."""
_PACKAGE = Path(fabric.__file__).parent
_OVER_TCP = 256 << 20
"""Sizes from which a run over GPUDirect-TCPXO is of what the cards carry, as over InfiniBand and EFA."""
_SLOW_EXCHANGES = (("oci-gb300", 2, "all-to-all"), ("vultr-b200", 2, "all-to-all"))
_UNSOUND = {
    ("MI300X, 2 nodes", 2): (0, 128 << 20),
    ("MI350X, 1 box, one process", 1): (0, 2 << 20),
    ("A100, 1 node (cnh)", 1): (32 << 10, 64 << 20),
    ("A100 40GB (OCI), 2 nodes", 2): (16 << 20, 1 << 40),
    ("A3 High, 1 node", 1): (0, 1 << 40),
}
"""Sizes that judge but teach nothing, by system and domains."""
_TCP = ("a3mega", "dstack-a3mega", "gke-a3mega-jp", "a3mega-bootcamp", "a3mega-tcpxo")


def generation_of(point: Point) -> str:
    """Return the name of the generation of a point."""
    _, _, work = job_of(point)
    keys = [key for rule in work.links.keys if rule[-1] == "scale-up" for key in rule]
    return next(g.name for key in keys for g in GENERATIONS if key in g.keys)


def is_of(point: Point, key: str) -> bool:
    """Return whether a point ran on links of a name."""
    return any(key in names for names in run_of(point).keys)


def is_fitted(point: Point) -> bool:
    """Return whether the calibration is made from a point.

    For judging only are small messages over TCP; two nodes of MI300X whose smallest message takes 220 us,
    five times what others take, and one process that drives eight MI350X at four times of it; eight A100 at
    up to ten times, and two nodes of them from 16 MiB on at a third of the rate that others have; a node of
    H100 whose settings leave it half of its channels; an all-to-all between racks of GB300 at a third of
    what their cards carry, with no cause told; one between two nodes of B200 at half of it; and a
    simulator's table, which is a model itself.
    """
    known = _UNSOUND.get((point.system, point.domains))
    if known is not None and known[0] <= point.size_bytes <= known[1]:
        return False
    if point.source in _TCP and point.size_bytes < _OVER_TCP:
        return False
    if (point.source, point.domains, point.collective) in _SLOW_EXCHANGES:
        return False
    return point.source != "simai"


def fit_all(known: Sequence[Point], base: Calibration) -> dict[str, float]:
    """Return all values, fitted to some points and to nothing else."""
    known = [p for p in known if is_fitted(p)]
    inside = [p for p in known if p.domains == 1]
    values = {f"{ALL} {what}": value for what, value in COMMON.items()} | dict(BETWEEN)
    values = fit(inside, [f"{ALL} {what}" for what in COMMON], values, base, max_tries=8)
    for generation in GENERATIONS:
        own = generation.values(values)
        # Twenty racks tell the steps of a ring inside them better than any one does.
        told = [p for p in known if p.domains in (1, 20) and generation_of(p) == generation.name]
        values = fit(told, list(own), {**values, **own}, base, alike=ALIKE) if told else {**values, **own}
    # What lies between domains differs by site more than domains do: the most count, not the middle.
    between = [p for p in known if p.domains > 1]
    return fit(between, list(BETWEEN), values, base, loss="cauchy", alike=ALIKE)


def run_fold(point: Point) -> int:
    """Return the fold of a point: one run is in one fold, whatever its sizes."""
    return zlib.crc32("/".join(point.curve).encode()) % RUN_FOLDS


def site_fold(every: Sequence[Point]) -> Callable[[Point], int]:
    """Return a function that gives the fold of a point: one site is in one fold.

    Sites of one generation are apart as far as there are folds, those with runs inside a domain first, and
    so are those of one source: what else tells of a site remains where it is left out.
    """
    generations = {site: generation_of(p) for site, p in {p.site: p for p in every}.items()}
    inside = {p.site for p in every if p.domains == 1}
    folds: dict[tuple[str, str], int] = {}
    for shift, generation in enumerate(sorted(set(generations.values()))):
        own = [site for site in generations if generations[site] == generation]
        own.sort(key=lambda site: (site not in inside, site))
        folds |= {site: (i + shift) % SITE_FOLDS for i, site in enumerate(own)}
    return lambda point: folds[point.site]


def held_out(
    every: Sequence[Point], fold_of: Callable[[Point], int], base: Calibration
) -> tuple[list[float], list[str], list[bool]]:
    """Return for every point what a fit without its fold says.

    Returns
    -------
    ratio : list of float
        Predicted over measured time.
    algorithm : list of str
    is_known : list of bool
        Whether runs inside a domain of its generation remain.
    """
    ratio, by, known = [0.0] * len(every), [""] * len(every), [True] * len(every)
    folds = [fold_of(p) for p in every]
    parts = [
        (
            [p for p, f in zip(every, folds, strict=True) if f != fold],
            [p for p, f in zip(every, folds, strict=True) if f == fold],
            base,
        )
        for fold in sorted(set(folds))
    ]
    with ProcessPoolExecutor(max_workers=WORKERS) as pool:
        found = list(pool.map(_without, parts))
    for fold, (rest, _, _), (times, names) in zip(sorted(set(folds)), parts, found, strict=True):
        left = {generation_of(p) for p in rest if p.domains == 1}
        for i, time_s, name in zip([i for i, f in enumerate(folds) if f == fold], times, names, strict=True):
            ratio[i], by[i], known[i] = time_s / every[i].time_s, name, generation_of(every[i]) in left
    return ratio, by, known


def _without(part: tuple[Sequence[Point], Sequence[Point], Calibration]) -> tuple[list[float], list[str]]:
    """Return what a fit to some points says of others: times [s] and algorithms."""
    rest, others, base = part
    times, names = predicted(calibration_of(fit_all(rest, base), base), others)
    return times.tolist(), names


def with_sources(known: Calibration, every: Sequence[Point]) -> Calibration:
    """Return a calibration whose values name the points that they rest on."""
    said: dict[str, str] = {}
    for generation in GENERATIONS:
        own = [p for p in every if p.domains == 1 and generation_of(p) == generation.name]
        systems = ", ".join(dict.fromkeys(p.source for p in own))
        for key in generation.keys:
            said[key] = f"{len(own)} points inside one domain of {generation.name}: {systems}"
    between = [p for p in every if p.domains > 1 and is_fitted(p)]
    net = _told("between domains", between)
    said["EFA"] = _told("over EFA", [p for p in between if p.fabric.startswith("aws-")])

    def sourced(key: str, kinds: Mapping[Transfer, Overhead]) -> dict[Transfer, Overhead]:
        return {k: replace(o, source=o.source or said.get(key, net)) for k, o in kinds.items()}

    links = {key: sourced(key, kinds) for key, kinds in (known.links or {}).items()}
    gpus: dict[str, Mapping[Transfer, GpuOverhead]] = {
        key: {k: replace(g, source=g.source or said[key]) for k, g in kinds.items()}
        for key, kinds in known.gpus.items()
    }
    counts = {}
    for key, row in known.channel_counts.items():
        own = [p for p in between if is_of(p, key) and p.collective == "all-reduce"]
        counts[key] = {n: replace(c, source=_told("between domains", own)) for n, c in row.items()}
    return replace(known, links=links, gpus=gpus, channel_counts=counts)


def _told(what: str, own: Sequence[Point]) -> str:
    runs = len({p.curve for p in own})
    return f"{len(own)} points of {runs} runs {what}: " + ", ".join(dict.fromkeys(p.source for p in own))


def residual_rows(every: Sequence[Point], base: Calibration) -> str:
    """Return how far every point was from a fit without its run, and from one without its site, as CSV."""
    ratio, by, _ = held_out(every, run_fold, base)
    ratio_site, _, is_known = held_out(every, site_fold(every), base)
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    names = ("system", "collective", "dtype", "algorithm", "ranks", "domains", "size_bytes", "ratio")
    rows.writerow((*names, "ratio_site", "generation_remains", "fitted", "forced", "source"))
    for i, p in enumerate(every):
        said = (p.system, p.collective, p.dtype, by[i], p.ranks, p.domains, p.size_bytes)
        words = ("yes" if yes else "no" for yes in (is_known[i], is_fitted(p), bool(p.forced)))
        rows.writerow((*said, f"{ratio[i]:.4f}", f"{ratio_site[i]:.4f}", *words, p.source))
    return out.getvalue()


def main() -> None:
    """Write the calibration and its residuals."""
    every = points()
    base = calibration("measured")
    known = with_sources(with_tokens(calibration_of(fit_all(every, base), base)), every)
    head = "# Made by python -m tools.evidence from fabric/evidence/data.\n"
    write_file(
        _PACKAGE / "costing" / "calibrations" / "measured.calibration.yaml",
        head + calibration_text(known),
        force=True,
    )
    text = residual_rows(every, base)
    write_file(_PACKAGE / "evidence" / "data" / "measured.residuals.csv", text, force=True)


if __name__ == "__main__":
    main()
