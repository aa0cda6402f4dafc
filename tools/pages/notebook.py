"""Notebooks of docs/examples, run without a kernel: cell by cell, in one namespace, as one reads them.

``python -m tools.pages.notebook [FILE...]`` runs them and puts in what they show now, the same on every
run. A cell shows what it prints, and the value of its last expression, by `_repr_html_` where it has one.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from fabric.text.writing import write_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/examples"

Cell = dict[str, Any]
"""A cell of the notebook format, version 4."""


def notebooks() -> list[Path]:
    """Return the notebooks of the manual."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(text: str, name: str) -> str:
    """Return a notebook with the outputs of its cells as they are now.

    Parameters
    ----------
    text : str
        The notebook, as JSON.
    name : str
        What tracebacks call it.
    """
    found = json.loads(text)
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in found["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = _outputs("".join(cell["source"]), f"{name}, cell {count}", names, count)
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _outputs(source: str, name: str, names: dict[str, Any], count: int) -> list[Cell]:
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with contextlib.redirect_stdout(io.StringIO()) as told:
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    outputs: list[Cell] = []
    if told.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(told.getvalue())})
    if value is not None:
        html = getattr(value, "_repr_html_", None)
        data = {"text/html": _lines(html())} if html else {}
        shown = repr(value) if isinstance(value, str) else str(value)
        outputs.append(
            {
                "data": {**data, "text/plain": _lines(shown)},
                "execution_count": count,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    """Renew the notebooks, all of them unless some are named."""
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else notebooks():
        write_file(path, executed(path.read_text(encoding="utf-8"), path.name), force=True)


if __name__ == "__main__":
    main()
