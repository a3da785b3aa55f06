#!/bin/sh
# What 100 annotated functions cost at compile time, beside 100 plain async functions.
#
# Makes a crate with either in a folder for temporary files, builds its dependencies, and then times
# `cargo check` and `cargo build` (dev profile) of the crate alone, five times each, and prints the
# medians in seconds.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_crate() { # name, attribute of a workflow, attribute of a step
    mkdir -p "$work/$1/src"
    cat > "$work/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.0.0"
edition = "2024"

[dependencies]
durable = { path = "$here/durable" }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["rt-multi-thread", "macros"] }

[workspace]
TOML
    {
        echo '#![allow(dead_code, unused_imports)]'
        echo 'use durable::prelude::*;'
        echo '#[derive(Clone, serde::Serialize, serde::Deserialize)]'
        echo 'pub struct Order { id: String, cents: u64 }'
        i=0
        while [ $i -lt 50 ]; do
            echo "$3"
            echo "pub async fn charge_$i(order: &Order, note: String) -> Result<u64> { Ok(order.cents + note.len() as u64) }"
            echo "$2"
            echo "pub async fn checkout_$i(order: Order, note: String) -> Result<u64> { Ok(1 + charge_$i(&order, note).await?) }"
            i=$((i + 1))
        done
        echo '#[tokio::main] async fn main() -> Result<()> {'
        echo '    let order = Order { id: "o".into(), cents: 1 };'
        i=0
        while [ $i -lt 50 ]; do
            echo "    checkout_$i(order.clone(), String::new()).await?;"
            i=$((i + 1))
        done
        echo '    Ok(()) }'
    } > "$work/$1/src/main.rs"
    cp "$here/Cargo.lock" "$work/$1/Cargo.lock"
}

median_of() { # name, command
    cd "$work/$1"
    CARGO_TARGET_DIR="$work/target" cargo "$2" -q
    for _ in 1 2 3 4 5; do
        touch src/main.rs
        before=$(date +%s%N)
        CARGO_TARGET_DIR="$work/target" CARGO_INCREMENTAL=0 cargo "$2" -q
        after=$(date +%s%N)
        echo $(((after - before) / 1000000))
    done | sort -n | sed -n 3p
}

make_crate plain "" ""
make_crate annotated "#[workflow]" "#[step(retries = 3)]"
for command in check build; do
    plain=$(median_of plain $command)
    annotated=$(median_of annotated $command)
    echo "cargo $command: 100 plain functions $plain ms, 100 annotated ones $annotated ms, $(((annotated - plain) / 100)) ms each"
done
