"""Every single failure, by orbits, against failing every device and every cable one by one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fabric import fail, failures, load, loads, throughput
from fabric.cli import app
from fabric.errors import PartError, QuestionError, TopologyError
from fabric.graph import Fabric, expand
from fabric.graph.expanded import Expanded
from fabric.study.failures.life import best_interval_s, effective_part, spare_nodes
from fabric.study.failures.rates import known_rates, read_rates
from fabric.symmetry.orbits import orbits

CONSTRUCTS = (
    "mesh x mesh",
    "ring x ring",
    "ring x mesh",
    "line",
    "line x ring",
    "line x mesh",
    "one-way rings",
    "relations between groups",
    "counts by index",
    "composed axes",
    "selectors as sides",
    "two includes",
    "clos",
)


def with_down(e, devices=(), bundles=(), among=None):
    """Return a fabric of arrays in which some devices, and a cable of each of some bundles, are down.

    Endpoints of other groups than `among` take no part.
    """
    groups = tuple(replace(g, is_endpoint=g.is_endpoint and among in (None, g.name)) for g in e.groups)
    failed, count = e.failed.copy(), e.failed_count.copy()
    failed[list(devices)] = True
    for bundle in bundles:
        count[bundle] += 1
    fields = {name: getattr(e, name) for name in e.__dataclass_fields__}
    return Fabric(
        e.name, graph=Expanded(**{**fields, "groups": groups, "failed": failed, "failed_count": count})
    )


def brute_force(explicit, fabric, paths, among):
    """Return, by group and by rule, the sorted rates after each single failure, 0 where some are cut off."""
    e = expand(fabric)
    found = {}
    for v in np.flatnonzero(~e.failed).tolist():
        if not e.groups[e.group[v]].kind == "host":
            found.setdefault(("device", e.groups[e.group[v]].name), []).append(with_down(e, [v], among=among))
    for b in np.flatnonzero(e.alive > 0).tolist():
        one = with_down(e, (), [b], among)
        found.setdefault(("cable", e.rules[e.rule[b]].name), []).extend([one] * int(e.alive[b]))
    solved = {}

    def rate(one):
        if id(one) not in solved:
            ends = expand(one)
            n = int((ends.is_endpoint & ~ends.failed).sum())
            solved[id(one)] = explicit.explicit_rate(one, paths) if n > 1 else 0.0
        return solved[id(one)]

    return {key: sorted(map(rate, those)) for key, those in found.items()}


def listed(answer):
    """Return the same of the answer of `failures`."""
    found = {}
    for row in answer.rows:
        rate = 0.0 if row.cut_off else row.rate_gbps
        found.setdefault((row.kind, row.of), []).extend([rate] * row.n)
    return {key: sorted(rates) for key, rates in found.items()}


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=16)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_every_failure_equals_failing_one_by_one(constructs, explicit, construct, seed):
    fabric, paths = constructs.random_fabric(construct, 4 * seed + 1 if seed % 2 else 4 * seed)
    try:
        answer = failures(fabric, paths=paths)
    except QuestionError as error:
        assert "nothing is sent while all is up" in str(error)  # noqa: PT017 - either way is right
        return
    expected, found = brute_force(explicit, fabric, paths, answer.among), listed(answer)
    for key, rates in expected.items():
        assert found[key] == pytest.approx(rates, rel=1e-7, abs=1e-9), (key, paths)
    e = expand(fabric)
    assert answer.n_devices == int((~e.failed).sum())
    assert answer.n_cables == int(e.alive.sum())
    assert {row.status for row in answer.rows} <= {"optimal", "none"}


@pytest.mark.slow
def test_numbers_that_papers_state():
    # Alibaba HPN, SIGCOMM'24: a host has 16 ports on two switches a rail; one switch down takes one of them.
    hpn = {row.name: row for row in failures(load("topologies/systems/hpn-pod.fabric.yaml")).rows}
    assert hpn["tor"].kept == pytest.approx(1 - 1 / 16, rel=1e-9)
    assert (hpn["tor"].goes_on, hpn["nic"].goes_on) == (True, False)
    assert (hpn["nic"].n_stopped, hpn["nic"].n_after) == (1, 15_360 - 8)
    # Multi-plane: one of the eight ports of a card is an eighth of it; relayed, an eighth of an eighth.
    planes = load("topologies/deployments/eight-planes.fabric.yaml")
    by_rule = {row.name: row for row in failures(planes).rows}
    assert by_rule["nic-leaf cable"].kept == pytest.approx(1 - 1 / 64, rel=1e-9)
    alone = {row.name: row for row in failures(planes, paths="no-relay").rows}
    assert alone["nic-leaf cable"].kept == pytest.approx(1 - 1 / 8, rel=1e-4)
    assert alone["nic-leaf cable"].goes_on


def test_a_processor_takes_its_gpus_with_it():
    rows = {row.name: row for row in failures(load("topologies/gb300-nvl72.fabric.yaml")).rows}
    assert (rows["grace"].n_down, rows["grace"].n_after) == (2, 68)
    assert (rows["dpu"].kept, rows["dpu"].goes_on) == (1.0, True)


@pytest.mark.slow
def test_a_processor_takes_its_gpus_with_it_and_nothing_else():
    answer = failures(load("topologies/gb300-nvl72-1152.fabric.yaml"))
    rows = {row.name: row for row in answer.rows}
    assert (rows["grace"].n_down, rows["grace"].n_after) == (2, 1148)
    assert (rows["dpu"].kept, rows["dpu"].goes_on) == (1.0, True)
    # A GPU without its card relays by its neighbours, yet its part of the job is over.
    assert (rows["nic"].n_down, rows["nic"].cut_off, rows["nic"].n_stopped) == (0, (), 1)
    assert rows["leaf"].kept == pytest.approx(7 / 8, rel=1e-9)
    assert (answer.n_devices, answer.n_cables) == (3538, 29_088)
    # Worst first: what stops the job, then what leaves less.
    assert [row.goes_on for row in answer.rows] == sorted(row.goes_on for row in answer.rows)
    assert max(map(len, str(answer).split("\n"))) <= 110


@pytest.mark.parametrize("name", ["dcell", "slim-fly"])
def test_orbits_of_wired_fabrics_are_found_and_sum_up(name):
    fabric = load(f"topologies/patterns/{name}.fabric.yaml")
    found, e = orbits(fabric), expand(fabric)
    assert sum(o.n for o in found if o.kind == "device") == e.n_devices
    assert sum(o.n for o in found if o.kind == "cable") == int(e.alive.sum())
    assert len(found) < (e.n_devices + e.n_bundles) / 4


@pytest.mark.seeds(2, of=20)
def test_searched_orbits_are_those_of_all_automorphisms(constructs, orbits_by_force, seed):
    construct = CONSTRUCTS[seed % len(CONSTRUCTS)]
    fabric, _ = constructs.random_fabric(construct, seed)
    e = expand(fabric)
    if e.n_devices > 24:
        fabric, _ = constructs.random_fabric("line", seed)
        e = expand(fabric)
    found = orbits(Fabric(e.name, graph=e))
    force = orbits_by_force.Automorphisms(e)
    classes = {}
    for v in force.devices:
        images = {v}
        stack = [v]
        while stack:
            x = stack.pop()
            for g in force.generators:
                if g[x] not in images:
                    images.add(g[x])
                    stack.append(g[x])
        classes[min(images)] = len(images)
    assert sorted(o.n for o in found if o.kind == "device") == sorted(classes.values())


def test_two_rules_between_the_same_devices_fail_one_at_a_time():
    # One-way cables beside a two-way one: of which rule a cable is says what is left.
    text = """
    {fabric: a, axes: {i: 3}, devices: {gpu: {kind: gpu, axes: [i], transit: all}},
     links: [{between: [gpu, gpu], name: round, ring: i, rate: 1Gb/s, oneway: true},
             {between: [gpu, gpu], name: both, ring: i, rate: 1Gb/s}]}
    """
    fabric = loads(text)
    rows = {row.of: row for row in failures(fabric).rows if row.kind == "cable"}
    e = expand(fabric)
    for number, rule in enumerate(e.rules):
        left = throughput(with_down(e, (), [int(np.flatnonzero(e.rule == number)[0])])).per_endpoint_gbps
        assert rows[rule.name].rate_gbps == pytest.approx(left, rel=1e-9)


def test_of_a_graph_and_of_a_file_the_same():
    fabric = load("topologies/patterns/fat-tree.fabric.yaml")
    graph = Fabric("fat-tree", graph=expand(fabric))
    mine, other = failures(fabric), failures(graph)
    # Places are of axes, which a graph does not have.
    mine = replace(mine, rows=tuple(row for row in mine.rows if not row.name.endswith(" place")))
    assert [(r.name, r.n, r.goes_on) for r in mine.rows] == [(r.name, r.n, r.goes_on) for r in other.rows]
    assert [r.kept for r in mine.rows] == pytest.approx([r.kept for r in other.rows], rel=1e-7)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"node": ["tary"]}, "node: no axis 'tary'; did you mean tray"),
        ({"among": "gpu9999"}, "beyond the last index"),
        ({"paths": "rule"}, "did you mean rules"),
    ],
)
def test_what_does_not_fit_is_refused(options, why):
    with pytest.raises(Exception, match=why) as error:
        failures(load("topologies/gb300-nvl72-1152.fabric.yaml"), **options)
    assert type(error.value).__module__.startswith("fabric.")


def test_nothing_is_sent_anyway():
    text = (
        "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
    )
    text += "links: [{between: [gpu, leaf], rate: 1Gb/s}], failed: [leaf]}"
    with pytest.raises(QuestionError, match="nothing is sent while all is up"):
        failures(loads(text))


def test_llama_3_stops_every_three_hours():
    # Llama 3, arXiv 2407.21783, section 3.3.4: 419 unexpected interruptions in 54 days on 16,384 H100.
    rates = known_rates("llama3")
    assert sum(24 * 54 * 16_384 * rate.per_hour for rate in rates) == pytest.approx(419)


@pytest.mark.slow
def test_24_576_gpus_stop_as_often_as_their_parts():
    life = failures(load("topologies/deployments/meta-llama-tor.fabric.yaml"), rates="llama3").life
    assert life.mean_time_s / 3600 == pytest.approx(3.093 * 16_384 / 24_576, rel=1e-3)
    # The largest class is 148 of 419, 35.3 %; the 30.1 % of the table is a misprint.
    assert (life.classes[0].what, round(life.classes[0].per_day / life.per_day, 3)) == ("faulty GPU", 0.353)


def test_kokolis_at_16_384_gpus():
    # HPCA 2025, arXiv 2410.21680: 6.50e-3 failures a node of 8 GPUs and day.
    (rate,) = known_rates("kokolis")
    mean_h = 1 / (16_384 / 8 * rate.per_hour)
    assert mean_h == pytest.approx(1.8, abs=0.005)
    mean_s = 3600 / (16_000 / 8 * rate.per_hour)
    parts = [effective_part(mean_s, 60.0 * m, checkpoint_s=0, restart_s=300) for m in (60, 5)]
    assert parts == pytest.approx([0.684, 0.932], abs=5e-4)


@pytest.mark.parametrize("mean_h", [1.0, 3.09, 100.0])
def test_no_interval_is_better_than_the_best(mean_h):
    mean_s, checkpoint_s = mean_h * 3600, 30.0
    best = best_interval_s(mean_s, checkpoint_s)
    # First order in the rate, as the part is: Young's interval; Daly's is below it by about one checkpoint.
    young = np.sqrt(2 * checkpoint_s * mean_s)
    assert young - 1.1 * checkpoint_s < best < young
    parts = [
        effective_part(mean_s, t, checkpoint_s=checkpoint_s, restart_s=300)
        for t in (best / 3, young, 3 * best)
    ]
    assert parts[1] > max(parts[0], parts[2])


def test_spares_are_the_quantile_of_poisson():
    rng = np.random.default_rng(1)
    down = rng.poisson(7.3, 200_000)
    spares = spare_nodes(7.3, 0.99)
    assert (down <= spares).mean() >= 0.99 - 1e-3
    assert (down <= spares - 1).mean() < 0.99
    # Both sides of the change to the normal law.
    assert abs(spare_nodes(499.0, 0.999) - spare_nodes(501.0, 0.999)) < 6


def test_a_table_of_the_readers_own_replaces_ours(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(
        "of,what,events,devices,days,repair_h\ngpu,dead,365.25,1000,365.25,48\nleaf,dead,9,1,1,1\n"
    )
    text = "{fabric: a, axes: {i: 4, p: 2}, devices: {gpu: {kind: gpu, axes: [i]}, "
    text += "leaf: {kind: switch, axes: [p]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}]}"
    life = failures(loads(text), rates=file, interval="1h", checkpoint="0s", restart="6min").life
    # A leaf does not stop the job: the other plane is up.
    assert [(one.of, one.n) for one in life.classes] == [("gpu", 4)]
    assert life.per_day == pytest.approx(4 / 1000)
    assert life.effective == pytest.approx(1 - (0.1 + 0.5) / (24 * 250))
    assert life.lost_gpu_hours == pytest.approx((1 - life.effective) * 4 * 730.5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ":1:1: lacks column of"),
        ("of,events,devices,days\ngpu,1,0,1\n", r":2:7: devices is 0; expected more than 0"),
        ("of,events,devices,days\ngpu,-1,1,1\n", r":2:5: events is '-1'; expected a number from 0 up"),
        ("of,events,devices,days\n,1,1,1\n", ":2:1: of is empty"),
        ("of,events,devices,days,odd\n", ":1:24: unknown column 'odd'"),
        ("of,events,devices,days\ngpu,1,1\n", "3 cells; expected 4"),
        ("of,events,devices,days\ngpu,1e300,1,1e-300\n", "events"),
    ],
)
def test_a_table_that_is_none_is_refused_at_its_cell(tmp_path, text, why):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(PartError, match=why):
        read_rates(file)


def test_no_table_of_that_name():
    with pytest.raises(PartError, match="rates: no table 'lama3'; did you mean llama3"):
        known_rates("lama3")


RISKS = """
fabric: two-feeds
axes: {row: 2, rack: 4, plane: 2}
devices:
  gpu:  {kind: gpu, axes: [row, rack]}
  leaf: {kind: switch, axes: [row, plane]}
  spine: {kind: switch, axes: [plane]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 4}
risk:
  feed: [row]
  firmware: {over: [plane], down: [leaf, spine]}
  conduit: {over: [row], down: [[leaf, spine0]]}
  one: {over: [row], down: [[leaf, spine0, 1]]}
  room: {down: [spine]}
"""


def test_shared_risks_are_what_they_list():
    fabric = loads(RISKS)
    answer = failures(fabric)
    rows = {row.of: row for row in answer.rows if row.kind == "risk"}
    by_hand = {
        "feed": ["row0/gpu", "row0/leaf"],
        "firmware": ["plane0/leaf", "spine0"],
        "conduit": [("row0/leaf", "spine0")],
        "one": [("row0/leaf", "spine0", 1)],
        "room": ["spine"],
    }
    assert {name: rows[name].n for name in by_hand} == {
        "feed": 2,
        "firmware": 2,
        "conduit": 2,
        "one": 2,
        "room": 1,
    }
    for name, what in by_hand.items():
        left = throughput(fail(fabric, *what), drop_unreachable=name == "feed") if name != "room" else None
        expected = left.per_endpoint_gbps if left else 0.0
        assert rows[name].rate_gbps == pytest.approx(expected, rel=1e-9), name
    assert (rows["feed"].n_down, rows["feed"].n_after) == (4, 4)
    # The rows of the file are places too; one that is a risk is told once.
    places = {row.of: row.n for row in answer.rows if row.kind == "place"}
    assert places == {"row": 2, "plane": 2}


def test_risks_of_an_include_are_there_for_each_replica(tmp_path):
    (tmp_path / "hall.fabric.yaml").write_text(RISKS)
    text = "{fabric: halls, include: {fabric: ./hall.fabric.yaml, over: {hall: 3}, as: h}, islands: 3}"
    risks = {risk.name: risk.axes for risk in loads(text, base=tmp_path).blueprint.risks}
    assert risks["h.feed"] == ("hall", "h.row")
    assert risks["h.room"] == ("hall",)


@pytest.mark.parametrize(
    ("risk", "why"),
    [
        ("{feed: [rwo]}", "risk.feed: unknown axis 'rwo'; did you mean row"),
        ("{feed: {}}", "risk.feed: a risk of nothing"),
        ("{feed: {ovr: [row]}}", "unknown key 'ovr'"),
        ("{feed: {down: [lef]}}", "no device group 'lef'"),
        ("{feed: {down: [[leaf, gpu, 99]]}}", "more failed cables than there are"),
        ("{feed: {down: [[gpu, spine]]}}", "no cable between gpu and spine"),
        ("[feed]", "expected a mapping"),
    ],
)
def test_a_risk_that_is_none_is_refused_in_its_place(risk, why):
    text = RISKS[: RISKS.index("risk:")] + f"risk: {risk}\n"
    with pytest.raises(TopologyError, match=why) as error:
        loads(text)
    assert {problem.line for problem in error.value.problems} == {11}


def test_second_order_availability_by_hand(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("of,events,devices,days,repair_h\nleaf,1,1,1,2.4\n")
    text = "{fabric: a, axes: {i: 4, p: 2}, devices: {gpu: {kind: gpu, axes: [i]}, "
    text += "leaf: {kind: switch, axes: [p]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}]}"
    low, high = failures(loads(text), rates=file, pairs=True).availability
    # Odds of a leaf 0.1: both up 1/1.21, one down 0.2/1.21 with half of it, both down 0.01/1.21 with nothing.
    assert low == pytest.approx((1 + 0.2 * 0.5) / 1.21)
    assert high == pytest.approx(low, abs=1e-12)


def test_the_command_tells_pairs_where_they_are_asked_for(capsys, monkeypatch, tmp_path):
    file = tmp_path / "a.fabric.yaml"
    file.write_text(
        "{fabric: a, axes: {i: 2, p: 2}, devices: {gpu: {kind: gpu, axes: [i]}, "
        "leaf: {kind: switch, axes: [p]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}]}"
    )
    monkeypatch.setattr("sys.argv", ["fabtopo", "failures", str(file), "--format", "json", "--pairs"])
    with pytest.raises(SystemExit, match="0"):
        app.main()
    told = json.loads(capsys.readouterr().out)
    assert sum(row["n"] for row in told["pairs"]) == 8 * 7 // 2


def test_what_is_there_is_all_at_most_though_one_box_alone_sends_more_than_two():
    text = """
        fabric: two-boxes
        axes: {box: 2, slot: 2}
        devices:
          gpu: {kind: gpu, axes: [box, slot], transit: relay}
          nvswitch: {kind: switch, axes: [box]}
          nic: {kind: nic, axes: [box, slot]}
          leaf: {kind: switch, axes: []}
        links:
          - {between: [gpu, nvswitch], rate: 4Tb/s, net: scale-up}
          - {between: [gpu, nic], rate: 100Gb/s}
          - {between: [nic, leaf], rate: 100Gb/s}
        """
    answer = failures(loads(text), rates="parts", pairs=True, window="30d", samples=10)
    gpu = next(row for row in answer.rows if row.of == "gpu")
    # 2 of 3 partners are in the other box: 100 x 3 / 2 = 150 Gb/s each of 4. Then 2 have NVLink and cards.
    assert answer.rate_gbps == pytest.approx(150.0)
    assert gpu.total_kept == pytest.approx(2 * (4000 + 100) / (4 * 150))
    lower, upper = answer.availability
    assert 0 < lower <= upper <= 1
    assert 0 < answer.over_time.kept <= 1
