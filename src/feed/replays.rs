//! Replays: which of those who come back with a cursor is told next what it missed, and for how long
//! that may take.
//!
//! Owns the tasks, their turns and their connections. Knows nothing of what is told: that is
//! [`super::replay`]. A task ends with its replay, whose time is limited, or with
//! [`Replays::close`].

use super::{
    replay::{Outcome, Replay, Todo},
    touched::reason,
};
use crate::{
    catalog::Oid,
    channel::{BatchBuilder, ReplayLane, Since},
    config::Config,
    cursor::CursorSigner,
    error::{Error, Result},
    identity::IdentityKey,
    postgres::{
        Database,
        changelog::{Plan, Readers},
    },
    snapshot::Position,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between attempts at a replay that failed before anything was told.
const AGAIN: Duration = Duration::from_millis(100);

/// What the feed goes by at present, for those who read beside it.
#[derive(Debug, Default)]
pub(super) struct Current {
    // A std lock: held for a copy.
    state: Mutex<(Arc<Plan>, Arc<HashSet<Oid>>)>,
}

impl Current {
    /// The feed goes by this plan, in which these relations are not as they are now.
    pub(super) fn set(&self, plan: &Arc<Plan>, unsettled: &HashSet<Oid>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (plan.clone(), Arc::new(unsettled.clone()));
    }

    pub(super) fn get(&self) -> (Arc<Plan>, Arc<HashSet<Oid>>) {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All replays of this server.
#[derive(Debug)]
pub struct Replays {
    pub(super) database: Database,
    pub(super) config: Arc<Config>,
    pub(super) signer: Arc<CursorSigner>,
    pub(super) current: Arc<Current>,
    readers: Arc<Readers>,
    /// So many at once, in the order in which they came.
    turns: Semaphore,
    /// One at a time for each identity, so that nobody keeps the others waiting by coming often.
    // A std lock: held for a look-up.
    identities: Mutex<HashMap<IdentityKey, Weak<Semaphore>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How far a replay is, for when it has to end before it is done.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The state that it leads to, once there is one.
    pub(super) position: Option<Position>,
    /// What is still to be told.
    pub(super) open: Vec<Todo>,
    /// The resource of a change that was held back when the last of these was begun, so that it could
    /// be the last of all: it was not told yet, or perhaps not.
    pub(super) held: Option<Arc<str>>,
}

impl Replays {
    pub(super) fn new(
        database: &Database,
        config: &Arc<Config>,
        signer: &Arc<CursorSigner>,
        current: &Arc<Current>,
    ) -> Arc<Self> {
        let max = config.feed.replays_max;
        Arc::new(Self {
            database: database.clone(),
            config: config.clone(),
            signer: signer.clone(),
            current: current.clone(),
            readers: Readers::new(database, signer, max),
            turns: Semaphore::new(max),
            identities: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// The state that a caller's cursor names. That it lies neither in the future nor too far back is
    /// seen when it is replayed from.
    pub fn since(&self, cursor: &str) -> Since {
        match self.signer.verify(cursor) {
            Ok(snapshot) => Since::State(Position {
                version: snapshot.version(),
                cursor: cursor.into(),
            }),
            Err(_) => Since::Unknown(reason::CURSOR_INVALID),
        }
    }

    /// Tells on this lane what its reader missed, as soon as it is its turn. Whatever happens, the
    /// lane ends, and within the configured time.
    pub fn start(self: &Arc<Self>, lane: ReplayLane) {
        let replays = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = replays.stop.cancelled() => {}
                () = replays.run(lane) => {}
            }
        });
    }

    /// Ends all replays, without waiting.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Ends all replays, and closes their connections.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.readers.close(self.config.feed.replays_max).await;
    }

    async fn run(&self, lane: ReplayLane) {
        let limit = Duration::from_millis(self.config.feed.replay_timeout_ms);
        let mut progress = Progress::default();
        let told = tokio::time::timeout_at(
            Instant::now() + limit,
            self.tell_in_turn(&lane, &mut progress),
        );
        let (reason, error) = match told.await {
            Ok(Ok(Outcome::Told(last))) => return lane.finish(&last),
            Ok(Ok(Outcome::Void(reason))) => return lane.void(reason),
            Ok(Err(error)) => (reason::UNREADABLE, Some(error)),
            Err(_) => (reason::LAGGED, None),
        };
        if lane.check().is_err() {
            // The channel has ended, or the replay is void: there is nobody to tell.
            return;
        }
        let cause = error.as_ref().and_then(std::error::Error::source);
        tracing::warn!(
            reason,
            error = error.as_ref().map(Error::to_string),
            cause,
            "a replay was cut short"
        );
        match progress.position {
            None => lane.void(reason),
            Some(position) => {
                let mut rest = BatchBuilder::new(lane.since().version, position);
                let open = progress.open.iter().map(Todo::name);
                for name in open.chain(&progress.held) {
                    rest.reset(Some(name.clone()), reason);
                }
                lane.finish(&rest.build());
            }
        }
    }

    async fn tell_in_turn(&self, lane: &ReplayLane, progress: &mut Progress) -> Result<Outcome> {
        let ended = || Error::internal("turns are never closed");
        let own = self.turn_of(&lane.identity().key);
        let _own = own.acquire().await.map_err(|_| ended())?;
        let _turn = self.turns.acquire().await.map_err(|_| ended())?;
        loop {
            lane.check()?;
            let replay = Replay {
                replays: self,
                readers: &self.readers,
                lane,
            };
            match replay.tell(progress).await {
                // A connection was lost; what was told of one state cannot go on in another.
                Err(error) if error.kind().is_retryable() && progress.position.is_none() => {
                    tracing::debug!(%error, "a replay is tried again");
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    }

    fn turn_of(&self, identity: &IdentityKey) -> Arc<Semaphore> {
        let mut identities = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = identities.get(identity).and_then(Weak::upgrade) {
            return turn;
        }
        identities.retain(|_, it| it.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        identities.insert(*identity, Arc::downgrade(&turn));
        turn
    }
}
