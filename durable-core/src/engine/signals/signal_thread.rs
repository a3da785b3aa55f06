//! The thread that receives signals, whatever the program's own threads do.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::engine::signals::{Shared, Signal};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::sync::lock;

/// How long a line of the log may hold up the thread.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

/// Starts the thread, and returns once it listens. It is never joined: it ends with the process.
///
/// # Errors
/// It cannot be started, or cannot listen.
pub(super) fn start(shared: &Arc<Shared>) -> Result<()> {
    let (listens, answer) = mpsc::channel();
    let shared = Arc::clone(shared);
    let started = std::thread::Builder::new().name("durable-signals".to_owned()).spawn(move || {
        // A runtime of its own, on this thread: the program's workers may all be blocked.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(listens.send(Err(error))),
        };
        runtime.block_on(async {
            match Arrivals::listen() {
                Ok(arrivals) => {
                    // Who called `start` waits for this.
                    let _ = listens.send(Ok(()));
                    attend(&shared, arrivals).await;
                }
                Err(error) => drop(listens.send(Err(error))),
            }
        });
    });
    let answer = started.and_then(|_| answer.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone))));
    answer.map_err(|error| {
        let message = format!("signals cannot be received: {error}; without `signals::install` they kill the process, which is safe for its workflows");
        Error::new(ErrorKind::Config, message)
    })
}

/// Counts signals and carries out what they ask for, for as long as the process lives.
async fn attend(shared: &Shared, mut arrivals: Arrivals) {
    loop {
        let deadline = lock(&shared.attended).iter().filter_map(|it| it.deadline()).min();
        let late = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = arrivals.next() => shared.arrived(signal),
            () = late => shared.look_at_the_clock(),
            () = shared.changed.notified() => {}
        }
    }
}

impl Shared {
    fn arrived(&self, signal: Signal) {
        let mut count = 0;
        let counts = self.seen.send_if_modified(|seen| {
            let counts = seen.add(signal, Instant::now());
            count = seen.count;
            counts
        });
        if !counts {
            return log_within_patience(move || {
                tracing::debug!(target: "durable::shutdown", %signal, "a signal came twice and counts once");
            });
        }
        // First what is to be done, then what is to be said of it.
        let attended = lock(&self.attended).clone();
        match count {
            1 => {
                for it in &attended {
                    it.first(signal);
                }
                log_within_patience(move || {
                    tracing::info!(target: "durable::shutdown", %signal, "a signal asks the process to end; a second one aborts what still runs, a third one exits at once");
                });
            }
            2 => {
                for it in &attended {
                    it.second(signal);
                }
                log_within_patience(move || {
                    tracing::warn!(target: "durable::shutdown", %signal, "a second signal: waits are skipped, and what still runs is aborted");
                });
            }
            _ => {
                log_within_patience(move || {
                    tracing::error!(target: "durable::shutdown", %signal, "a third signal: the process exits at once, and the next launch recovers what was running");
                });
                std::process::exit(128 + signal.number());
            }
        }
    }

    /// Ends the process if a shutdown has not come to its end in its time.
    fn look_at_the_clock(&self) {
        let late = lock(&self.attended).iter().find(|it| it.is_overdue()).cloned();
        if let Some(late) = late {
            log_within_patience(move || late.log_unfinished());
            std::process::exit(crate::engine::signals::watchdog::STUCK);
        }
    }
}

/// Logs something. Where the log blocks, because nobody reads the pipe it goes to, signals do not wait for it.
pub(super) fn log_within_patience(line: impl FnOnce() + Send + 'static) {
    let (said, heard) = mpsc::channel();
    let speaker = std::thread::Builder::new().name("durable-signals-log".to_owned()).spawn(move || {
        line();
        let _ = said.send(());
    });
    if speaker.is_ok() {
        let _ = heard.recv_timeout(LOG_PATIENCE); // in vain or not, it goes on
    }
}

/// The signals as they come.
#[cfg(unix)]
struct Arrivals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Arrivals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            // They give `None` only when the runtime ends, which is this thread's.
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

/// Other systems have Ctrl-C.
#[cfg(not(unix))]
struct Arrivals;

#[cfg(not(unix))]
impl Arrivals {
    #[allow(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await; // nothing can be heard here
        }
        Signal::Interrupt
    }
}
