"""What files of training and of serving jobs have in common: how they are read, and their JSON Schemas."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fabric.blueprint.document import Document, Loc, dotted
from fabric.blueprint.parse import word_problem
from fabric.blueprint.schema import tidy
from fabric.errors import Problem, TopologyError
from fabric.workload.models import Model, model_rows

File = TypeVar("File", bound=BaseModel)


def validated(document: Document, kind: type[File], keys: Callable[[Loc], list[str]]) -> File:
    """Return the content of a document as a file of some kind.

    Parameters
    ----------
    document : Document
    kind : type of pydantic.BaseModel
    keys : callable
        ``keys(loc)`` returns the keys that may stand where `loc` ends.

    Raises
    ------
    TopologyError
        With every problem at its line and column.
    """
    data: Any = document.data
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = [_problem(document, e, keys) for e in error.errors(include_url=False)]
        raise TopologyError(found) from None


def _problem(document: Document, error: Mapping[str, Any], keys: Callable[[Loc], list[str]]) -> Problem:
    found = word_problem(document, tuple(error["loc"]), error, keys=keys, where=lambda _, loc: dotted(loc))
    fault, _, todo = found.what.partition("; ")
    return replace(found, what=fault, todo=todo) if todo and not found.todo else found


def problem_at(document: Document, loc: Loc, fault: str, todo: str = "") -> Problem:
    """Return a problem of a document at a key."""
    mark = document.locate(loc)
    return Problem(document.path, mark.line, mark.col, dotted(loc), fault, todo=todo)


def beside(path: str | Path, fabric: str) -> str:
    """Return the path of the fabric that a job file names, which is relative to where that file is."""
    return os.fspath(Path(path).parent / fabric) if fabric else ""


def columns_of(item: BaseModel, name: str) -> dict[str, Any]:
    """Return the columns of a model as a file says them; `name` names one that has none."""
    said = {f.name: getattr(item, f.name) for f in fields(Model) if f.name != "id"}
    return said | {"name": said["name"] or name, "note": said["note"] or ""}


def schema_of(kind: type[BaseModel], name: str, shorts: Mapping[tuple[str, str], object]) -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of a kind of job file.

    Parameters
    ----------
    kind : type of pydantic.BaseModel
    name : str
        Of the file of the schema.
    shorts : mapping of (str, str) to schema
        By definition and key, what may stand there instead of what it is read as.
    """
    body = kind.model_json_schema(ref_template="#/definitions/{model}")
    definitions = body.pop("$defs")
    # A name stands for a model; pydantic knows only what it becomes.
    _or_else(body["properties"]["model"], {"enum": list(model_rows())})
    for (definition, key), short in shorts.items():
        _or_else(definitions[definition]["properties"][key], short)
    tidy(body)
    tidy(definitions)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": f"urn:fabtopo:{name}"}
    return {**head, **body, "definitions": dict(sorted(definitions.items()))}


def _or_else(node: dict[str, Any], other: object) -> None:
    """Let something else stand for what a node refers to."""
    others = node.pop("anyOf", None) or [{"$ref": node.pop("$ref")}]
    node["anyOf"] = [other, *others]


def as_text(schema: Mapping[str, Any]) -> str:
    """Return a schema as its file in the package has it."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
