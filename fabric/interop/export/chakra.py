"""Chakra execution traces: what one NPU computes and sends, node by node, for MLCommons and ASTRA-sim.

A file is a row of messages, each after its length: GlobalMetadata, then Nodes (mlcommons/chakra,
schema/protobuf/et_def.proto at 6dc63e1). The messages are described here, as far as a trace of ours needs
them: no package of PyPI has them, and code that protoc generates is tied to one release of protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from fabric.errors import ExtraError

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto

SCHEMA = "0.0.4"
NodeKind = Literal["compute", "send", "receive", "collective"]
_KINDS: dict[NodeKind, int] = {"compute": 4, "send": 5, "receive": 6, "collective": 7}
COLLECTIVES = {
    "all-reduce": 0, "reduce": 1, "all-gather": 2, "gather": 3, "scatter": 4, "broadcast": 5, "all-to-all": 6,
    "reduce-scatter": 7,
}  # fmt: skip
"""CollectiveCommType of the schema."""


@dataclass(frozen=True, slots=True)
class TraceNode:
    """One node of a trace; its number is its place, from 0.

    Parameters
    ----------
    name, kind : str
    after : tuple of int
        Nodes whose results it needs.
    duration_us : int
        Of compute [us].
    collective : str
    size_bytes : int
        As ASTRA-sim has it: of an all-gather the part of one rank, else as nccl-tests counts.
    group : int
        Communicator; 0 for all NPUs.
    peer, tag : int
        The other NPU of a message, and what tells messages of the two apart.
    """

    name: str
    kind: NodeKind
    after: tuple[int, ...] = ()
    duration_us: int = 0
    collective: str = ""
    size_bytes: int = 0
    group: int = 0
    peer: int = 0
    tag: int = 0


def encode(nodes: Iterable[TraceNode], npu: int) -> bytes:
    """Return the trace of one NPU.

    Raises
    ------
    ExtraError
        If protobuf is not installed.
    """
    types = _messages()
    return b"".join(_delimited(message) for message in _all(types, nodes, npu))


def _all(types: dict[str, Any], nodes: Iterable[TraceNode], npu: int) -> Iterator[bytes]:
    yield types["GlobalMetadata"](version=SCHEMA).SerializeToString(deterministic=True)
    for number, node in enumerate(nodes):
        message = types["Node"](
            id=number,
            name=node.name,
            type=_KINDS[node.kind],
            data_deps=node.after,
            duration_micros=node.duration_us,
        )
        for name, field, value in _attributes(node, npu):
            message.attr.add(name=name, **{field: value})
        yield message.SerializeToString(deterministic=True)


def _attributes(node: TraceNode, npu: int) -> Iterator[tuple[str, str, object]]:
    """Yield names, fields and values, by the types that Chakra's own generator and ASTRA-sim use."""
    yield "is_cpu_op", "bool_val", False
    if node.kind == "collective":
        yield "comm_type", "int64_val", COLLECTIVES[node.collective]
        if node.group:
            yield "pg_name", "string_val", str(node.group)
    if node.kind in ("send", "receive"):
        ends = (npu, node.peer) if node.kind == "send" else (node.peer, npu)
        yield "comm_src", "uint32_val", ends[0]
        yield "comm_dst", "uint32_val", ends[1]
        yield "comm_tag", "uint32_val", node.tag
    if node.kind != "compute":
        yield "comm_size", "uint64_val", node.size_bytes


def _delimited(message: bytes) -> bytes:
    """Return a message after its length as a varint."""
    size, left = bytearray(), len(message)
    while left >= 0x80:
        size.append(left & 0x7F | 0x80)
        left >>= 7
    size.append(left)
    return bytes(size) + message


@cache
def _messages() -> dict[str, Any]:
    """Return the classes of the messages, made of their descriptions."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        msg = "chakra needs protobuf: pip install 'fabtopo[chakra]'"
        raise ExtraError(msg) from None
    file = descriptor_pb2.FileDescriptorProto(name="et_def.proto", package="ChakraProtoMsg", syntax="proto3")
    attribute = file.message_type.add(name="AttributeProto")
    _fields(attribute, {"name": (1, "string"), "doc_string": (2, "string")})
    attribute.oneof_decl.add(name="value")
    values = {"int64": 9, "uint32": 11, "uint64": 13, "bool": 27, "string": 29}
    _fields(attribute, {f"{kind}_val": (number, kind) for kind, number in values.items()})
    for field in list(attribute.field)[2:]:
        field.oneof_index = 0
    metadata = file.message_type.add(name="GlobalMetadata")
    _fields(metadata, {"version": (1, "string")})
    node = file.message_type.add(name="Node")
    # An enum of proto3 is a number on the wire.
    _fields(node, {"id": (1, "uint64"), "name": (2, "string"), "type": (3, "int32")})
    _fields(node, {"ctrl_deps": (4, "uint64"), "data_deps": (5, "uint64")}, is_list=True)
    _fields(node, {"start_time_micros": (6, "uint64"), "duration_micros": (7, "uint64")})
    for message in (metadata, node):
        field = message.field.add(name="attr", number=2 if message is metadata else 10, label=3, type=11)
        field.type_name = ".ChakraProtoMsg.AttributeProto"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call,unused-ignore]
    names = ("GlobalMetadata", "Node")
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ChakraProtoMsg.{name}"))
        for name in names
    }


# Types of fields as descriptor.proto numbers them.
_TYPES = {"int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "uint32": 13}


def _fields(message: DescriptorProto, fields: dict[str, tuple[int, str]], *, is_list: bool = False) -> None:
    for name, (number, kind) in fields.items():
        message.field.add(name=name, number=number, type=_TYPES[kind], label=3 if is_list else 1)
