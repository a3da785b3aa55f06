//! The thread that receives signals, whatever the program's own threads do.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::engine::signals::signal_guard::STUCK_EXIT_CODE;
use crate::engine::signals::{Signal, SignalState};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::sync::lock;

/// How long one log line may block the thread.
const LOG_TIMEOUT: Duration = Duration::from_millis(200);

/// Starts the thread, and returns once it receives signals. It is never joined: it ends with the process.
///
/// # Errors
/// The thread cannot be started, or the operating system refuses the signals.
pub(super) fn start(state: &Arc<SignalState>) -> Result<()> {
    let (ready, is_ready) = mpsc::channel();
    let state = Arc::clone(state);
    let started = std::thread::Builder::new().name("durable-signals".to_owned()).spawn(move || {
        // A runtime on this thread: all workers of the program's runtime may be blocked.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match SignalStream::new() {
                Ok(signals) => {
                    let _ = ready.send(Ok(())); // `start` waits for this
                    handle_signals(&state, signals).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    });
    let result = started.and_then(|_| is_ready.recv().unwrap_or_else(|dropped| Err(std::io::Error::other(dropped))));
    result.map_err(|error| {
        let message = format!("signals cannot be received: {error}; without `signals::install` they kill the process, which is safe for its workflows");
        Error::new(ErrorKind::Config, message)
    })
}

/// Counts signals and acts on them, until the process ends.
async fn handle_signals(state: &SignalState, mut signals: SignalStream) {
    loop {
        let deadline = lock(&state.engines).iter().filter_map(|it| it.deadline()).min();
        let watchdog = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = signals.next() => state.on_signal(signal),
            () = watchdog => state.exit_if_overdue(),
            () = state.changed.notified() => {}
        }
    }
}

impl SignalState {
    fn on_signal(&self, signal: Signal) {
        let mut count = 0;
        let counts = self.received.send_if_modified(|received| {
            let counts = received.add(signal, Instant::now());
            count = received.count;
            counts
        });
        if !counts {
            return log_with_timeout(move || {
                tracing::debug!(target: "durable::shutdown", %signal, "ignored a duplicate signal");
            });
        }
        // Acts first and logs then: the log may block.
        let engines = lock(&self.engines).clone();
        match count {
            1 => {
                for it in &engines {
                    it.first(signal);
                }
                log_with_timeout(move || {
                    tracing::info!(target: "durable::shutdown", %signal, "received a first signal: shutting down; a second one aborts what still runs, a third one exits at once");
                });
            }
            2 => {
                for it in &engines {
                    it.second(signal);
                }
                log_with_timeout(move || {
                    tracing::warn!(target: "durable::shutdown", %signal, "received a second signal: waits are skipped, and what still runs is aborted");
                });
            }
            _ => {
                log_with_timeout(move || {
                    tracing::error!(target: "durable::shutdown", %signal, "received a third signal: the process exits at once, and the next launch recovers the unfinished workflows");
                });
                std::process::exit(128 + signal.number());
            }
        }
    }

    /// Ends the process if an engine's shutdown is overdue.
    fn exit_if_overdue(&self) {
        let overdue = lock(&self.engines).iter().find(|it| it.is_overdue()).cloned();
        if let Some(overdue) = overdue {
            log_with_timeout(move || overdue.log_overdue());
            std::process::exit(STUCK_EXIT_CODE);
        }
    }
}

/// Logs on a thread of its own: if the log blocks, for example because its pipe is full, signals are still
/// handled.
fn log_with_timeout(log: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::Builder::new().name("durable-signals-log".to_owned()).spawn(move || {
        log();
        let _ = done.send(());
    });
    if thread.is_ok() {
        let _ = is_done.recv_timeout(LOG_TIMEOUT);
    }
}

/// The signals as they arrive.
#[cfg(unix)]
struct SignalStream {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl SignalStream {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            // They return `None` only when this thread's runtime shuts down, which it never does.
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

/// Other systems have Ctrl-C.
#[cfg(not(unix))]
struct SignalStream;

#[cfg(not(unix))]
impl SignalStream {
    #[allow(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await; // Ctrl-C cannot be received here
        }
        Signal::Interrupt
    }
}
