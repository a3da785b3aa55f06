//! The targets of the fuzzer (`fuzz/`) on its corpus, and on random changes of it.

use std::path::PathBuf;

use durable_core::fuzz_targets::{TARGETS, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The inputs of a target that are kept.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|it| it.expect("the folder can be read").path()).collect();
    paths.sort();
    paths.iter().map(|it| std::fs::read(it).expect("the file can be read")).collect()
}

#[test]
fn each_target_of_the_fuzzer_holds_on_its_corpus() {
    for (target, _) in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{target} has no corpus");
        for input in &corpus {
            run(target, input);
        }
    }
}

#[test]
fn each_target_of_the_fuzzer_holds_on_changes_of_its_corpus() {
    for (target, _) in TARGETS {
        let corpus = corpus(target);
        let edit = (any::<prop::sample::Index>(), 0_usize..6, prop::collection::vec(any::<u8>(), 0..6));
        let piece = (0..corpus.len(), any::<prop::sample::Index>(), 0_usize..40);
        let input = (0..corpus.len(), prop::collection::vec(edit, 0..5), prop::option::of(piece)).prop_map(
            |(at, edits, piece)| {
                let mut input = corpus[at].clone();
                for (from, length, bytes) in edits {
                    let from = from.index(input.len() + 1);
                    let to = (from + length).min(input.len());
                    input.splice(from..to, bytes);
                }
                if let Some((other, from, length)) = piece {
                    // A part of another input, as crossing over does.
                    let from = from.index(corpus[other].len() + 1);
                    input.extend_from_slice(&corpus[other][from..(from + length).min(corpus[other].len())]);
                }
                input
            },
        );
        let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
        TestRunner::new(config)
            .run(&input, |input| {
                run(target, &input);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{target}: {error}"));
    }
}
