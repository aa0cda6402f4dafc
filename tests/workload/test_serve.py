"""Serving: caches from pool to pool, by closed forms, published figures and two independent routes."""

import json
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

import fabric
from fabric.cli import app as command_line
from fabric.errors import FabricError, TopologyError
from fabric.schedule.algorithms import Moe
from fabric.workload.models import model
from fabric.workload.serve import serve
from fabric.workload.serving_job import (
    Pool,
    ServingJob,
    load_serving,
    parse_serving,
    serving_schema,
    serving_schema_text,
)
from fabric.workload.workload import Assumption

JOBS = Path(__file__).parents[2] / "topologies" / "jobs"
PLAIN = {"setup": Assumption(0.0), "efficiency": Assumption(1.0)}
NODES = """
fabric: nodes
axes: {node: 4, slot: 4, spine: 2}
devices:
  gpu:  {kind: gpu, axes: [node, slot], transit: relay}
  nvs:  {kind: switch, axes: [node]}
  cpu:  {kind: host, axes: [node]}
  nic:  {kind: nic, axes: [node, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvs], rate: 1600Gb/s, net: scale-up}
  - {between: [gpu, cpu], rate: 100Gb/s, net: host}
  - {between: [gpu, nic], rate: 400Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


@pytest.fixture(scope="module")
def nodes():
    return fabric.loads(NODES)


def job(**more):
    plain = {
        "prefill": Pool("node0-1", 4),
        "decode": Pool("node2-3", 4),
        "prompt": 8192,
        "peak": Assumption(1000.0),
    }
    return ServingJob("s", **{"model": model("llama3-405b"), **plain, **PLAIN, **more})


def test_bytes_of_a_token_are_those_of_the_model(nodes):
    assert serve(job(), nodes).kv_bytes_per_token == 516_096
    assert serve(job(model=model("deepseek-v3")), nodes).kv_bytes_per_token == 70_272
    assert serve(job(kv="fp8"), nodes).kv_bytes == 516_096 / 2 * 8192


@pytest.mark.some(1)
@pytest.mark.parametrize(("tokens", "published_ms"), [(512, 0.92), (8192, 8.84), (32768, 31.65)])
def test_mooncake_moves_caches_as_it_says(tokens, published_ms):
    asked = replace(load_serving(JOBS / "mooncake-qwen3-8b.serve.yaml"), prompt=tokens)
    answer = serve(asked, fabric.load(asked.fabric))
    rail = next(one for one in answer.transfers if one.way == "same rail")
    assert rail.time_s * 1e3 == pytest.approx(published_ms, rel=0.06)
    assert answer.kv_bytes == 147_456 * tokens
    assert rail.rate_gbps == pytest.approx(1600.0)


def test_experts_of_a_layer_of_deepseek_take_what_its_closed_form_says():
    h800 = fabric.load(JOBS / "h800-2048.fabric.yaml")
    total = 0.0
    for way, value in (("dispatch", 1.0), ("combine", 2.0)):
        moe = Moe(tokens=32, hidden=7168, top_k=9, n_experts=320, bytes_per_value=value)
        among = "su1-2/node0-19"
        total += fabric.moe_cost(h800, way, moe, algorithm="pairwise", calibration="wire", among=among).time_s
    # 7,168 is 7K in the paper; one node of 40 is the own one.
    assert total == pytest.approx(32 * 9 * 3 * 7168 / 50e9 * 39 / 40, rel=0.01)
    assert total == pytest.approx(120.96e-6, rel=0.01)


def test_the_layouts_of_deepseek_load_and_experts_bind_on_the_cards():
    asked = load_serving(JOBS / "deepseek-v3-serving.serve.yaml")
    answer = serve(asked, fabric.load(asked.fabric))
    assert (answer.n_prefill, answer.n_decode) == (32, 320)
    assert answer.kv_bytes == 70_272 * 4096
    step = answer.experts
    assert (step.n_ranks, step.top_k, step.layers, step.binding) == (320, 9, 58, "nic-leaf")
    assert step.time_s == pytest.approx(58 * (step.dispatch_s + step.combine_s))
    assert answer.status == "optimal"


def test_ways_have_the_rates_of_their_links(nodes):
    answer = serve(job(prefill=Pool("slot0-1", 2), decode=Pool("slot2-3", 2)), nodes)
    ways = {one.way: one for one in answer.transfers}
    # All four GPUs of a node are in one domain; slots 0 and 1 meet no GPU of their rails in the other pool.
    assert list(ways) == ["same domain", "across rails", "through the host"]
    bits = 8 * answer.kv_bytes
    assert ways["same domain"].time_s == pytest.approx(bits / 3200e9)
    assert ways["across rails"].rate_gbps == pytest.approx(800.0)
    # Two GPUs of 100 Gb/s each to their host.
    assert ways["through the host"].time_s == pytest.approx(bits / 200e9)
    assert ways["through the host"].binding == "the way to the host"
    across = serve(job(), nodes)
    assert [one.way for one in across.transfers] == ["same rail", "across rails", "through the host"]
    assert across.transfers[0].time_s == pytest.approx(bits / 1600e9)


def test_a_request_takes_setup_and_efficiency_beside_the_wire(nodes):
    wire = serve(job(), nodes).transfers[0].time_s
    slow = serve(job(setup=Assumption(1e-3), efficiency=Assumption(0.5)), nodes)
    assert slow.transfers[0].time_s == pytest.approx(1e-3 + 2 * wire)


def test_a_cache_is_late_by_the_cables_that_it_passes(nodes):
    # 300 km to the leaf of the rail and as much from it are 3 ms, whatever part of the wire rate it has.
    far = fabric.loads(
        NODES.replace("[nic, leaf], rate: 400Gb/s", "[nic, leaf], rate: 400Gb/s, length: 300km")
    )
    for given in ({}, {"setup": Assumption(1e-3), "efficiency": Assumption(0.5)}):
        near, late = ({one.way: one for one in serve(job(**given), f).transfers} for f in (nodes, far))
        assert set(near) == {"same rail", "across rails", "through the host"}
        for way, one in near.items():
            assert late[way].time_s == pytest.approx(one.time_s + 3e-3)
            assert late[way].rate_gbps == pytest.approx(one.rate_gbps)


def test_the_part_of_the_first_token_is_of_prefill_and_transfer(nodes):
    answer = serve(job(), nodes)
    llama = model("llama3-405b")
    forward = (2 * llama.n_computing + llama.layers * 128 * 2 * 128 * 8192) * 8192
    assert answer.prefill_s == pytest.approx(forward / (4 * 1000e12 * 0.5))
    one = answer.transfers[0]
    assert one.part == pytest.approx(one.time_s / (one.time_s + answer.prefill_s))
    assert serve(job(peak=Assumption(0.0)), nodes).transfers[0].part is None


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "pools", [("node0-1", "node2-3"), ("node0", "node1-3"), ("slot0", "slot1-3"), ("node0/slot0-1", "node1")]
)
def test_requests_that_fill_a_link_are_those_of_a_matrix(nodes, pools):
    answer = serve(job(prefill=Pool(pools[0]), decode=Pool(pools[1]), requests_per_s=3.0), nodes)
    e = fabric.expand(nodes)
    names = [[str(e.names[i]) for i in fabric.graph.select(nodes, pool).nonzero()[0]] for pool in pools]
    matrix = {(s, t): 1 / len(names[1]) for s in names[0] for t in names[1]}
    total = fabric.throughput(nodes, matrix).per_endpoint_gbps * len(names[0])
    assert answer.most_requests_per_s == pytest.approx(total * 1e9 / 8 / answer.kv_bytes, rel=1e-9)
    assert answer.status == "optimal"
    most = max(one.load for one in answer.loads)
    assert most == pytest.approx(3.0 / answer.most_requests_per_s, rel=1e-6)
    assert answer.binding
    assert [one.load for one in answer.loads if one.is_binding] == pytest.approx([most] * len(answer.binding))


def test_twice_the_bandwidth_carries_twice_the_requests(nodes):
    wide = fabric.loads(NODES.replace("1600", "3200").replace("400Gb", "800Gb").replace("100Gb", "200Gb"))
    before, after = serve(job(), nodes), serve(job(), wide)
    assert after.most_requests_per_s == pytest.approx(2 * before.most_requests_per_s)
    assert after.transfers[0].time_s == pytest.approx(before.transfers[0].time_s / 2)


def test_a_million_gpus_are_answered_on_classes():
    million = fabric.load(JOBS.parent / "million.fabric.yaml")
    asked = job(prefill=Pool("pod0-30", 8), decode=Pool("pod31-61", 8), peak=Assumption(0.0))
    answer = serve(asked, million)
    assert answer.status == "optimal"
    assert answer.n_prefill == answer.n_decode == 31 * 16 * 14 * 72
    assert not answer.transfers
    assert "transfers of one request: million has" in answer.notes[0]
    # Every GPU can send 800 Gb/s, less what pods of the same pool do not take: the cards bind.
    assert answer.most_requests_per_s == pytest.approx(
        800e9 / 8 * answer.n_prefill / answer.kv_bytes, rel=1e-6
    )


@pytest.mark.parametrize(
    ("pools", "match"),
    [
        ((Pool("node0", 4), Pool("node0-1", 4)), "share node0"),
        ((Pool("node9"), Pool("node1")), "beyond the last index"),
        ((Pool("node0", 5), Pool("node1", 4)), "is 4 endpoints that are up; an instance has tp = 5"),
    ],
)
def test_pools_that_do_not_fit_are_refused(nodes, pools, match):
    with pytest.raises(FabricError, match=match):
        serve(job(prefill=pools[0], decode=pools[1]), nodes)


def test_pools_that_are_cut_off_are_told(nodes):
    broken = fabric.fail(nodes, "node2/nic")
    answer = serve(job(prefill=Pool("node0", 4), decode=Pool("node2-3", 4)), broken, paths="no-relay")
    assert answer.most_requests_per_s == 0
    assert any("cut off" in note for note in answer.notes)


@pytest.mark.some(1)
@pytest.mark.parametrize("file", sorted(JOBS.glob("*.serve.yaml")), ids=lambda f: f.name.partition(".")[0])
def test_the_serving_jobs_that_come_with_the_package_are_answered(file):
    asked = load_serving(file)
    answer = serve(asked, fabric.load(asked.fabric))
    assert asked.name == file.name.partition(".")[0]
    assert answer.status == "optimal"
    assert answer.transfers
    assert answer.binding


SOUND = {
    "serve": "s",
    "model": "qwen3-8b",
    "prefill": {"among": "node0", "tp": 4},
    "decode": {"among": "node1", "tp": 4},
    "request": {"prompt": 512},
}


def test_a_file_says_what_a_job_is():
    read = parse_serving(
        json.dumps({**SOUND, "assume": {"setup": "1ms", "efficiency": {"value": 0.8, "source": "mine"}}})
    )
    assert (read.prefill, read.prompt, read.setup.value) == (Pool("node0", 4), 512, 1e-3)
    assert read.efficiency == Assumption(0.8, "mine")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"modle": "x"}, "unknown key 'modle'.*did you mean model"),
        ({"model": "qwen3-9b"}, "did you mean qwen3-8b"),
        ({"prefill": {"amonk": "node0"}}, "did you mean among"),
        ({"request": {"prompt": 0}}, "prompt"),
        ({"request": {"prompt": 1, "rate": 0}}, "rate"),
        ({"assume": {"setup": "1 parsec"}}, "assume.setup"),
        ({"assume": {"efficiency": 2}}, "efficiency is above 0 up to 1"),
        ({"assume": {"effciency": 0.5}}, "did you mean efficiency"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(change, match):
    with pytest.raises(TopologyError, match=match) as caught:
        parse_serving(json.dumps({**SOUND, **change}), "wrong.serve.yaml")
    assert all(problem.line == 1 and problem.col > 0 for problem in caught.value.problems)


def test_all_problems_of_a_file_come_at_once():
    with pytest.raises(TopologyError, match="modle") as caught:
        parse_serving(json.dumps({**SOUND, "modle": 1, "prefill": {"amonk": "a"}, "request": {"prompt": -1}}))
    assert len(caught.value.problems) >= 3


def test_the_schema_is_that_of_the_package_and_valid():
    assert (resources.files("fabric.workload") / "serve.schema.json").read_text() == serving_schema_text()
    jsonschema.Draft7Validator.check_schema(serving_schema())


@pytest.mark.parametrize(
    ("change", "is_sound"),
    [
        ({}, True),
        ({"assume": {"setup": "1ms", "efficiency": 0.8, "peak": {"value": 900, "source": "mine"}}}, True),
        ({"assume": {"setup": {"value": "1ms", "source": "mine"}}}, True),
        ({"model": "qwen3-9b"}, False),
        ({"modle": "x"}, False),
        ({"prefill": {"among": "node0", "tp": 0}}, False),
        ({"request": {"prompt": 512, "rate": 0}}, False),
        ({"assume": {"efficiency": -1}}, False),
        ({"assume": {"setup": 1.5}}, False),
    ],
)
def test_the_schema_and_the_reader_agree(change, is_sound):
    data = {**SOUND, **change}
    assert jsonschema.Draft7Validator(serving_schema()).is_valid(data) == is_sound
    if is_sound:
        assert parse_serving(json.dumps(data)).name == "s"
    else:
        with pytest.raises(TopologyError, match=r"^job\.serve\.yaml:1:\d+: "):
            parse_serving(json.dumps(data))


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.serve.yaml")), ids=lambda path: path.stem)
def test_jobs_that_come_along_fit_the_schema(path):
    assert jsonschema.Draft7Validator(serving_schema()).is_valid(yaml.safe_load(path.read_text()))


def test_the_command_answers_and_has_its_keys(monkeypatch, capsys):
    file = JOBS / "mooncake-qwen3-8b.serve.yaml"
    for more in ([], ["--json"], ["--format", "md"]):
        monkeypatch.setattr(sys, "argv", ["fabtopo", "serve", str(file), *more])
        with pytest.raises(SystemExit, match="0"):
            command_line.main()
        out = capsys.readouterr().out
        if more == ["--json"]:
            assert json.loads(out)["transfers"][0]["way"] == "same rail"
        else:
            assert "147,456 bytes a token" in out
