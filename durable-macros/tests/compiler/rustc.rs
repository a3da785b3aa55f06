//! The compiler with the libraries that this test was compiled with, so that no dependency is built for these programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command line of the compiler that compiled this test.
const ARGUMENTS: &[&str] = rustc_args::rustc_args!();

pub(crate) struct Rustc {
    program: &'static str,
    arguments: Vec<String>,
    output: PathBuf,
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the workspace")
}

pub(crate) struct Compiled {
    pub(crate) success: bool,
    pub(crate) stderr: String,
}

impl Rustc {
    /// A compiler for programs of `edition` that know the crate `durable` by `name`.
    pub(crate) fn of_this_test(edition: &str, name: &str) -> Self {
        let mut arguments = vec![format!("--edition={edition}")];
        for (flag, value) in ARGUMENTS.iter().zip(ARGUMENTS.iter().skip(1)) {
            match *flag {
                "--extern" if value.starts_with("durable=") => {
                    arguments.extend(["--extern".to_owned(), value.replacen("durable", name, 1)]);
                }
                "--extern" | "-L" => arguments.extend([(*flag).to_owned(), (*value).to_owned()]),
                _ => {}
            }
        }
        // Only messages about the attributes: a case may leave functions unused.
        arguments.extend(["-Adead_code", "--diagnostic-width=140", "--color=never"].map(str::to_owned));
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compiler-{edition}"));
        fs::create_dir_all(&output).expect("Cargo makes this directory for tests");
        Self { program: ARGUMENTS[0], arguments, output }
    }

    /// Generates the docs of a library, and returns the directory that they are in.
    pub(crate) fn document(&self, source: &Path) -> PathBuf {
        let mut command = Command::new(Path::new(self.program).with_file_name("rustdoc"));
        command.args(self.arguments.iter().filter(|it| !it.starts_with("--diagnostic-width")));
        command.arg("--out-dir").arg(&self.output).arg(Path::new("durable-macros").join(source));
        let output = command.current_dir(workspace()).output().expect("rustdoc is beside the compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.output.join(source.file_stem().expect("a source has a name"))
    }

    /// Checks a program without generating code, as `cargo check` does. The path of its source is relative to this crate.
    pub(crate) fn compile(&self, source: &Path, test_harness: bool) -> Compiled {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).arg("--emit=metadata").arg("--out-dir").arg(&self.output);
        command.arg(Path::new("durable-macros").join(source));
        command.args(if test_harness { ["--test"].as_slice() } else { ["--crate-type=bin"].as_slice() });
        // The paths of the workspace's files are relative to its root, and the compiler quotes from those that it finds.
        let output = command.current_dir(workspace()).output().expect("the compiler that compiled this test runs");
        Compiled { success: output.status.success(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}
