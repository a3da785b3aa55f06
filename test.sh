#!/bin/sh
# Runs every test, those on Postgres included, on a machine that has Rust and nothing else.
#
# The tests use the server that DURABLE_TEST_POSTGRES_URL names. Without it they start a throw-away
# server of their own on loopback from the Postgres programs they find; where there are none, this
# script installs the system's package first. Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")"

have_postgres() {
    [ -n "${DURABLE_TEST_POSTGRES_URL:-}" ] && return 0
    for initdb in /usr/lib/postgresql/*/bin/initdb; do [ -x "$initdb" ] && return 0; done
    command -v initdb >/dev/null 2>&1
}

installed=no
as_root() {
    installed=yes
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

have_pgbouncer() {
    command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ]
}

if ! have_postgres && command -v apt-get >/dev/null 2>&1; then
    echo "No Postgres found: installing the system's package postgresql (it is used for tests only)."
    # The package would start a server of its own at once; the tests need only the programs.
    as_root mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
fi
if ! have_pgbouncer && command -v apt-get >/dev/null 2>&1; then
    echo "No PgBouncer found: installing the system's package pgbouncer (it is used for tests only)."
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q || true # without it its tests show as ignored
    # The package would start a service of its own; the tests need only the program.
    if [ -e /usr/sbin/policy-rc.d ]; then made_policy=no; else made_policy=yes; fi
    if [ $made_policy = yes ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null || true
        as_root chmod +x /usr/sbin/policy-rc.d || true
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends pgbouncer || true
    if [ $made_policy = yes ]; then as_root rm -f /usr/sbin/policy-rc.d || true; fi
fi
have_chromium() {
    command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1
}

if ! have_chromium && command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium found: installing the system's packages chromium and chromium-driver (they are used for tests only)."
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q || true # without it its tests show as ignored
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium chromium-driver || true
fi
# What is installed is older than the last build, so Cargo would not look for it again.
[ "$installed" = no ] || touch tests/support/build.rs
have_chromium || echo "No Chromium found and no way to install it: the tests of the dashboard in a browser will show as ignored." >&2
have_pgbouncer || echo "No PgBouncer found and no way to install it: the tests behind it will show as ignored." >&2
have_postgres || echo "No Postgres found and no way to install it: the tests on Postgres will show as ignored." >&2
command -v cc >/dev/null 2>&1 || echo "A C compiler is needed for SQLite: install gcc." >&2

# Most tests wait for a database, another process or a browser and not for a processor, so twice as many run at a time.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc 2>/dev/null || echo 1) * 2))}"
exec cargo test --workspace "$@"
