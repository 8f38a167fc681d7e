//! The upkeep beside the feed: it plans anew and installs when the schema has changed, and cuts the
//! log. Owns the connection that does so.
//!
//! Knows nothing of batches. One task, ended by the feed's handle.

use crate::{
    catalog::Oid,
    config::Config,
    error::Result,
    postgres::{
        Database,
        changelog::{Health, Keeper, LogState, Plan, Retention, Shapes},
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

/// How long after a failure, or a table that was busy, it is tried again: first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How often the log is looked after.
const RETAIN_EVERY: Duration = Duration::from_secs(10);

/// How often actions that need not be remembered any more are looked for.
const TRIM_ACTIONS_EVERY: Duration = Duration::from_secs(60);

/// A plan with the shapes that it was made from.
pub(super) type Planned = (Arc<Plan>, Shapes);

/// What the upkeep tells others.
#[derive(Debug)]
pub(super) struct Report {
    /// Resources whose changes are not all announced, and why.
    pub(super) not_live: Mutex<BTreeMap<Arc<str>, String>>,
    /// Whether the feed goes by a plan for the schema as it last saw it.
    pub(super) settled: AtomicBool,
    /// Whether the upkeep is planning or installing.
    pub(super) working: AtomicBool,
    /// How the log was when this server last looked after it.
    pub(super) log: Mutex<Option<LogState>>,
    /// How often the feed has looked whether anything is new.
    pub(super) looks: AtomicU64,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            not_live: Mutex::default(),
            settled: AtomicBool::new(true),
            working: AtomicBool::new(false),
            log: Mutex::default(),
            looks: AtomicU64::new(0),
        }
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) database: Database,
    pub(super) config: Arc<Config>,
    pub(super) keeper: Option<Keeper>,
    /// Asks for a new plan.
    pub(super) replan: Arc<Notify>,
    /// At most one plan waits to be taken up; the feed asks again if it was not the last word.
    pub(super) planned: mpsc::Sender<Planned>,
    pub(super) report: Arc<Report>,
    pub(super) actions_trimmed: Option<Instant>,
}

impl Upkeep {
    /// Works until the task is aborted; nothing is half done then that a later start does not find.
    pub(super) async fn run(mut self, busy: bool) {
        let mut again = busy.then(|| (Instant::now() + AGAIN.0, AGAIN.0));
        let mut retain = Instant::now();
        loop {
            let at = again.map_or(retain, |(at, _)| at.min(retain));
            let asked = tokio::select! {
                () = self.replan.notified() => true,
                () = tokio::time::sleep_until(at) => false,
            };
            let due = again.is_some_and(|(at, _)| at <= Instant::now());
            if asked || due {
                let delay = again.map_or(AGAIN.0, |(_, delay)| (delay * 2).min(AGAIN.1));
                self.report.working.store(true, Relaxed);
                let renewed = self.renew().await;
                self.report.working.store(false, Relaxed);
                again = match renewed {
                    Ok(false) => None,
                    Ok(true) => Some((Instant::now() + delay, delay)),
                    Err(error) => {
                        self.failed(&error);
                        Some((Instant::now() + delay, delay))
                    }
                };
            }
            if retain <= Instant::now() {
                retain = Instant::now() + RETAIN_EVERY;
                if let Err(error) = self.retain().await {
                    self.failed(&error);
                }
            }
        }
    }

    /// Plans and installs; whether something has to be tried again.
    async fn renew(&mut self) -> Result<bool> {
        loop {
            let (plan, shapes) = self.keeper().await?.plan().await?;
            // The feed goes by the new plan at once. What is not logged yet is reset when it is.
            let _ = self.planned.send((plan.clone(), shapes)).await;
            let progress = self.keeper().await?.install(&plan).await?;
            self.report.state(&plan, &progress.unlogged);
            // New triggers are part of the schema that is planned for.
            if progress.installed == 0 {
                return Ok(progress.busy);
            }
        }
    }

    async fn retain(&mut self) -> Result<()> {
        let feed = &self.config.feed;
        let retention = Retention {
            kept: Duration::from_secs(feed.retention_hours * 3600),
            bytes_max: feed.log_bytes_max,
        };
        if let Some(log) = self.keeper().await?.retain(retention).await? {
            self.report.state_log(log, retention);
        }
        if self
            .actions_trimmed
            .is_none_or(|it| it.elapsed() >= TRIM_ACTIONS_EVERY)
        {
            self.actions_trimmed = Some(Instant::now());
            let remembered = Duration::from_secs(self.config.actions.retention_days * 24 * 3600);
            self.keeper().await?.trim_actions(remembered).await?;
            let kept = Duration::from_secs(self.config.keys.retention_days * 24 * 3600);
            self.database.tend_keys(kept).await?;
        }
        Ok(())
    }

    async fn keeper(&mut self) -> Result<&mut Keeper> {
        let keeper = match self.keeper.take() {
            Some(keeper) => keeper,
            None => Keeper::open(&self.database).await?,
        };
        Ok(self.keeper.insert(keeper))
    }

    fn failed(&mut self, error: &crate::error::Error) {
        // The connection may be in any state.
        self.keeper = None;
        tracing::warn!(
            %error,
            cause = std::error::Error::source(error),
            "the change log's upkeep failed and is tried again"
        );
    }
}

impl Report {
    /// Takes down how the log is, and says so when it has become worse or better.
    fn state_log(&self, log: LogState, retention: Retention) {
        let mut known = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.replace(log).map_or(Health::Sound, |it| it.health);
        let LogState { bytes, kept, .. } = log;
        let (kept_seconds, bytes_max) = (kept.as_secs(), retention.bytes_max);
        match log.health {
            health if health == before => tracing::debug!(bytes, kept_seconds, "the change log"),
            Health::Sound => tracing::info!(bytes, kept_seconds, "the change log is sound again"),
            // What was done about it has been said.
            Health::Renewed => {}
            Health::TooLarge => tracing::warn!(
                bytes,
                bytes_max,
                kept_seconds,
                "the change log is larger than feed.log_bytes_max: it is kept for less time than \
                 feed.retention_hours says, and clients that were away for longer are told to reset"
            ),
        }
    }

    /// Takes down what is not logged, and says what is new.
    pub(super) fn state(&self, plan: &Plan, unlogged: &std::collections::HashMap<Oid, String>) {
        let mut reasons = BTreeMap::new();
        for (relation, reason) in unlogged {
            for concern in plan.concerns(*relation) {
                reasons.insert(concern.resource.name.clone(), reason.clone());
            }
        }
        for resource in plan.blind() {
            let reason = "its row-level security binds the role that rowcast logs in as, so that \
                          each change is a reset: alter role … bypassrls";
            reasons.insert(resource.name.clone(), reason.to_owned());
        }
        let mut known = self.not_live.lock().unwrap_or_else(PoisonError::into_inner);
        for (resource, reason) in &reasons {
            if known.get(resource) != Some(reason) {
                tracing::warn!(%resource, reason, "changes are not all announced");
            }
        }
        for resource in known.keys().filter(|it| !reasons.contains_key(*it)) {
            tracing::info!(%resource, "changes are announced");
        }
        *known = reasons;
    }
}
