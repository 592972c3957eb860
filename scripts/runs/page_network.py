"""A local network for the tests of the page: says where it is, and stays up until its standard input ends.

    python -m scripts.runs.page_network [--model python-stdlib] [FOLDER]

Prints one line of JSON: ``address``, ``key``, ``rpc``, ``home`` and ``folder``. Everything is in FOLDER, else in a
temporary folder that goes with it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from nexus_chain.errors import NexusError
from scripts.runs.demo_network import DemoError
from scripts.runs.network_up import network_up

MODEL = "python-stdlib"


def main() -> int:
    """Serve until the input ends; returns 1 where the network does not start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("folder", nargs="?", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexus-page-") as temporary:
        try:
            with network_up(wanted.folder or Path(temporary), [wanted.model]) as network:
                said = {"address": network.address, "key": network.key, "rpc": network.rpc}
                print(json.dumps({**said, "home": str(network.home), "folder": str(network.folder)}), flush=True)
                sys.stdin.read()
        except (DemoError, NexusError) as error:
            print(f"page_network failed: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
