//! Which nemesis strikes, and when: one of them for the whole run, a random mix, or the long form.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::AnyResult;
use crate::database::{Progress, TortureDatabase};
use crate::fleet::Fleet;
use crate::nemeses::Nemesis;
use crate::options::{StoreKind, TortureOptions};
use crate::proxy::Link;
use crate::random::Random;
use crate::strike::{set_link, strike};

/// How much has to be done in the long form, if time permits.
const LONG_TRANSFERS: i64 = 20_000;
const LONG_MESSAGES: i64 = 20_000;

/// How often each nemesis struck.
pub(crate) type Strikes = BTreeMap<&'static str, u64>;

pub(crate) struct Plan {
    nemesis: Nemesis,
    /// What the long form has to do yet. Empty for the short one.
    left: Vec<(Nemesis, u64)>,
    is_long: bool,
    mixed: Vec<Nemesis>,
}

impl Plan {
    pub(crate) fn of(options: &TortureOptions) -> AnyResult<Self> {
        let nemesis = if options.long { Nemesis::Mix } else { Nemesis::named(&options.nemesis, options.store)? };
        let left = match options.store {
            _ if !options.long => Vec::new(),
            StoreKind::Sqlite => vec![(Nemesis::Kill, 1_000), (Nemesis::Stop, 100)],
            StoreKind::Postgres => {
                vec![(Nemesis::Kill, 1_000), (Nemesis::Stop, 100), (Nemesis::Restart, 30), (Nemesis::BlackHole, 20)]
            }
        };
        Ok(Self { nemesis, left, is_long: options.long, mixed: Nemesis::mixed(options.store) })
    }

    pub(crate) fn nemesis(&self) -> Nemesis {
        self.nemesis
    }

    /// What the long form had no time for.
    pub(crate) fn left(&self) -> String {
        let left = self.left.iter().filter(|it| it.1 > 0);
        left.map(|(nemesis, times)| format!("{} x{times}", nemesis.name())).collect::<Vec<_>>().join(", ")
    }

    /// The next one, or `None` while there is nothing to do but wait.
    fn next(&mut self, random: &mut Random) -> Option<Nemesis> {
        if !self.is_long {
            let next = if self.nemesis == Nemesis::Mix { random.pick(&self.mixed) } else { self.nemesis };
            return next.strikes().then_some(next);
        }
        // The more often one still has to strike, the likelier it is.
        let all: u64 = self.left.iter().map(|it| it.1).sum();
        let mut drawn = random.below(all.max(1));
        for (nemesis, left) in &mut self.left {
            if drawn < *left {
                *left -= 1;
                return Some(*nemesis);
            }
            drawn -= *left;
        }
        None
    }

    fn pause(&self, next: Option<Nemesis>, random: &mut Random) -> Duration {
        match next {
            Some(_) if self.is_long => random.millis(50, 500),
            Some(nemesis) => nemesis.pause(random),
            None => Duration::from_secs(1),
        }
    }

    /// Disturbs until it is time, or everything is done, and returns how often.
    pub(crate) async fn run(
        &mut self,
        fleet: &mut Fleet,
        database: &mut TortureDatabase,
        random: &mut Random,
        until: Instant,
    ) -> AnyResult<Strikes> {
        let mut strikes = Strikes::new();
        if self.nemesis == Nemesis::Latency {
            set_link(fleet, 0, Link::Slow(Duration::from_millis(200)));
        }
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let next = self.next(random);
            let pause = self.pause(next, random);
            tokio::time::sleep(pause.min(left)).await;
            if let Some(nemesis) = next
                && Instant::now() < until
            {
                let struck = strike(nemesis, fleet, database, random).await?;
                *strikes.entry(nemesis.name()).or_default() += u64::from(struck);
            }
            fleet.restart_exited()?;
            if next.is_none() && self.is_long && is_enough(database.progress().await?) {
                break;
            }
        }
        for index in 0..fleet.members.len() {
            set_link(fleet, index, Link::Open);
            fleet.set_clock(index, 0)?;
        }
        Ok(strikes)
    }
}

/// Whether the long form has done its work.
fn is_enough(progress: Progress) -> bool {
    progress.transfers >= LONG_TRANSFERS && progress.messages >= LONG_MESSAGES
}
