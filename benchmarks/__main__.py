"""Time the main jobs step by step, each in a process of its own, beside a peer where there is one.

`python -m benchmarks` prints one Markdown table of all cases, `python -m benchmarks NAME ...` of some, and
`python -m benchmarks --list` their names. Seconds are of CPU, so that who shares the machine counts little;
they still depend on it: compare the ratios.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from benchmarks.cases import CASES, Case

HEADER = "| step | result | CPU s | peak MiB | ratio to | budget |\n|---|---|---:|---:|---|---|"


def cpu_s() -> float:
    """Return the CPU time of this process, its threads and the programs it has run to their end [s]."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def one(name: str) -> None:
    """Run a case in this process and print what it found as JSON."""
    case = CASES[name]
    seconds = []
    try:
        for _ in range(case.runs):
            work = case.prepare()
            gc.collect()
            begin = cpu_s()
            result = work()
            seconds.append(cpu_s() - begin)
    except ImportError as error:
        print(json.dumps({"skipped": str(error)}))
        return
    peak = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    text = result if isinstance(result, str) else ""
    print(json.dumps({"seconds": min(seconds), "peak_mib": peak / 1024, "result": text}))


def measure(name: str) -> dict[str, object]:
    """Return the least CPU time and the greatest memory over the processes of a case."""
    found: list[dict[str, object]] = []
    for _ in range(CASES[name].processes):
        command = [sys.executable, "-m", "benchmarks", "--one", name]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"failed": last}
        found.append(json.loads(done.stdout.splitlines()[-1]))
        if "skipped" in found[-1]:
            return found[-1]
    least = min(found, key=lambda one: one["seconds"])
    return {**least, "peak_mib": max(one["peak_mib"] for one in found)}


def row(case: Case, got: dict[str, object], times: dict[str, float]) -> str:
    """Return the line of the table."""
    for why in ("skipped", "failed"):
        if why in got:
            return f"| {case.step} | {why}: {got[why]} | | | | {', '.join(budgets(case))} |"
    seconds, peak = float(got["seconds"]), float(got["peak_mib"])
    ratio = seconds / times[case.beside] if case.beside in times else None
    beside = f"{ratio:.3g} x {CASES[case.beside].step}" if ratio is not None else ""
    budget = ", ".join(budgets(case, (seconds, peak * 1.048576, ratio)))
    return f"| {case.step} | {got['result']} | {seconds:.4f} | {peak:.0f} | {beside} | {budget} |"


def budgets(case: Case, got: tuple[float | None, ...] = (None, None, None)) -> list[str]:
    """Return the budgets of a case in words; `got` is CPU seconds, MB and ratio, where they are known."""
    limits = ((case.budget_s, "s"), (case.budget_mb, "MB"), (case.budget_ratio, "x"))
    words = []
    for (limit, unit), value in zip(limits, got, strict=True):
        if limit is not None:
            is_missed = value is not None and value > limit
            words.append(f"**{limit:g} {unit}: missed**" if is_missed else f"{limit:g} {unit}")
    return words


def main(asked: list[str]) -> int:
    """Print the table."""
    if asked[:1] == ["--one"]:
        one(asked[1])
        return 0
    if asked == ["--list"]:
        print("\n".join(f"{name:20} {case.step}" for name, case in CASES.items()))
        return 0
    unknown = [name for name in asked if name not in CASES]
    if unknown:
        print(f"no case {unknown[0]!r}; one of: {', '.join(CASES)}", file=sys.stderr)
        return 2
    # A ratio needs the row that it divides by.
    wanted = {*asked, *(CASES[name].beside for name in asked)} if asked else set(CASES)
    begin, times, is_sound = time.perf_counter(), {}, True
    print(HEADER)
    for name, case in CASES.items():
        if name in wanted:
            got = measure(name)
            is_sound &= "failed" not in got
            if "seconds" in got:
                times[name] = float(got["seconds"])
            print(row(case, got, times), flush=True)
    took = time.perf_counter() - begin
    python = platform.python_version()
    machine = f"{date.today()}, {os.cpu_count()} cores, Python {python}"
    print(f"\n{machine}: least CPU time and greatest memory of a few runs; {took:.0f} s in all by the clock")
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
