"""The public face: signatures of all verbs, fields and JSON keys of all answers.

``python -m tools.public_face`` prints it; tests/public_face.txt is what was promised last, and a test holds
the one to the other, so that no change of a name or a default goes unseen.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator

import fabric
from fabric.results import Result


def face() -> str:
    """Return the public face as text, one name a paragraph."""
    return "\n".join("\n".join(_lines(name)) + "\n" for name in sorted(fabric.__all__))


def _lines(name: str) -> Iterator[str]:
    public = getattr(fabric, name)
    if inspect.isfunction(public):
        yield f"{name}("
        for parameter in inspect.signature(public).parameters.values():
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
            default = "" if parameter.default in (parameter.empty, ...) else f" = {parameter.default!r}"
            by_name = "  # by name" if parameter.kind is parameter.KEYWORD_ONLY else ""
            yield f"    {star}{parameter.name}{default}{by_name}"
        yield ")"
        return
    bases = ", ".join(base.__name__ for base in getattr(public, "__bases__", ()))
    yield f"class {name}({bases})"
    if hasattr(public, "__required_keys__"):
        yield from (f"    {key}" for key in public.__annotations__)
    if dataclasses.is_dataclass(public):
        fields = dataclasses.fields(public)
        yield from (
            f"    {f.name}{'' if f.metadata.get('json', True) else '  # not in JSON'}" for f in fields
        )
    if inspect.isclass(public) and issubclass(public, Result):
        yield from (f"    {key}  # property" for key in public.shown)


if __name__ == "__main__":
    print(face(), end="")
