//! The log of one test.

use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct LogCapture(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for LogCapture {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl LogCapture {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that contain `words`.
    pub(crate) fn lines(&self, words: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }

    /// Records what is logged on this thread until the returned value is dropped.
    ///
    /// There are two subscribers: with a single one in the process, `tracing` would disable for good each
    /// log line that another thread reaches first.
    pub(crate) fn record(&self) -> impl Sized {
        let subscriber = || {
            let writer = self.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(move || writer.clone())
                .finish()
        };
        let another = tracing::Dispatch::new(subscriber());
        (tracing::subscriber::set_default(subscriber()), another)
    }
}
