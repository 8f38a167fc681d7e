//! The feed's loop: when a pass is due, and what happens between passes: the schema's changes, lost
//! connections, a lost log.
//!
//! Owns the position. One task, which ends when its token is cancelled.

use super::{
    END, VIEWS_MAX,
    lanes::Lanes,
    pass::Pass,
    replays::Current,
    touched::{Touched, Whose, reason},
    upkeep::{Planned, Report},
};
use crate::{
    broker::Broker,
    catalog::Oid,
    channel::Hub,
    config::Config,
    cursor::CursorSigner,
    error::{Error, Result},
    postgres::{
        Database,
        changelog::{Keeper, Look, News, Plan, Readers, Shapes, View, Wanted},
    },
    snapshot::Snapshot,
};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// How often the shapes of all relations are compared: that takes a millisecond or more, so not in
/// every pass.
const SHAPES_BUSY: Duration = Duration::from_millis(250);
const SHAPES_IDLE: Duration = Duration::from_secs(1);

/// How often is looked while nobody reads any channel; who attaches wakes the feed.
const POLL_ALONE: Duration = Duration::from_millis(250);

/// How much of the time between two looks at least is left to others, as a part of it.
const REST: u32 = 4;

/// Between attempts to reach a database that is away: first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How often a pass may fail before everything is reset instead: what cannot be told must not keep
/// everything else from being told.
const FAILURES_MAX: u32 = 8;

/// Views that a pass needs free; with fewer, lanes have to give back theirs.
const VIEWS_FREE: usize = 2;

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) database: Database,
    pub(super) config: Arc<Config>,
    pub(super) signer: Arc<CursorSigner>,
    pub(super) readers: Arc<Readers>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) plan: Arc<Plan>,
    pub(super) look: Look,
    pub(super) replan: Arc<Notify>,
    pub(super) plans: mpsc::Receiver<Planned>,
    pub(super) report: Arc<Report>,
    pub(super) current: Arc<Current>,
}

/// The loop's state.
pub(super) struct Tail {
    database: Database,
    config: Arc<Config>,
    signer: Arc<CursorSigner>,
    readers: Arc<Readers>,
    lanes: Arc<Lanes>,
    replan: Arc<Notify>,
    plans: mpsc::Receiver<Planned>,
    report: Arc<Report>,
    /// What others may know of the plan.
    current: Arc<Current>,
    plan: Arc<Plan>,
    /// What everybody was told last, and its view unless that was lost.
    told: Snapshot,
    view: Option<Arc<View>>,
    /// The shapes that resets were sent for.
    shapes: Shapes,
    shapes_at: Option<Instant>,
    /// The shapes that the plan was made for.
    planned: Shapes,
    /// Relations whose shapes differ between the two.
    unsettled: HashSet<Oid>,
    /// Resources that are new in the plan.
    appeared: HashSet<Arc<str>>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}

impl Tail {
    pub(super) fn new(parts: Parts) -> Self {
        parts.current.set(&parts.plan, &HashSet::new());
        Self {
            current: parts.current,
            database: parts.database,
            config: parts.config,
            signer: parts.signer,
            readers: parts.readers,
            lanes: parts.lanes,
            replan: parts.replan,
            plans: parts.plans,
            report: parts.report,
            plan: parts.plan,
            told: parts.look.view.snapshot().clone(),
            planned: parts.look.shapes.clone().unwrap_or_default(),
            shapes: parts.look.shapes.unwrap_or_default(),
            view: Some(Arc::new(parts.look.view)),
            shapes_at: Some(Instant::now()),
            unsettled: HashSet::new(),
            appeared: HashSet::new(),
        }
    }

    /// Works until the token is cancelled, then closes its connections.
    pub(super) async fn run(
        mut self,
        hub: Arc<Hub>,
        broker: Arc<dyn Broker>,
        stop: CancellationToken,
    ) {
        let committed = self.database.committed();
        let mut failures = 0u32;
        let mut looked = tokio::time::Instant::now();
        let mut rested_from = looked;
        loop {
            let poll = match hub.is_unattended() {
                true => POLL_ALONE,
                false => Duration::from_millis(self.config.feed.poll_ms.max(1)),
            };
            // From look to look, so that what a look takes is not added to what a notice waits.
            let next = (looked + poll).max(rested_from + poll / REST);
            let awaited = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(planned) = self.plans.recv() => {
                    self.take_up(planned);
                    true
                }
                () = committed.notified() => true,
                () = hub.attached() => false,
                () = tokio::time::sleep_until(next) => false,
            };
            looked = tokio::time::Instant::now();
            self.report.looks.fetch_add(1, Relaxed);
            let step = self.step(&hub, &*broker, awaited, failures >= FAILURES_MAX);
            let done = tokio::select! {
                biased;
                done = step => done,
                () = cancelled_for(&stop, END) => break,
            };
            rested_from = tokio::time::Instant::now();
            match done {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("the feed goes on");
                    }
                    failures = 0;
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(
                            %error,
                            cause = std::error::Error::source(&error),
                            "the feed was interrupted and goes on from where it is when it can"
                        );
                    }
                    failures += 1;
                    let pause = AGAIN.0 * 2u32.saturating_pow(failures - 1).min(64);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause.min(AGAIN.1)) => {}
                    }
                    if let Err(error) = self.resume(&hub).await {
                        tracing::debug!(%error, "the database is still away");
                    }
                }
            }
        }
        self.lanes.close(END).await;
        self.view = None;
        self.readers.close(VIEWS_MAX).await;
    }

    /// Looks whether anything is new, and tells it; `blindly`, without looking what, because looking
    /// has failed too often.
    async fn step(
        &mut self,
        hub: &Arc<Hub>,
        broker: &dyn Broker,
        awaited: bool,
        blindly: bool,
    ) -> Result<()> {
        if self.readers.available() < VIEWS_FREE {
            self.lanes.relieve();
        }
        let due = |every: Duration| self.shapes_at.is_none_or(|it| it.elapsed() >= every);
        if !awaited && !due(SHAPES_IDLE) && self.appeared.is_empty() {
            // Most of the time nothing has happened at all, and a view is not needed to see that.
            let now = self.readers.probe().await?;
            if now == self.told {
                return Ok(());
            }
        }
        let others = self.plan.others();
        let limit = self.config.limits.batch_keys_max;
        let look = self
            .readers
            .look(Wanted {
                since: (!blindly).then_some((&self.told, limit)),
                shapes: due(SHAPES_BUSY).then_some(others),
                export: true,
                log: false,
            })
            .await?;
        if *look.view.snapshot() == self.told && look.shapes.is_none() && self.appeared.is_empty() {
            return Ok(());
        }
        if look.view.snapshot().version() < self.told.version() {
            return Err(Error::internal("the database has gone back"));
        }
        let mut touched = Touched::by(&look.news, |relation| self.plan.concerns(relation));
        let everything = match look.news {
            _ if blindly => Some(reason::UNREADABLE),
            News::Flood => Some(reason::TOO_MANY),
            // This server slept, or the log was made anew.
            News::Outdated => Some(reason::RETENTION),
            _ => None,
        };
        if let Some(reason) = everything {
            for resource in self.plan.catalog().resources() {
                touched.reset(resource, Whose::everybody(), reason);
            }
        }
        let shapes = match look.shapes {
            None if touched.shapes => Some(look.view.shapes(others).await?),
            shapes => shapes,
        };
        let changed = shapes.map(|it| self.changed_shapes(it));
        self.reset_unsettled(&mut touched, changed.as_ref());

        let position = self.signer.position(look.view.snapshot());
        let after = Arc::new(look.view);
        let audience = hub.advance(position.clone());
        if !touched.is_empty() {
            Pass {
                database: &self.database,
                broker,
                lanes: &self.lanes,
                plan: &self.plan,
                before: self.view.as_ref(),
                since: &self.told,
                after: &after,
                position: position.clone(),
                audience,
            }
            .tell(touched)
            .await?;
        }
        hub.settle(position);
        self.told = after.snapshot().clone();
        self.view = Some(after);
        self.appeared.clear();
        if let Some((shapes, _)) = changed {
            self.shapes = shapes;
            self.shapes_at = Some(Instant::now());
            self.compare_with_plan();
            if !self.unsettled.is_empty() {
                self.replan.notify_one();
            }
        }
        Ok(())
    }

    /// The shapes with the relations that have another one than before, are new, or are gone.
    fn changed_shapes(&self, shapes: Shapes) -> (Shapes, HashSet<Oid>) {
        let differs = |it: &&Oid| self.shapes.get(it) != shapes.get(it);
        let known = self.shapes.keys().chain(shapes.keys());
        let changed = known.filter(differs).copied().collect();
        (shapes, changed)
    }

    /// What cannot be told change by change: resources that are new, that have changed their shape,
    /// or that have done so before and are not planned for yet.
    fn reset_unsettled(&self, touched: &mut Touched, changed: Option<&(Shapes, HashSet<Oid>)>) {
        for relation in changed.iter().flat_map(|it| &it.1) {
            for concern in self.plan.concerns(*relation) {
                touched.reset(&concern.resource, Whose::everybody(), reason::SCHEMA);
            }
        }
        for relation in &self.unsettled {
            for concern in self.plan.concerns(*relation) {
                let name = &concern.resource.name;
                if touched.resources.contains_key(name) {
                    touched.reset(&concern.resource, Whose::everybody(), reason::SCHEMA);
                }
            }
        }
        for name in &self.appeared {
            if let Some(resource) = self.plan.catalog().resource(name) {
                touched.reset(resource, Whose::everybody(), reason::SCHEMA);
            }
        }
    }

    /// Goes by another plan from now on.
    fn take_up(&mut self, (plan, shapes): Planned) {
        let known = self.plan.catalog().clone();
        let new = plan.catalog().resources().filter(|it| {
            known
                .resource(&it.name)
                .is_none_or(|known| known.relation != it.relation)
        });
        self.appeared.extend(new.map(|it| it.name.clone()));
        self.planned = shapes;
        let unsettled = std::mem::take(&mut self.unsettled);
        self.compare_with_plan();
        // Whoever fetched a resource again at the reset that its change was noticed with may have been
        // answered by the catalog from before, and needs another one now.
        for relation in unsettled.difference(&self.unsettled) {
            let concerns = plan.concerns(*relation);
            self.appeared
                .extend(concerns.iter().map(|it| it.resource.name.clone()));
        }
        if !self.appeared.is_empty() {
            self.report.settled.store(false, Relaxed);
        }
        // The plan may know of changes that no view has shown yet.
        self.shapes_at = None;
        self.plan = plan;
        self.current.set(&self.plan, &self.unsettled);
    }

    /// Which relations are not as they were when the plan was made. Another file of the same table
    /// asks for nothing more than the reset that it was noticed with.
    fn compare_with_plan(&mut self) {
        let schema = |shapes: &Shapes, it: &Oid| shapes.get(it).map(|it| it.schema);
        let differs = |it: &&Oid| schema(&self.shapes, it) != schema(&self.planned, it);
        let known = self.shapes.keys().chain(self.planned.keys());
        self.unsettled = known.filter(differs).copied().collect();
        // What has appeared is still to be told.
        let settled = self.unsettled.is_empty() && self.appeared.is_empty();
        self.report.settled.store(settled, Relaxed);
        self.current.set(&self.plan, &self.unsettled);
    }

    /// After a failure: whether the log is still the one that we know.
    async fn resume(&mut self, hub: &Arc<Hub>) -> Result<()> {
        // Whatever of it is left on our side, its transaction may be gone.
        self.view = None;
        let keeper = Keeper::open(&self.database).await?;
        let id = keeper.database_id().await?;
        if id == self.signer.database() {
            let now = self.readers.probe().await?;
            if now.xmax >= self.told.xmax && now.version() >= self.told.version() {
                return Ok(());
            }
        }
        tracing::warn!("the change log was lost or the database has gone back: all is reset");
        self.signer.replace(id);
        let look = self
            .readers
            .look(Wanted {
                shapes: Some(self.plan.others()),
                export: true,
                ..Wanted::default()
            })
            .await?;
        hub.rewind(self.signer.position(look.view.snapshot()), reason::LOG_LOST);
        self.told = look.view.snapshot().clone();
        self.view = Some(Arc::new(look.view));
        self.shapes = look.shapes.unwrap_or_default();
        self.replan.notify_one();
        Ok(())
    }
}

/// Some time after the token was cancelled.
async fn cancelled_for(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
}
