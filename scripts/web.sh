#!/usr/bin/env bash
# The page (node/web): what it is built from, and its checks.
#   scripts/web.sh setup    its packages, in node/web/node_modules (idempotent)
#   scripts/web.sh build    node/web/dist, which the gateway serves and the wheel holds
#   scripts/web.sh check    types, format, unit tests; and that node/web/dist is what the sources are built to
#   scripts/web.sh browsers whether there are browsers for the tests; a root of Debian gets them installed
#   scripts/web.sh browser  the tests in real browsers, against a local network
#   scripts/web.sh pictures docs/pictures: every page in both themes and three widths
set -euo pipefail
cd "$(dirname "$0")/../node/web"

fail() { printf 'web: %s\n' "$1" >&2; exit 1; }

setup() {
  local wanted stamp=node_modules/.setup-stamp
  wanted=$(cat package.json package-lock.json | sha256sum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
  npm install --no-save --no-audit --no-fund --loglevel=error >/dev/null ||
    fail "the page's packages could not be installed; the message is above. Check the network and run this again"
  echo "$wanted" > "$stamp"
}

build() {
  npx vite build --logLevel warn --outDir "${1:-dist}" --emptyOutDir
}

check() {
  npx tsc --noEmit
  npx prettier --check --log-level warn .
  npx vitest run
  built=$(mktemp -d) # for the trap, too
  trap 'rm -rf "$built"' EXIT
  build "$built"
  diff -r "$built" dist >/dev/null || fail "node/web/dist is not what its sources are built to. Build it: make web"
}

# find_browser SETTING PATH PACKAGE: what the tests drive; root of a Debian machine gets it installed.
find_browser() {
  [ -x "${!1:-$2}" ] && return
  [ -z "${!1:-}" ] || fail "$1 says ${!1}, and there is no program. Set it right, or unset it"
  [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
    fail "the tests need $2. Install it (Debian: apt install $3), or set $1=/path/to/it"
  echo "web: installing $3, once" >&2
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$3"; } \
    >/dev/null || fail "$3 could not be installed; the message is above. Install it, or set $1=/path/to/it"
}

find_chromium() { find_browser NEXUS_CHROMIUM /usr/bin/chromium chromium; }
find_firefox() { find_browser NEXUS_FIREFOX /usr/bin/firefox-esr firefox-esr; }

[ "${1:-}" != browsers ] || { find_chromium; find_firefox; exit; }
setup
case "${1:-}" in
  setup) ;;
  build) build ;;
  check) check ;;
  browser) find_chromium; find_firefox; shift; npx playwright test "$@" ;;
  pictures) find_chromium; npx playwright test --config playwright.pictures.config.ts ;;
  *) fail "say setup, build, check, browsers, browser or pictures" ;;
esac
