"""Chakra traces: the bytes of the schema, messages that find each other, and nothing that waits for ever."""

import heapq
import json
from collections import Counter, defaultdict

import pytest

import fabric
from fabric import cli
from fabric.costing.run import job_of
from fabric.errors import LimitError, QuestionError
from fabric.graph import loads
from fabric.job.question import JobQuestion
from fabric.schedule.algorithms import schedules
from fabric.schedule.tree import phases
from fabric.workload import parse_job
from fabric.workload import trace as traces
from fabric.workload.step import micro_compute_s

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

BOXES = """\
fabric: a
include: {fabric: hgx-h100, over: {node: 2}}
devices: {leaf: {kind: switch, axes: [slot]}}
links: [{between: [nic, leaf], rate: 400Gb/s}]
"""
JOB = "{{job: small, model: {model}, batch: {{sequences: 16, length: 8192}}, parallel: {{{parallel}}}{more}}}"
COMPUTE, SEND, RECEIVE, COLLECTIVE = 4, 5, 6, 7


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def fields(data):
    """Yield number and value of the fields of a message of protocol buffers, of lists their numbers."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2
            n, at = varint(data, at)
            value, at = data[at : at + n], at + n
        yield key >> 3, value


def packed(data):
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def decoded(data):
    """Return the nodes of a trace, read by the numbers of et_def.proto."""
    at, messages = 0, []
    while at < len(data):
        n, at = varint(data, at)
        messages.append(data[at : at + n])
        at += n
    assert dict(fields(messages[0])) == {1: b"0.0.4"}
    nodes = []
    for message in messages[1:]:
        node = {"id": 0, "deps": [], "us": 0}
        for number, value in fields(message):
            if number == 10:
                name, *rest = [v for _, v in fields(value)]
                # A false flag has its field too: of a choice even the default is written.
                node[name.decode()] = rest[0].decode() if isinstance(rest[0], bytes) else rest[0]
            elif number == 5:
                node["deps"] = packed(value)
            else:
                node[{1: "id", 2: "name", 3: "type", 7: "us"}[number]] = value
        nodes.append(node)
    assert [node["id"] for node in nodes] == list(range(len(nodes)))
    assert {node["is_cpu_op"] for node in nodes} <= {0}
    return nodes


def dependencies(npus):
    """Return how many nodes each waits for, and which wait for it."""
    waits = {npu: [len(set(node["deps"])) for node in nodes] for npu, nodes in npus.items()}
    behind = {npu: [[] for _ in nodes] for npu, nodes in npus.items()}
    for npu, nodes in npus.items():
        for node in nodes:
            for dep in set(node["deps"]):
                behind[npu][dep].append(node["id"])
    return waits, behind


def replayed(files):
    """Run traces as a simulator does, and return the nodes of each NPU; nothing may be left waiting."""
    npus = {int(name.split(".")[1]): decoded(data) for name, data in files.items() if name.endswith(".et")}
    groups = json.loads(files.get("comm_group.json", b"{}"))
    done = {npu: [False] * len(nodes) for npu, nodes in npus.items()}
    calls, posted = defaultdict(dict), {}
    n_calls = {npu: Counter() for npu in npus}

    def post(npu, node):
        if node["type"] == COMPUTE:
            return [(npu, node["id"])]
        if node["type"] == COLLECTIVE:
            group = node.get("pg_name", "0")
            members = groups.get(group, list(npus))
            key = group, n_calls[npu][group]
            n_calls[npu][group] += 1
            calls[key][npu] = node
            if len(calls[key]) < len(members):
                return []
            assert set(calls[key]) == set(members)
            # All members call the same.
            assert len({(n["comm_type"], n["comm_size"], n["name"]) for n in calls[key].values()}) == 1
            return [(member, n["id"]) for member, n in calls[key].items()]
        key = node["comm_src"], node["comm_dst"], node["comm_tag"]
        assert key[node["type"] == RECEIVE] == npu
        if key not in posted:
            posted[key] = npu, node
            return []
        other, there = posted.pop(key)
        assert {there["type"], node["type"]} == {SEND, RECEIVE}
        assert there["comm_size"] == node["comm_size"]
        return [(npu, node["id"]), (other, there["id"])]

    waits, behind = dependencies(npus)
    # Of what could begin, what comes first in its file begins first, as in ASTRA-sim.
    ready = [(number, npu) for npu, own in waits.items() for number, n in enumerate(own) if not n]
    heapq.heapify(ready)
    while ready:
        number, npu = heapq.heappop(ready)
        for at, finished in post(npu, npus[npu][number]):
            done[at][finished] = True
            for later in behind[at][finished]:
                waits[at][later] -= 1
                if not waits[at][later]:
                    heapq.heappush(ready, (later, at))
    assert all(all(own) for own in done.values())
    return npus


def test_a_collective_is_one_node_for_each_rank():
    answer = fabric.trace(loads(BOXES), "all-gather", "1GiB")
    npus = replayed(answer.files)
    assert len(npus) == answer.n_npus == answer.n_nodes == 16
    # ASTRA-sim counts the part of one rank of an all-gather (Ring.cc), nccl-tests the whole.
    expected = {"id": 0, "deps": [], "us": 0, "name": b"all-gather", "type": COLLECTIVE, "is_cpu_op": 0}
    assert npus[3] == [{**expected, "comm_type": 2, "comm_size": 2**30 // 16}]
    assert replayed(fabric.trace(loads(BOXES), "all-to-all", 4096).files)[0][0]["comm_size"] == 4096


def algorithms():
    shape = job_of(loads(BOXES), JobQuestion()).shape
    for collective in ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast", "reduce"):
        for name in schedules(collective, shape, 2.0**20):
            if "nvls" not in name:
                yield collective, name


@pytest.mark.some(4)
@pytest.mark.parametrize(("collective", "algorithm"), list(algorithms()))
def test_messages_of_an_algorithm_are_those_of_its_schedule(collective, algorithm):
    design = loads(BOXES)
    npus = replayed(fabric.trace(design, collective, 2**24, algorithm=algorithm).files)
    shape = job_of(design, JobQuestion()).shape
    schedule = schedules(collective, shape, 2.0**24)[algorithm]
    most = Counter()
    for nodes in npus.values():
        own = Counter()
        for node in nodes:
            own[node["name"].decode(), node["type"]] += node["comm_size"]
        for (name, _), size in own.items():
            most[name] = max(most[name], size)
    # Of each phase the busiest rank sends, or hears, what the schedule says.
    planned = Counter()
    for phase in phases(schedule):
        planned[phase.name] += phase.bytes_per_endpoint
    assert set(most) == set(planned)
    for name, size in most.items():
        assert size == pytest.approx(planned[name], rel=1e-3)


DENSE = "{layers: 8, hidden: 512, ffn: 1024, heads: 8, kv_heads: 8, head_dim: 64, vocabulary: 1000}"
SPARSE = DENSE.replace("}", ", experts: 8, top_k: 2, expert_ffn: 256}")
JOBS = [
    (DENSE, "tp: 4, pp: 2", ""),
    (DENSE, "tp: 2, cp: 2, pp: 4", ", sharding: zero-3, recompute: full"),
    (DENSE, "pp: 4, vpp: 2", ", assume: {overlap: {dp: 0, pp: 0}}"),
    (SPARSE, "tp: 2, ep: 8", ", order: dp tp"),
]


@pytest.mark.some(1)
@pytest.mark.parametrize(("model", "parallel", "more"), JOBS)
def test_a_step_of_a_job_runs_to_its_end(model, parallel, more):
    text = JOB.format(model=model, parallel=parallel, more=more)
    work = parse_job(text)
    design = loads(BOXES)
    answer = fabric.trace(design, work)
    npus = replayed(answer.files)
    sized = work.on(16)
    peak = 989.0
    for nodes in npus.values():
        us = sum(node["us"] for node in nodes)
        assert us == pytest.approx(1e6 * sized.n_micro * micro_compute_s(sized, peak), abs=2 * sized.n_micro)
    # Stages hand on each micro-batch once forward and once back.
    pp = sized.parallel.pp
    sends = sum(node["type"] == SEND for nodes in npus.values() for node in nodes)
    assert sends == 2 * sized.n_micro * (pp - 1) * 16 // pp
    if sized.parallel.tp > 1 and sized.parallel.ep == 1:
        # Every layer gathers and scatters twice each way, in every micro-batch.
        gathers = sum(node["name"] == b"input of a layer" for node in npus[0])
        passes = 3 if sized.recompute == "full" else 2
        assert gathers == 2 * work.model.layers // pp * passes * sized.n_micro
    if sized.parallel.vpp > 1:
        assert "interleaving: chunks of a stage are one" in answer.losses


def test_npus_are_numbered_as_the_network_file_has_them():
    # Ranks run along slots last; told to run along nodes last, tensor groups are of the two nodes.
    text = JOB.format(model=DENSE, parallel="tp: 2", more=", order: (slot node) -> (dp tp)")
    groups = json.loads(fabric.trace(loads(BOXES), parse_job(text)).files["comm_group.json"])
    assert groups["1"] == [0, 8]
    text = JOB.format(model=DENSE, parallel="tp: 2", more="")
    groups = json.loads(fabric.trace(loads(BOXES), parse_job(text)).files["comm_group.json"])
    assert groups["1"] == [0, 1]


def test_what_is_no_trace(monkeypatch):
    design = loads(BOXES)
    with pytest.raises(QuestionError, match="no collective 'all-redcue' in a trace; did you mean all-reduce"):
        fabric.trace(design, "all-redcue")
    with pytest.raises(QuestionError, match="algorithm 'rong': did you mean ring"):
        fabric.trace(design, "all-reduce", algorithm="rong")
    with pytest.raises(QuestionError, match="its switches reduce"):
        fabric.trace(design, "all-reduce", algorithm="nvls-tree")
    monkeypatch.setattr(traces, "MAX_NODES", 100)
    with pytest.raises(LimitError, match="a trace of more than 100 nodes"):
        fabric.trace(design, "all-reduce", algorithm="ring")
    with pytest.raises(LimitError, match="a trace of more than 100 nodes"):
        fabric.trace(design, parse_job(JOB.format(model=DENSE, parallel="tp: 2", more="")))


def test_command(monkeypatch, capsys, tmp_path):
    (tmp_path / "a.fabric.yaml").write_text(BOXES)

    def run(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["fabtopo", "export", "a.fabric.yaml", *words])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    told = ("--format", "chakra", "--trace", "all-reduce", "--size", "1MiB")
    status, out, err = run(*told, "--algorithm", "ring", "-o", "et")
    assert (status, out) == (0, "")
    assert err.startswith("all-reduce of a by ring: 1,920 nodes on 16 NPUs\n  lost: pipelines")
    files = {path.name: path.read_bytes() for path in (tmp_path / "et").iterdir()}
    assert len(replayed(files)) == 16
    assert run(*told)[0] == 2
    assert run("--format", "chakra", "-o", "x")[0] == 2
    assert run("--format", "dot", "--algorithm", "ring")[0] == 2
    assert json.loads(run(*told, "--json")[1])["n_nodes"] == 16
    assert "chakra" in run()[1]
