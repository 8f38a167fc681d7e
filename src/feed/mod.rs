//! The change feed: from the change log to batches, from batches through the broker to channels.
//! The only place that announces changes.
//!
//! # How it works
//!
//! The feed keeps the view of the state that everybody was told last (A), and from time to time takes
//! another (B): at once when this server has committed something, else every `feed.poll_ms`, or a few
//! times a second while nobody reads any channel. What is new is what the log has of transactions that
//! B sees and A does not. Each touched row is read under both views, and the difference is what
//! happened: nothing is told by the log's word. Then B becomes A.
//!
//! Invariants:
//!
//! - **The order at a pass.** B's snapshot is taken, then [`Hub::advance`] says so, then what is new
//!   is read and told, then [`Hub::settle`] says that it was. A channel that comes in between starts
//!   at B or at A; either way it hears what it needs.
//! - **All or nothing.** Whatever can fail in a pass comes before anything is told. A pass that
//!   failed is repeated from the same A with a later B; if A's view was lost with its connection, the
//!   log still says what is new since it, deletions are told to those whose rows the log says they
//!   were, and what is behind row-level security is reset.
//! - **Beside the feed.** What is read for one identity only is read in that identity's lane, with its
//!   cursor held; nobody else waits. What the schema's changes need is done by the upkeep; until then
//!   the resources concerned are reset whenever they change.
//! - **The log outlives us.** A position is a snapshot and nothing else, so that after any failure the
//!   feed goes on from where it was. If the log's identity was lost, what is known is void, and the
//!   hub is rewound.
//!
//! [`Hub::advance`]: crate::channel::Hub::advance
//! [`Hub::settle`]: crate::channel::Hub::settle

mod decide;
mod follow;
mod holders;
mod lanes;
mod pass;
mod replay;
mod replays;
mod rights;
mod tail;
mod told;
mod touched;
mod upkeep;

pub use replays::Replays;

use crate::{
    broker::Broker,
    channel::Hub,
    config::Config,
    cursor::CursorSigner,
    error::Result,
    postgres::{
        Database,
        changelog::{Keeper, LogState, PersonalReaders, Readers, Wanted},
    },
    snapshot::Position,
};
use lanes::Lanes;
use replays::Current;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tail::Tail;
use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, JoinHandle},
};
use tokio_util::sync::CancellationToken;
use upkeep::{Report, Upkeep};

/// Connections for views: the two of a pass, and some that lanes keep open.
const VIEWS_MAX: usize = 8;

/// Identities whose rows are read at the same time.
const PERSONAL_MAX: usize = 4;

/// How often is planned at the start while the schema keeps changing; later changes are seen to by
/// and by.
const PLANS_MAX: usize = 5;

/// For how long the end waits for what is still being read.
const END: Duration = Duration::from_secs(3);

/// A feed that is ready to start: the log is there, and the first position is known.
#[derive(Debug)]
pub struct Prepared {
    tail: Tail,
    upkeep: Upkeep,
    signer: Arc<CursorSigner>,
    replays: Arc<Replays>,
    position: Position,
    busy: bool,
}

/// Brings rowcast's schema up to date, installs the log on all tables that can be had, and looks for
/// the first time. From then on no change is missed.
///
/// # Errors
/// `ConfigurationInvalid` if the schema is from a newer rowcast or a right is missing;
/// `DatabaseUnavailable`.
pub async fn prepare(database: &Database, config: &Config) -> Result<Prepared> {
    let mut keeper = Keeper::open(database).await?;
    let signer = Arc::new(CursorSigner::new(
        keeper.cursor_key().await?,
        keeper.database_id().await?,
    ));
    let report = Arc::new(Report::default());
    let readers = Readers::new(database, &signer, VIEWS_MAX);
    let mut attempts = 0;
    let (plan, look, busy) = loop {
        let (plan, shapes) = keeper.plan().await?;
        let progress = keeper.install(&plan).await?;
        report.state(&plan, &progress.unlogged);
        let wanted = Wanted {
            shapes: Some(plan.others()),
            export: true,
            ..Wanted::default()
        };
        let look = readers.look(wanted).await?;
        attempts += 1;
        // The plan is for the schema as it was before; the triggers that were just made are part of
        // it, and so is whatever somebody else has changed meanwhile.
        if look.shapes.as_ref() == Some(&shapes) || attempts == PLANS_MAX {
            break (plan, look, progress.busy);
        }
    };
    let position = signer.position(look.view.snapshot());
    let config = Arc::new(config.clone());
    let replan = Arc::new(Notify::new());
    let (planned, plans) = mpsc::channel(1);
    let personal = PersonalReaders::new(database, PERSONAL_MAX);
    let limit = Duration::from_millis(config.feed.policy_timeout_ms);
    let current = Arc::new(Current::default());
    let replays = Replays::new(database, &config, &signer, &current);
    let tail = Tail::new(tail::Parts {
        database: database.clone(),
        config: config.clone(),
        signer: signer.clone(),
        readers,
        lanes: Lanes::new(personal, limit, PERSONAL_MAX / 2),
        plan,
        look,
        replan: replan.clone(),
        plans,
        report: report.clone(),
        current,
    });
    Ok(Prepared {
        tail,
        upkeep: Upkeep {
            database: database.clone(),
            config,
            keeper: Some(keeper),
            replan,
            planned,
            report,
            actions_trimmed: None,
        },
        signer,
        replays,
        position,
        busy,
    })
}

impl Prepared {
    /// What signs cursors; the feed changes what it signs them for when the log's identity is lost.
    pub fn signer(&self) -> &Arc<CursorSigner> {
        &self.signer
    }

    /// Who tells those who come back what they missed.
    pub fn replays(&self) -> &Arc<Replays> {
        &self.replays
    }

    /// Where the feed stands: for [`Hub::new`].
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Starts telling. `hub` was made with [`Prepared::position`], and `broker` publishes to it.
    pub fn start(self, hub: Arc<Hub>, broker: Arc<dyn Broker>) -> FeedHandle {
        let stop = CancellationToken::new();
        let report = self.upkeep.report.clone();
        let upkeep = tokio::spawn(self.upkeep.run(self.busy));
        let tail = tokio::spawn(self.tail.run(hub, broker, stop.clone()));
        FeedHandle {
            stop,
            tail: Some(tail),
            upkeep,
            replays: self.replays,
            report,
        }
    }
}

/// The running feed. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct FeedHandle {
    stop: CancellationToken,
    tail: Option<JoinHandle<()>>,
    upkeep: JoinHandle<()>,
    replays: Arc<Replays>,
    report: Arc<Report>,
}

/// Tells whether a feed runs.
#[derive(Debug, Clone)]
pub struct Liveness(Option<AbortHandle>);

impl Liveness {
    /// Whether it has not ended, be it by a bug.
    pub fn is_alive(&self) -> bool {
        self.0.as_ref().is_some_and(|tail| !tail.is_finished())
    }
}

impl FeedHandle {
    /// Tells whether the feed runs, also while the handle is elsewhere.
    pub fn liveness(&self) -> Liveness {
        Liveness(self.tail.as_ref().map(JoinHandle::abort_handle))
    }

    /// Resources whose changes are not all announced, and why.
    pub fn not_live(&self) -> BTreeMap<Arc<str>, String> {
        let reasons = self.report.not_live.lock();
        reasons.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the feed goes by the schema as it last saw it, and everything is logged that can be.
    pub fn is_settled(&self) -> bool {
        self.report.settled.load(Relaxed) && !self.report.working.load(Relaxed)
    }

    /// How often the feed has looked whether anything is new since it was started.
    pub fn looks(&self) -> u64 {
        self.report.looks.load(Relaxed)
    }

    /// How the change log was when this server last looked after it; `None` if others do.
    pub fn change_log(&self) -> Option<LogState> {
        *self
            .report
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the feed: the pass that is running is told, no other begins, and its connections are
    /// closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.upkeep.abort();
        self.replays.close().await;
        if let Some(tail) = self.tail.take() {
            let abort = tail.abort_handle();
            if tokio::time::timeout(2 * END, tail).await.is_err() {
                abort.abort();
            }
        }
        // Its connection is closed once the task has been dropped.
        let _ = (&mut self.upkeep).await;
    }
}

impl Drop for FeedHandle {
    fn drop(&mut self) {
        self.stop.cancel();
        self.upkeep.abort();
        self.replays.stop();
    }
}

/// Removes everything of rowcast's from the database: triggers, functions, the schema. Returns how
/// many tables had triggers. No server should be running on it.
///
/// # Errors
/// `CommandFailed` for a table that others hold locked, or a missing right; `DatabaseUnavailable`.
pub async fn uninstall(database: &Database) -> Result<usize> {
    Keeper::uninstall(database).await
}
