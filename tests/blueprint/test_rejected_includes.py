# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""Includes that are refused, and where."""

import pytest

from fabric.errors import TopologyError
from fabric.graph import load, loads
from tests.blueprint.slips import unmarked

RACK = """\
fabric: rack
axes: {tray: 2, slot: 2}
devices:
  gpu: {kind: gpu, axes: [tray, slot]}
  nic: {kind: nic, axes: [tray, slot]}
links:
  - {between: [gpu, nic], rate: 400Gb/s}
"""
# The same as a part of which only one may be included under its own names.
COUSIN = "fabric: cousin\naxes: {tray: 3}\ndevices:\n  cpu: {kind: host, axes: [tray]}\n"
SPLIT = "fabric: split\naxes: {a: 2, b: 2, slot: [a, b]}\ndevices:\n  cpu: {kind: host, axes: [slot]}\n"
TURNED = "fabric: turned\naxes: {a: 2, b: 2, slot: [b, a]}\ndevices:\n  dpu: {kind: nic, axes: [slot]}\n"
TWIN = (
    "fabric: twin\naxes: {x: 2}\ndevices:\n  one: {kind: nic, axes: [x]}\n  two: {kind: switch, axes: [x]}\n"
    "links:\n  - {between: [one, two], name: gpu-nic, rate: 400Gb/s}\n"
)
FILES = {"rack": RACK, "cousin": COUSIN, "split": SPLIT, "turned": TURNED, "twin": TWIN}
LEAF = "devices:\n  leaf: {kind: switch, axes: []}\nlinks:\n  - {between: [nic, leaf], rate: 400Gb/s}\n"

INCLUDES = {
    "unknown template": (
        "include: @@hgx-h10\n",
        "no template 'hgx-h10'; did you mean hgx-h100.*; a file of your own",
    ),
    "missing file": (
        "include: {fabric: @@./rak.fabric.yaml}\n",
        "cannot include './rak.fabric.yaml': no such file",
    ),
    "file with too long a name": (f"include: {{fabric: @@./{'a' * 300}.fabric.yaml}}\n", "no such file"),
    "absolute path": (
        "include: {fabric: @@/etc/rack.fabric.yaml}\n",
        "cannot include '/etc/rack.fabric.yaml'; expected a template",
    ),
    "file of another kind": (
        "include: {fabric: @@../passwd}\n",
        "cannot include '../passwd'; expected a template or a relative path",
    ),
    "no file at all": ("include: @@7\n", "include: expected a mapping; got 7"),
    "itself": (
        "include: {fabric: @@./top.fabric.yaml}\n",
        "include cycle; got top.fabric.yaml includes top.fabric.yaml",
    ),
    "over an axis it has": (
        "include: {fabric: ./rack.fabric.yaml, over: @@{tray: 2}}\n" + LEAF,
        "over: ./rack.fabric.yaml already has an axis 'tray'; take another axis name, or include with as",
    ),
    "devices twice": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./rack.fabric.yaml\n" + LEAF,
        r"include\[1\]: ./rack.fabric.yaml brings devices that another include has; got gpu, nic; give one of them as",
    ),
    "a rule name twice": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./twin.fabric.yaml\n" + LEAF,
        r"include\[1\]: ./twin.fabric.yaml brings a rule 'gpu-nic' that another include has",
    ),
    "a device of an include again": (
        "include: ./rack.fabric.yaml\ndevices:\n  @@nic: {kind: nic, axes: []}\n",
        "devices.nic: duplicate name 'nic'; it comes from .*rack.fabric.yaml:5; rename one, or include with as",
    ),
    "axis of two sizes": (
        "include:\n  - ./rack.fabric.yaml\n  - @@./cousin.fabric.yaml\n" + LEAF,
        "axis 'tray' comes from two includes with another size; got 3 and 2; give one of them as: prefix",
    ),
    "axis of two products": (
        "include:\n  - ./split.fabric.yaml\n  - @@./turned.fabric.yaml\n",
        r"axis 'slot' comes from two includes with another product; got \[b, a\] and \[a, b\]",
    ),
    "axis redeclared with another size": (
        "include: ./rack.fabric.yaml\naxes: {@@tray: 3}\n" + LEAF,
        "axes.tray: axis 'tray' redeclared with another size; got 3; expected 2; the same name is the same axis",
    ),
    "axis split into a wrong product": (
        "include: {fabric: ./rack.fabric.yaml, over: {pod: 6}}\naxes: {a: 2, @@pod: [a, tray]}\n" + LEAF,
        "axis 'pod' redeclared with a wrong product; got 2 x 2 = 4; expected 6",
    ),
    "composed axis split otherwise": (
        "include: ./split.fabric.yaml\naxes: {@@slot: [b, a]}\n",
        r"axis 'slot' redeclared with 'a' at another place; got \[b, a\] of 2 x 2; expected \[a, b\] of 2 x 2",
    ),
    "composed axis of another size": (
        "include: ./split.fabric.yaml\naxes: {@@slot: 8}\n",
        "axis 'slot' redeclared with another size; got 8; expected 4",
    ),
    "axis split into its neighbour": (
        "include: ./rack.fabric.yaml\naxes: {@@tray: [slot]}\n" + LEAF,
        "axis 'slot' twice in device 'gpu'",
    ),
    "axis that is part of itself": (
        "include: ./rack.fabric.yaml\naxes: {@@slot: [tray, slot]}\n" + LEAF,
        "axis cycle: 'slot' is part of itself",
    ),
    "endpoints out of reach in a template": (
        "include: @@{fabric: ./rack.fabric.yaml, over: {rack: 2}}\n" + LEAF.replace("nic, leaf", "leaf, nic"),
        "cannot reach",
    ),
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / f"{name}.fabric.yaml").write_text(text)
    return tmp_path


@pytest.mark.some(8)
@pytest.mark.parametrize(("text", "match"), INCLUDES.values(), ids=INCLUDES)
def test_include_rejected(folder, text, match):
    text, line, col = unmarked(f"fabric: top\n{text}")
    path = folder / "top.fabric.yaml"
    path.write_text(text)
    with pytest.raises(TopologyError, match=match) as caught:
        load(path)
    assert [(p.path, p.line, p.col) for p in caught.value.problems] == [(str(path), line, col)]


def test_include_cycle_of_two_files(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.fabric.yaml").write_text(f"fabric: {name}\ninclude: ./{other}.fabric.yaml\n")
    got = r"^.*b\.fabric\.yaml:2:10: include: include cycle; got a\S+ includes b\S+ includes a\S+$"
    with pytest.raises(TopologyError, match=got):
        load(tmp_path / "a.fabric.yaml")


def test_include_of_too_many_files(tmp_path):
    for i in range(9):
        twice = f"[./f{i + 1}.fabric.yaml, ./f{i + 1}.fabric.yaml]" if i < 8 else "[]"
        (tmp_path / f"f{i}.fabric.yaml").write_text(f"fabric: f\ninclude: {twice}\n")
    with pytest.raises(TopologyError, match="too many includes; expected at most 64 files in all"):
        load(tmp_path / "f0.fabric.yaml")


def test_include_is_relative_to_the_file_that_has_it(folder):
    (folder / "below").mkdir()
    (folder / "below" / "mid.fabric.yaml").write_text("fabric: mid\ninclude: ../rack.fabric.yaml\n" + LEAF)
    (folder / "top.fabric.yaml").write_text("fabric: top\ninclude: below/mid.fabric.yaml\n")
    assert load(folder / "top.fabric.yaml").blueprint.n_devices("nic") == 4


def test_errors_of_an_include_show_its_own_place(folder):
    (folder / "bad.fabric.yaml").write_text(COUSIN.replace("host", "hots"))
    text = "fabric: top\ninclude: ./bad.fabric.yaml\ndevices:\n  x: {kind: nik, axes: [tray]}\n"
    with pytest.raises(TopologyError, match="got hots") as caught:
        loads(text, base=folder)
    found = {(p.path, p.line, p.what) for p in caught.value.problems}
    assert found == {("<text>", 4, "unknown value"), (str(folder / "bad.fabric.yaml"), 4, "unknown value")}
