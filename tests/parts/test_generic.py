"""Generic switches: parts named by ports and rate, whose ports a file checks."""

import pytest

from fabric.errors import PartError, TopologyError
from fabric.graph import loads
from fabric.parts import find_part, generic_switch
from fabric.sizing.bom import bom

TEXT = """
fabric: g
axes: {{n: {n}}}
devices:
  gpu:  {{{gpu}, axes: [n]}}
  leaf: {{part: {part}, axes: []}}
links:
  - {{between: [gpu, leaf], rate: {rate}, each: [1, {n}]}}
"""


def written(n, part, rate="400Gb/s", gpu="kind: gpu"):
    return TEXT.format(n=n, part=part, rate=rate, gpu=gpu)


@pytest.mark.parametrize(
    ("part", "rate", "most"),
    [
        ("64x400G", "400Gb/s", 64),
        ("64x400G", "200Gb/s", 128),
        ("8x800Gb/s", "100Gb/s", 64),
        ("2 x 1.6T", "1.6Tb/s", 2),
    ],
)
def test_ports_are_those_of_the_name(part, rate, most):
    (use,) = bom(loads(written(most, part, rate))).ports
    assert (use.group, use.n_ports, use.n_free) == ("leaf", find_part(part).ports[0].n_ports, 0)
    with pytest.raises(TopologyError, match=f"port budget: leaf needs .* all that {part} has"):
        loads(written(most + 1, part, rate))


@pytest.mark.parametrize(
    "name", ["64x400", "0x400G", "64x", "x400G", "64xfast", "999999x400G", "-1x400G", "64x-400G", ""]
)
def test_names_that_say_no_ports(name):
    assert generic_switch(name) is None
    with pytest.raises(PartError, match="part"):
        find_part(name)


@pytest.mark.parametrize("part", ["64x400G", "qm9700", "sn5600"])
def test_any_link_layer_is_spoken(part):
    """A ConnectX-7 speaks Ethernet and InfiniBand; two generic switches speak whatever they like."""
    assert loads(written(4, part, gpu="part: cx7, endpoint: true")).name == "g"
    assert loads(written(4, "64x400G", gpu=f"part: {part}, endpoint: true")).name == "g"
