"""Templates and examples as a user finds them: listed, explained, copied, and never over another file."""

import json
from pathlib import Path

import pytest

from fabric.blueprint import loads_blueprint, shipped, template_names
from fabric.blueprint.shipped import contents, examples, find_examples, templates
from fabric.errors import QuestionError
from fabric.graph import load
from fabric.workload import load_job
from tests.cli.command import run

ROOT = Path(__file__).parents[2]
TOPOLOGIES = sorted((ROOT / "topologies").rglob("*.fabric.yaml"))
FILES = sorted([*TOPOLOGIES, *(ROOT / "topologies").rglob("*.job.yaml")])


def answer(*arguments):
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")
    return done.out


def test_every_template_and_every_file_of_topologies_is_listed_with_a_title():
    assert [one.name for one in templates()] == list(template_names())
    assert sorted(one.file.resolve() for one in examples()) == FILES
    assert len(FILES) > 50
    for one in (*templates(), *examples()):
        assert 10 < len(one.title) < 140, one.name
        assert one.title[0].isalnum(), one.name


def test_templates_are_listed_with_their_parts():
    lines = answer("templates").splitlines()
    assert len(lines) == 1 + len(template_names())
    (line,) = [line for line in lines if line.startswith("hgx-h100 ")]
    assert "h100_sxm5 × 8, nvswitch3 × 4, switch × 8, host × 2, cx7 × 8, bf3 × 2" in line
    assert line.endswith(
        "One DGX or HGX H100 server: 8 GPUs, 4 NVSwitch chips, 2 CPUs, 8 ConnectX-7, 2 DPUs."
    )


@pytest.mark.some(15)
@pytest.mark.parametrize("template", templates(), ids=lambda one: one.name)
def test_a_template_is_explained_as_it_is_included(template):
    text = answer("templates", template.name)
    (include,) = [line.partition("#")[0] for line in text.splitlines() if line.startswith("include: ")]
    sixteen = loads_blueprint(f"fabric: sixteen\n{include}\n")
    held = contents(template)
    assert {placed.group: 16 * placed.n for placed in held.devices} == {
        name: sixteen.n_devices(name) for name in sixteen.groups
    }
    row = json.loads(answer("templates", template.name, "--json"))
    assert [placed["group"] for placed in row["devices"]] == list(sixteen.groups)
    assert row["about"] == template.about


def test_keys_of_json():
    row = json.loads(answer("templates", "gb300-nvl72", "--json"))
    assert [*row] == ["name", "title", "about", "file", "axes", "devices"]
    assert row["devices"][0] == {
        "group": "gpu", "kind": "gpu", "part": "gb300_gpu", "n": 72, "axes": ["tray", "slot"],
    }  # fmt: skip
    assert row in json.loads(answer("templates", "--json"))
    listed = json.loads(answer("examples", "--json"))
    assert [one["name"] for one in listed] == [one.name for one in examples()]
    assert {tuple(one) for one in listed} == {("name", "title", "about", "file")}


def test_examples_are_listed():
    lines = answer("examples").splitlines()
    assert len(lines) == 1 + len(FILES)
    assert any(line.startswith("patterns/bcube ") and "BCube(4, 1)" in line for line in lines)


def test_an_example_is_copied_and_loads(tmp_path):
    done = run("examples", "bcube", "gb300-nvl72-1152.fabric.yaml", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out == "wrote bcube.fabric.yaml\nwrote gb300-nvl72-1152.fabric.yaml\n"
    assert load(tmp_path / "bcube.fabric.yaml").name == "bcube"
    assert load(tmp_path / "gb300-nvl72-1152.fabric.yaml").name == "gb300-nvl72-1152"


def test_a_folder_is_copied_as_a_folder_and_all_as_they_lie(tmp_path):
    told = json.loads(answer("examples", "patterns/", "-o", tmp_path / "some", "--json"))
    assert told["files"] == [
        str(tmp_path / "some" / f"{one.name}.fabric.yaml") for one in find_examples("patterns")
    ]
    answer("examples", "--out", tmp_path / "all")
    copies = sorted((tmp_path / "all").rglob("*.yaml"))
    assert [c.relative_to(tmp_path / "all") for c in copies] == [
        f.relative_to(ROOT / "topologies") for f in FILES
    ]
    assert [c.read_bytes() for c in copies] == [f.read_bytes() for f in FILES]


def test_an_example_stands_on_its_own():
    """A copy has nothing beside it: whatever is included must be a template."""
    assert TOPOLOGIES
    assert [file for file in TOPOLOGIES if "./" in file.read_text()] == []


def test_a_job_finds_its_fabric_where_all_are_copied(tmp_path):
    answer("examples", "--out", tmp_path)
    for job in (tmp_path / "jobs").glob("*.job.yaml"):
        assert Path(load_job(job).fabric).is_file()


def test_no_file_is_overwritten_and_none_written_beside_it(tmp_path):
    own = tmp_path / "bcube.fabric.yaml"
    own.write_bytes(b"\xff mine")
    done = run("examples", "dcell", "bcube", "-o", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"{own}: there is such a file already; name another folder by --out\n"
    assert [f.name for f in tmp_path.iterdir()] == ["bcube.fabric.yaml"]
    assert own.read_bytes() == b"\xff mine"
    own.unlink()
    # The same again is no conflict.
    assert answer("examples", "bcube", "-o", tmp_path) == answer("examples", "bcube", "-o", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("examples", "bcub"), "no example 'bcub'; did you mean bcube?\n"),
        (("examples", ""), "no example ''; fabtopo examples lists them\n"),
        (("examples", "../systems"), "no example '../systems'; did you mean systems"),
        (("templates", "hgx-h10"), "no template 'hgx-h10'; did you mean hgx-h100"),
        (("templates", "tomahawk5"), "no template 'tomahawk5'; it is the part th5, not a template"),
        (("templates", "zzz"), "no template 'zzz'; fabtopo templates lists them\n"),
    ],
)
def test_unknown_names(arguments, message, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)
    assert [*tmp_path.iterdir()] == []


def test_a_name_in_two_folders_is_asked_back(monkeypatch):
    twice = [shipped.Shipped(name, "", "", Path()) for name in ("a/ring", "b/ring", "b/line")]
    monkeypatch.setattr(shipped, "examples", lambda: tuple(twice))
    with pytest.raises(QuestionError, match="several examples are called 'ring': a/ring, b/ring"):
        find_examples("ring")
    assert find_examples("b/ring") == (twice[1],)
    assert find_examples("b") == tuple(twice[1:])


def test_an_installation_without_examples_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "fabric")
    with pytest.raises(
        QuestionError, match="came without the examples; run: pip install --force-reinstall fabtopo"
    ):
        examples.__wrapped__()
    # As a wheel lays them out.
    (tmp_path / "fabric/examples/patterns").mkdir(parents=True)
    (tmp_path / "fabric/examples/patterns/x.fabric.yaml").write_text("# An x.\nfabric: x\n")
    assert [(one.name, one.title) for one in examples.__wrapped__()] == [("patterns/x", "An x.")]
