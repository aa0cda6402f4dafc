"""The public face as docs/api.md, from its signatures and docstrings.

``python -m tools.pages.api -o PATH`` writes it; docstrings are numpydoc, which ruff holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_type_hints

import fabric
from fabric.results import Result
from fabric.text.markdown import code, escape
from fabric.text.writing import write_file

CHAPTERS = {
    "graph": "Fabrics",
    "flow": "Flows and rates",
    "bounds": "What no algorithm can beat",
    "costing": "What a collective costs",
    "job": "Ranks",
    "schedule": "Ranks",
    "workload": "Jobs and models",
    "study": "Many questions at once",
    "sizing": "From a size to a file, from a file to a bill",
    "parts": "The catalogue",
    "interop": "Other tools",
    "reporting": "Reports",
    "results": "What every answer can",
    "errors": "Errors",
}
"""Chapter of the names of each package, in this order; a package that is not here has its own name."""

_INTRO = """# The library

Generated from signatures and docstrings by `make reports`. `import fabric`, then `fabric.NAME`; a name is
loaded when it is first used. Answers are frozen and print well, here, in a terminal and in a notebook
([what every answer can](#what-every-answer-can)). Fields of answers are keys of `--json` too
([the command line](cli.md)).
"""
_HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
_CODE = re.compile(r"``?[^`]+``?")


class Section(NamedTuple):
    """A section of a numpydoc docstring; the first has no title."""

    title: str
    text: str


def page() -> str:
    """Return the page."""
    chapters: dict[str, list[str]] = {title: [] for title in CHAPTERS.values()}
    for name in fabric.__all__:
        package = getattr(fabric, name).__module__.split(".")[1]
        chapters.setdefault(CHAPTERS.get(package, package), []).append(name)
    blocks = [_INTRO, *_contents({title: names for title, names in chapters.items() if names})]
    for title, names in chapters.items():
        if names:
            blocks.append(f"## {title}\n")
            # Verbs before what they return.
            for name in sorted(names, key=lambda name: (inspect.isclass(getattr(fabric, name)), name)):
                blocks += _entry(name)
    return "\n".join(blocks)


def _contents(chapters: dict[str, list[str]]) -> Iterator[str]:
    for title, names in chapters.items():
        verbs = [f"[{name}](#{name.lower()})" for name in sorted(names) if name.islower()]
        if verbs:
            yield f"- {title}: {', '.join(verbs)}"
    yield ""


def _entry(name: str) -> Iterator[str]:
    public = getattr(fabric, name)
    # A verb and a class may differ in the case of one letter, but anchors have none.
    yield f"### {name}{' (class)' if inspect.isclass(public) and name.lower() in fabric.__all__ else ''}\n"
    if inspect.isfunction(public):
        yield f"```python\nfabric.{name}({', '.join(_parameters(inspect.signature(public)))})\n```\n"
    elif hasattr(public, "__required_keys__"):
        keys = (f"{code(key)}: {escape(str(kind))}" for key, kind in get_type_hints(public).items())
        yield f"Keyword arguments: {', '.join(keys)}.\n"
    for section in sections(inspect.getdoc(public) or ""):
        yield from _told(section)
    if inspect.isclass(public):
        yield from _members(public)


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    is_starred = False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not is_starred:
            is_starred = True
            yield "*"
        is_starred = is_starred or one.kind is one.VAR_POSITIONAL
        star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        default = "" if one.default is one.empty else f"={one.default!r}"
        yield f"{star}{one.name}{default}"


def _members(public: type) -> Iterator[str]:
    """Yield fields that no docstring tells of, and public methods in a line each."""
    told = inspect.getdoc(public) or ""
    if dataclasses.is_dataclass(public):
        left = [f.name for f in dataclasses.fields(public) if not re.search(rf"\b{f.name}\b", told)]
        if left:
            yield f"Fields: {', '.join(map(code, left))}.\n"
    own = {
        name: member
        for base in reversed(public.__mro__[:-1])
        if base.__module__.startswith("fabric.") and (base is not Result or public is Result)
        for name, member in vars(base).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod))
    }
    for name, member in sorted(own.items()):
        call = "" if isinstance(member, property) else "()"
        about = (inspect.getdoc(member) or "").partition("\n")[0]
        yield f"- {code(name + call)}: {prose(about)}"
    if own:
        yield ""


def sections(docstring: str) -> list[Section]:
    r"""Return the sections of a docstring.

    Examples
    --------
    >>> sections("Do it.\n\nParameters\n----------\nx : int\n    How often.\n")
    [Section(title='', text='Do it.'), Section(title='Parameters', text='x : int\n    How often.')]
    """
    parts = _HEADING.split(docstring)
    titled = zip(["", *parts[1::2]], parts[::2], strict=True)
    return [Section(title, text.strip("\n")) for title, text in titled]


def _told(section: Section) -> Iterator[str]:
    if section.title == "Examples":
        yield f"```python\n{section.text}\n```\n"
        return
    if section.title:
        yield f"**{section.title}**\n"
    if section.title in ("Parameters", "Returns", "Yields", "Raises", "Attributes"):
        yield from _items(section.text)
        return
    for paragraph in re.split(r"\n{2,}", section.text):
        is_drawing = any(line.startswith("    ") for line in paragraph.split("\n"))
        yield f"```text\n{paragraph}\n```\n" if is_drawing else f"{prose(paragraph)}\n"


def _items(text: str) -> Iterator[str]:
    """Yield the entries of a list of parameters, or of what is returned, as bullets."""
    for item in re.split(r"\n(?=\S)", text):
        head, _, about = item.partition("\n")
        name, colon, kind = head.partition(" : ")
        label = f"{code(name)}: {prose(kind)}" if colon else code(name)
        told = prose(" ".join(about.split()))
        between = (". " if colon else ": ") if told else ""
        yield f"- {label}{between}{told}"
    yield ""


def prose(text: str) -> str:
    r"""Return words of a docstring as Markdown: code stays code, all else is shown as it is written.

    Examples
    --------
    >>> print(prose("the ``rate`` of a < b"))
    the `rate` of a \< b
    """
    parts, at = [], 0
    line = " ".join(text.split())
    for found in _CODE.finditer(line):
        parts += [_escaped(line[at : found.start()]), code(found[0].strip("`"))]
        at = found.end()
    return "".join([*parts, _escaped(line[at:])])


def _escaped(text: str) -> str:
    before = " " if text.startswith(" ") else ""
    after = " " if text.endswith(" ") and text.strip() else ""
    return f"{before}{escape(text)}{after}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    write_file(parser.parse_args().out, page(), force=True)


if __name__ == "__main__":
    main()
