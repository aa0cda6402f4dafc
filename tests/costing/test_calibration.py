"""Calibrations: every wrong file is refused at its place, and the right value is looked up."""

import dataclasses
import json

import pytest
import yaml

from fabric.costing import Calibration, Overhead, calibration, calibration_names, cost
from fabric.costing.calibration import TRANSFERS, ProtocolCost, calibration_text
from fabric.errors import QuestionError, TopologyError
from fabric.evidence.residuals import Residual
from fabric.graph import loads

SOUND = """\
calibration: mine
source: a log of today
date: "2026-01-31"
launch: 5us
links:
  gpu-leaf: {copy: {rate: 0.5}}
  ib_ndr:
    copy: {rate: 0.8, latency: 2us, source: there}
    all-to-all: {rate: 0.7}
  scale-out:
    copy: {rate: 0.6}
    in-switch: {rate: 0.4, latency: 1.5ms}
protocols:
  LL: {rate: 0.5, latency: 0.25}
  Simple: {}
algorithms: [ring, tree]
"""
STAR = """
fabric: star
axes: {i: 4}
devices:
  gpu:  {kind: gpu, axes: [i]}
  leaf: {kind: switch, axes: []}
links: [{between: [gpu, leaf], rate: 400Gb/s, each: [1, 4]}]
"""


def write(folder, text, name="mine.calibration.yaml"):
    file = folder / name
    file.write_text(text)
    return file


def as_data(one):
    """Return everything that a calibration holds, as plain data."""
    return {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}


def test_a_sound_file_is_read_whole(tmp_path):
    one = calibration(write(tmp_path, SOUND))
    assert (one.name, one.source, one.date, one.launch_s) == ("mine", "a log of today", "2026-01-31", 5e-6)
    assert one.links == {
        "gpu-leaf": {"copy": Overhead(0.5)},
        "ib_ndr": {"copy": Overhead(0.8, 2e-6, "there"), "all-to-all": Overhead(0.7)},
        "scale-out": {"copy": Overhead(0.6), "in-switch": Overhead(0.4, 1.5e-3)},
    }
    assert one.protocols == (ProtocolCost("LL", 0.5, 0.25), ProtocolCost("Simple"))
    assert one.algorithms == ("ring", "tree")


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("old", "new", "line", "col", "message"),
    [
        ("launch:", "lanch:", 4, 1, r"lanch: unknown key 'lanch'; did you mean launch\?"),
        ("in-switch:", "in_switch:", 12, 5, r"unknown key 'in_switch'; did you mean in-switch\?"),
        ("all-to-all:", "shuffle:", 9, 5, r"unknown key 'shuffle'; keys are copy, in-switch, all-to-all"),
        (
            "latency: 2us",
            "latncy: 2us",
            8,
            23,
            r"ib_ndr\.copy\.latncy: unknown key 'latncy'; did you mean latency",
        ),
        ("latency: 0.25", "delay: 0.25", 14, 19, r"unknown key 'delay'; keys are rate, latency, source"),
        ("rate: 0.8", "rate: 0", 8, 18, r"links\.ib_ndr\.copy\.rate: .*greater than 0; got 0"),
        ("rate: 0.8", "rate: -0.1", 8, 18, r"greater than 0; got -0\.1"),
        ("rate: 0.8", "rate: 1.01", 8, 18, r"less than or equal to 1; got 1\.01"),
        ("rate: 0.8", "rate: .nan", 8, 18, r"finite number; got nan"),
        ("rate: 0.8", "rate: .inf", 8, 18, r"finite number; got inf"),
        ("rate: 0.8", 'rate: "0.8"', 8, 18, r"valid number; got 0\.8"),
        ("rate: 0.8", "rate: true", 8, 18, r"valid number; got true"),
        ("rate: 0.8", "rate: 80 %", 8, 18, r"valid number; got 80 %"),
        ("latency: 2us", "latency: -2us", 8, 32, r"'-2us': .*negative"),
        ("latency: 2us", "latency: 2", 8, 32, r"time without unit"),
        ("latency: 2us", "latency: nan", 8, 32, r"must be finite"),
        ("latency: 2us", "latency: [2us]", 8, 32, r"expected a time such as 500ns"),
        ("launch: 5us", "launch: 5GB", 4, 9, r"launch: time '5GB'"),
        ("latency: 0.25", "latency: -1", 14, 28, r"protocols\.LL\.latency: .*greater than or equal to 0"),
        ("rate: 0.5, latency", "rate: 2, latency", 14, 14, r"protocols\.LL\.rate: .*less than or equal to 1"),
        ("source: a log of today\n", "", 1, 1, r"file: missing key 'source'"),
        ("source: a log of today", 'source: ""', 2, 9, r"source: .*at least 1 character"),
        ('date: "2026-01-31"\n', "", 1, 1, r"missing key 'date'"),
        ("2026-01-31", "2026-02-30", 3, 7, r"date: not a date such as 2026-01-31; got 2026-02-30"),
        ("2026-01-31", "31.1.2026", 3, 7, r"not a date such as"),
        ("2026-01-31", "20260131", 3, 7, r"not a date such as"),
        ('"2026-01-31"', "20260131", 3, 7, r"date: .*valid string; got 20260131"),
        ("calibration: mine", "calibration: ''", 1, 14, r"calibration: .*at least 1 character"),
        (
            "ring, tree",
            "ring, tre",
            16,
            20,
            r"algorithms\[1\]: unknown algorithm; got tre; did you mean tree",
        ),
        ("ring, tree", "gossip", 16, 14, r"unknown algorithm; got gossip; known are hierarchical, ring"),
        ("ring, tree", "1", 16, 14, r"valid string; got 1"),
        ("[ring, tree]", "ring", 16, 13, r"algorithms: .*valid list"),
        ("launch: 5us", "launch: 5us\nlaunch: 6us", 5, 1, r"launch: duplicate key; first on line 4"),
        ("{copy: {rate: 0.5}}", "!!python/object:os.system {}", 6, 13, r"tag not allowed"),
        ("{copy: {rate: 0.5}}", "0.5", 6, 13, r"links\.gpu-leaf: .*got 0\.5"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_a_wrong_file_is_refused_at_its_place(tmp_path, old, new, line, col, message):
    assert SOUND.count(old) == 1
    file = write(tmp_path, SOUND.replace(old, new))
    with pytest.raises(TopologyError, match=message) as caught:
        calibration(file)
    assert [(p.path, p.line, p.col) for p in caught.value.problems] == [(str(file), line, col)]


def test_a_text_that_is_no_yaml_is_refused(tmp_path):
    with pytest.raises(TopologyError, match=r"mine\.calibration\.yaml:7:\d: file: syntax error"):
        calibration(write(tmp_path, SOUND.replace("0.5}}", "0.5}")))


def test_all_problems_of_a_file_come_at_once(tmp_path):
    text = SOUND.replace("rate: 0.8", "rate: 8").replace("2026-01", "2026-13").replace("tree]", "three]")
    with pytest.raises(TopologyError, match="not a date") as caught:
        calibration(write(tmp_path, text))
    assert [p.line for p in caught.value.problems] == [3, 8, 16]


@pytest.mark.parametrize("text", ["- a list", "just a text", "", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(TopologyError, match=r"mine\.calibration\.yaml:1:1: "):
        calibration(write(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mesured", r"no calibration 'mesured'; did you mean measured\?"),
        ("none.yaml", r"no calibration 'none\.yaml'; known are measured, wire, nccl, or give a file"),
        ("nccl", r"nccl is NCCL's own model, not a calibration"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(QuestionError, match=message):
        calibration(name)


def test_a_folder_is_no_calibration(tmp_path):
    with pytest.raises(TopologyError, match="is a directory"):
        calibration(tmp_path)


@pytest.mark.parametrize(
    ("keys", "transfer", "rate"),
    [
        (("gpu-leaf", "ib_ndr/board", "ib_ndr", "scale-out"), "copy", 0.5),
        (("nic-leaf", "ib_ndr/board", "ib_ndr", "scale-out"), "copy", 0.9),
        (("nic-leaf", "ib_ndr/dac", "ib_ndr", "scale-out"), "copy", 0.8),
        (("nic-leaf", "ib_xdr/dac", "ib_xdr", "scale-out"), "copy", 0.6),
        (("nic-leaf", "scale-out"), "copy", 0.6),
        # A key without the kind of transfer is passed over.
        (("gpu-leaf", "ib_ndr/board", "ib_ndr", "scale-out"), "all-to-all", 0.7),
        (("gpu-leaf", "ib_ndr/board", "ib_ndr", "scale-out"), "in-switch", 0.4),
        (("gpu-cpu", "pcie5", "host"), "copy", 1.0),
        (("nic-leaf", "scale-out"), "all-to-all", 1.0),
    ],
)
def test_the_nearest_name_goes_first(tmp_path, keys, transfer, rate):
    text = SOUND.replace("  ib_ndr:\n", "  ib_ndr/board: {copy: {rate: 0.9}}\n  ib_ndr:\n")
    assert calibration(write(tmp_path, text)).overhead(keys, transfer).rate == rate


def test_rules_protocols_and_networks_of_a_fabric_are_looked_up(tmp_path):
    """What a rule, its protocol on a medium, its protocol and its network are called is what a file names."""
    text = STAR.replace("rate: 400Gb/s", "link: nvlink5, medium: board")
    fabric = loads(text)
    order = ["gpu-leaf", "nvlink5/board", "nvlink5", "scale-up"]
    full = cost(fabric, "all-gather", "1GB", algorithm="ring", calibration="wire").time_s
    for n in range(len(order)):
        links = {key: {"copy": Overhead(0.5 + 0.1 * i)} for i, key in enumerate(order) if i >= n}
        one = cost(fabric, "all-gather", "1GB", algorithm="ring", calibration=Calibration("x", links=links))
        assert one.time_s == pytest.approx(full / (0.5 + 0.1 * n), rel=1e-12)


@pytest.mark.parametrize("name", calibration_names())
def test_round_trip_of_what_comes_along(tmp_path, name):
    # Residuals of the evidence stay with it; a calibration that was fitted to logs takes its own along.
    one = dataclasses.replace(calibration(name), residuals=())
    assert as_data(calibration(write(tmp_path, calibration_text(one)))) == as_data(one)
    held = (Residual("all-reduce", "ring", 1 << 30, 2, 1.05, True, 16, "h100_sxm5", 5.25e-3),)
    again = calibration(write(tmp_path, calibration_text(dataclasses.replace(one, residuals=held))))
    assert again.residuals == held


def test_round_trip_of_a_file(tmp_path):
    one = calibration(write(tmp_path, SOUND))
    again = calibration(write(tmp_path, calibration_text(one), "again.yaml"))
    assert as_data(again) == as_data(one)


def test_written_numbers_have_four_digits_and_stay_in_range(tmp_path):
    links = {"x": {"copy": Overhead(1 / 3, 1e-6 / 3), "in-switch": Overhead(1e-7)}}
    one = Calibration("x", source="s", date="2026-01-31", launch_s=1e-9, links=links)
    again = calibration(write(tmp_path, calibration_text(one)))
    for kind in ("copy", "in-switch"):
        assert again.links["x"][kind].rate == pytest.approx(links["x"][kind].rate, rel=1e-4)
        assert again.links["x"][kind].latency_s == pytest.approx(links["x"][kind].latency_s, rel=1e-5)
    assert again.launch_s == pytest.approx(1e-9)


def test_json_is_read_by_the_same_rules(tmp_path):
    text = json.dumps(yaml.safe_load(SOUND))
    assert as_data(calibration(write(tmp_path, text, "mine.json"))) == as_data(
        calibration(write(tmp_path, SOUND))
    )
    with pytest.raises(TopologyError, match=r"mine\.json:1:\d+: links\.gpu-leaf\.copy\.rate: .*less than"):
        calibration(write(tmp_path, text.replace("0.5", "5", 1), "mine.json"))


def test_a_users_file_is_used_by_cost(tmp_path):
    """All-gather of 1 GB among 4: 3/4 of it at 60 % of 400 Gb/s, six links of latency, and the launch."""
    file = write(
        tmp_path,
        SOUND.replace("gpu-leaf:", "other:").replace("copy: {rate: 0.6}", "copy: {rate: 0.6, latency: 3us}"),
    )
    one = cost(loads(STAR), "all-gather", "1GB", algorithm="ring", calibration=str(file))
    assert (one.calibration, one.chosen.protocol) == ("mine", "Simple")
    assert one.time_s == pytest.approx(5e-6 + 6 * 3e-6 + 0.75 * 8 / (0.6 * 400), rel=1e-12)
    # A quarter of the latency at half of the rate, where latency is what counts.
    small = cost(loads(STAR), "all-gather", "4kB", algorithm="ring", calibration=file)
    assert small.chosen.protocol == "LL"
    assert small.time_s == pytest.approx(5e-6 + 6 * 3e-6 / 4 + 3e-6 * 8 / (0.5 * 0.6 * 400), rel=1e-12)


def test_auto_chooses_among_the_algorithms_of_the_file(tmp_path):
    chosen = cost(loads(STAR), "all-reduce", "1GB", calibration=write(tmp_path, SOUND))
    assert [a.algorithm for a in chosen.algorithms] == ["ring", "tree"]
    all_of_them = cost(
        loads(STAR), "all-reduce", "1GB", calibration=write(tmp_path, SOUND.replace("ring, tree", ""))
    )
    assert len(all_of_them.algorithms) > 2


@pytest.mark.parametrize("name", calibration_names())
def test_what_comes_along_says_where_it_is_from(name):
    one = calibration(name)
    assert one.source
    assert one.about
    overheads = [o for kinds in one.links.values() for o in kinds.values()]
    assert [o for o in overheads if not o.source] == []
    assert {kind for kinds in one.links.values() for kind in kinds} <= set(TRANSFERS)


@pytest.mark.parametrize("name", calibration_names())
def test_what_comes_with_the_package_is_read_once(name):
    assert calibration(name) is calibration(name)
