"""Random jobs on random small fabrics: the laws of a step, on classes and on every cable."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from fabric.costing import cost
from fabric.graph import Fabric, loads
from fabric.workload import Assumption, parse_job
from fabric.workload.on_fabric import site, timed_exchanges
from fabric.workload.tiers import turns
from fabric.workload.train import train
from fabric.workload.workload import PARALLEL, Workload

TEXT = """
fabric: random
axes: {{pod: {pod}, rack: {rack}, tray: {tray}, slot: {slot}, chip: 2, spine: 2}}
devices:
  gpu: {{kind: gpu, axes: [pod, rack, tray, slot], transit: relay}}
  nvswitch: {{kind: switch, axes: [pod, rack, chip]}}
  nic: {{kind: nic, axes: [pod, rack, tray, slot]}}
  leaf: {{kind: switch, axes: [pod, {leaf}]}}
  spine: {{kind: switch, axes: [pod, spine]}}
  core: {{kind: switch, axes: [spine]}}
links:
  - {{between: [gpu, nvswitch], rate: {rates[0]}Gb/s, net: scale-up}}
  - {{between: [gpu, nic], rate: {rates[1]}Gb/s, net: host}}
  - {{between: [nic, leaf], rate: {rates[2]}Gb/s}}
  - {{between: [leaf, spine], rate: {rates[3]}Gb/s}}
  - {{between: [spine, core], rate: {rates[4]}Gb/s}}
"""


def random_case(seed: int) -> tuple[dict, Workload]:
    """Return what a fabric is made of, and a job on it."""
    draw = random.Random(seed)
    shape = {axis: draw.choice((1, 2, 2, 4)) for axis in ("pod", "rack", "tray", "slot")}
    n = shape["pod"] * shape["rack"] * shape["tray"] * shape["slot"]
    sizes = dict.fromkeys(("tp", "cp", "pp"), 1)
    left = n
    for name in draw.sample(sorted(sizes), 3):
        sizes[name] = draw.choice([s for s in (1, 2, 4) if left % s == 0])
        left //= sizes[name]
    has_experts = draw.random() < 0.5
    model = {
        "layers": 8, "hidden": 1024, "ffn": 2048, "heads": 16, "kv_heads": 4, "head_dim": 64,
        "vocabulary": 5000,
    }  # fmt: skip
    if has_experts:
        model |= {"experts": 16, "top_k": 2, "expert_ffn": 512, "shared_experts": draw.randint(0, 1)}
        sizes["ep"] = draw.choice(
            [s for s in (2, 4, 8, 16) if (sizes["tp"] * sizes["cp"] * left) % s == 0] or [1]
        )
    sizes["vpp"] = draw.choice((1, 2)) if sizes["pp"] > 1 else 1
    order = " ".join(draw.sample(("dp", "pp", "cp", "tp"), 4))
    data = {
        "job": "random", "model": model, "parallel": sizes, "order": order,
        "batch": {"sequences": left * draw.choice((1, 4, 8)), "length": 1024},
        "sharding": draw.choice(("none", "zero-1", "zero-3")), "recompute": draw.choice(("none", "full")),
        "assume": {"peak": 50},
    }  # fmt: skip
    work = parse_job(json.dumps(data))
    overlap = {name: Assumption(draw.choice((0.0, 0.4, 1.0))) for name in PARALLEL}
    rates = [
        draw.choice((400, 800)),
        400,
        draw.choice((50, 100, 200)),
        draw.choice((25, 100)),
        draw.choice((20, 80)),
    ]
    return {**shape, "leaf": draw.choice(("rack", "slot")), "rates": rates}, replace(work, overlap=overlap)


def fabric_of(made: dict, rates: list[float]) -> Fabric:
    return loads(TEXT.format(**{**made, "rates": rates}))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_laws_of_a_step(seed: int) -> None:
    made, work = random_case(seed)
    here = fabric_of(made, made["rates"])
    answer = train(work, here, calibration="wire")
    parts = answer.compute_s + answer.bubble_s + answer.exposed_s
    assert parts == pytest.approx(answer.step_s, rel=1e-12)
    assert all(d.exposed_s >= 0 and d.hidden_s >= 0 for d in answer.dimensions)
    # More of any class never slows it, and gains what the answer says or less: algorithms may change, too.
    gains = dict(answer.gains)
    for i, rule in enumerate(("gpu-nvswitch", "gpu-nic", "nic-leaf", "leaf-spine", "spine-core")):
        rates = [rate * (1.1 if i == j else 1.0) for j, rate in enumerate(made["rates"])]
        faster = train(work, fabric_of(made, rates), calibration="wire")
        assert faster.step_s <= answer.step_s * (1 + 1e-9)
        assert 1 - faster.step_s / answer.step_s >= gains.get(rule, 0.0) - 1e-9
    # Every byte that is sent turns somewhere, twice where a mate hands it on.
    for one in timed_exchanges(site(here, work, "wire", "ecmp"))[1]:
        assert sum(turns(one.paced).values()) == pytest.approx(one.paced.sent_bytes, rel=1e-6)
    on_links = train(work, here, calibration="wire", method="links")
    assert on_links.step_s == pytest.approx(answer.step_s, rel=0.02)


def uneven_case(seed: int) -> tuple[dict, str, Workload]:
    """Return what a fabric of racks of three or five trays is made of, what is down, and a job on the rest.

    Groups straddle racks, so that they are of several kinds.
    """
    draw = random.Random(f"uneven {seed}")
    while True:
        shape = {axis: draw.choice(sizes) for axis, sizes in SIZES.items()}
        n = shape["pod"] * shape["rack"] * shape["tray"] * shape["slot"]
        n_down = draw.choice((0, 0, 1, 2)) if shape["tray"] > 2 else 0
        left = n - n_down * shape["slot"]
        tp, pp = (draw.choice([k for k in (1, 2, 3, 4, 6) if left % k == 0]) for _ in range(2))
        if left % (tp * pp) == 0 and left > 1:
            break
    down = [f"pod0/rack{draw.randrange(shape['rack'])}/tray{i}/gpu" for i in range(n_down)]
    data = {
        "job": "uneven",
        "model": {
            "layers": 12, "hidden": 1152, "ffn": 2304, "heads": 12, "kv_heads": 12, "head_dim": 96,
            "vocabulary": 5000,
        },
        "parallel": {"tp": tp, "pp": pp},
        "order": f"(pod rack tray slot) -> ({' '.join(draw.sample(('dp', 'pp', 'tp'), 3))})",
        "batch": {"sequences": left // tp // pp * draw.choice((1, 4)), "length": 1152},
        "sharding": draw.choice(("none", "zero-1", "zero-3")),
        "assume": {"peak": 50},
    }  # fmt: skip
    work = parse_job(json.dumps(data))
    overlap = {name: Assumption(draw.choice((0.0, 0.4, 1.0))) for name in PARALLEL}
    rates = [
        draw.choice((400, 800)),
        400,
        draw.choice((50, 200)),
        draw.choice((25, 100)),
        draw.choice((20, 80)),
    ]
    made = {**shape, "leaf": draw.choice(("rack", "slot")), "rates": rates}
    return made, f"failed: [{', '.join(down)}]\n", replace(work, overlap=overlap)


SIZES = {"pod": (1, 2), "rack": (2, 3), "tray": (1, 3, 5), "slot": (1, 2, 4)}


@pytest.mark.slow
@pytest.mark.seeds(0, of=40)
def test_laws_of_an_uneven_job(seed: int) -> None:
    made, down, work = uneven_case(seed)
    here = loads(TEXT.format(**made) + down)
    answer = train(work, here, calibration="wire")
    assert answer.compute_s + answer.bubble_s + answer.exposed_s == pytest.approx(answer.step_s, rel=1e-12)
    told = {row.group for row in answer.dimensions}
    for name in ("tp", "pp", "dp"):
        assert (name in told) == (getattr(site(here, work, "wire", "ecmp").work.parallel, name) > 1)
    for i in range(5):
        rates = [rate * (1.1 if i == j else 1.0) for j, rate in enumerate(made["rates"])]
        faster = train(work, loads(TEXT.format(**{**made, "rates": rates}) + down), calibration="wire")
        assert faster.step_s <= answer.step_s * (1 + 1e-9)
    for one in timed_exchanges(site(here, work, "wire", "ecmp"))[1]:
        assert sum(turns(one.paced).values()) == pytest.approx(one.paced.sent_bytes, rel=1e-6)
        question = one.paced.slowest.run.question
        alone = cost(
            here, one.exchange.collective, one.exchange.size_bytes, over=question.over, order=question.order,
            calibration="wire", is_bounded=False,
        )  # fmt: skip
        assert alone.time_s == pytest.approx(one.paced.cost.time_s, rel=1e-9)
    on_links = train(work, here, calibration="wire", method="links")
    assert on_links.step_s == pytest.approx(answer.step_s, rel=0.02)
