"""Racks of a report: by rack unit where heights are known, and never fuller than what there is."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fabric.errors import PartError
from fabric.graph import load, loads
from fabric.reporting.racks import rack_rows, racks, racks_table, racks_title
from fabric.sizing.bom import bom
from fabric.sizing.heights import DATA, all_heights, load_heights

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
ONE_RACK = "{fabric: a, include: gb300-nvl72}"
SERVERS = """
fabric: servers
include: {fabric: RACK, over: {node: 6}}
devices: {leaf: {SWITCH, axes: []}}
links: [{between: [nic, leaf], rate: RATE, each: [1, NICS]}]
"""


def servers(rack, switch, rate, nics):
    words = {"RACK": rack, "SWITCH": switch, "RATE": rate, "NICS": str(nics)}
    return re.sub("|".join(words), lambda found: words[found[0]], SERVERS)


def drawn(text):
    fabric = loads(text, path="racks.fabric.yaml")
    bill = bom(fabric)
    return rack_rows(fabric, bill), racks("racks.svg", fabric, bill).svg, bill


def heights(svg, colour):
    """Return the heights of the boxes of a colour, in 1/72 inch."""
    found = []
    for path in ET.fromstring(svg).iter():
        if path.tag.endswith("}path") and colour in path.get("style", "").lower():
            ys = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path.get("d"))]
            found.append(round(max(ys) - min(ys), 2))
    return found


def test_a_rack_of_trays_is_drawn_by_rack_unit():
    (rack,), svg, _ = drawn(ONE_RACK)
    # 18 compute trays and 9 switch trays of 1 U in a rack of 48 U.
    assert (rack.used_u, rack.most_u, rack.is_to_scale) == (27, 48, True)
    trays = [h for h in heights(svg, "#c44e00") if h < 7]
    assert len(trays) == 18
    assert len(set(trays)) == 1
    assert heights(svg, "#0072b2") == trays[:9]
    assert "27 of 48 U" in svg
    assert ">48<" in svg
    assert "Height of `gb300-nvl72`, 48 U: assumed" in racks_table([rack])


def test_servers_and_switches_are_as_many_as_there_are_and_as_high_as_they_are():
    (rack, network), svg, bill = drawn(servers("hgx-h100", "part: qm9700", "400Gb/s", 48))
    # A plan of four servers and sixteen switches a rack; of six servers there is one switch.
    assert [(s.n, s.each_u) for s in (*rack.shelves, *network.shelves)] == [(4, 8), (1, 1)]
    assert (rack.used_u, network.used_u) == (32, 1)
    high = [h for h in heights(svg, "#c44e00") if h > 20]
    (low,) = heights(svg, "#0072b2")
    # Eight units with the same gap as one: the picture is to scale.
    unit = (high[0] - low) / 7
    assert high == [pytest.approx(8 * unit - (unit - low), abs=0.1)] * 4
    assert unit - low == pytest.approx(2 * 0.012 * 72, abs=0.1)
    assert network.power_w == pytest.approx(sum(i.power_w for i in bill.items if i.kind == "switch"))


def test_heights_that_are_not_known_are_not_made_up():
    (rack, _), svg, _ = drawn(servers("aws-p5", "kind: switch", "100Gb/s", 192))
    assert not rack.is_to_scale
    assert "Heights are not known" in " ".join("".join(ET.fromstring(svg).itertext()).split())
    assert "| not known |" in racks_table([rack])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("qm9700,1", "qm9701,1", "unknown template or part 'qm9701'"),
        ("qm9700,1", "qm9700,0", "from 1 up"),
        ("qm9700,1", "sn5610,2", "sn5610 stands twice"),
        ("dell-guide", "nobody", "nobody"),
    ],
)
def test_heights_are_checked(old, new, said, tmp_path):
    text = DATA.joinpath("heights.csv").read_text()
    assert old in text
    (tmp_path / "heights.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(PartError, match=said):
        load_heights(tmp_path)


def test_one_server_is_one_server():
    # A plan of four a rack drew four.
    ((shelf,),) = (row.shelves for row in drawn("{fabric: a, include: hgx-h100}")[0])
    assert shelf.n == 1


def test_each_kind_of_rack_has_its_own_power():
    # The rack of LPUs drew the 142 kW of the only chassis in the bill.
    fabric = load(TOPOLOGIES / "systems" / "mixed-islands.fabric.yaml")
    rows = rack_rows(fabric, bom(fabric))
    powers = {row.shelves[0].what.partition(":")[0]: row.power for row in rows}
    assert powers["nv.tray"] == "142 kW"
    assert "142 kW" not in {power for name, power in powers.items() if name != "nv.tray"}
    assert racks_title(rows).startswith(f"{len(rows) - 1} kinds of racks")


def test_trays_of_a_known_rack_fit_into_it():
    for of, whole in all_heights().items():
        trays = {k: h for k, h in all_heights().items() if k.startswith(f"{of}/")}
        if trays:
            (rack,), _, _ = drawn(f"{{fabric: a, include: {of}}}")
            assert rack.is_to_scale, of
            assert rack.used_u < whole.height_u


def test_a_floor_of_many_racks_stays_small_and_within_the_sheet():
    _, svg, _ = drawn("{fabric: a, islands: 5000, include: {fabric: gb300-nvl72, over: {rack: 5000}}}")
    assert len(svg) < 40_000
    assert "and 301 rows more," in svg
    # Twelve rows of sixteen, each row one path.
    n = [path.get("d").count("M ") for path in ET.fromstring(svg).iter() if path.tag.endswith("}path")]
    assert n.count(16) == 12
