//! The command line. `cargo install --path durable --features cli` installs it as `durable`.

fn main() -> std::process::ExitCode {
    durable::cli::main()
}
