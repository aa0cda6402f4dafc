"""One rule for endpoints that have failed or are cut off, in every verb that answers for endpoints."""

import json

import pytest
from typer.testing import CliRunner

import fabric
from fabric.cli.app import app
from fabric.errors import QuestionError
from fabric.flow.traffic import Traffic

TEXT = """{fabric: clos, axes: {node: 3, slot: 2}, devices: {
  gpu: {kind: gpu, axes: [node, slot], transit: %s},
  nv: {kind: switch, axes: [node]}, nic: {kind: nic, axes: [node, slot]}, leaf: {kind: switch, axes: [slot]},
  spine: {kind: switch, axes: []}}, failed: [%s], links: [
  {between: [gpu, nv], rate: 8Gb/s, net: scale-up}, {between: [gpu, nic], rate: 4Gb/s},
  {between: [nic, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 4Gb/s, count: 3}]}"""
PATTERNS = {
    "all-to-all": Traffic(),
    "over": Traffic("all-to-all", ("node",)),
    "one-to-all": Traffic("one-to-all", root="node1/gpu0"),
    "all-to-one": Traffic("all-to-one", root="node1/gpu0"),
    "shift": Traffic("shift", ("node",)),
    "halves": Traffic("halves", ("slot",)),
    "longest-matching": Traffic("longest-matching"),
}
VERBS = {
    **{f"throughput {n}": lambda f, t=t: fabric.throughput(f, t) for n, t in PATTERNS.items()},
    **{f"bottleneck {n}": lambda f, t=t: fabric.bottleneck(f, t) for n, t in PATTERNS.items() if n != "over"},
    **{
        f"bound {c}": lambda f, c=c: fabric.bound(f, c)
        for c in ("all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all")
    },
    **{
        f"cost {c}": lambda f, c=c: fabric.cost(f, c, "1GB", calibration="wire")
        for c in ("all-gather", "all-reduce", "all-to-all", "broadcast")
    },
    "cost on links": lambda f: fabric.cost(f, "all-gather", "1GB", method="links", calibration="wire"),
    "cost hashed": lambda f: fabric.cost(f, "all-to-all", "1GB", routing="hashed", calibration="wire"),
    "cost ideal": lambda f: fabric.cost(f, "all-to-all", "1GB", routing="ideal", calibration="wire"),
    **{
        f"chunks {c}": lambda f, c=c: fabric.chunk_bound(f, c, "1GB")
        for c in ("all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all")
    },
    "cost nccl-like": lambda f: fabric.cost(f, "all-reduce", "1GB", calibration="measured"),
}
NODE_CUT_OFF = "node0/nv, node0/nic*"


@pytest.mark.some(8)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("transit", ["end", "relay"])
def test_who_is_cut_off_is_named_and_nothing_is_promised(verb, transit):
    answer = VERBS[verb](fabric.loads(TEXT % (transit, NODE_CUT_OFF)))
    found = answer.to_dict()
    assert found["status"] == "cut off"
    assert {who.endpoint for who in answer.cut_off} <= {"node0/gpu0", "node0/gpu1"}
    assert sum(who.n for who in answer.cut_off) == 2
    assert found["cut_off"][0]["endpoint"] == "node0/gpu0"
    rates = [v for k, v in found.items() if k in ("per_endpoint_gbps", "algbw_gbps", "busbw_gbps")]
    assert sum(rates) == 0.0
    assert found.get("time_s") is None
    text = str(answer)
    assert "cut off" in text
    assert "node0/gpu" in text
    assert not {"inf", "nan"} & set(text.replace(",", " ").split())
    json.loads(answer.to_json())


@pytest.mark.parametrize("transit", ["end", "relay"])
def test_nodes_that_are_cut_off_are_down_where_jobs_are_placed(transit):
    """A job of two nodes was put on the one whose NICs are down, at a busbw of 0."""
    found = fabric.place(fabric.loads(TEXT % (transit, NODE_CUT_OFF)), ["2", "3"], calibration="wire")
    right = fabric.place(fabric.loads(TEXT % (transit, "node0/gpu")), ["2", "3"], calibration="wire")
    assert (found.n_up, found.jobs) == (2, right.jobs)
    assert found.jobs[0].best.busbw_gbps > 0
    assert sum(who.n for who in found.cut_off) == 2
    assert "cut off: 2 endpoints such as node0/gpu0" in " ".join(str(found).split()).replace(
        "1 endpoints", "2 endpoints"
    )
    assert right.cut_off == ()


def test_parts_that_no_flow_joins_are_places_of_their_own():
    """No endpoint reaches most of the others: each half has room for a job, none for one over both."""
    halves = fabric.loads(TEXT % ("relay", "spine, leaf0, leaf1, node2/gpu"))
    found = fabric.place(halves, ["1", "1", "2"], calibration="wire")
    assert [job.fits for job in found.jobs] == [True, True, False]
    across = fabric.place(halves, ["2"], calibration="wire")
    assert across.jobs[0].best.busbw_gbps == 0
    assert "cut off" in str(across)


def test_a_threshold_of_ranks_that_are_cut_off_says_so():
    rows = fabric.thresholds(
        fabric.loads(TEXT % ("relay", "node0/nic*")),
        groups=["all"],
        collectives=["all-reduce"],
        sizes=["1MiB"],
    ).rows
    assert [(row.standing, row.pass_gbps, row.expected_gbps) for row in rows] == [("cut off", None, 0.0)]


DROPS = {
    **{
        f"bound {c}": lambda f, c=c, **own: fabric.bound(f, c, **own)
        for c in ("all-gather", "all-reduce", "broadcast", "all-to-all")
    },
    **{
        f"cost {c}": lambda f, c=c, **own: fabric.cost(f, c, "1GB", calibration="wire", **own)
        for c in ("all-gather", "all-reduce", "all-to-all")
    },
    "cost on links": lambda f, **own: fabric.cost(f, "all-gather", "1GB", method="links", **own),
    "cost ideal": lambda f, **own: fabric.cost(f, "all-to-all", "1GB", routing="ideal", **own),
    "moe": lambda f, **own: fabric.moe_cost(f, "dispatch", fabric.schedule.Moe(64, 64, 2, 20, 1), **own),
    "sweep": lambda f, **own: fabric.sweep(f, "all-gather", "1MiB..2MiB", **own).costs[1],
}


@pytest.mark.some(2)
@pytest.mark.parametrize("verb", DROPS)
@pytest.mark.parametrize("transit", ["end", "relay"])
def test_what_is_cut_off_can_be_left_out_of_every_verb(verb, transit):
    cut = fabric.loads(TEXT % (transit, NODE_CUT_OFF))
    found = DROPS[verb](cut, drop_unreachable=True)
    right = DROPS[verb](cut, among="node1-2/gpu")
    assert (found.time_s, found.n_ranks) == (pytest.approx(right.time_s, rel=1e-9), right.n_ranks)
    assert (found.status, found.is_dropped, found.n_failed) == (right.status, True, 0)
    assert sum(who.n for who in found.cut_off) == 2
    assert {who.endpoint for who in found.cut_off} <= {"node0/gpu0", "node0/gpu1"}
    assert "left out" in str(found)
    assert "left out" not in str(right)
    whole = fabric.loads(TEXT % (transit, "node2/gpu1"))
    kept = DROPS[verb](whole, drop_unreachable=True)
    assert (kept.cut_off, kept.n_failed, kept.time_s) == ((), 1, DROPS[verb](whole).time_s)


def test_a_graph_leaves_out_what_is_cut_off():
    whole = fabric.from_networkx(fabric.to_networkx(fabric.loads(TEXT % ("end", ""))))
    cut = fabric.fail(whole, "nv0", "node0/nic0", "node0/nic1")
    found = fabric.bound(cut, "all-gather", drop_unreachable=True)
    right = fabric.bound(fabric.loads(TEXT % ("end", NODE_CUT_OFF)), "all-gather", drop_unreachable=True)
    assert (found.time_s, found.n_ranks) == (pytest.approx(right.time_s), 4)


def test_ranks_that_are_listed_are_not_left_out():
    cut = fabric.loads(TEXT % ("relay", NODE_CUT_OFF))
    with pytest.raises(QuestionError, match="ranks that are listed are meant"):
        fabric.cost(cut, "all-gather", "1GB", ranks=["node0/gpu0", "node1/gpu0"], drop_unreachable=True)
    with pytest.raises(QuestionError, match="bounds all-to-all among all endpoints"):
        fabric.bound(cut, "all-to-all", kind="tub", drop_unreachable=True)


@pytest.mark.parametrize("verb", ["bound", "cost"])
def test_the_command_line_leaves_out_what_is_cut_off(verb, tmp_path):
    file = tmp_path / "a.fabric.yaml"
    file.write_text(TEXT % ("relay", NODE_CUT_OFF))
    arguments = [verb, str(file), "--collective", "all-gather", "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert (told["status"], told["time_s"], told["is_dropped"]) == ("cut off", None, False)
    told = json.loads(CliRunner().invoke(app, [*arguments, "--drop-unreachable"]).stdout)
    assert (told["n_ranks"], told["is_dropped"]) == (4, True)
    assert told["time_s"] > 0


@pytest.mark.some(8)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("transit", ["end", "relay"])
def test_what_has_failed_itself_is_left_out_and_counted(verb, transit):
    answer = VERBS[verb](fabric.loads(TEXT % (transit, "node2/gpu1")))
    own = answer.throughput if verb.startswith("bottleneck") else answer
    assert (own.n_failed, own.cut_off) == (1, ())
    assert getattr(own, "n_ranks", getattr(own, "n_endpoints", None)) == 5
    assert answer.to_dict()["status"] != "cut off"
    assert "have failed" in str(answer)


def test_nothing_is_said_where_nothing_is_lost():
    whole = fabric.loads(TEXT % ("relay", ""))
    for name, verb in VERBS.items():
        answer = verb(whole)
        assert answer.cut_off == (), name
        assert "failed" not in str(answer), name


@pytest.mark.parametrize("method", ["axes", "links"])
def test_a_flow_between_sides_that_nothing_joins(method):
    found = fabric.max_flow(fabric.loads(TEXT % ("end", NODE_CUT_OFF)), "node0", "node1", method=method)
    assert (found.value_gbps, found.status) == (0.0, "cut off")
    assert found.cut_off == (("node0", 2), ("node1", 2))
    gone = fabric.max_flow(fabric.loads(TEXT % ("end", "node0/gpu0")), "node0/gpu0", "node1", method=method)
    assert (gone.status, gone.n_failed, gone.cut_off) == ("cut off", 1, (("node1", 2),))
    part = fabric.max_flow(fabric.loads(TEXT % ("end", "node0/gpu0")), "node0", "node1", method=method)
    assert (part.value_gbps, part.status, part.n_failed) == (4.0, "optimal", 1)


def test_a_matrix_names_what_has_failed():
    demands = {("node0/gpu0", "node1/gpu0"): 1.0, ("node1/gpu1", "node2/gpu1"): 1.0}
    f = fabric.loads(TEXT % ("end", "node0/gpu0"))
    found = fabric.throughput(f, demands)
    assert (found.per_endpoint_gbps, found.status, found.cut_off) == (0.0, "cut off", (("node0/gpu0", 1),))
    rest = fabric.throughput(f, demands, drop_unreachable=True)
    assert (rest.per_endpoint_gbps, rest.status, rest.n_endpoints) == (pytest.approx(4.0), "optimal", 2)


def test_a_longest_matching_does_not_hide_who_is_cut_off_from_most():
    # GPU 0 of node 0 reaches its neighbour over NVLink, and could be matched with it.
    f = fabric.loads(TEXT % ("end", "node0/nic0"))
    assert fabric.throughput(f, "longest-matching").cut_off == (("node0/gpu0", 1),)
    assert fabric.throughput(f).cut_off == (("node0/gpu0", 1),)


def test_ranks_that_are_listed_are_meant():
    f = fabric.loads(TEXT % ("relay", "node0/gpu0"))
    with pytest.raises(QuestionError, match="1 of the ranks that are listed have failed, such as node0/gpu0"):
        fabric.cost(f, "all-gather", "1GB", ranks=["node0/gpu0", "node1/gpu0"], calibration="wire")
    cut = fabric.loads(TEXT % ("relay", NODE_CUT_OFF))
    found = fabric.cost(
        cut, "all-to-all", "1GB", ranks=["node0/gpu0", "node1/gpu0", "node2/gpu0"], calibration="wire"
    )
    assert found.cut_off == (("node0/gpu0", 1),)


def test_sizes_make_no_difference():
    found = fabric.sweep(
        fabric.loads(TEXT % ("relay", NODE_CUT_OFF)), "all-gather", "1KiB..4KiB", calibration="wire"
    )
    assert [c.to_dict()["time_s"] for c in found.costs] == [None] * 3
    assert "cut off: 2 ranks such as node0/gpu0" in str(found)


@pytest.mark.parametrize(
    "command",
    [
        ["throughput"],
        ["bottleneck"],
        ["bound", "--collective", "all-gather"],
        ["cost", "--collective", "all-gather", "--size", "1GB"],
    ],
)
def test_the_command_line_ends_well(command, tmp_path):
    path = tmp_path / "a.fabric.yaml"
    path.write_text(TEXT % ("relay", NODE_CUT_OFF))
    run = CliRunner().invoke(app, [command[0], str(path), *command[1:], "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["status"] == "cut off"


ISLANDS = """{fabric: apart, islands: 2, axes: {pod: 2, i: 2},
  devices: {gpu: {kind: gpu, axes: [pod, i]}, leaf: {kind: switch, axes: [pod]}},
  links: [{between: [gpu, leaf], rate: 8Gb/s}]}"""


@pytest.mark.some(8)
@pytest.mark.parametrize("verb", [name for name in VERBS if not name.endswith(("over", "shift", "halves"))])
def test_islands_cut_off_as_failures_do(verb):
    """A cost was an error where a rate and a bound said who cannot exchange traffic."""
    text = ISLANDS.replace("pod", "node").replace("i: 2", "slot: 2").replace(" i]", " slot]")
    found = VERBS[verb](fabric.loads(text)).to_dict()
    assert found["status"] == "cut off"
    assert sum(who["n"] for who in found["cut_off"]) > 0
    assert found.get("time_s") is None
