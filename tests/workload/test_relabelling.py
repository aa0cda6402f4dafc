"""Racks and pods that are numbered otherwise are the same: uneven jobs on random fabrics say so."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

import pytest

from fabric.costing import cost
from fabric.graph import Fabric, degrade, loads
from fabric.workload import parse_job
from fabric.workload.share import share
from fabric.workload.train import train
from fabric.workload.workload import Workload
from tests.workload.test_stress_train import TEXT


@dataclass(frozen=True)
class Uneven:
    """Racks of which a job has unequal parts, and what is slow in one."""

    made: dict
    parts: list[tuple[int, int, str]]
    """Pod, rack and trays of each part of the job, in the order of its ranks."""
    slow: tuple[int, int, str]
    sizes: dict[str, int]
    order: str

    def numbered(self, draw: random.Random | None) -> tuple[Fabric, list[str]]:
        """Return the fabric and the parts of the job, pods and racks in each of them numbered anew."""
        n_pods, n_racks = self.made["pod"], self.made["rack"]
        pods, racks = list(range(n_pods)), [list(range(n_racks)) for _ in range(n_pods)]
        for labels in (pods, *racks) if draw else ():
            draw.shuffle(labels)

        def place(pod: int, rack: int, rest: str) -> str:
            return f"pod{pods[pod]}/rack{racks[pod][rack]}/{rest}"

        here = degrade(loads(TEXT.format(**self.made)), f"{place(*self.slow)} at 1/2")
        return here, [place(*part) for part in self.parts]

    def work(self, among: list[str]) -> Workload:
        """Return the training job."""
        data = {
            "job": "uneven",
            "among": among,
            "model": {
                "layers": 12, "hidden": 1152, "ffn": 2304, "heads": 12, "kv_heads": 12, "head_dim": 96,
                "vocabulary": 5000,
            },
            "parallel": self.sizes,
            "order": f"(ranks) -> ({self.order})",
            "batch": {"sequences": 2520, "length": 1152},
            "assume": {"peak": 50},
        }  # fmt: skip
        return parse_job(json.dumps(data))


def uneven(seed: int) -> Uneven:
    """Return a job on parts of several racks, by a seed."""
    draw = random.Random(f"relabelled {seed}")
    while True:
        pod, rack, tray, slot = (
            draw.choice((1, 2)),
            draw.choice((2, 3)),
            draw.choice((2, 3)),
            draw.choice((1, 2)),
        )
        places = [(p, r) for p in range(pod) for r in range(rack)]
        chosen = draw.sample(places, draw.randint(2, len(places)))
        parts = [(p, r, f"tray0-{draw.randrange(tray)}/gpu") for p, r in chosen]
        n = sum((int(text[6]) + 1) * slot for *_, text in parts)
        tp, pp = (draw.choice([k for k in (1, 2, 3, 4) if n % k == 0]) for _ in range(2))
        if n > 2 and n % (tp * pp) == 0 and 2520 % (n // (tp * pp)) == 0:
            break
    rates = [800, 400, draw.choice((50, 200)), draw.choice((25, 100)), draw.choice((20, 80))]
    made = {
        "pod": pod,
        "rack": rack,
        "tray": tray,
        "slot": slot,
        "leaf": draw.choice(("rack", "slot")),
        "rates": rates,
    }
    slow = (*draw.choice(places), f"tray{draw.randrange(tray)}/nic")
    order = " ".join(draw.sample(("dp", "pp", "tp"), 3))
    return Uneven(made, parts, slow, {"tp": tp, "pp": pp}, order)


@pytest.mark.seeds(1, of=40)
def test_relabelling_changes_nothing_of_an_uneven_job(seed: int) -> None:
    job = uneven(seed)
    here, parts = job.numbered(None)
    there, moved = job.numbered(random.Random(f"labels {seed}"))
    one, two = (
        train(job.work(parts), here, calibration="wire"),
        train(job.work(moved), there, calibration="wire"),
    )
    assert two.step_s == pytest.approx(one.step_s, rel=1e-9)
    assert two.binding == one.binding
    for row, other in zip(one.dimensions, two.dimensions, strict=True):
        assert (other.group, other.n_ranks, other.where) == (row.group, row.n_ranks, row.where)
        assert other.time_s == pytest.approx(row.time_s, rel=1e-9)
    for collective in ("all-reduce", "all-to-all"):
        runs = (
            cost(on, collective, "1GB", ranks=ranks, calibration="wire")
            for on, ranks in ((here, parts), (there, moved))
        )
        first, second = runs
        assert second.time_s == pytest.approx(first.time_s, rel=1e-9)
        assert second.binding == first.binding
    first, second = (
        share(
            on,
            [f"j{i}={text}" for i, text in enumerate(texts) if job.made["slot"] > 1 or "tray0-0/" not in text]
            + ["all=*"],
        )
        for on, texts in ((here, parts), (there, moved))
    )
    for job_here, job_there in zip(first.jobs, second.jobs, strict=True):
        assert job_there.rate_gbps == pytest.approx(job_here.rate_gbps, rel=1e-7)
        assert job_there.alone_gbps == pytest.approx(job_here.alone_gbps, rel=1e-7)
