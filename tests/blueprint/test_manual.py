"""What docs/topology-file.md shows loads, and the messages that it prints are those of the program."""

import re
from pathlib import Path

import pytest

from fabric.blueprint.schema import FabricFile, IncludeItem, LinkItem, WiringItem
from fabric.errors import TopologyError
from fabric.graph import expand, loads

TEXT = (Path(__file__).parents[2] / "docs" / "topology-file.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```yaml\n(fabric: .*?)^```", TEXT, re.MULTILINE | re.DOTALL)
BASE = FILES[0]
ROW = re.compile(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| `(pod\.fabric\.yaml:.+)` \|$", re.MULTILINE)
REFUSED = ROW.findall(TEXT)


def test_every_example_is_a_file_or_the_axes_of_one():
    blocks = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (axes,) = [text for text in blocks if text not in FILES]
    found = loads(f"fabric: axes\nislands: 0\n{axes}").blueprint.axes
    assert found["rack"].parts == ("block", "r")
    assert found["rack"].size == 16


@pytest.mark.parametrize("text", FILES, ids=[text.split()[1] for text in FILES])
def test_files_of_the_manual_load(text):
    assert loads(text).skipped == ()


def test_the_manual_has_all_its_messages():
    assert len(REFUSED) > 40
    assert TEXT.count("`pod.fabric.yaml:") == len(REFUSED)


@pytest.mark.parametrize(("old", "new", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_messages_of_the_manual_are_real(old, new, message):
    old, new = (text.replace(" ⏎ ", "\n") for text in (old, new))
    assert old in BASE
    with pytest.raises(TopologyError, match=f"^{re.escape(message)}"):
        loads(BASE.replace(old, new.strip(" ") if new == " " else new, 1), path="pod.fabric.yaml")


@pytest.mark.parametrize("model", [FabricFile, IncludeItem, LinkItem, WiringItem])
def test_the_manual_names_every_key(model):
    for name, field in model.model_fields.items():
        assert f"`{field.alias or name}" in TEXT or f"{field.alias or name}:" in TEXT


def test_the_failures_of_the_manual_are_counted_as_it_says():
    expanded = expand(loads(next(text for text in FILES if "failed:" in text)))
    assert expanded.failed.sum() == 1
    assert expanded.failed_count.sum() == 4 + 1
