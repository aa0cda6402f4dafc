"""What newcomers get wrong first is told with what to do, in one message and exit status 2."""

import re
import sys
from pathlib import Path

import pytest

from fabric import cli

ROOT = Path(__file__).parents[2]
POD = """\
fabric: pod
axes: {rack: 2}
devices:
  gpu:  {kind: gpu, axes: [rack]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
"""
HERE = "fabtopo examples gb300-nvl72"


@pytest.fixture
def told(monkeypatch, tmp_path, capsys):
    """Return the exit status of a command beside pod.fabric.yaml, and what it says is wrong."""
    monkeypatch.chdir(tmp_path)

    def ask(command, text=POD):
        Path("pod.fabric.yaml").write_text(text)
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit, match=r"^\d$") as done:
            cli.main()
        return int(done.value.code), capsys.readouterr().err

    return ask


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("fabtopo chek pod.fabric.yaml", "Did you mean 'check'"),
        ("fabtopo check", "Missing argument 'FILE...'"),
        ("fabtopo check pdo.fabric.yaml", "file not found; did you mean pod.fabric.yaml?"),
        ("fabtopo check topologies/gb300-nvl72.fabric.yaml", HERE),
        ("fabtopo show gb300-nvl72", HERE),
        ("fabtopo show hgx-h100", "fabtopo templates hgx-h100"),
        ("fabtopo cost pod.fabric.yaml", "Missing option '--collective': all-reduce, all-gather"),
        ("fabtopo cost pod.fabric.yaml --collective allreduce", "did you mean all-reduce"),
        ("fabtopo cost pod.fabric.yaml --collective all-reduce --size 1G", "write 1GiB (binary)"),
        ("fabtopo max-flow pod.fabric.yaml --from rack0 --to rak1", "did you mean rack?"),
        ("fabtopo design --gpus 1024", "--rack, --leaf missing"),
        ("fabtopo design --gpus 1024 --rack h100 --leaf qm9700", "dgx-h100, hgx-h100"),
        ("fabtopo examples gb300", "did you mean gb300-nvl72?"),
        ("fabtopo report pod.fabric.yaml", "Folder to write README.md and figures to"),
    ],
)  # fmt: skip
def test_a_slip_on_the_command_line(command, what, told):
    status, error = told(command)
    assert status == 2
    assert what in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("axes: [rack]}", "axes: [rak]}", r"4:\d+: devices.gpu: unknown axis 'rak'; did you mean rack\?"),
        ("400Gb/s", "400", r"7:\d+: links.gpu-leaf.rate: rate without unit; .*write 400Gb/s"),
        (
            "kind: switch",
            "part: sn56000",
            r"5:\d+: devices.leaf: unknown part 'sn56000'; did you mean sn5600\?",
        ),
        ("[gpu, leaf]", "[leaf, gpu]", r"check which side of each rule stands first"),
        ("links:", "link:", r"6:1: link: unknown key 'link'; did you mean links\?"),
        ("fabric: pod", "name: pod", r"1:1: file: missing key 'fabric'"),
        (
            "  leaf:",
            "\tleaf:",
            r"5:\d+: file: syntax error: a line is indented by a tab; indent it by blanks",
        ),
        ("[gpu, leaf]", "[gpu, laef]", r"7:\d+: .*'laef'; did you mean leaf\?"),
        ("rate: 400Gb/s", "rate: 400Gb/s, each: [1, 9]", r"7:\d+: links.gpu-leaf.*each"),
    ],
)
def test_a_slip_in_the_file(old, new, what, told):
    assert old in POD
    status, error = told("fabtopo check pod.fabric.yaml", POD.replace(old, new, 1))
    assert status == 2
    assert re.search(rf"^pod\.fabric\.yaml:(?:{what}|.*{what})", error, re.MULTILINE), error
