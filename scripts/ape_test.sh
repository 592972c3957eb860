#!/usr/bin/env bash
# Contract tests through ape, on an Anvil that ape starts on a free loopback port.
set -euo pipefail
cd "$(dirname "$0")/.."
export NEXUS_APE_TESTS=1 # tests/ape is collected by ape only
# ape imports itself before pytest can rewrite its asserts; warnings are errors otherwise.
exec scripts/ape.sh test tests/ape --network ethereum:local:foundry -W ignore::pytest.PytestAssertRewriteWarning "$@"
