//! Queues, schedules, executors and versions, as the JSON API gives and changes them.

use std::sync::Arc;

use ::axum::Json;
use ::axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::actions::{Done, Fields};
use super::api_error::{Answer, ApiError};
use super::viewer::Parameters;
use super::{Dashboard, json};
use crate::QueueLimits;

type Shown = Answer<Json<Value>>;
type Of = State<Arc<Dashboard>>;

/// `GET queues`
pub(super) async fn queues(State(dashboard): Of, parameters: Parameters) -> Shown {
    parameters.end()?;
    Ok(Json(json!(dashboard.source.list_queues().await?)))
}

/// `GET schedules`
pub(super) async fn schedules(State(dashboard): Of, parameters: Parameters) -> Shown {
    parameters.end()?;
    let all = dashboard.source.list_schedules().await?;
    Ok(Json(all.iter().map(json::schedule).collect()))
}

/// `GET executors`
pub(super) async fn executors(State(dashboard): Of, parameters: Parameters) -> Shown {
    parameters.end()?;
    Ok(Json(json!(dashboard.source.list_executors().await?)))
}

/// `GET versions`
pub(super) async fn versions(State(dashboard): Of, parameters: Parameters) -> Shown {
    parameters.end()?;
    let all = dashboard.source.versions().await?;
    let shown = |it: &crate::VersionInfo| {
        let mut shown = json!(it);
        shown["in_flight"] = it.in_flight().into();
        shown
    };
    Ok(Json(all.iter().map(shown).collect()))
}

/// What is done to a queue or a schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    PauseQueue,
    ResumeQueue,
    SetLimits,
    PauseSchedule,
    ResumeSchedule,
    Trigger,
    Backfill,
}

/// The routes of the operations.
pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("queues/pause", Operation::PauseQueue),
    ("queues/resume", Operation::ResumeQueue),
    ("queues/limits", Operation::SetLimits),
    ("schedules/pause", Operation::PauseSchedule),
    ("schedules/resume", Operation::ResumeSchedule),
    ("schedules/trigger", Operation::Trigger),
    ("schedules/backfill", Operation::Backfill),
];

/// The limits to change. A limit that is not given stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::option_option, reason = "not given, and none")]
struct LimitChanges {
    #[serde(deserialize_with = "given")]
    concurrency: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    worker_concurrency: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<Rate>>,
    #[serde(deserialize_with = "given")]
    partition_concurrency: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    partition_rate_limit: Option<Option<Rate>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    starts: u32,
    period: f64,
}

impl Rate {
    fn limit(self) -> Answer<(u32, std::time::Duration)> {
        Ok((self.starts, super::actions::seconds("period", self.period)?))
    }
}

#[allow(clippy::option_option, reason = "not given, and none")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Operation {
    /// Reads what is asked for, and carries it out.
    pub(super) async fn carry_out(self, dashboard: &Dashboard, fields: &mut Fields, done: &mut Done) -> Answer<Value> {
        let name: String = fields.required("name")?;
        done.about(&name);
        let source = &dashboard.source;
        let limits = matches!(self, Self::SetLimits).then(|| fields.required::<LimitChanges>("limits")).transpose()?;
        let times = matches!(self, Self::Backfill)
            .then(|| Ok::<_, ApiError>((fields.required("from")?, fields.required("to")?)));
        let times: Option<(DateTime<Utc>, DateTime<Utc>)> = times.transpose()?;
        fields.end()?;
        let changed = json!({ "name": name });
        Ok(match self {
            Self::PauseQueue => source.pause_queue(&name).await.map(|()| changed)?,
            Self::ResumeQueue => source.resume_queue(&name).await.map(|()| changed)?,
            Self::PauseSchedule => source.pause_schedule(&name).await.map(|()| changed)?,
            Self::ResumeSchedule => source.resume_schedule(&name).await.map(|()| changed)?,
            Self::Trigger => json!({ "id": source.trigger_schedule(&name).await? }),
            Self::Backfill => {
                let (from, to) = times.unwrap_or_default(); // it was read above
                json!({ "started": source.backfill_schedule(&name, from, to).await? })
            }
            Self::SetLimits => {
                let find = async || {
                    let found = source.list_queues().await?.into_iter().find(|it| it.name == name);
                    found.ok_or_else(|| ApiError::not_found(format!("no queue has the name {name:?}")))
                };
                let limits = limits.unwrap_or_default().applied_to(find().await?.limits)?;
                source.set_queue_limits(&name, limits).await?;
                json!(find().await?)
            }
        })
    }
}

impl LimitChanges {
    fn applied_to(self, mut limits: QueueLimits) -> Answer<QueueLimits> {
        if let Some(most) = self.concurrency {
            limits = limits.with_concurrency(most);
        }
        if let Some(most) = self.worker_concurrency {
            limits = limits.with_worker_concurrency(most);
        }
        if let Some(rate) = self.rate_limit {
            limits = limits.with_rate_limit(rate.map(Rate::limit).transpose()?);
        }
        if let Some(most) = self.partition_concurrency {
            limits = limits.with_partition_concurrency(most);
        }
        if let Some(rate) = self.partition_rate_limit {
            limits = limits.with_partition_rate_limit(rate.map(Rate::limit).transpose()?);
        }
        Ok(limits)
    }
}
