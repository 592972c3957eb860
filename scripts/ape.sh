#!/usr/bin/env bash
# Run ape with its data under build/ (not in the home folder) and the pinned tools on its path.
#   scripts/ape.sh run deploy --network ethereum:local:foundry --preset local
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PWD/node_modules/.bin:$PATH"
export APE_DATA_FOLDER="${APE_DATA_FOLDER:-$PWD/build/ape}"
exec ape "$@"
