import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fabric.graph import load, loads
from fabric.reporting.figures import staircase, wiring
from fabric.reporting.layout import layout
from fabric.reporting.staircase import drawn as drawn_rules
from fabric.reporting.staircase import staircase_figure, staircase_title, step_ratio
from fabric.reporting.ways import by_kind, by_nobody, ways
from fabric.reporting.wiring import wiring_figure, wiring_title
from fabric.sizing.summary import summarize

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
TORUS = """{fabric: torus, axes: {x: 4, y: 4}, devices: {chip: {kind: gpu, axes: [x, y], transit: all}},
  links: [{between: [chip, chip], ring: x, rate: 100Gb/s, name: x-ring},
          {between: [chip, chip], ring: y, rate: 100Gb/s, name: y-ring}]}"""
NO_LINKS = (
    "{fabric: lone, axes: {i: 1}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
)
NAMES = ["small", "torus", "lone", "switches", "gb300-nvl72", "gb300-nvl72-1152", "superpod-h100-4su"]


@pytest.fixture(scope="module", params=NAMES)
def summary(request, small, small_text):
    texts = {
        "small": small_text,
        "torus": TORUS,
        "lone": NO_LINKS,
        "switches": small_text.replace("transit: relay}", "endpoint: false, transit: pass}") + "islands: 0\n",
    }
    name = request.param
    return summarize(loads(texts[name]) if name in texts else load(TOPOLOGIES / f"{name}.fabric.yaml"))


@pytest.fixture(scope="module")
def drawn(summary):
    """Return both figures; drawing is what takes long here."""
    return {draw: draw(summary) for draw in (staircase, wiring)}


@pytest.mark.some(1)
@pytest.mark.parametrize("draw", [staircase, wiring])
def test_svg_is_plain_and_small(drawn, draw):
    text = drawn[draw]
    assert len(text) <= 60_000
    root = ET.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "text" in tags
    assert not tags & {"script", "image", "a", "foreignObject", "date"}
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|file:|@import|@font-face|/tmp|/home|\son\w+=", text)


@pytest.mark.some(1)
@pytest.mark.parametrize("draw", [staircase, wiring])
def test_svg_is_always_the_same_whatever_the_user_has_set(summary, drawn, draw):
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "svg.hashsalt": "x", "lines.linewidth": 9}):
        assert draw(summary) == drawn[draw]
        assert mpl.rcParams["font.size"] == 30


@pytest.mark.some(2)
def test_every_count_is_in_the_wiring_figure(summary, drawn):
    texts = {e.text for e in ET.fromstring(drawn[wiring]).iter() if e.tag.endswith("}text")}
    for one in summary.links:
        assert one.name in texts
        assert f"{one.n_cables:,} cable{'' if one.n_cables == 1 else 's'}" in texts
        for group, (least, most) in ((one.lower, one.per_lower), (one.upper, one.per_upper)):
            assert f"{least:,}{'' if least == most else f'-{most:,}'} per {group}" in texts
    for group in summary.groups:
        assert f"{group.name}: {group.n_devices:,} × {group.part or group.kind}" in texts


def test_every_value_is_in_the_staircase(summary, drawn):
    texts = " ".join(e.text for e in ET.fromstring(drawn[staircase]).iter() if e.tag.endswith("}text"))
    shown = drawn_rules(summary)
    rates = [one.per_endpoint_gbps if summary.n_endpoints else one.capacity_gbps for one in shown]
    # What carries nothing between endpoints, such as management, is named below and has no bar.
    assert [x.name for x in summary.links if x not in shown and x.name not in texts] == []
    assert [rate for rate in rates if f"{rate / 8:,.4g} GB/s (" not in texts] == []


def test_ratios_multiply_to_the_whole_taper():
    root = ET.fromstring(staircase(summarize(load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml"))))
    ratios = [e.text for e in root.iter() if re.fullmatch(r"[\d.]+:1", e.text or "")]
    assert ratios == ["7.438:1", "1.21:1", "1:1"]


@pytest.mark.some(1)
@pytest.mark.parametrize("figure", [staircase_figure, wiring_figure])
def test_no_text_overlaps_or_is_cut(summary, figure):
    sheet = figure(summary)
    sheet.set_dpi(720)  # at the 72 of the figure, hinting would round the width of every letter
    renderer = FigureCanvasAgg(sheet).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for ax in sheet.axes for t in ax.texts]
    for i, (text, box) in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= sheet.bbox.x1, text
        assert box.y1 <= sheet.bbox.y1, text
        for other, second in boxes[i + 1 :]:
            wide = min(box.x1, second.x1) - max(box.x0, second.x0)
            high = min(box.y1, second.y1) - max(box.y0, second.y0)
            # Boxes of text hold room for accents above and tails below.
            assert wide <= 0 or high <= 30, (text, other)


def test_bundles_meet_only_their_own_bars(summary):
    plan = layout(summary, ways(summary))
    for bundle in plan.bundles:
        for name in (bundle.lower, bundle.upper):
            bar = plan.bars[name]
            assert bar.first <= bundle.column <= bar.last
        for bar in plan.bars.values():
            assert not (bundle.low < bar.row < bundle.high and bar.first <= bundle.column <= bar.last)
    bars = list(plan.bars.values())
    for i, bar in enumerate(bars):
        for other in bars[i + 1 :]:
            assert bar.row != other.row or bar.last < other.first or other.last < bar.first


def test_endpoints_are_lowest_and_the_top_tier_highest():
    plan = layout(s := summarize(load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml")), ways(s))
    rows = {name: bar.row for name, bar in plan.bars.items()}
    assert (rows["gpu"], rows["leaf"], rows["spine"], rows["ufm"]) == (0, 3, 4, 2)
    assert plan.n_rows == 5


MIXED = ("mixed-islands", "seven-chips", "vera-rubin-pod")


@pytest.fixture(scope="module", params=MIXED)
def mixed(request):
    return summarize(load(TOPOLOGIES / "systems" / f"{request.param}.fabric.yaml"))


def test_figures_of_each_kind_and_the_rest_have_every_rule(mixed):
    figures = [*by_kind(mixed).values(), by_nobody(mixed)]
    assert {x.name for own in figures for x in own.links} == {x.name for x in mixed.links}
    assert {g.name for own in figures for g in own.groups} == {g.name for g in mixed.groups}
    roles = ways(mixed)
    assert {x.name for x in figures[-1].links} == {name for name, way in roles.items() if way == "none"}
    assert wiring_title(figures[-1]).endswith(" cables carry no traffic between endpoints")


@pytest.mark.some(1)
def test_nothing_passes_behind_a_box_in_mixed_fabrics(mixed):
    for own in [*by_kind(mixed).values(), by_nobody(mixed)]:
        plan = layout(own, ways(own))
        assert plan.n_rows <= 1 + max(g.level for g in own.groups)
        for bundle in plan.bundles:
            assert not [
                name
                for name, bar in plan.bars.items()
                if bundle.low < bar.row < bundle.high and bar.first <= bundle.column <= bar.last
            ]


@pytest.mark.some(1)
def test_labels_stand_in_gaps(mixed):
    for own in by_kind(mixed).values():
        sheet = wiring_figure(own)
        (axes,) = sheet.axes
        boxes = [box.get_bbox() for box in axes.patches]
        names = {x.name for x in own.links}
        found = [text for text in axes.texts if text.get_text() in names]
        assert len(found) == len(names)
        for text in found:
            x, y = text.get_position()
            assert not [b for b in boxes if b.x0 <= x <= b.x1 and b.y0 <= y <= b.y1]


@pytest.mark.parametrize("name", ["tpu-v4-pod", "h100-nvlink-256", "lpx-4"])
def test_alike_rules_are_in_the_order_of_the_file(name):
    summary = summarize(load(TOPOLOGIES / "systems" / f"{name}.fabric.yaml"))
    column = {bundle.name: bundle.column for bundle in layout(summary, ways(summary)).bundles}
    for one, other in itertools.combinations(summary.links, 2):
        if (one.lower, one.upper) == (other.lower, other.upper):
            assert column[one.name] < column[other.name]


def test_a_rule_of_like_with_like_says_its_relation():
    text = TORUS.replace("ring: y,", "ring: y, twist: {x: 2},")
    texts = {e.text for e in ET.fromstring(wiring(summarize(loads(text)))).iter() if e.tag.endswith("}text")}
    assert {"ring x", "ring y, twist x+2"} <= texts


def test_ratios_are_of_rules_one_after_the_other():
    root = ET.fromstring(staircase(summarize(loads(TORUS))))
    assert not [e.text for e in root.iter() if re.fullmatch(r"[\d.]+:1", e.text or "")]
    root = ET.fromstring(staircase(summarize(load(TOPOLOGIES / "systems" / "maia200-6144.fabric.yaml"))))
    ratios = [e.text for e in root.iter() if re.fullmatch(r"[\d.]+:1", e.text or "")]
    assert ratios == ["2.5:1", "3:1"]


def test_more_rules_than_can_be_searched_still_draw():
    groups = [chr(97 + i) for i in range(26)]
    devices = ", ".join(f"{g}: {{kind: switch, axes: []}}" for g in groups)
    links = ", ".join(
        f"{{between: [{a}, {b}], rate: 100Gb/s}}" for i, a in enumerate(groups) for b in groups[i + 1 : i + 3]
    )
    summary = summarize(
        loads(f"{{fabric: many, islands: 0, axes: {{}}, devices: {{{devices}}}, links: [{links}]}}")
    )
    plan = layout(summary, ways(summary))
    assert sorted(bundle.column for bundle in plan.bundles) == list(range(len(summary.links)))
    assert sorted(bar.row for bar in plan.bars.values()) == list(range(26))


@pytest.mark.parametrize(
    ("name", "bars", "boxes"),
    [
        (
            "gb300-nvl72-1152",
            "Each GPU has 900 GB/s into its scale-up domain and 100 GB/s into the fabric: 9:1",
            "2,304 + 2,304 scale-out cables join 1,152 NICs, 64 leaves and 18 spines",
        ),
        (
            "gb300-nvl72",
            "Each GPU has 900 GB/s into its scale-up domain, and nothing leads out of it",
            "1,296 scale-up cables join 72 GPUs and 18 nvswitches",
        ),
        (
            "superpod-h100-4su",
            "Each GPU has 450 GB/s into its scale-up domain and 50 GB/s into the fabric: 9:1",
            "1,016 + 1,024 scale-out cables join 1,016 NICs, 32 leaves and 16 spines",
        ),
    ],
)
def test_titles_are_findings(name, bars, boxes):
    summary = summarize(load(TOPOLOGIES / f"{name}.fabric.yaml"))
    assert (staircase_title(summary), wiring_title(summary)) == (bars, boxes)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (
            "torus",
            "Each chip has 25 GB/s of x-ring and 25 GB/s of y-ring, 50 GB/s in all, with no switch between",
        ),
        ("lone", "No link joins the GPUs of lone"),
        ("switches", "small has no endpoint: capacity of each tier as a whole"),
        ("flat", "Each GPU has 50 GB/s into the fabric and 25 GB/s at its top: 2:1"),
    ],
)
def test_titles_of_other_shapes(name, title, small_text):
    flat = "{fabric: flat, axes: {i: 4, j: 2}, devices: {gpu: {kind: gpu, axes: [i, j]}, leaf: {kind: switch,"
    flat += " axes: [i]}, top: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s},"
    flat += " {between: [leaf, top], rate: 400Gb/s}]}"
    switches = small_text.replace("transit: relay}", "endpoint: false, transit: pass}") + "islands: 0\n"
    texts = {"torus": TORUS, "lone": NO_LINKS, "switches": switches, "flat": flat}
    assert staircase_title(summarize(loads(texts[name]))) == title


def test_bars_are_as_long_as_what_they_stand_for():
    (axes,) = staircase_figure(summarize(load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml"))).axes
    widths = [box.get_width() for box in axes.patches]
    assert [w / widths[0] for w in widths] == pytest.approx([1, 121 / 900, 1 / 9, 1 / 9, 450 / 900, 63 / 900])


def test_a_tier_has_one_oversubscription_in_picture_and_table():
    summary = summarize(load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml"))
    before, after = (x for x in summary.links if x.name in ("nic-leaf", "leaf-spine"))
    (leaf, _) = summary.tiers
    assert step_ratio(summary, before, after) == leaf.ratio == 1020 / 1024
    assert "0.9961:1" in staircase(summary)
    assert "0.992" not in staircase(summary)
