"""Failures on the command line: every question takes them, and says what they were."""

import json
import re
import sys
from pathlib import Path

import pytest

from fabric.cli import app as command_line

ROOT = Path(__file__).parents[2]
POD = """
fabric: pod
axes: {rack: 2, slot: 4, spine: 2}
devices:
  nic:   {part: cx8, axes: [rack, slot], endpoint: true}
  leaf:  {part: q3400, axes: [rack]}
  spine: {part: q3400, axes: [spine]}
links:
  - {between: [nic, leaf], rate: 800Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2}
"""
QUESTIONS = {
    "max-flow": ("--from", "rack0/nic", "--to", "rack1/nic"),
    "throughput": (),
    "bottleneck": (),
    "bound": ("--collective", "all-gather"),
    "cost": ("--collective", "all-gather"),
}


@pytest.fixture
def fabtopo(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command on a file and returns its exit status and what it prints."""

    def run(command, *options, text=POD):
        file = tmp_path / "pod.fabric.yaml"
        file.write_text(text)
        monkeypatch.setattr(sys, "argv", ["fabtopo", command, str(file), *options])
        with pytest.raises(SystemExit, match="[012]") as stop:
            command_line.main()
        found = capsys.readouterr()
        return stop.value.code, found.out, found.err

    return run


@pytest.mark.some(2)
@pytest.mark.parametrize("question", QUESTIONS)
def test_asked_for_as_in_the_file(fabtopo, question):
    options = QUESTIONS[question]
    asked = fabtopo(question, *options, "--failed", "leaf0 - spine1 x 1", "--failed", "asic3/spine0")
    assert asked[0] == 0, asked[2]
    assert asked[1].endswith("\n  failed: leaf0 - spine1 x 1; asic3/spine0\n")
    in_file = fabtopo(question, *options, text=POD + "failed: [[leaf0, spine1, 1], asic3/spine0]\n")
    assert _untimed(in_file[1]) == _untimed(asked[1])
    whole = fabtopo(question, *options)
    assert "failed" not in whole[1]
    assert whole[1] != asked[1]


def _untimed(text):
    return re.sub(r"in [0-9.]+ s", "", text)


@pytest.mark.parametrize("question", QUESTIONS)
def test_json_names_what_failed(fabtopo, question):
    code, out, _ = fabtopo(question, *QUESTIONS[question], "--failed", "spine1", "--json")
    assert (code, json.loads(out)["failed"]) == (0, ["spine1"])


def test_rates_by_hand(fabtopo):
    # 3,200 Gb/s up from each leaf; a spine is half of it, a chip of a spine an eighth.
    def far(*failed):
        _, out, _ = fabtopo("max-flow", *QUESTIONS["max-flow"], "--json", *failed)
        return json.loads(out)["value_gbps"]

    assert far() == 3200
    assert far("--failed", "spine1") == 1600
    assert far("--failed", "asic0/spine1") == 2800
    assert far("--failed", "leaf0 - spine1 x 1") == 2400


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("spin1", "selector 'spin1': no device group 'spin'; did you mean spine?"),
        (
            "nic - spine",
            "failed: no cable between nic and spine; name two selectors whose devices are joined",
        ),
        ("leaf0-spine1", "; cables between two selectors: 'leaf0 - spine1', with spaces"),
        ("leaf0-1-spine*", "; cables between two selectors: 'leaf0 - spine1', with spaces"),
        ("leef0-1", "no device group 'leef'; did you mean leaf?\n"),
        ("leaf0 - spine1 x 9", "failed: more failed cables than there are"),
        ("leaf0 - spine1 x 0", "expected 1 or more cables; got 0"),
        ("asic7/leaf0", "asic7 is beyond the last index, asic3"),
    ],
)
def test_errors_are_one_message(fabtopo, what, message):
    code, out, err = fabtopo("throughput", "--failed", what)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_check_says_that_boxes_are_several_chips(fabtopo):
    code, out, _ = fabtopo("check")
    assert code == 0
    assert "2 leaf, 2 spine" in out
    assert (
        "note: boxes of several chips, each with a share of every port: leaf (4 ASICs), spine (4 ASICs)"
        in out
    )
    opened = fabtopo("check", text=POD + "failed: [asic1/leaf0]\n")
    assert opened[:2] == (code, out)
    plain = POD.replace("part: q3400", "kind: switch")
    assert "note" not in fabtopo("check", text=plain)[1]


def test_the_network_left_out_in_the_manual_is_real(monkeypatch, capsys):
    page = (ROOT / "docs/cli.md").read_text()
    block = re.search(
        r"^\$ fabtopo (throughput [^\n]*--failed [^\n]*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["fabtopo", *block[1].split()])
    with pytest.raises(SystemExit, match="0"):
        command_line.main()
    out = capsys.readouterr().out
    head, tail = block[2].split("  ...\n")
    assert out.startswith(head)
    assert out.endswith(tail)
