"""Regenerate the Python module of nexus_chain/wire/shard.proto and its types.

python scripts/generate_proto.py            write them
python scripts/generate_proto.py --check    exit 1 when the committed ones differ
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = "nexus_chain/wire/shard.proto"
GENERATED = ("shard_pb2.py", "shard_pb2.pyi")


def generate(folder: Path) -> None:
    """Write both files below ``folder``."""
    includes = [f"-I{ROOT}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outputs = [f"--python_out={folder}", f"--pyi_out={folder}"]
    if protoc.main(["protoc", *includes, *outputs, PROTO]) != 0:
        raise SystemExit(f"protoc refused {PROTO}; its message is above")
    types = (folder / PROTO).with_name("shard_pb2.pyi")
    # protoc writes the generic Mapping bare, which mypy --strict refuses.
    types.write_text(re.sub(r"_Mapping(?=[\],])", "_Mapping[str, object]", types.read_text()))


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
