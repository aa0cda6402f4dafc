"""Every command calls devices as the site does where it is asked to."""

import shlex

import pytest

from tests.cli.command import run
from tests.hall import HALL, NAMES

DAMAGED = """\
failed: [su0/leaf1]
expect: ["survives any one spine at 0.9"]
"""
COMMANDS = {
    "show": "failed: dc1-s0-l02",
    "check": "dc1-sp1 cuts off",
    "throughput --failed dc1-sp1": "failed: dc1-s0-l02; dc1-sp1",
    "throughput --degraded 'dc1-s0-l01 - dc1-sp1 at 1/2' --json": '"dc1-s0-l01 - dc1-sp1 at 1/2"',
    "max-flow --from h2-00/gpu0 --to h2-01/gpu0 --devices": "h2-00/gpu0 -> dc1-s1-l01",
    "bottleneck --drop-unreachable": "such as h1-00/gpu1",
    "bound --collective all-gather": "such as h1-00/gpu1",
    "bound --collective all-gather --kind chunks --among h2-00": "h2-00/gpu0",
    "cost --collective all-to-all --drop-unreachable": "such as h1-00/gpu1",
    "failures --format csv": "dc1-s0-l01 - dc1-sp1",
    "failures --json": '"example": "dc1-s0-l01"',
    "probe --suspects gpu-leaf": "it is h2-00/gpu0",
    "place 1/1 --node su,node": "such as h1-00/gpu1",
    "share a=su1/node0 b=su1/node1": "among h2-01",
}


@pytest.mark.some(3)
@pytest.mark.parametrize("words", COMMANDS)
def test_commands_call_devices_as_the_site_does(words, tmp_path):
    (tmp_path / "hall.fabric.yaml").write_text(HALL + DAMAGED + NAMES)
    command, *options = shlex.split(words)
    done = run(command, "hall.fabric.yaml", *options, "--site-names", cwd=tmp_path)
    assert done.status == (command == "check"), done.err
    assert COMMANDS[words] in done.out
    assert COMMANDS[words] not in run(command, "hall.fabric.yaml", *options, cwd=tmp_path).out


@pytest.mark.some(2)
@pytest.mark.parametrize("command", ["show", "check", "throughput", "failures", "probe", "place"])
def test_a_file_without_names_of_the_site_is_refused(command, tmp_path):
    (tmp_path / "hall.fabric.yaml").write_text(HALL + DAMAGED)
    done = run(command, "hall.fabric.yaml", "--site-names", cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("hall has no names of the site; give its file names: (docs/topology-file.md)")


def test_an_error_calls_devices_as_the_site_does(tmp_path):
    (tmp_path / "hall.fabric.yaml").write_text(HALL + DAMAGED + NAMES)
    words = ["throughput", "hall.fabric.yaml", "--failed", "su1/leaf0", "--drop-unreachable"]
    by_site, by_axes = run(*words, "--site-names", cwd=tmp_path), run(*words, cwd=tmp_path)
    assert (by_site.status, by_axes.status) == (2, 2)
    assert by_axes.err.startswith("no majority of the endpoints is left: su0/node0/gpu1 and others")
    assert by_site.err == by_axes.err.replace("su0/node0/gpu1", "h1-00/gpu1")
