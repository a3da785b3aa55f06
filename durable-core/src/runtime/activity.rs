//! The current activities of a run, for reports and for the shutdown.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::types::listing::CurrentActivity;
use crate::types::sync::{Mutex, lock};
use crate::types::time::Timestamp;

/// The current activities of a run, the latest last. A run with several branches has several.
#[derive(Debug, Default)]
pub(crate) struct ActivityList(Mutex<CurrentActivities>);

#[derive(Debug, Default)]
struct CurrentActivities {
    last_number: u64,
    list: Vec<(u64, Activity)>,
}

impl ActivityList {
    pub(crate) fn begin(&self, activity: Activity) -> ActivityGuard<'_> {
        let mut state = lock(&self.0);
        state.last_number += 1;
        let number = state.last_number;
        if state.list.capacity() == 0 {
            state.list.reserve_exact(1); // most runs have one activity at a time, and there can be many waiting runs
        }
        state.list.push((number, activity));
        ActivityGuard { activities: self, number }
    }

    /// The activity that began last, and the number of others; `None` without any.
    pub(crate) fn describe(&self) -> Option<String> {
        let state = lock(&self.0);
        let (_, last) = state.list.last()?;
        Some(match state.list.len() {
            1 => last.to_string(),
            many => format!("{last}, and {} more", many - 1),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).list.is_empty()
    }

    /// All of them, the latest last.
    pub(crate) fn current(&self) -> Vec<CurrentActivity> {
        lock(&self.0).list.iter().map(|(_, activity)| activity.shown()).collect()
    }

    /// How long the longest running step has been running; `None` if no step runs.
    pub(crate) fn step_running_for(&self) -> Option<Duration> {
        let state = lock(&self.0);
        let since = |it: &(u64, Activity)| if let Activity::Step(_, since, ..) = it.1 { Some(since) } else { None };
        state.list.iter().filter_map(since).min().map(|it| it.elapsed())
    }

    /// What the run waits for; `None` if it runs a step, waits for the retry of one, or computes.
    pub(crate) fn waits_for(&self) -> Option<Vec<WaitsFor>> {
        let state = lock(&self.0);
        let waits: Option<Vec<_>> = state.list.iter().map(|(_, it)| it.waits_for()).collect();
        waits.filter(|it| !it.is_empty())
    }

    /// What the run does, for a test that has come to a standstill.
    #[cfg(feature = "testing")]
    pub(crate) fn list(&self) -> Vec<RunActivity> {
        let activity = |(number, activity): &(u64, Activity)| RunActivity {
            number: *number,
            is_waiting: activity.waits_for().is_some() || matches!(activity, Activity::RetryDelay(_)),
            times_out_at: if let Activity::Step(_, _, until) = activity { *until } else { None },
            text: match activity {
                Activity::Step(_, since, ..) => {
                    format!("{activity} running for {:.1} s", since.elapsed().as_secs_f64())
                }
                Activity::Sleep(until) => format!("sleeping until {}", until.to_date()),
                other => other.to_string(),
            },
        };
        lock(&self.0).list.iter().map(activity).collect()
    }

    pub(crate) fn has_step(&self) -> bool {
        lock(&self.0).list.iter().any(|(_, it)| matches!(it, Activity::Step(..)))
    }
}

/// An activity of a run.
#[derive(Debug)]
pub(crate) enum Activity {
    /// Runs a step's body since this time. Before the run is suspended, the body may finish. For tests also the time at
    /// which it times out.
    Step(&'static str, Instant, #[cfg(feature = "testing")] Option<Timestamp>),
    /// Waits before the retry of a step. It is boxed, because other waits are many and have no use for its memory.
    RetryDelay(Box<RetryDelay>),
    /// Waits for an earlier attempt of a step, which blocks its thread.
    EarlierAttempt(&'static str),
    /// Waits for the end of another workflow.
    Result(String),
    /// Waits for a time.
    Sleep(Timestamp),
    /// Waits for a message on a topic.
    Message(Arc<str>),
    /// Waits for an event of another workflow.
    Event(Arc<str>),
    /// Waits for an item of a stream.
    Stream(Arc<str>),
    /// Asks the database for something; the text says what.
    Look(&'static str),
}

/// The wait before the retry of a step.
#[derive(Debug)]
pub(crate) struct RetryDelay {
    pub(crate) step: &'static str,
    /// How many attempts have failed.
    pub(crate) failed: u32,
    /// How many there are at most.
    pub(crate) most: u32,
    /// Why the last one failed.
    pub(crate) error: String,
    /// When the next one begins.
    pub(crate) until: Timestamp,
}

/// An activity of a run, for a test that has come to a standstill.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub(crate) struct RunActivity {
    /// Distinguishes it from others of the run.
    pub(crate) number: u64,
    /// Whether it ends only by what others do, or when time passes.
    pub(crate) is_waiting: bool,
    /// When a step times out by itself.
    pub(crate) times_out_at: Option<Timestamp>,
    pub(crate) text: String,
}

/// What a run that does nothing else waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Time(Timestamp),
    /// The end of this workflow.
    Workflow(String),
    /// A message or an event.
    Others,
}

impl Activity {
    fn waits_for(&self) -> Option<WaitsFor> {
        match self {
            Self::Step(..) | Self::RetryDelay(_) | Self::EarlierAttempt(_) | Self::Look(_) => None,
            Self::Result(id) => Some(WaitsFor::Workflow(id.clone())),
            Self::Sleep(until) => Some(WaitsFor::Time(*until)),
            Self::Message(_) | Self::Event(_) | Self::Stream(_) => Some(WaitsFor::Others),
        }
    }

    fn shown(&self) -> CurrentActivity {
        let what = match self {
            Self::Step(_, since, ..) => format!("{self}, running for {:.1} s", since.elapsed().as_secs_f64()),
            Self::RetryDelay(delay) => format!("{self}: {} of {} attempts failed", delay.failed, delay.most),
            other => other.to_string(),
        };
        let (until, error) = match self {
            Self::Sleep(until) => (Some(until.to_date()), None),
            Self::RetryDelay(delay) => (Some(delay.until.to_date()), Some(delay.error.clone())),
            _ => (None, None),
        };
        let step = if let Self::RetryDelay(delay) = self { Some(delay.step.to_owned()) } else { None };
        CurrentActivity { what, until, error, step }
    }

    /// A step's body that begins now.
    pub(crate) fn step(name: &'static str) -> Self {
        Self::Step(
            name,
            Instant::now(),
            #[cfg(feature = "testing")]
            None,
        )
    }

    /// The same with the time at which it times out.
    #[cfg(feature = "testing")]
    pub(crate) fn step_until(name: &'static str, until: Option<Timestamp>) -> Self {
        Self::Step(name, Instant::now(), until)
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(name, ..) => write!(f, "step `{name}`"),
            Self::RetryDelay(delay) => write!(f, "waiting to retry step `{}`", delay.step),
            Self::EarlierAttempt(name) => write!(f, "waiting for an earlier attempt of step `{name}`"),
            Self::Result(id) => write!(f, "waiting for the workflow {id:?}"),
            Self::Sleep(_) => f.write_str("sleeping"),
            Self::Message(topic) => write!(f, "waiting for a message on {topic:?}"),
            Self::Event(name) => write!(f, "waiting for the event {name:?}"),
            Self::Stream(name) => write!(f, "waiting for an item of the stream {name:?}"),
            Self::Look(what) => write!(f, "asking the database to {what}"),
        }
    }
}

/// Removes the activity from the list when it is dropped.
#[derive(Debug)]
pub(crate) struct ActivityGuard<'a> {
    activities: &'a ActivityList,
    number: u64,
}

impl Drop for ActivityGuard<'_> {
    fn drop(&mut self) {
        lock(&self.activities.0).list.retain(|(number, _)| *number != self.number);
    }
}
