//! Panics of user code: caught where a body is polled, with message and location.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use crate::types::error::{Error, ErrorKind};

thread_local! {
    /// Whether this thread is polling a body.
    static POLLING_BODY: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread runs a probe. A panic of a probe is expected and not printed.
    static PROBING: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of a body happened.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Records the locations of panics in bodies, and calls the earlier hook. Only a hook gets the
/// location of a panic; the payload does not contain it.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if PROBING.get() {
                return;
            }
            if POLLING_BODY.get() {
                LOCATION.set(info.location().map(ToString::to_string));
            }
            earlier(info);
        }));
    });
}

/// Runs `body`, and turns a panic in it into an error of the kind [`ErrorKind::Panic`].
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Error> {
    install_hook();
    let outer = POLLING_BODY.replace(true);
    // A body that panicked is never polled again, so a state that the panic left broken is never seen.
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    POLLING_BODY.set(outer);
    result.map_err(|payload| {
        let location = LOCATION.take().map_or_else(String::new, |it| format!(" at {it}"));
        Error::new(ErrorKind::Panic, format!("panicked{location}: {}", message_of(payload.as_ref())))
    })
}

/// Whether `probe` panics. The panic is not printed, except where panics abort the program.
pub(crate) fn does_panic(probe: impl FnOnce()) -> bool {
    install_hook();
    let outer = PROBING.replace(cfg!(panic = "unwind"));
    let result = panic::catch_unwind(AssertUnwindSafe(probe));
    PROBING.set(outer);
    result.is_err()
}

/// The message of a panic, if it is text. NUL is escaped, because Postgres cannot store it in a text
/// and the end of the workflow must be recorded.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(the panic carried no text)").replace('\0', "\\0")
}

/// A future that returns panics as errors. The one in it is pinned: in a box, or on the stack.
pub(crate) struct CatchPanic<F>(pub(crate) F);

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Result<F::Output, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| Pin::new(&mut self.0).poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_has_its_message_and_location() {
        let error = catch(|| panic!("no stock of {}", "tea")).expect_err("it panicked");
        assert!(error.is_panic());
        assert!(error.to_string().contains("panics.rs:"), "{error}");
        assert!(error.to_string().ends_with(": no stock of tea"), "{error}");
    }
}
