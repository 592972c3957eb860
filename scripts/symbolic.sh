#!/usr/bin/env bash
# Symbolic proofs of the money-critical arithmetic (tests/symbolic, halmos), then static analysis (slither).
# Their Python packages live apart from the project's: build/symbolic-venv. docs/static-analysis.md says what is
# proven, within which bounds, and why which detectors are off. `scripts/symbolic.sh ARGUMENTS` hands ARGUMENTS to
# halmos (for example: --contract FixedPointProofs).
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

pins=(halmos==0.3.3 cvc5==1.4.2 slither-analyzer==0.11.6)
environment=build/symbolic-venv

if [ "$(cat "$environment/.pins" 2>/dev/null)" != "${pins[*]}" ]; then
  .venv/bin/python -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "${pins[@]}"
  echo "${pins[*]}" > "$environment/.pins"
fi

# Both tools call the `forge` that comes first on PATH. Each has a profile, and thus output folders, of its own.
export PATH="$PWD/scripts:$PWD/$environment/bin:$PATH"

# Artefacts that another command left there may lack the syntax trees that halmos reads.
rm -rf build/symbolic build/symbolic-cache
FOUNDRY_PROFILE=symbolic halmos --forge-build-out build/symbolic --match-contract 'Proofs$' \
  --loop 64 --solver-timeout-assertion 120s "$@"
FOUNDRY_PROFILE=slither slither . --config-file slither.config.json
