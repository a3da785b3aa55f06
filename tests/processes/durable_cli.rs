//! The command line, as `durable/src/bin/durable.rs` has it. Tests run it.

fn main() -> std::process::ExitCode {
    durable::cli::main()
}
