#!/usr/bin/env bash
# Set up everything the Makefile's targets need: a virtual environment and the pinned chain tools.
# Idempotent: a stamp holds the hash of what was installed; an unchanged tree returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

supported_python() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 && supported_python "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11 or 3.12 is needed and was not found; install it (Debian: apt install python3.11 python3.11-venv) or set PYTHON=/path/to/python3.11"
}

check_node() {
  command -v node >/dev/null 2>&1 || fail "Node.js 20 or newer is needed and was not found; install it from nodejs.org or your package manager"
  command -v npm >/dev/null 2>&1 || fail "npm is needed and was not found; install it together with Node.js 20 or newer"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || fail "Node.js 20 or newer is needed and $(node --version) was found; upgrade it"
}

python=$(find_python)
check_node

wanted=$(cat pyproject.toml constraints.txt package.json package-lock.json scripts/setup.sh |
  "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
stamp=.venv/.setup-stamp
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -d node_modules/@foundry-rs ]; then
  exit 0
fi

# Say what happens, a dot every two seconds, and how long it took: run_step NAME COMMAND [ARGUMENT]...
run_step() {
  local name=$1 began=$SECONDS job
  shift
  printf 'setup: %s ' "$name" >&2
  "$@" &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    [ $(((SECONDS - began) % 2)) -ne 0 ] || [ "$SECONDS" = "${dotted:-}" ] || { printf . >&2; dotted=$SECONDS; }
  done
  wait "$job" || fail "this step failed; its message is above. Check the network and run this again"
  printf ' %s s\n' $((SECONDS - began)) >&2
}

# One resolver call with every pin: separate calls would let one package break another's pins.
install_packages() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable '.[chain,curriculum,dev,distillation]' 2> >(grep -v '^WARNING: Location' >&2)
}

# Not `npm ci`: the lock holds the binaries of the platform it was made on, and ci refuses a lock without the
# others. This installs what the lock holds, by its hashes, and the exact versions of package.json elsewhere.
install_chain_tools() {
  npm install --no-save --no-audit --no-fund --loglevel=error >/dev/null
}

fetch_native_solc() {
  .venv/bin/python -m scripts.native_solc
}

echo "setup: once, about two minutes" >&2
supported_python .venv/bin/python || run_step 'virtual environment in .venv' "$python" -m venv --clear .venv
run_step 'Python packages in .venv' install_packages
run_step 'chain tools in node_modules' install_chain_tools
run_step 'native solc' fetch_native_solc
echo "$wanted" > "$stamp"
