"""Every published figure in topologies/systems/published.yaml, and the page that is made of it."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest

from fabric.blueprint import census, load_blueprint, loads_blueprint, template_names
from fabric.errors import QuestionError
from fabric.graph import expand, load, loads
from tools.pages.systems import outcomes, page, solve
from tools.pages.systems_file import Family, SystemsFile, read_systems
from tools.pages.systems_numbers import SystemAnswers, at_each, bisection, rules_of, way_out
from tools.pages.systems_quantities import COUNTS, RATES, evaluate

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "topologies" / "systems"
PATH = FOLDER / "published.yaml"
FILE = read_systems(PATH)
PATTERNS = ROOT / "topologies" / "patterns"
SYSTEMS = {system.name: system for system in FILE}
CHECKS = [(system.name, check) for system in FILE for check in system.checks]
# Seconds to load, which a check of reachability takes.
LARGE = {"../deployments/colossus-like"}


@functools.cache
def measured(name):
    return SystemAnswers(SYSTEMS[name].fabric)


def marked(name, *values):
    marks = [pytest.mark.slow] if name in LARGE else []
    return pytest.param(name, *values, marks=marks, id=": ".join([name, *(v.what for v in values)]))


@pytest.mark.some(20)
@pytest.mark.parametrize(("name", "check"), [marked(*row) for row in CHECKS])
def test_published(name, check):
    (found,) = outcomes([check], measured(name))
    assert found.is_held == (not check.why), f"published {check.published}, ours {found.ours}"


def test_every_template_and_every_system_is_on_the_page():
    files = {path.name.removesuffix(".fabric.yaml") for path in FOLDER.glob("*.fabric.yaml")}
    patterns = (FOLDER.parent / "patterns").glob("*.fabric.yaml")
    files |= {f"../patterns/{path.name.removesuffix('.fabric.yaml')}" for path in patterns}
    named = [name for system in FILE for name in (system.name, *system.also)]
    assert set(template_names()) | files <= set(named)
    assert len(set(named)) == len(named)


def test_every_system_has_title_drawing_and_a_note():
    for name, system in SYSTEMS.items():
        title, drawing = system.drawing()
        assert title.endswith("."), name
        assert re.search(r"--|==|[|+]", drawing), f"{name}: a drawing, not prose alone"
        if name not in LARGE:
            assert system.about(), name


@pytest.mark.parametrize(
    ("name", "other"), [(s.name, other) for s in FILE for other in s.also], ids=lambda name: name
)
def test_the_same_fabric_is_the_same(name, other):
    def counted(blueprint):
        counts = census(blueprint)
        devices = {g: counts.present(g) for g in blueprint.groups}
        return blueprint.axes, devices, [(c.rule.name, c.rule.rate_gbps, c.total) for c in counts.rules]

    mine = SYSTEMS[name].fabric.blueprint
    file = FOLDER / f"{other}.fabric.yaml"
    same = load_blueprint(file) if file.exists() else loads_blueprint(f"fabric: one\ninclude: {other}\n")
    assert counted(same) == counted(mine)


@pytest.mark.parametrize("name", ["dgx1-v100", "aws-inf1", "seven-chips", "tpu-v4-4x4x8-twisted", "lpx-4"])
def test_sums_over_classes_are_sums_over_cables(name):
    found, e = measured(name), expand(SYSTEMS[name].fabric)
    for group in found.endpoints:
        rows = np.array([r.net == "scale-up" for r in e.rules])[e.rule]
        ends = np.concatenate([e.tail[rows], e.head[rows]])
        each = np.bincount(ends, np.tile((e.count * e.rate_gbps)[rows], 2), minlength=e.n_devices)
        each = each[e.group == [g.name for g in e.groups].index(group)]
        by_class = at_each(found, group, rules_of(found), is_rate=True)
        assert set(by_class.round(6)) == set(each.round(6))
        assert evaluate(found, "scale-up-total", {"group": group}) == pytest.approx(each.sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "group", "gbps", "is_cabled"),
    [
        ("gb200-nvl72", "gpu", 72 * 400, False),  # four cards of a tray; its two DPUs do not count
        ("maia100", "chip", 4 * 3 * 400, False),  # nine of its twelve ports are taken in the tray
        ("maia200-6144", "chip", 6144 * 8 * 400, True),
        ("tpu-v5p", "tpu", 8960 * 50, False),  # of the chip, where no card is in the file
        ("tpu-v5e", "tpu", 6400, False),
        ("p6e-gb200-8", "gpu", 576 * 400, True),
        ("hpn-pod", "gpu", 15360 * 2 * 200, True),
        ("seven-chips", "vr.gpu", 288 * 2 * 800, True),  # not the front-end, nor the storage nodes
        ("seven-chips", "lpx.lpu", 128 * 800, True),  # not what FPGAs have to one another
        ("../superpod-h100-4su", "gpu", 1016 * 400, True),  # one node is absent
        ("../patterns/dcell", "server", 20 * 2 * 400, True),  # a switch and one server each
        ("../patterns/hypercube", "chip", 16 * 4 * 400, True),
    ],
)
def test_way_out(name, group, gbps, is_cabled):
    found = way_out(measured(name), group)
    assert (found.total_gbps, found.is_cabled) == (gbps, is_cabled)


@pytest.mark.parametrize("name", ["tpu-v4", "aws-trn4-scenario", "groq-lpx"])
def test_no_way_out(name):
    assert way_out(measured(name), measured(name).endpoints[0]) is None
    with pytest.raises(QuestionError, match="has no way out"):
        evaluate(measured(name), "scale-out-total", {})


def test_bisection_is_the_least_over_the_axes():
    text = "{fabric: t, axes: {x: 4, y: 6, z: 3}, devices: {gpu: {kind: gpu, axes: [x, y, z], transit: all}},"
    rings = ", ".join(f"{{between: [gpu, gpu], name: {a}, ring: {a}, rate: 1Gb/s}}" for a in "xyz")
    found = SystemAnswers(loads(f"{text} links: [{rings}]}}"))
    assert evaluate(found, "bisection", {"axis": "x"}) == pytest.approx(2 * 18)
    assert evaluate(found, "bisection", {"axis": "y"}) == pytest.approx(2 * 12)
    # z0 and half of z1: 12 links of z1 along x, 12 of z1 to z2, 12 to z0, and the 24 wraps from z0 to z2.
    assert evaluate(found, "bisection", {"axis": "z"}) == pytest.approx(12 + 12 + 12 + 24)
    assert bisection(found, "gpu").axis == "y"
    alone = SystemAnswers(
        loads(
            "{fabric: t, axes: {x: 1, y: 2}, devices: {gpu: {kind: gpu, axes: [x, y], transit: all}}, "
            "links: [{between: [gpu, gpu], mesh: y, rate: 1Gb/s}]}"
        )
    )
    with pytest.raises(QuestionError, match="x has no halves: it has one index"):
        evaluate(alone, "bisection", {"axis": "x"})


@pytest.mark.parametrize(
    ("name", "n_cables"),
    [
        # Four groups of nine against four, 16 cables; the middle group in two: four cables in it, and none of
        # its own leads back.
        ("dragonfly", 4 * 4 + 4),
        # Two of five; the middle group goes with either.
        ("dragonfly-plus", 2 * 3),
        ("dcell", 2 * 3),
    ],
)
def test_an_odd_axis_is_halved_in_its_middle(name, n_cables):
    found = SystemAnswers(load(PATTERNS / f"{name}.fabric.yaml"))
    assert bisection(found, found.endpoints[0]).flow.value_gbps == pytest.approx(400 * n_cables)


# --- what is wrong is said, with its place -----------------------------------------------------------------

GOOD = """\
sources:
  memo: {title: "A memo, of 2026", locator: none}
families:
  - title: Servers
    systems:
      - system: hgx-h100
        pairs: [[gpu0-3, gpu4-7]]
        checked:
          - {what: "NVLink | of a GPU", quantity: scale-up-per-device, published: 900, unit: GB/s,
             both_ways: true, by: published, source: stas-net memo}
"""


def read(tmp_path, text):
    path = tmp_path / "systems.yaml"
    path.write_text(text)
    return read_systems(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "quantity: scale-up-per",
            "quantity: scale-op-per",
            r":9: unknown quantity 'scale-op-per-device'; did",
        ),
        ("quantity: scale-up-per-device, ", "", r":9: quantity missing"),
        ("published: 900, ", "", r":9: published missing"),
        ("published: 900", "published: many", r":9: published 'many'; expected a number"),
        ("both_ways", "both_way", r":10: unknown key 'both_way'; did you mean both_ways\?"),
        ("both_ways: true", "axis: slot", r":10: unknown key 'axis'; expected both_ways, by, group"),
        ("locator: none", "place: none", r":2: locator missing"),
        ("title: Servers", "name: Servers", r":4: title missing"),
        ("families:", "family:", r":1: families missing"),
        ("unit: GB/s", "unit: GB", r":9: .*unit of size"),
        ("unit: GB/s,", "", r":9: rate '1': rate without unit"),
        ("by: published", "by: rumour", r":10: by 'rumour'; expected published, reported, derived, assumed"),
        ("stas-net memo", "stas-nut", r":10: unknown source 'stas-nut'; did you mean stas-net"),
        ("memo: {", "stas-net: {", r":2: source 'stas-net' is in the parts catalogue already"),
        ("pairs:", "pair:", r":7: unknown key 'pair'; did you mean pairs\?"),
        (
            "system: hgx-h100",
            "system: hgx-h1000",
            r":6: no template or file 'hgx-h1000'; did you mean hgx-h100",
        ),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(QuestionError, match="systems.yaml" + said):
        read(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("quantity", "asked", "said"),
    [
        ("devices", {"group": "gpi"}, "no group 'gpi' in hgx-h100; did you mean gpu"),
        (
            "cables",
            {"rules": ["gpu-nvswitches"]},
            "no rule 'gpu-nvswitches' in hgx-h100; did you mean gpu-nvswitch",
        ),
        ("bisection", {"axis": "socked"}, "no axis 'socked' of gpu; did you mean socket"),
        ("cable-ends-per-device", {"group": "nvswitch"}, "devices differ, 32 to 40"),
    ],
)
def test_a_question_that_the_system_cannot_answer(quantity, asked, said):
    with pytest.raises(QuestionError, match=said):
        evaluate(measured("hgx-h100"), quantity, asked)


def test_several_groups_of_endpoints_need_a_name():
    with pytest.raises(QuestionError, match=r"has endpoints of nv.gpu, lpx.lpu, trn.chip; say group:"):
        evaluate(measured("mixed-islands"), "devices", {})


def test_every_quantity_is_asked_for():
    assert {check.quantity for _, check in CHECKS} == {*RATES, *COUNTS}
    assert evaluate(measured("hgx-h100"), "all-to-all", {}) == pytest.approx(3600)


def test_a_wrong_figure_is_missed_on_the_page(tmp_path):
    def made(text):
        file = read(tmp_path, text)
        return page(file, [solve(system) for system in file])

    good, wrong = made(GOOD), made(GOOD.replace("published: 900", "published: 600"))
    assert "1 systems; 1 figures of others, 1 of them held." in good
    assert "1 systems; 1 figures of others, 0 of them held." in wrong
    row = r"\| NVLink \\\| of a GPU, both directions \| {} GB/s \| 900 GB/s \| {} \| published: "
    assert re.search(row.format("900", "exactly"), good)
    assert re.search(row.format("600", r"\*\*no\*\*"), wrong)
    assert "- [hgx-h100](#hgx-h100): NVLink" in wrong
    assert "Not held" not in good
    assert made(GOOD) == good


def test_what_the_page_shows(tmp_path):
    file = read(tmp_path, GOOD)
    text = page(file, [solve(system) for system in file])
    for line in [
        "| [hgx-h100](#hgx-h100) | 8 | 450 | (50) | 1,800 | 450 | 514.3 | 1/1 |",
        "  nvswitch[chip]                 5 + 4 + 4 + 5 NVLinks of every GPU",
        "| scale-out per device | 400 Gb/s (50 GB/s) | ports, not cabled |",
        "| max-flow `gpu0` to `gpu1` | 3.6 Tb/s (450 GB/s) | `gpu-nvswitch` |",
        "| `gpu0-3` to `gpu4-7` | 14.4 Tb/s (1.8 TB/s) | `gpu-nvswitch` |",
        "- `memo`: A memo, of 2026",
        "Published or reported systems of which something is assumed: [hgx-h100](#hgx-h100).",
    ]:
        assert line in text.splitlines(), line
    assert "\n- Assumed: NVLinks split 5 + 4 + 4 + 5" in text


def test_what_is_ours_is_not_called_published():
    kinds = {
        "Scenarios, of no published design": "rubin-ultra-double-scenario",
        "Worked examples of ours": "maia100-128",
        "Classical topologies, at sizes of ours": "../patterns/bcube",
        "Generic servers, of no vendor": "pcie-gpu-box",
        "Published or reported systems of which something is assumed": "hgx-b200",
        "Published or reported systems of which no assumption is noted": "tpu-v4-4x4x8",
    }
    systems = tuple(SYSTEMS[name] for name in kinds.values())
    text = page(SystemsFile((Family("All", systems),), FILE.sources), [solve(s) for s in systems])
    for title, system in zip(kinds, systems, strict=True):
        assert f"\n{title}: [{system.id}](#{system.id}).\n" in text


@pytest.mark.slow
def test_page_is_the_committed_one():
    assert (ROOT / "docs" / "systems.md").read_text() == page(FILE, [solve(system) for system in FILE])
