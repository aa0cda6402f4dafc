"""No argument of a design is overruled without a word: it is seen in the result, named, or refused."""

import itertools
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.blueprint import census
from fabric.errors import FabricError, command_line, setting
from fabric.sizing import DesignArguments, DesignError, design, growth
from fabric.sizing.arguments import arguments_of
from fabric.sizing.rack import find_rack
from fabric.sizing.rates import common_rates
from fabric.sizing.request import resolve
from fabric.sizing.search import solve
from fabric.sizing.switch import find_switch
from fabric.units import parse_rate, parse_ratio

RACKS = ("hgx-h100", "hgx-b300", "gb300-nvl72", "mi300x")
SWITCHES = ("sn5600", "sn5610", "sn6800", "64x400G", "40x800G", "512x100G")
CABLE_RULES = {"nic": "nic-leaf", "leaf": "leaf-spine", "spine": "spine-core"}


def some(draw, values):
    """Return one of the values, or None, which is as good as left out."""
    return draw(st.one_of(st.none(), st.sampled_from(values)))


@st.composite
def asks(draw):
    rack = draw(st.sampled_from(RACKS))
    n = draw(st.integers(1, 20 if rack.endswith("72") else 200)) * find_rack(rack).n_gpus
    ratio = st.sampled_from(["1:1", "2:1", "7:1"])
    both = {"leaf": ratio, "spine": ratio}
    rate = st.sampled_from(["100G", "200G", "400G", "800G"])
    kept = st.integers(0, 4)
    return {
        "gpus": n,
        "rack": rack,
        "leaf": draw(st.sampled_from(SWITCHES)),
        "spine": some(draw, SWITCHES),
        "core": some(draw, SWITCHES),
        "layout": some(draw, ["rail", "tor", "rail-only"]),
        "oversubscription": draw(st.fixed_dictionaries({}, optional=both)),
        "rails": some(draw, [1, 2, 4, 8]),
        "rail_groups": some(draw, [1, 2, "auto"]),
        "planes": some(draw, [1, 2, 4]),
        "homes": some(draw, [1, 2]),
        "tiers": some(draw, ["auto", 1, 2, 3]),
        "block": some(draw, [1, 3, 8]),
        "pod": some(draw, [1, 2]),
        "stripes": some(draw, ["even", "uneven"]),
        "breakout": draw(st.fixed_dictionaries({}, optional={"nic": rate, "leaf": rate, "spine": rate})),
        "populated": some(draw, [n, max(1, n // 2)]),
        "reserve": draw(st.fixed_dictionaries({}, optional={"leaf": kept, "spine": kept, "core": kept})),
        "ufm": some(draw, [0, 4]),
        "name": some(draw, ["mine"]),
        "about": some(draw, ["Ours alone."]),
    }


def counted_leaves(d):
    """Return the leaves that a rack or node is cabled to in one plane and home, as the file has them."""
    sizes = {a: d.blueprint.axes[a].size for a in d.blueprint.groups["leaf"].primitives}
    placed = {"plane", "home", "pod", "su", "block", "rack", "node"}
    return int(np.prod([n for axis, n in sizes.items() if axis not in placed]))


def is_seen(d, name, value):
    """Return whether an argument is kept by the file and the counts of a design."""
    groups, axes = d.blueprint.groups, d.blueprint.axes
    present = census(d.blueprint).present
    if name in ("leaf", "spine", "core"):
        return name in groups and groups[name].part.id == value
    if name in ("planes", "homes"):
        axis = name[:-1]
        return (axes[axis].size if axis in axes else 1) == value
    if name == "layout":
        apart = sum(1 for r in d.blueprint.rules if r.name.startswith("leaf-spine")) == 0
        rails = counted_leaves(d)
        return {
            "tor": rails == 1,
            "rail": rails == d.request.rails,
            "rail-only": rails == d.request.rails and (apart or d.sizes.groups == rails),
        }[value]
    if name == "stripes":
        more = any("-more" in r.name for r in d.blueprint.rules) or "fold" in axes
        return more == (value == "uneven")
    seen = {
        "gpus": lambda: d.gpus >= value > d.gpus - d.request.rack.n_gpus,
        "rails": lambda: counted_leaves(d) == value,
        "rail_groups": lambda: value == "auto" or d.sizes.groups == value,
        "tiers": lambda: value == "auto" or len(d.switches) == value,
        "block": lambda: d.sizes.block == value,
        "pod": lambda: d.sizes.pod == value and "pod" in axes,
        "populated": lambda: present("gpu") >= value > present("gpu") - d.request.rack.n_gpus,
        "ufm": lambda: ("ufm" in groups) == (value > 0),
        "name": lambda: d.blueprint.name == value,
        "about": lambda: any(value in note for note in d.blueprint.notes),
        "rack": lambda: f"fabric: {value}," in d.text,
    }
    return seen[name]()


def is_seen_by_key(d, name, key, value):
    tiers = {t.name: t for t in d.tiers}
    if name == "breakout":
        rules = {r.name: r for r in d.blueprint.rules}
        rule = rules.get(CABLE_RULES[key])
        return rule is not None and rule.rate_gbps == parse_rate(value)
    if key not in tiers:
        return False
    if name == "reserve":
        return tiers[key].free >= value * tiers[key].switches
    above = ("leaf", "spine", "core").index(key) + 1
    return above < len(tiers) and tiers[key].oversubscription <= parse_ratio(value) * (1 + 1e-9)


def check_every_argument(arguments):
    try:
        d = design(**arguments)
    except DesignError:
        return
    told = "; ".join(line for line in map(str, d.explain) if line.startswith("without effect"))
    for name, value in arguments.items():
        if value is None:
            continue
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for key, each in parts:
            seen = is_seen(d, name, each) if key is None else is_seen_by_key(d, name, key, each)
            idle = re.search(rf"\b{name}=" + (rf"{{[^}}]*'{key}'" if key else ""), told)
            assert seen or idle, (name, key, each, told)


@settings(max_examples=60)
@given(asks())
def test_every_argument_is_seen_or_named_as_idle_or_refused(arguments):
    check_every_argument(arguments)


@pytest.mark.slow
@settings(max_examples=4000)
@given(asks())
def test_every_argument_is_seen_or_named_as_idle_or_refused_at_length(arguments):
    check_every_argument(arguments)


@pytest.mark.parametrize(
    ("gpus", "rails", "leaves", "down"), [(256, 8, 8, 32), (128, 8, 8, 16), (256, 4, 4, 64)]
)
def test_rails_that_were_asked_for_have_leaves_of_their_own(gpus, rails, leaves, down):
    d = design(gpus=gpus, rack="hgx-h100", leaf="64x400G", layout="rail-only", rails=rails)
    assert (d.switches, d.sizes.down) == ({"leaf": leaves}, down)


def test_rails_that_nobody_asked_for_share_a_leaf_and_that_is_told():
    d = design(gpus=256, rack="hgx-h100", leaf="64x400G", layout="rail-only")
    assert d.switches == {"leaf": 4}
    assert "layout='rail-only' changes nothing: 2 rails share a leaf, which joins them" in d.warnings[0]
    assert d.warnings[0].endswith("a leaf for each: rails=8")


def test_rails_that_were_asked_for_are_joined_by_spines():
    assert design(gpus=64, rack="hgx-h100", leaf="qm9700").switches == {"leaf": 1}
    d = design(gpus=64, rack="hgx-h100", leaf="qm9700", rails=8)
    assert d.switches == {"leaf": 8, "spine": 1}
    with pytest.raises(DesignError, match=r"on 1 tier: .*nearest that work: tiers=2; .*layout='rail-only'"):
        design(gpus=64, rack="hgx-h100", leaf="qm9700", rails=8, tiers=1)


ODD = (
    *("", " ", "odd", "0", "x=y", "leaf=odd,leaf=2", "leaf=", "=1", "a\x1b[31m" * 40, b"x"),
    *(0, -1, 1.5, float("nan"), 10**30, True, None, np.int64(2), np.zeros(2)),
    *([], {}, {"x": "y"}, (1,), object()),
)


def refusal(arguments):
    """Return why a design is refused, or nothing."""
    try:
        assert design(**arguments).gpus > 0
    except FabricError as error:
        return str(error)
    return ""


@pytest.mark.some(8)
@pytest.mark.parametrize("name", arguments_of(DesignArguments))
def test_odd_values_are_one_error_or_a_design(name):
    sound = {"gpus": 64, "rack": "hgx-h100", "leaf": "qm9700"}
    told = list(filter(None, (refusal(sound | {name: odd}) for odd in ODD)))
    assert len(told) > 5
    for message in told:
        assert message.isprintable()
        assert len(message) < 2000


@pytest.mark.parametrize(
    ("breakout", "match"),
    [
        ("0x400G", r"breakout: nic: got 0x400G; no port there gives that: 1 x 400"),
        ("99x400G", r"breakout: nic: got 99x400G"),
        ({"leaf": "8x400G"}, r"breakout: leaf: got 8x400G; no port there gives that: 64 x 400"),
        ("leaf=400G,nic=fast", "fast"),
        ("leaf", "breakout: nic: rate 'leaf'"),
        ({"leaf": 400}, "breakout: got 400; expected text"),
    ],
)
def test_breakouts_that_no_port_has(breakout, match):
    with pytest.raises(FabricError, match=match):
        design(gpus=512, rack="hgx-h100", leaf="qm9700", breakout=breakout)


@pytest.mark.parametrize("text", ["400G", "1x400G", "2x400G", "nic=400G,leaf=2x400G", {"leaf": "400G"}])
def test_breakouts_that_ports_have(text):
    """An OSFP cage of a QM9700 holds two ports of 400 Gb/s, and a port one cable of it."""
    assert design(gpus=512, rack="hgx-h100", leaf="qm9700", breakout=text).request.cables.leaf_gbps == 400


WIDE = {"gpus": 32_768, "rack": "hgx-h100", "leaf": "sn5600", "planes": 4}


def test_the_rate_of_the_uplinks_saves_a_tier():
    """Two tiers at 100 or 200 Gb/s above the leaf; at 400 and 800 a spine has too few ports for all."""
    by_rate = {r: design(**WIDE, breakout={"leaf": r}) for r in ("100G", "200G", "400G", "800G")}
    assert {r: (d.n_tiers, sum(d.switches.values())) for r, d in by_rate.items()} == {
        "100G": (2, 1536),
        "200G": (2, 1128),
        "400G": (3, 1672),
        "800G": (3, 1672),
    }
    best = design(**WIDE)
    # 164 nodes a block: 41 ports down, 82 uplinks of 200 Gb/s on 21; 25 blocks of 8 leaves under 82 spines.
    assert (best.n_tiers, best.switches) == (2, {"leaf": 4 * 200, "spine": 4 * 82})
    assert "100 Gb/s (12.5 GB/s) above the leaf: 1,536 switches" in str(best.explain[1])


@settings(max_examples=30)
@given(asks())
def test_no_rate_that_ports_allow_makes_fewer_tiers_or_switches(arguments):
    arguments = arguments | {"breakout": {}}
    try:
        best = design(**arguments)
    except DesignError:
        return
    request = best.request
    nic = request.cables.nic_gbps
    for up, top in itertools.product(
        common_rates(request.leaf, request.spine), common_rates(request.spine, request.core)
    ):
        if nic <= up <= top:
            other = solve(resolve(arguments | {"breakout": {"leaf": f"{up:g}G", "spine": f"{top:g}G"}}))
            if other:
                cost = (best.n_tiers, best.sizes.groups, best.sizes.n_switches)
                assert cost <= (other.sizes.tiers, other.sizes.groups, other.sizes.n_switches)


@pytest.mark.parametrize(
    "arguments",
    [
        {"gpus": 131_072, "rack": "gb300-nvl72", "leaf": "512x100G", "planes": 8, "tiers": 2},
        {"gpus": 4096, "rack": "hgx-h100", "leaf": "qm9700", "tiers": 2},
        {"gpus": 1152, "rack": "gb300-nvl72", "leaf": "32x400G", "planes": 2},
        {"gpus": 64, "rack": "hgx-h100", "leaf": "qm9700", "rails": 8, "tiers": 1},
        {"gpus": 512, "rack": "hgx-h100", "leaf": "qm9700", "reserve": {"leaf": 63}},
        {
            "gpus": 32_768,
            "rack": "hgx-h100",
            "leaf": "sn5600",
            "planes": 4,
            "tiers": 2,
            "breakout": "leaf=800G",
        },
        {"gpus": 200, "rack": "hgx-h100", "leaf": "12x400G", "tiers": 2, "oversubscription": {"leaf": "7:5"}},
    ],
)
def test_every_remedy_works(arguments):
    """As it is typed in Python; tests/cli/test_sizing.py types the same on the command line."""
    with pytest.raises(DesignError, match="nearest that work: ") as error:
        design(**arguments)
    remedies = str(error.value).partition("nearest that work: ")[2].split("; ")
    for remedy in remedies:
        changed = eval(f"dict({remedy})")  # noqa: S307 - what the message says
        assert design(**arguments | changed).gpus


def test_a_setting_is_written_as_it_is_typed():
    wanted = {"leaf": "400G", "spine": "a b"}
    assert eval(f"dict({setting('breakout', wanted)})") == {"breakout": wanted}  # noqa: S307
    with command_line():
        assert setting("breakout", wanted) == "--breakout 'leaf=400G,spine=a b'"
        assert setting("drop_unreachable", True) == "--drop-unreachable"
    assert setting("block", None) == "block=None"


class TestWarnings:
    def test_a_cliff_below(self):
        d = design(gpus=2056, rack="hgx-h100", leaf="qm9700")
        assert d.warnings == ("near a cliff: 8 GPUs fewer (2,048) need 96 switches, not 197",)
        assert sum(d.switches.values()) == 197
        assert sum(design(gpus=2048, rack="hgx-h100", leaf="qm9700").switches.values()) == 96

    def test_a_cliff_on_as_many_tiers(self):
        (warning,) = design(gpus=4104, rack="hgx-h100", leaf="qm9700").warnings
        assert warning == "near a cliff: 8 GPUs fewer (4,096) need 320 switches, not 394"

    def test_a_cliff_above(self):
        (warning,) = design(gpus=2048, rack="hgx-h100", leaf="qm9700").warnings
        assert warning == "near a cliff: 8 GPUs more (2,056) need 197 switches, not 96"
        (warning,) = design(gpus=131_072, rack="hgx-b300", leaf="512x100G", planes=8, tiers=2).warnings
        assert warning == "near a cliff: 8 GPUs more (131,080) cannot be built so"

    @settings(max_examples=25)
    @given(asks())
    def test_a_cliff_is_where_it_is_said_to_be(self, arguments):
        arguments = arguments | {"populated": None, "block": None}
        try:
            d = design(**arguments)
        except DesignError:
            return
        for warning in d.warnings:
            match = re.search(r"GPUs fewer \(([\d,]+)\) need ([\d,]+) \w+, not ([\d,]+)", warning)
            if match:
                gpus, fewer, now = (int(text.replace(",", "")) for text in match.groups())
                assert sum(design(**arguments | {"gpus": gpus}).switches.values()) == fewer
                assert sum(d.switches.values()) == now
                # The next rack is over the edge: it needs more than the smaller size explains.
                above = gpus + d.request.rack.n_gpus
                after = sum(design(**arguments | {"gpus": above}).switches.values())
                assert Fraction(after) > Fraction(9, 10) * now * Fraction(above, d.gpus)

    def test_one_leaf_for_all(self):
        d = design(gpus=144, rack="gb300-nvl72", leaf="sn6800")
        assert d.warnings[0] == (
            "no redundancy: all 144 GPUs hang on one leaf, and are cut off when it fails; "
            "another for every NIC: planes=2 or homes=2"
        )
        for remedy in ({"planes": 2}, {"homes": 2}):
            more = design(gpus=144, rack="gb300-nvl72", leaf="sn6800", **remedy)
            assert not [w for w in more.warnings if "redundancy" in w]

    def test_one_leaf_for_a_rack(self):
        d = design(gpus=24_576, rack="hgx-h100", leaf="64x400G", layout="tor", block=2)
        assert "no redundancy: 16 GPUs hang on one leaf" in d.warnings[0]

    def test_one_spine_for_all(self):
        d = design(gpus=64, rack="hgx-h100", leaf="qm9700", rails=8)
        assert "no redundancy: 8 leaves meet at one spine" in d.warnings[0]

    def test_what_one_switch_takes(self):
        def told(**arguments):
            return next(d.numbers for d in design(**arguments).explain if d.what == "redundancy")

        assert told(gpus=1000, rack="hgx-h100", leaf="qm9700") == (
            "leaf: 32 NICs, whose GPUs go by the other rails; spine: 1/16 of what leaves a leaf"
        )
        assert told(gpus=4096, rack="hgx-h100", leaf="qm9700", homes=2, breakout="200G").startswith(
            "leaf: 1/2 of the rate of "
        )

    def test_none_where_nothing_is_near(self):
        assert design(gpus=1000, rack="hgx-h100", leaf="qm9700").warnings == ()


def test_a_manager_of_the_subnet_is_on_rails_that_are_cut_from_an_axis():
    d = design(gpus=8, rack="hgx-b300", leaf="sn5600", rails=4, ufm=2)
    assert (d.cables["ufm-leaf"], d.sizes.rails) == (2, 4)
    assert census(d.blueprint).present("leaf") == 4
    with pytest.raises(DesignError, match="ufm: got 8 cables; expected 2 to 2, each to a leaf of its own"):
        design(gpus=8, rack="hgx-b300", leaf="sn5600", rails=4, ufm=8)


def test_growth_refuses_what_it_would_overrule():
    with pytest.raises(DesignError, match="populated: the phases say what is installed; got 64 too"):
        growth([64], gpus=128, rack="hgx-h100", leaf="qm9700", populated=64)


def test_generic_switches_keep_their_ports_in_the_file():
    d = design(gpus=600, rack="hgx-h100", leaf="16x400G", rail_groups=2)
    assert d.blueprint.groups["leaf"].part.ports == (find_switch("16x400G").port,)
    assert "leaf:  {part: 16x400G," in d.text


def test_a_design_is_a_result_as_others_are():
    d = design(gpus=2056, rack="hgx-h100", leaf="qm9700")
    found = json.loads(d.to_json())
    assert [*found][:6] == ["gpus", "asked", "populated", "tiers", "switches", "cables"]
    assert (found["warnings"], found["text"]) == ([*d.warnings], d.text)
    assert [(row["name"], row["switches"]) for row in d.table()] == [*d.switches.items()]
    assert d._repr_html_().startswith("<pre>nodes: asked for 2056 GPUs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("breakout", "leaf=400G,leaf=800G"),
        ("oversubscription", "leaf=2, leaf=2"),
        ("reserve", "spine=1,leaf=1,spine=2"),
    ],
)
def test_a_value_that_is_given_twice_is_refused(name, value):
    with pytest.raises(DesignError, match=rf"{name}: (leaf|spine) stands twice in '{value}'"):
        design(gpus=1024, rack="hgx-h100", leaf="sn5600", **{name: value})
