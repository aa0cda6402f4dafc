"""Servers and racks sold as one: their cages, and power and price that are counted once."""

import importlib
import math
import shutil

import pytest

from fabric.blueprint import loads_blueprint
from fabric.errors import PartError
from fabric.graph import loads
from fabric.sizing import design
from fabric.sizing.bom import bom
from fabric.sizing.chassis import DATA, all_chassis, load_chassis, within
from fabric.sizing.prices import Price

INSIDE = ("gpu", "host", "nic", "switch chip")


def server(template, n=3, leaf="qm9700", *, tail="", cable="rate: NDR"):
    """Return `n` servers, every card of a server on one leaf of its own."""
    return (
        f"fabric: servers\ninclude: {{fabric: {template}, over: {{node: {n}}}}}\naxes: {{}}\n"
        f"devices:\n  leaf: {{part: {leaf}, axes: [slot]}}\n"
        f"links:\n  - {{between: [nic, leaf], {cable}, length: 20m}}\n{tail}"
    )


def plugs(bill):
    return {(p.group, p.medium): (p.n_cages, p.n_ends) for p in bill.cages}


def line(bill, kind):
    (found,) = (one for one in bill.items if one.kind == kind)
    return found


# --- cages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gpu", ["h100", "h200", "b200"])
def test_two_cards_of_a_dgx_share_a_twin_port_cage(gpu):
    """NVIDIA: "4x OSFP ports serving 8x single-port NVIDIA ConnectX-7 VPI"."""
    boxed, board = bom(loads(server(f"dgx-{gpu}"))), bom(loads(server(f"hgx-{gpu}")))
    assert plugs(boxed)["nic", "opt_800_mm"] == (3 * 4, 3 * 8)
    assert plugs(board)["nic", "opt_400_mm"] == (3 * 8, 3 * 8)
    # The switches and the glass are the same.
    assert {k: v for k, v in plugs(boxed).items() if k[0] == "leaf"} == {
        k: v for k, v in plugs(board).items() if k[0] == "leaf"
    }
    assert boxed.n_cables == board.n_cables == 24
    glass = [(one.about, one.n, one.n_ends) for one in boxed.items if one.kind == "cable"]
    assert glass == [("", 24, 48)]


def test_cards_that_are_absent_leave_cages_empty():
    bill = bom(loads(server("dgx-h100", tail="absent: [node0/nic0-1]\n")))
    assert plugs(bill)["nic", "opt_800_mm"] == (11, 22)
    one = bom(loads(server("dgx-h100", 1, tail="absent: [nic0]\n")))
    assert plugs(one)["nic", "opt_800_mm"] == (4, 7)


def test_cards_with_cages_of_their_own():
    eight = bom(loads(server("dgx-b300", leaf="sn5600", cable="rate: 400Gb/s, count: 2")))
    assert plugs(eight)["nic", "opt_800_mm"] == (24, 48)
    small = bom(loads(server("dgx-a100", leaf="qm8700", cable="rate: HDR, medium: dac_passive")))
    assert plugs(small)["nic", "dac_passive"] == (24, 24)


@pytest.mark.parametrize("planes", [1, 2])
def test_a_slower_cable_takes_the_half_cage_of_its_card(planes):
    """A card has one connector of the two, with one cable of 200 Gb/s on it or with two."""
    text = server("dgx-h100", cable="rate: 200Gb/s").replace("axes: {}", f"axes: {{plane: {planes}}}")
    bill = bom(loads(text.replace("[slot]}", "[slot, plane]}")))
    assert plugs(bill)["nic", "opt_800_mm"] == (3 * 4, 3 * 8 * planes)
    glass = [(one.about, one.n) for one in bill.items if one.kind == "cable"]
    # Three cables of 200 Gb/s at each leaf take two connectors of two.
    assert glass == [("shuffle", 24 + 8 * planes * 2)]


def test_copper_of_a_shared_cage_leads_to_two_switches():
    bill = bom(loads(server("dgx-h100", cable="rate: NDR, medium: dac_passive").replace("20m", "2m")))
    assert any("no dac_passive joins cages of 2 and 2 cables" in note for note in bill.notes)


def test_a_design_of_dgx_h100():
    made = design(gpus=1016, rack="dgx-h100", leaf="qm9700", ufm=4)
    assert made.switches == {"leaf": 32, "spine": 16}
    assert plugs(bom(loads(made.text)))["nic", "opt_800_mm"] == (508, 1016)


# --- power -------------------------------------------------------------------------------------------


@pytest.mark.some(8)
@pytest.mark.parametrize("template", all_chassis())
def test_what_is_in_a_chassis_draws_less_than_the_whole(template):
    """Parts without fans, memory and losses: less than the whole, and about half of it at least."""
    fabric = loads(f"fabric: one\ninclude: {template}\n")
    bill = bom(fabric)
    box = line(bill, "chassis")
    whole = all_chassis()[template].figures["power_w"]
    assert (box.n, box.power_w, bill.power_w) == (1, whole, whole)
    inside = [one for one in bill.items if one.kind in INSIDE]
    assert inside
    assert all(one.power_in == template for one in inside)
    parts_w = sum(one.power_w or 0.0 for one in inside)
    assert 0.45 * whole < parts_w < whole
    assert bill.power_unknown == ()
    assert f"{template} at " in str(bill)
    if template in ("gb200-nvl72", "gb300-nvl72"):  # of which all parts have figures
        assert parts_w > 0.9 * all_chassis()[template].figures["power_min_w"]


def test_power_of_superpod_is_servers_switches_and_their_optics():
    bill = bom(loads(server("dgx-h100", 62)))
    assert bill.power_w == 62 * 10_200 + 8 * 747 + 8 * 31 * 15
    assert "known" not in str(bill).splitlines()[1]
    alone = bom(loads(server("dgx-h100", 62).replace("part: qm9700", "kind: switch")))
    (switch,) = alone.power_unknown
    assert switch.where == "leaf"
    # Racks hold others, and glass is passive.
    quiet = ("rack", "network rack", "chassis", "cable")
    n = sum(one.n for one in alone.items if one.kind not in quiet)
    assert alone.power_unknown_share == 8 / n
    share = f"8 of {n:,} items that draw any ({800 / n:.3g} %)"
    assert f"Power not known of {share}, and not in that sum: 8 generic (leaf)." in str(alone)


def test_ends_of_active_cables_in_a_server_are_its_own():
    """Of 24 cables with two ends of 10 W those at the cards are in the power of the servers."""
    active = "rate: 400Gb/s, count: 2, medium: aec"
    bill = bom(loads(server("dgx-b300", leaf="sn5600", cable=active)))
    cable = line(bill, "cable")
    assert (cable.n_ends, cable.power_w) == (48, 24 * 10)
    assert bill.power_w == 3 * 14_000 + 8 * 940 + 24 * 10


def test_cables_between_two_kinds_of_chassis_are_fed_at_both_ends():
    text = (
        "fabric: two\ninclude:\n  - {fabric: dgx-b300, as: a}\n  - {fabric: hgx-b300, as: b}\naxes: {}\n"
        "links:\n  - {between: [a.nic, b.nic], link: 100gbe, medium: aec, peer: true, length: 2m}\n"
    )
    bill = bom(loads(text))
    cable = line(bill, "cable")
    assert cable.power_w == 0
    assert bill.power_w == 14_000 + 14_000


def test_a_guess_of_the_whole_is_no_better_than_figures_of_all_parts(monkeypatch):
    text = "fabric: one\ninclude: gb300-nvl72\n"
    assert line(bom(loads(text)), "chassis").power_w == 142_000
    row = load_chassis(DATA)["hgx-h100"]
    guess = type(row)("gb300-nvl72", "a guess", {"power_w": 150_000.0}, ("own",), "assumed", {}, "guessed")
    monkeypatch.setattr(
        importlib.import_module("fabric.sizing.chassis"), "all_chassis", lambda: {"gb300-nvl72": guess}
    )
    bill = bom(loads(text))
    assert bill.power_w == 72 * 1400 + 18 * 620 + 36 * 500 + 72 * 50 + 18 * 100
    assert line(bill, "chassis").power_from == "its devices are listed"
    assert " at " not in str(bill).splitlines()[2]


def test_two_includes_of_one_template_are_two_lines():
    text = (
        "fabric: two\nislands: 2\ninclude:\n  - {fabric: dgx-h100, over: {a: 2}, as: old}\n"
        "  - {fabric: dgx-h100, over: {b: 3}, as: new}\naxes: {}\ndevices:\n"
        "  left: {part: qm9700, axes: []}\n  right: {part: qm9700, axes: []}\nlinks:\n"
        "  - {between: [old.nic, left], rate: NDR, length: 5m}\n"
        "  - {between: [new.nic, right], rate: NDR, length: 5m}\n"
    )
    bill = bom(loads(text))
    boxes = [(one.where, one.n) for one in bill.items if one.kind == "chassis"]
    assert boxes == [("old", 2), ("new", 3)]
    assert plugs(bill)["old.nic", "opt_800_mm"] == (8, 16)
    assert bill.power_w == 5 * 10_200 + 2 * 747 + (8 + 12) * 15


@pytest.mark.parametrize(
    ("absent", "n"),
    [("", 3), ("node2/*", 2), ("gpu7", 3), ("node0-1/*", 1), ("node0/gpu0-6", 3)],
)
def test_chassis_of_which_something_is_present(absent, n):
    bill = bom(loads(server("dgx-h100", tail=f"absent: [{absent}]\n" if absent else "")))
    assert line(bill, "chassis").n == n


def test_devices_of_the_file_are_in_no_chassis():
    text = server("gb300-nvl72", 1, "q3400", cable="rate: XDR").replace(
        "devices:\n", "devices:\n  store: {kind: host, axes: [slot]}\n"
    )
    bill = bom(loads(text + "  - {between: [store, leaf], rate: XDR, length: 5m}\n"))
    assert {one.where for one in bill.power_unknown} == {"store", "leaf"}
    assert {g.template for g in loads_blueprint(text).groups.values()} == {"gb300-nvl72", ""}


# --- price -------------------------------------------------------------------------------------------


def test_price_of_a_chassis_is_that_of_its_devices():
    offer = Price(300_000, 320_000, "offer 9", "given")
    bill = bom(loads(server("dgx-h100")), prices={"dgx-h100": offer, "cx7": 1_000, "qm9700": 30_000})
    assert bill.cost_usd == (3 * 300_000 + 8 * 30_000, 3 * 320_000 + 8 * 30_000)
    assert any(note.startswith("The price of dgx-h100 is that of all devices in it") for note in bill.notes)
    parts = bom(loads(server("dgx-h100")), prices={"cx7": 1_000})
    assert parts.cost_usd == (24_000, 24_000)


# --- the data ----------------------------------------------------------------------------------------


def test_cards_fill_the_cages_of_every_chassis():
    for template, row in all_chassis().items():
        n_cages = row.figures.get("n_nic_cages", 0)
        assert not n_cages or within(template)["nic"] % n_cages == 0
        assert math.isfinite(row.figures["power_w"])


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (
            "dgx-h100,DGX",
            "dgx-h101,DGX",
            r"chassis.csv:5: dgx-h101: unknown template 'dgx-h101'; did you mean",
        ),
        ("dgx-h200,DGX H200", "dgx-h100,DGX H200", r"dgx-h100: dgx-h100 stands twice"),
        (",10200,nv-dgx-h100,", ",,nv-dgx-h100,", r"dgx-h100: expected power_w"),
        (
            "120000,132000",
            "133000,132000",
            r"gb200-nvl72: expected power_w, and power_min_w at most as large",
        ),
        ("nv-dgx-b200", "nv-dgx-b201", r"dgx-b200: unknown source 'nv-dgx-b201'"),
    ],
)
def test_rows_that_are_refused(tmp_path, old, new, match):
    folder = shutil.copytree(DATA, tmp_path / "data")
    text = (folder / "chassis.csv").read_text()
    assert old in text
    (folder / "chassis.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(PartError, match=match):
        load_chassis(folder)
