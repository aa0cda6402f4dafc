"""Change one line of the program at a time and see whether a test notices.

``python tools/mutants.py --seed 7 --sample 40`` draws 40 lines of ``fabric/``, changes each in one way in a
copy of the project, and runs the quick tests that are near: the doctests of the module, its own tests, those
of its folder, and those that import it. What all of them pass lives, even if another test would notice; the
share of those stands in ``docs/testing.md``. Docstrings, annotations, messages, and the limits and figures of
a module are left alone: no law says that a limit is not a bit higher.
"""

import argparse
import ast
import itertools
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 600
# Exit statuses of pytest: all passed, and no test was there to run.
LIVED = (0, 5)
# What pytest names at its end, without the parameters of a test, which may hold spaces.
FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)
IGNORED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{
        ast.Lt: ast.LtE,
        ast.LtE: ast.Lt,
        ast.Gt: ast.GtE,
        ast.GtE: ast.Gt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
    },
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}


def changes(node: ast.AST) -> Iterator[str]:
    """Yield the texts that may stand in the place of `node`."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPPED:
        swapped = SWAPPED[type(node.ops[0])]()
        yield f"({ast.unparse(ast.Compare(node.left, [swapped], node.comparators))})"  # type: ignore[list-item]
    elif isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        yield f"({ast.unparse(ast.BinOp(node.left, SWAPPED[type(node.op)](), node.right))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        yield from (f"({ast.unparse(value)})" for value in (node.values[0], node.values[-1]))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.IfExp):
        yield from (f"({ast.unparse(value)})" for value in (node.body, node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield repr(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
        *before, last = ast.unparse(node).rpartition(".")
        if last in RENAMED:
            yield "".join((*before, RENAMED[last]))
    elif isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "pass"


def left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what is never changed: annotations, the texts of messages, imports, and numbers of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns:
            yield node.returns
        elif isinstance(node, ast.ClassDef):
            yield from node.decorator_list
        elif isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
            yield node
    yield from (
        node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.If)
    )


def mutants(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, what is changed into what, and the changed text of `file`."""
    whole = file.read_bytes()
    tree = ast.parse(whole)
    kept = {id(below) for node in left_alone(tree) for below in ast.walk(node)}
    starts = [0, *itertools.accumulate(map(len, whole.splitlines(keepends=True)))]
    for node in ast.walk(tree):
        if id(node) in kept or not isinstance(node, ast.expr | ast.stmt):
            continue
        at = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
        for new in changes(node):
            told = f"{' '.join(ast.unparse(node).split())}  ->  {' '.join(new.split())}"
            yield node.lineno, told, (whole[:at] + new.encode() + whole[end:]).decode()


def near(project: Path, file: Path) -> list[str]:
    """Return the tests of `file`, likeliest first: its doctests, its own, those that name it, those beside.

    Of other folders are those that import it.
    """
    folder = project / Path("tests", *file.parts[1:-1][:1])
    beside = set(folder.rglob("test_*.py") if len(file.parts) > 2 else folder.glob("test_*.py"))
    module = ".".join(file.with_suffix("").parts)
    parent, _, stem = module.rpartition(".")
    imported = re.compile(rf"\b{re.escape(module)}\b|\bfrom {re.escape(parent)} import [^(\n]*\b{stem}\b")
    named = re.compile(rf"\b{stem}\b")
    texts = {path: path.read_text() for path in (project / "tests").rglob("test_*.py")}
    found = sorted(
        (path for path, text in texts.items() if path in beside or imported.search(text)),
        key=lambda p: (p.stem != f"test_{stem}", not named.search(texts[p]), p not in beside, p),
    )
    return [str(path) for path in (file, *(path.relative_to(project) for path in found))]


def run_tests(project: Path, tests: list[str]) -> tuple[bool, list[str]]:
    """Return whether the quick `tests` pass in a copy of the project, and the names of those that fail."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    # What a test starts in another process has to find the copy too.
    # And plugins that are installed beside pytest only make its start longer.
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False, []
    return done.returncode in LIVED, FAILED.findall(done.stdout)


def is_noticed(project: Path, file: Path, text: str) -> bool:
    """Return whether a test of `file` in a copy of the project fails while `file` holds `text`.

    Raises
    ------
    RuntimeError
        If that test fails of the unchanged file too, so that it tells nothing.
    """
    unchanged = (project / file).read_bytes()
    (project / file).write_text(text)
    passes, failed = run_tests(project, near(project, file))
    (project / file).write_bytes(unchanged)
    # Only what failed is asked again, which costs next to nothing.
    if failed and not run_tests(project, failed)[0]:
        msg = f"{', '.join(failed)} fails with nothing changed; mend it first (make test)"
        raise RuntimeError(msg)
    return not passes


def main() -> None:
    """Print every change that lives, and the share of them."""
    parser = argparse.ArgumentParser(description="Change lines one at a time; print what no test notices.")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    parser.add_argument("--sample", type=int, default=40, metavar="N", help="lines to change (40)")
    parser.add_argument("--under", default="fabric", metavar="PATH", help="file or folder to change (fabric)")
    asked = parser.parse_args()
    rng, under = random.Random(asked.seed), ROOT / asked.under
    lines: dict[tuple[Path, int], list[tuple[str, str]]] = {}
    for path in sorted(under.rglob("*.py")) if under.is_dir() else [under]:
        for line, told, text in mutants(path):
            lines.setdefault((path.relative_to(ROOT), line), []).append((told, text))
    places = rng.sample(sorted(lines), min(asked.sample, len(lines)))
    drawn = [(*place, *rng.choice(lines[place])) for place in places]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for worker in range(os.cpu_count() or 1):
            copy = Path(folder, str(worker))
            shutil.copytree(ROOT, copy, ignore=IGNORED, symlinks=True)
            free.put(copy)

        def judge(file: Path, line: int, told: str, text: str) -> str:
            project = free.get()
            try:
                verdict = "killed" if is_noticed(project, file, text) else "LIVES "
            except RuntimeError as error:
                verdict = f"untold, {error}:"
            free.put(project)
            print(f"{verdict} {file}:{line}: {told}", flush=True)
            return verdict[:6]

        n = Counter(pool.map(lambda change: judge(*change), drawn))
    n_told = n["killed"] + n["LIVES "]
    print(f"{n['LIVES ']} of {n_told} live ({n['LIVES '] / max(n_told, 1):.0%}); seed {asked.seed}")
    if n["untold"]:
        sys.exit(f"mutants: {n['untold']} of {len(drawn)} changes met a test that fails anyway")


if __name__ == "__main__":
    main()
