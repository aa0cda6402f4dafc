"""Time the main job step by step, each in a process of its own, beside a peer where there is one.

Seconds depend on the machine; the last column, the ratio to the row that it names, is what to compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = "topologies/gb300-nvl72-1152.fabric.yaml"
REPEAT = 3

LOAD = f"import fabric; f = fabric.load({FILE!r})"
MILLION = '''
text = """
fabric: million
axes: {pod: 55, su: 4, block: 8, rack: 8, tray: 18, rail: 4, chip: 18, spine: 128, core: 112}
devices:
  gpu: {kind: gpu, axes: [pod, su, block, rack, tray, rail], transit: relay}
  nvswitch: {kind: switch, axes: [pod, su, block, rack, chip]}
  nic: {kind: nic, axes: [pod, su, block, rack, tray, rail]}
  leaf: {kind: switch, axes: [pod, su, block, rail]}
  spine: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up, each: [18, 72]}
  - {between: [gpu, nic], rate: 800Gb/s, net: host, each: 1}
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 144]}
  - {between: [leaf, spine], rate: 800Gb/s}
  - {between: [spine, core], rate: 800Gb/s}
"""
import fabric
'''


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: `setup` is not timed, `work` is; `beside` names the row of the ratio."""

    name: str
    setup: str
    work: str
    beside: str = ""


CASES = (
    Case("start Python", "", "pass"),
    Case("fabtopo --help", "import subprocess, sys", "subprocess.run([sys.executable, '-m', 'fabric.cli', '--help'], capture_output=True, check=True)"),
    Case("load and check 1,152 GPUs", "import fabric, fabric.graph", f"fabric.load({FILE!r})"),
    Case("expand 1,152 GPUs", LOAD + "; from fabric.graph import expanded; expanded._expand.cache_clear()", "fabric.expand(f)"),
    Case("to NetworkX", LOAD + "; fabric.expand(f); fabric.to_networkx", "fabric.to_networkx(f)"),
    Case("max-flow, half to half", LOAD + "; fabric.max_flow(f, 'rack0', 'rack1')", "fabric.max_flow(f, 'block0-3', 'block4-7')"),
    Case(
        "the same by NetworkX",
        LOAD + "; import networkx; D, s, t = fabric.flow_network(f, 'block0-3', 'block4-7')",
        "networkx.maximum_flow_value(D, s, t)",
        "max-flow, half to half",
    ),
    Case("cost of an all-reduce", LOAD + "; fabric.cost", "fabric.cost(f, 'all-reduce', '1GiB')"),
    Case("cost of an all-to-all", LOAD + "; fabric.cost", "fabric.cost(f, 'all-to-all', '1GiB')"),
    Case("report of 1,152 GPUs", LOAD + "; import tempfile; fabric.report", "fabric.report(f, tempfile.mkdtemp())"),
    Case("load a million GPUs", MILLION, "fabric.loads(text)", "load and check 1,152 GPUs"),
)

PROGRAM = """
import json, resource, time
{setup}
begin = time.perf_counter()
{work}
took = time.perf_counter() - begin
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([took, peak / 1024]))
"""


def measure(case: Case) -> tuple[float, float]:
    """Return the least seconds and the peak MiB over a few runs."""
    program = PROGRAM.format(setup=case.setup, work=case.work)
    command = [sys.executable, "-c", program]
    runs = [json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()[-1]) for _ in range(REPEAT)]
    return min(r[0] for r in runs), max(r[1] for r in runs)


def main() -> None:
    """Print the table."""
    begin = time.perf_counter()
    found: dict[str, float] = {}
    print("| step | seconds | peak MiB | ratio |\n|---|---:|---:|---|")
    for case in CASES:
        seconds, peak = measure(case)
        found[case.name] = seconds
        ratio = f"{seconds / found[case.beside]:.3g} x {case.beside}" if case.beside else ""
        print(f"| {case.name} | {seconds:.4f} | {peak:.0f} | {ratio} |", flush=True)
    print(f"\n{REPEAT} runs each, least time and greatest memory; {time.perf_counter() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
