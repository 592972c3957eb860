#!/usr/bin/env bash
# Tests of the gateway and of the memory of distillation on a PostgreSQL server: the one that NEXUS_TEST_POSTGRES names (a URL whose user may create
# databases), or Debian's, started here in a temporary folder and stopped in the end.
set -euo pipefail

if [[ -n "${NEXUS_TEST_POSTGRES:-}" ]]; then
    exec python -m pytest tests/gateway/ledger tests/gateway/access tests/distillation/memory "$@"
fi

programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
if [[ -z "$programs" ]]; then
    echo "test_postgres: there is no PostgreSQL. Install it (apt-get install postgresql), or set NEXUS_TEST_POSTGRES." >&2
    exit 1
fi

folder=$(mktemp -d)
# PostgreSQL refuses to run as root.
as=()
if [[ $(id -u) -eq 0 ]]; then
    owner=$(id -un postgres 2>/dev/null || echo nobody)
    as=(setpriv --reuid "$owner" --regid "$(id -gn "$owner")" --clear-groups)
    chown "$owner" "$folder"
fi
stop() {
    "${as[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --mode immediate --silent stop || true
    rm -rf "$folder"
}
trap stop EXIT

"${as[@]}" "$programs/initdb" --pgdata "$folder/data" --username nexus --auth trust --no-locale --encoding UTF8 >/dev/null
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --log "$folder/log" --wait --silent \
    --options "-h 127.0.0.1 -p $port -k $folder" start
NEXUS_TEST_POSTGRES="postgresql://nexus@127.0.0.1:$port/postgres" python -m pytest tests/gateway/ledger tests/gateway/access tests/distillation/memory "$@"
