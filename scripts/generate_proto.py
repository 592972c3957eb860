"""Regenerate the Python modules of node/proto/shard.proto, and the stub grpcio-tools does not write.

python scripts/generate_proto.py            write them
python scripts/generate_proto.py --check    exit 1 when the committed ones differ
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet, ServiceDescriptorProto
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = "node/proto/shard.proto"
GENERATED = ("shard_pb2.py", "shard_pb2.pyi", "shard_pb2_grpc.py", "shard_pb2_grpc.pyi")
STUB_HEADER = '''"""Types of shard_pb2_grpc; written by scripts/generate_proto.py."""

from collections.abc import Iterator

import grpc

from node.proto import shard_pb2

'''


def generate(folder: Path) -> None:
    """Write all four modules below ``folder``."""
    descriptors = folder / "descriptors.bin"
    includes = [f"-I{ROOT}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outputs = [f"--python_out={folder}", f"--pyi_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *includes, *outputs, f"--descriptor_set_out={descriptors}", PROTO]) != 0:
        raise SystemExit(f"protoc refused {PROTO}; its message is above")
    files = FileDescriptorSet.FromString(descriptors.read_bytes())
    descriptors.unlink()
    types = (folder / PROTO).with_name("shard_pb2.pyi")
    # protoc writes the generic Mapping bare, which mypy --strict refuses.
    types.write_text(re.sub(r"_Mapping(?=[\],])", "_Mapping[str, object]", types.read_text()))
    stub = STUB_HEADER + "\n".join(service_stub(service) for service in files.file[0].service)
    (folder / PROTO).with_name("shard_pb2_grpc.pyi").write_text(stub)


def service_stub(service: ServiceDescriptorProto) -> str:
    """Stub text of the client class, the base class of servicers and the registration function."""
    client, servicer = [], []
    for method in service.method:
        request, reply = (f"shard_pb2.{kind.rsplit('.', 1)[-1]}" for kind in (method.input_type, method.output_type))
        shape = ("Stream" if method.client_streaming else "Unary") + ("Stream" if method.server_streaming else "Unary")
        client.append(f"    {method.name}: grpc.{shape}MultiCallable[{request}, {reply}]")
        taken = f"Iterator[{request}]" if method.client_streaming else request
        given = f"Iterator[{reply}]" if method.server_streaming else reply
        name = "request_iterator" if method.client_streaming else "request"
        servicer.append(f"    def {method.name}(self, {name}: {taken}, context: grpc.ServicerContext) -> {given}: ...")
    lines = [f"class {service.name}Stub:", "    def __init__(self, channel: grpc.Channel) -> None: ...", *client]
    lines += ["", f"class {service.name}Servicer:", *servicer, ""]
    arguments = f"servicer: {service.name}Servicer, server: grpc.Server"
    lines += [f"def add_{service.name}Servicer_to_server({arguments}) -> None: ..."]
    return "\n".join(lines) + "\n"


def main() -> int:
    if "--check" not in sys.argv[1:]:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        stale = [
            name
            for name in GENERATED
            if (Path(scratch) / PROTO).with_name(name).read_bytes() != (ROOT / PROTO).with_name(name).read_bytes()
        ]
    if stale:
        print(f"{', '.join(stale)} not current: run python scripts/generate_proto.py and commit", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
