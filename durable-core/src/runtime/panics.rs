//! Panics of user code: caught where a body is polled, with message and place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use crate::types::error::{Error, ErrorKind};

thread_local! {
    /// Whether this thread is polling a body just now.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Whether a panic of this thread is an answer, and no news for anybody.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic under watch happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes the places of panics that happen under watch, and leaves everything else to the hook that
/// was there before. Only a hook is told where a panic happened; the payload does not say.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if ASKED.get() {
                return;
            }
            if WATCHED.get() {
                PLACE.set(info.location().map(ToString::to_string));
            }
            earlier(info);
        }));
    });
}

/// Runs `body`, and turns a panic in it into an error of the kind [`ErrorKind::Panic`].
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Error> {
    install_hook();
    let outer = WATCHED.replace(true);
    // A body that panicked is never polled again, so nobody sees what the panic left half done.
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    WATCHED.set(outer);
    result.map_err(|payload| {
        let place = PLACE.take().map_or_else(String::new, |it| format!(" at {it}"));
        Error::new(ErrorKind::Panic, format!("panicked{place}: {}", message_of(payload.as_ref())))
    })
}

/// Whether something that cannot be asked otherwise ends in a panic. Nothing is printed, except where a panic ends
/// the program.
pub(crate) fn panics(question: impl FnOnce()) -> bool {
    install_hook();
    let outer = ASKED.replace(cfg!(panic = "unwind"));
    let answer = panic::catch_unwind(AssertUnwindSafe(question));
    ASKED.set(outer);
    answer.is_err()
}

/// What `panic!` was given, as far as it was text. A NUL is no Postgres text, and must not keep the
/// end of a workflow from being recorded.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(the panic carried no text)").replace('\0', "\\0")
}

/// A future whose panics come out as errors.
pub(crate) struct CatchPanic<F>(pub(crate) Pin<Box<F>>);

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| self.0.as_mut().poll(cx)) {
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
    fn a_panic_comes_out_with_its_message_and_its_place() {
        let error = catch(|| panic!("no stock of {}", "tea")).expect_err("it panicked");
        assert!(error.is_panic());
        assert!(error.to_string().contains("panics.rs:"), "{error}");
        assert!(error.to_string().ends_with(": no stock of tea"), "{error}");
    }
}
