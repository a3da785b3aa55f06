//! Signals and limits for processes, by system calls: a minimal system has no `kill`, `pgrep` or `ps`.

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit, kill_process, prlimit};

fn pid(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).expect("it is the id of a process")
}

/// Sends a signal to a process, which has to exist.
pub(crate) fn send_signal(process: u32, signal: Signal) {
    let sent = kill_process(pid(process), signal);
    sent.unwrap_or_else(|error| panic!("{signal:?} cannot be sent to process {process}: {error}"));
}

/// The children of a process. None where it has ended.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("this is Linux").flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else { continue };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default(); // it may have ended
        let parent = status.lines().find_map(|it| it.strip_prefix("PPid:"));
        if parent.is_some_and(|it| it.trim().parse() == Ok(process)) {
            found.push(id);
        }
    }
    found
}

/// Stops a process and its children where they are, or continues them. A connection to one of them stays
/// open, gets no answer and no error.
pub(crate) fn set_frozen(process: u32, frozen: bool) {
    let signal = if frozen { Signal::STOP } else { Signal::CONT };
    send_signal(process, signal);
    for child in children(process) {
        let _ = kill_process(pid(child), signal); // it may have ended since it was listed
    }
}

/// Takes away the soft limit on the size of the files that a process writes.
pub(crate) fn lift_file_size_limit(process: u32) {
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(Some(pid(process)), Resource::Fsize, unlimited).expect("the hard limit was left unlimited");
}
