"""Devices by the names of their site: read in every selector, and written back."""

import itertools
import random

import pytest

from fabric.blueprint import loads_blueprint
from fabric.blueprint.model import primitives
from fabric.blueprint.selector import parse_selector
from fabric.blueprint.site_selectors import read_selector, site_text, unmistakable
from fabric.errors import SelectorError, TopologyError

FIXED = """
fabric: hall
axes: {su: 2, node: 12, slot: 4, spine: 3}
devices:
  gpu: {kind: gpu, axes: [su, node, slot]}
  leaf: {kind: switch, axes: [su, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2}
"""
NAMED = FIXED + 'names: {leaf: "dc1-s{su}-l{slot+1:02}", spine: "dc1-sp{spine}", node: "h{su}-{node}"}\n'
SHIFTED = (
    FIXED + 'names: {leaf: "leaf{su}-{slot+1}", spine: "spine{spine+1}", node: "r{su+1}/node{node+1}"}\n'
)


def drawn(seed):
    """Return a file with groups on some axes, plain and composed, and names of every shape."""
    rng = random.Random(seed)
    plain = {name: rng.choice([1, 2, 3, 5]) for name in ("pod", "row", "rack", "bay")}
    composed = {"block": ["row", "rack"], "hall": ["pod", "block"]} if rng.random() < 0.6 else {}
    axes = [f"{n}: {size}" for n, size in plain.items()] + [
        f"{n}: [{', '.join(parts)}]" for n, parts in composed.items()
    ]
    places = [["pod", "row", "rack", "bay"], ["pod"], ["pod", "row", "rack"], ["bay", "rack"]]
    if composed:
        places += [["pod", "block", "bay"], ["hall"], ["block", "pod"]]
    groups = {"gpu": rng.choice(places), "leaf": rng.choice(places), "core": []}
    names = {}
    for number, (group, own) in enumerate(groups.items()):
        fields = list(own)
        if composed and rng.random() < 0.5:
            # The parts instead of what is composed of them.
            fields = [p for a in fields for p in parts_of(a, composed)]
        rng.shuffle(fields)
        if fields and rng.random() < 0.2:
            fields.append(fields[0])
        said = [f"{{{f}{rng.choice(['', '+1', '+100'])}{rng.choice(['', ':02', ':3'])}}}" for f in fields]
        start = rng.choice(["dc1-", "x.", f"{group}", f"{group}_", "a/b-", "ny 1 r"]) + "abc"[number]
        names[group] = "".join(
            [start, rng.choice(["-", ".", "/", "_r", " u"]).join(said), rng.choice(["", "-z"])]
        )
    said = ", ".join(f"{group}: '{pattern}'" for group, pattern in names.items())
    devices = "".join(
        f"  {g}: {{kind: {'gpu' if g == 'gpu' else 'switch'}, axes: [{', '.join(own)}]}}\n"
        for g, own in groups.items()
    )
    return (
        f"fabric: drawn\naxes: {{{', '.join(axes)}}}\ndevices:\n{devices}links:\n"
        f"  - {{between: [gpu, core], rate: 1Gb/s}}\n"
        f"  - {{between: [leaf, core], rate: 1Gb/s}}\nnames: {{{said}}}\n"
    )


def parts_of(axis, composed):
    return [p for part in composed[axis] for p in parts_of(part, composed)] if axis in composed else [axis]


def devices(blueprint):
    """Yield every device by the axes."""
    for group in blueprint.groups.values():
        sizes = [range(blueprint.axes[a].size) for a in group.axes]
        for at in itertools.product(*sizes):
            words = [f"{a}{i}" for a, i in zip(group.axes, at, strict=True)]
            yield "/".join([*words[:-1], f"{group.name}{at[-1]}" if at else group.name]), group, at


def places(blueprint, selector):
    """Return which devices a selector means, one by one."""
    found = set()
    for name, group, at in devices(blueprint):
        flat = {}
        for axis, i in zip(group.axes, at, strict=True):
            for p in reversed(primitives(blueprint.axes, axis)):
                i, flat[p] = divmod(i, blueprint.axes[p].size)
        if selector.group not in (None, group.name):
            continue
        needed = [p for t in selector.terms for p in primitives(blueprint.axes, t.axis)]
        if set(needed) <= set(flat) and all(
            t.lo <= blueprint.flat(t.axis, flat) <= t.hi for t in selector.terms
        ):
            found.add(name)
    return found


@pytest.mark.some(4)
@pytest.mark.parametrize("seed", range(150))
def test_every_device_is_read_by_the_name_that_is_written(seed):
    blueprint = loads_blueprint(drawn(seed))
    seen = set()
    known = list(devices(blueprint))
    for device, group, _ in random.Random(seed).sample(known, k=min(20, len(known))):
        name = site_text(blueprint, device)
        assert name not in seen
        seen.add(name)
        # It is what the pattern says, and the pattern says it of no other.
        assert blueprint.site_names[group.name].read(name) is not None
        assert read_selector(blueprint, name).text.split("/")[-1].startswith(group.name)
        assert places(blueprint, read_selector(blueprint, name)) == {device}
        assert places(blueprint, read_selector(blueprint, device)) == {device}


@pytest.mark.some(4)
@pytest.mark.parametrize("seed", range(150))
def test_ranges_are_read_by_the_names_that_are_written(seed):
    blueprint = loads_blueprint(drawn(seed))
    rng = random.Random(seed)
    for _ in range(8):
        group = rng.choice(list(blueprint.groups.values()))
        words = []
        for axis in group.axes:
            size = blueprint.axes[axis].size
            lo = rng.randrange(size)
            hi = rng.randrange(lo, size)
            words += [f"{axis}{lo}-{hi}"] if rng.random() < 0.7 else []
        text = "/".join([*words, group.name])
        name = site_text(blueprint, text)
        wanted = places(blueprint, parse_selector(text, blueprint.axes, blueprint.groups))
        assert places(blueprint, read_selector(blueprint, name)) == wanted, (text, name)


def test_what_is_in_a_server_is_called_by_it():
    blueprint = loads_blueprint(NAMED)
    assert site_text(blueprint, "su1/node3/gpu2") == "h1-3/gpu2"
    assert read_selector(blueprint, "h1-3/gpu2").text == "su1/node3/gpu2"
    assert read_selector(blueprint, "h1-3").text == "su1/node3/*"
    assert read_selector(blueprint, "h1-3", needs_group=False).text == "su1/node3"
    assert read_selector(blueprint, "h1-[3-5]/gpu").text == "su1/node3-5/gpu"
    assert site_text(blueprint, "su1/node3-5/gpu") == "h1-[3-5]/gpu"
    # No server is said: all nodes of a rail are not a name.
    assert [site_text(blueprint, text) for text in ("su1/gpu2", "leaf", "no/such3")] == [
        "su1/gpu2",
        "leaf",
        "no/such3",
    ]
    assert site_text(blueprint, "su1/leaf") == "dc1-s1-l[01-04]"


def test_a_chip_of_a_box_is_called_by_the_box():
    text = "{fabric: a, axes: {i: 4}, islands: 4, devices: {nic: {part: cx8, axes: [i], endpoint: true}, "
    text += "leaf: {part: q3400, axes: [i]}}, links: [{between: [nic, leaf], rate: 800Gb/s}], "
    text += "names: {leaf: 'l{i+1:02}'}, failed: [asic1/l03]}"
    (down,) = loads_blueprint(text).failed
    assert (down.text, down.group) == ("asic1/leaf2", "leaf")
    assert site_text(loads_blueprint(text), down.text) == "asic1/l03"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "leaf1-2",
            r"selector 'leaf1-2' is slot1-2/leaf by its axes, su1/slot1/leaf by the site; write which",
        ),
        ("spine1", r"selector 'spine1' is spine1/spine by its axes, spine0/spine by the site; write which"),
    ],
)
def test_what_means_two_things_is_refused(text, message):
    blueprint = loads_blueprint(SHIFTED)
    with pytest.raises(SelectorError, match=message):
        read_selector(blueprint, text)
    both = message.split(" is ")[1].split(" by its")[0], message.split("axes, ")[1].split(" by the")[0]
    assert [read_selector(blueprint, one).text for one in both] == list(both)
    assert [unmistakable(blueprint, one) for one in (text, "leaf0")] == [both[0], "leaf0"]
    with pytest.raises(TopologyError, match=rf"<text>:12:\d+: failed\[0\]: {message}"):
        loads_blueprint(f"{SHIFTED}failed: [{text}]\n")


def test_only_one_of_two_readings_is_there():
    blueprint = loads_blueprint(SHIFTED)
    # There is no fourth spine by the axes, and no spine of number 0 by the names.
    assert read_selector(blueprint, "spine3").text == "spine2"
    assert read_selector(blueprint, "spine0").text == "spine0"
    assert read_selector(blueprint, "r1/node3/gpu0").text == "su0/node2/gpu0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dc1-s0-l05", "no device of the site is called 'dc1-s0-l05'; did you mean dc1-s0-l04"),
        ("dc1-s0-l2", "no device of the site is called 'dc1-s0-l2'; did you mean dc1-s0-l02"),
        ("dc1-s0-m02", "no device of the site is called 'dc1-s0-m02'; did you mean dc1-s0-l02"),
        ("dc2-sp0", r"no device of the site is called 'dc2-sp0'; did you mean dc1-sp0"),
        ("h1-12/gpu0", r"no device of the site is called 'h1-12/gpu0'; did you mean h1-11/gpu0"),
        ("su0/leef1", r"no device group 'leef'; did you mean leaf"),
        ("slto0/leaf", r"no axis 'slto'; did you mean slot"),
        ("leaf9", r"leaf9 is beyond the last index, slot3|slot9 is beyond the last index"),
        ("x" * 100_000, r"no device group 'x+"),
        ("/".join("x" * 50_000), r"no axis 'x'"),
    ],
)
def test_the_nearest_name_is_offered_in_the_form_of_the_slip(text, message):
    with pytest.raises(SelectorError, match=message):
        read_selector(loads_blueprint(NAMED), text)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('node: "n{node}"', None),
        (
            'spine: "s{spine-1}"',
            r"names of spine: index 0 of spine would be called -1; got s\{spine-1\}; add a number",
        ),
    ],
)
def test_names_that_tell_no_device_apart(names, message):
    if message is None:
        # A cable plan says so too, where such servers are in it.
        with pytest.raises(
            SelectorError, match=r"names of node: 'n\{node\}' is the same for several; add \{su\}"
        ):
            read_selector(loads_blueprint(f"{FIXED}names: {{{names}}}\n"), "n3")
        return
    with pytest.raises(TopologyError, match=message):
        loads_blueprint(f"{FIXED}names: {{{names}}}\n")


def test_a_name_that_is_another_group():
    text = (
        "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [i]}, "
    )
    text += "core: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}, "
    text += "{between: [leaf, core], rate: 1Gb/s}], names: {core: leaf}}"
    with pytest.raises(
        TopologyError, match="names of core: 'leaf' is a selector of other devices; add a letter"
    ):
        loads_blueprint(text)


def test_a_file_marks_devices_by_the_names_that_stand_after_the_marks():
    marks = """
failed: [dc1-s0-l01, [h1-3/gpu2, dc1-s1-l03, 1]]
degraded: [[dc1-s0-l02, dc1-sp2, 1/2], ["h0-[1-2]/gpu0", 50%]]
absent: [h1-11]
risk: {conduit: {down: [dc1-sp0, [dc1-s1-l04, dc1-sp1]]}}
"""
    own = """
failed: [su0/leaf0, [su1/node3/gpu2, su1/leaf2, 1]]
degraded: [[su0/leaf1, spine2, 1/2], [su0/node1-2/gpu0, 50%]]
absent: [su1/node11/*]
risk: {conduit: {down: [spine0, [su1/leaf3, spine1]]}}
"""
    head, _, names = NAMED.rpartition("names:")
    by_site, by_axes = loads_blueprint(f"{head}{marks}names:{names}"), loads_blueprint(f"{NAMED}{own}")
    assert by_site.failed == by_axes.failed
    assert by_site.absent == by_axes.absent
    ends = [[(c.left, c.right, c.n, c.part) for c in b.marked_cables] for b in (by_site, by_axes)]
    assert len(ends[0]) > 2
    assert ends[0] == ends[1]
    risks = [
        [(r.devices, [(c.left, c.right) for c in r.cables]) for r in b.risks] for b in (by_site, by_axes)
    ]
    assert risks[0] == risks[1] != []


def test_names_of_an_include_are_its_own(tmp_path):
    (tmp_path / "hall.fabric.yaml").write_text(NAMED + "failed: [dc1-sp1]\n")
    text = "fabric: two\ninclude: {fabric: ./hall.fabric.yaml, over: {hall: 2}}\nislands: 2\n"
    two = loads_blueprint(text, base=tmp_path)
    assert [(s.group, s.terms) for s in two.failed] == [
        ("spine", parse_selector("spine1", two.axes, two.groups).terms)
    ]
    with pytest.raises(
        TopologyError, match=r"failed\[0\]: no device group 'dc1-sp'|cannot read|no device group"
    ):
        loads_blueprint(text + "failed: [dc1-sp1]\n", base=tmp_path)


def test_a_name_and_what_a_name_has_behind_it_are_two_meanings():
    names = 'names: {gpu: "h{su}-{node}/gpu{slot+1}", node: "h{su}-{node}"}\n'
    blueprint = loads_blueprint(FIXED + names)
    with pytest.raises(
        SelectorError, match=r"'h1-3/gpu2' is su1/node3/slot1/gpu by the site, su1/node3/slot2/gpu by"
    ):
        read_selector(blueprint, "h1-3/gpu2")
    # There is no fifth GPU in a server by the axes, and none of number 0 by the names.
    assert read_selector(blueprint, "h1-3/gpu4").text == "su1/node3/gpu3"
    assert read_selector(blueprint, "h1-3/gpu0").text == "su1/node3/gpu0"


def test_a_place_by_the_axes_stays_one_where_names_do_not_tell_servers_apart():
    blueprint = loads_blueprint(f'{FIXED}names: {{node: "node{{node}}"}}\n')
    assert read_selector(blueprint, "node3", needs_group=False).text == "node3"
    assert site_text(blueprint, "su1/node3/gpu0") == "su1/node3/gpu0"


def test_a_device_in_a_server_goes_on_by_its_own_name():
    # It was pod1/rack0/row1/node1/gpu0, which is no name of a device where names are looked up.
    text = "{fabric: a, axes: {pod: 2, row: 2, rack: 2, blk: [row, rack], node: 2, slot: 2}, devices: {gpu: "
    text += "{kind: gpu, axes: [pod, blk, node, slot]}, leaf: {kind: switch, axes: []}}, links: [{"
    blueprint = loads_blueprint(
        text + "between: [gpu, leaf], rate: 1Gb/s}], names: {node: 'p{pod}-b{blk:03}-n{node}'}}"
    )
    name = site_text(blueprint, "pod1/blk2/node1/gpu0")
    assert name == "p1-b002-n1/gpu0"
    assert read_selector(blueprint, name).text == "pod1/blk2/node1/gpu0"
    assert read_selector(blueprint, "p1-b002-n1").text == "pod1/blk2/node1/*"
