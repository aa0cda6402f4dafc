"""A group of one device that has no axis, beside groups that have: the proof lists it once for every link."""

from fabric.graph import loads
from fabric.study.failures import failures


def test_failures_beside_a_host_without_axes_are_proved():
    text = """{fabric: f, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []},
      cpu: {kind: host, axes: [], endpoint: true, transit: end}}, failed: [gpu3], links: [
        {between: [gpu, leaf], rate: 400Gb/s}, {between: [cpu, leaf], rate: 400Gb/s}]}"""
    answer = failures(loads(text))
    assert [(row.name, row.n, row.goes_on) for row in answer.rows] == [
        ("leaf", 1, False),
        ("gpu", 3, False),
        ("gpu-leaf cable", 3, False),
        ("cpu", 1, True),
        ("cpu-leaf cable", 1, True),
    ]
