"""Files that ask for more than they are given: each limit fires, is named, and nothing is done beyond it."""

import json

import pytest

from fabric.blueprint import census, loads_blueprint
from fabric.blueprint.limits import MAX_ELEMENTS, MAX_FILES, MAX_LEVELS, MAX_PARTS, MAX_PROBLEMS
from fabric.errors import LimitError, TopologyError
from fabric.graph import expand, load, loads

STAR = {"gpu": {"kind": "gpu", "axes": ["x"]}, "sw": {"kind": "switch", "axes": []}}


def star(n=4, **more):
    """Return a file of `n` GPUs on one switch, as data."""
    links = [{"between": ["gpu", "sw"], "rate": "1Gb/s"}]
    return {"fabric": "a", "axes": {"x": n}, "devices": dict(STAR), "links": links} | more


def problems(file, **options):
    with pytest.raises(TopologyError, match=":") as caught:
        loads(json.dumps(file), **options)
    return caught.value.problems


def rules(n, **more):
    return [{"between": ["gpu", "sw"], "name": f"r{i}", "rate": "1Gb/s", **more} for i in range(n)]


FULL = {
    "axes": {f"a{i}e": 1 for i in range(MAX_ELEMENTS["axes"] - 1)},
    "devices": {f"d{i}e": {"kind": "host", "axes": []} for i in range(MAX_ELEMENTS["devices"] - 2)},
    "links": rules(MAX_ELEMENTS["links"]),
    "absent": ["gpu3"] * MAX_ELEMENTS["absent"],
    "failed": ["gpu3"] * MAX_ELEMENTS["failed"],
    "degraded": [["gpu3", 0.5]] * MAX_ELEMENTS["degraded"],
    "expect": ["gpu = 4"] * MAX_ELEMENTS["expect"],
    "names": {f"d{i}e": "z" for i in range(MAX_ELEMENTS["names"])},
    "ports": {f"d{i}e": "swp{n}" for i in range(MAX_ELEMENTS["ports"])},
    "risk": {f"d{i}e": ["x"] for i in range(MAX_ELEMENTS["risk"])},
}


ONE_MORE = {"axes": 1, "devices": STAR["sw"], "names": "z", "ports": "z", "risk": ["x"]}


@pytest.mark.some(3)
@pytest.mark.parametrize("section", MAX_ELEMENTS)
def test_elements_of_a_section(section):
    file = star()
    full = file | {
        section: {**file[section], **FULL[section]} if section in ("axes", "devices") else FULL[section]
    }
    if section not in ("names", "ports", "risk"):  # of which there are no more than devices and axes
        assert loads(json.dumps(full)).skipped == ()
    whole = full[section]
    over = full | {section: whole | {"z": ONE_MORE[section]} if section in ONE_MORE else whole + whole[-1:]}
    (problem,) = problems(over)
    most = MAX_ELEMENTS[section]
    assert problem.where == section
    assert problem.what == f"too many entries of {section}"
    assert problem.got == f"{most + 1:,} with those of includes"
    assert problem.expected == f"at most {most:,}"


def test_elements_of_includes_are_counted_in(tmp_path):
    (tmp_path / "in.fabric.json").write_text(json.dumps(star(links=rules(MAX_ELEMENTS["links"] // 2))))
    items = [{"fabric": "./in.fabric.json", "as": letter} for letter in "abc"]
    assert problems({"fabric": "b", "include": items}, base=tmp_path)[0].what == "too many entries of links"
    assert (
        len(loads_blueprint(json.dumps({"fabric": "b", "include": items[:2]}), base=tmp_path).rules) == 1000
    )


def test_files_in_a_chain(tmp_path):
    for i in range(MAX_LEVELS + 1):
        above = {"fabric": "a", "include": f"./f{i - 1}.fabric.json"}
        (tmp_path / f"f{i}.fabric.json").write_text(json.dumps(above if i else star()))
    assert load(tmp_path / f"f{MAX_LEVELS - 1}.fabric.json").blueprint.n_devices("gpu") == 4
    with pytest.raises(TopologyError, match=f"includes nested too deep; expected at most {MAX_LEVELS} files"):
        load(tmp_path / f"f{MAX_LEVELS}.fabric.json")
    assert MAX_FILES >= MAX_LEVELS


@pytest.mark.parametrize("key", ["parts", "axes"])
def test_axes_of_a_device_and_parts_of_an_axis(key):
    names = [f"a{i}e" for i in range(MAX_PARTS + 1)]
    file = star(axes={"x": 4} | dict.fromkeys(names, 1))
    for n, is_sound in ((MAX_PARTS, True), (MAX_PARTS + 1, False)):
        if key == "parts":
            file["axes"]["c"] = names[:n]
        else:
            file["devices"] = STAR | {"box": {"kind": "host", "axes": names[:n]}}
        if is_sound:
            loads(json.dumps(file))
        else:
            assert problems(file)[0].what == f"a list of {n} axes; expected at most {MAX_PARTS}"


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "more",
    [
        {"links": [{"between": [f"gpu{i}", "swx"], "name": f"r{i}", "rate": "1Gb/s"} for i in range(900)]},
        {"absent": [f"gpx{i}" for i in range(900)]},
        {"failed": [["gpu", f"gpu{i}", 3] for i in range(900)]},
        {"devices": {f"d{i}e": {"kind": "gpu", "axes": [f"y{i}e"]} for i in range(400)}},
        {"links": [rule | {"rate": f"{i + 1}Gb/s"} for i, rule in enumerate(rules(900))]},
        {"absent": list(range(900))},
        {f"k{i}": i for i in range(5000)},
    ],
    ids=["names", "selectors", "cables", "axes", "rates", "values", "keys"],
)
def test_problems_end(more):
    assert len(problems(star(1000) | more)) == MAX_PROBLEMS


def test_equal_entries_of_absent_are_one():
    blueprint = loads_blueprint(json.dumps(star(absent=["gpu3"] * 4000 + ["gpu2"])))
    assert [s.text for s in blueprint.absent] == ["gpu3", "gpu2"]
    assert census(blueprint).present("gpu") == 2


def test_a_long_chain_of_axes_of_one_part():
    chain = {f"c{i}e": [f"c{i + 1}e"] for i in range(990)} | {"c990e": ["x"]}
    file = star(axes={**chain, "x": 4})
    file["devices"]["gpu"] = {"kind": "gpu", "axes": ["c0e"]}
    assert loads(json.dumps(file)).blueprint.groups["gpu"].primitives == ("x",)
    (cycle,) = problems(star(axes={**chain, "x": ["c0e"]}))[:1]
    assert cycle.what == "axis cycle: 'c0e' is part of itself"


LINE = """\
fabric: a
axes: {x: %s, y: %s, c: [x, y]}
devices:
  gpu: {kind: gpu, axes: [c], transit: all}
links:
  - {between: [gpu, gpu], line: c, rate: 1Gb/s}
"""


@pytest.mark.parametrize(
    ("x", "y", "skipped"),
    [
        (500, 250, []),
        (
            1000,
            999,
            ["islands and reachability: 999,000 devices that rings, lines, patterns or counts tell apart"],
        ),
        (
            1_000_000,
            2,
            [
                "each, ports and rates: axes x, y have 1,000,002 indices; a ring, a line,",
                "islands and reachability: axes x, y have 1,000,002 indices; a ring, a line,",
            ],
        ),
    ],
)
def test_a_line_on_a_composed_axis(x, y, skipped):
    found = loads(LINE % (x, y)).skipped
    assert len(found) == len(skipped)
    for text, start in zip(found, skipped, strict=True):
        assert text.startswith(start)


def test_work_of_many_rules_on_many_classes():
    file = star(200_000, links=rules(9, count={"x": [1] * 10_000}))
    file["axes"]["x"] = 10_000
    assert census(loads_blueprint(json.dumps(file))).rules[0].total == 10_000
    text = "{fabric: a, axes: {x: 400000}, devices: {gpu: {kind: gpu, axes: [x]}, sw: {kind: switch,"
    text += " axes: []}}, links: [{between: [gpu, sw], rate: 1Gb/s},"
    text += ", ".join(f"{{between: [gpu, gpu], name: r{i}, ring: x, rate: 1Gb/s}}" for i in range(5)) + "]}"
    with pytest.raises(LimitError, match="6 rules on 400,001 classes of devices are too many"):
        census(loads_blueprint(text))
    assert loads(text).skipped[0].startswith("each, ports and rates: 6 rules on 400,001 classes")


def test_failures_of_cables_beyond_the_limit_are_said_and_hide_nothing_else():
    devices = {"gpu": {"kind": "gpu", "axes": ["x", "y"]}, "sw": STAR["sw"]}
    failed = [[f"x{i % 250}/gpu{(i + i // 250) % 250}", "sw"] for i in range(4000)]
    file = star(devices=devices, axes={"x": 250, "y": 250}, failed=failed)
    (missed,) = loads(json.dumps(file)).skipped
    assert missed.startswith("failed and degraded cables: 4,000 marks on cables on ")
    file["links"][0]["each"] = [2, 1]
    assert problems(file)[0].what == "each: wrong number of cables at x0/gpu0"


def test_patterns_share_their_pairs():
    text = "{fabric: a, axes: {x: 5000, k: 4}, devices: {gpu: {kind: gpu, axes: [x], transit: all}},"
    rule = "{between: [gpu, gpu], name: r%s, rate: 1Gb/s, wiring: {pattern: jellyfish, along: x, "
    rule += "degree: 40, seed: %d}}"
    one, three = (", ".join(rule % ("abc"[i], i) for i in range(n)) for n in (1, 3))
    assert expand(loads(f"{text} links: [{one}]}}")).n_bundles == 100_000
    with pytest.raises(TopologyError, match="links.rc: pattern too large; got 300,000 pairs; .* 250,000"):
        loads(f"{text} links: [{three}]}}")
