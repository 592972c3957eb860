#!/usr/bin/env bash
# Run ape with its data under build/ (not in the home folder) and the pinned tools on its path.
#   scripts/ape.sh run deploy --network ethereum:local:foundry --preset local
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PWD/node_modules/.bin:$PATH"
export APE_DATA_FOLDER="${APE_DATA_FOLDER:-$PWD/build/ape}"
SOLCX_BINARY_PATH="$(python scripts/install_solc.py)"
export SOLCX_BINARY_PATH
# A first compilation leaves copies of the imported libraries among the sources, where forge would find them.
trap 'rm -rf contracts/.cache' EXIT
ape "$@"
