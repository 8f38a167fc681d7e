//! The hub: every channel of this server, by identity and by organization.
//!
//! Owns registration (with the feed, from a channel's first moment on) and removal. Knows nothing of
//! what channels carry.

use super::{
    Attach, Attachment, Audience, Channel, ChannelId, Group, Look, Watch,
    departed::Departed,
    queue::Bounds,
    sync::{AtomicU64, AtomicUsize, Mutex, lock},
    time::Clock,
};
use crate::{
    config::Limits,
    error::{Error, Kind, Result},
    identity::{Identity, IdentityKey, OrganizationId},
    snapshot::Position,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::{Duration, SystemTime},
};

/// How often idle channels and old events are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Every channel of this server.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    registry: Mutex<Registry>,
    sweeper: Mutex<Option<tokio::task::AbortHandle>>,
}

/// What channels and groups need of the hub.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bounds: Bounds,
    pub(super) clock: Clock,
    /// Up to where everything was queued for all groups that nobody holds.
    settled: Mutex<Mark>,
    /// Counts the times that the database went back, see [`Hub::rewind`].
    epoch: AtomicU64,
    /// Channels and attachments that exist, whoever still points at them.
    pub(super) channels: AtomicUsize,
    pub(super) attachments: AtomicUsize,
    /// Somebody has attached; at most one such word is kept for the one who waits for it.
    pub(super) attached: tokio::sync::Notify,
    watch: OnceLock<Weak<dyn Watch>>,
}

impl Shared {
    pub(super) fn settled(&self) -> Mark {
        lock(&self.settled).clone()
    }

    pub(super) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.watch.get()?.upgrade()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }
}

/// A position of the feed, and how often the database had gone back by then: positions of different
/// epochs do not compare.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) epoch: u64,
    pub(super) position: Position,
}

#[derive(Debug)]
struct Registry {
    groups: HashMap<IdentityKey, Arc<Group>>,
    organizations: HashMap<OrganizationId, Arc<Vec<Arc<Group>>>>,
    /// Where the feed's last snapshot stands: who comes now needs nothing from before.
    advanced: Mark,
    departed: Departed,
    down: bool,
}

/// What is there now: for teardown assertions and metrics. All zero once everybody has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Channels that exist.
    pub channels: usize,
    /// Attachments that exist.
    pub attachments: usize,
    /// Requests whose end was not yet handed out.
    pub requests: usize,
    /// Bytes that wait to be handed out.
    pub queued_bytes: usize,
    /// Bytes that are kept for readers who come back.
    pub replay_bytes: usize,
}

impl Hub {
    /// A hub without channels; the feed stands at `position`.
    pub fn new(limits: &Limits, position: Position) -> Arc<Self> {
        let mark = Mark { epoch: 0, position };
        Arc::new(Self {
            shared: Arc::new(Shared {
                bounds: Bounds::new(limits),
                clock: Clock::start(),
                settled: Mutex::new(mark.clone()),
                epoch: AtomicU64::new(0),
                channels: AtomicUsize::new(0),
                attachments: AtomicUsize::new(0),
                attached: tokio::sync::Notify::new(),
                watch: OnceLock::new(),
            }),
            registry: Mutex::new(Registry {
                groups: HashMap::new(),
                organizations: HashMap::new(),
                advanced: mark,
                departed: Departed::default(),
                down: false,
            }),
            sweeper: Mutex::new(None),
        })
    }

    pub(super) fn watched(&self) -> Option<Arc<dyn Watch>> {
        self.shared.watch()
    }

    /// Tells this one, from now on, of channels that come and go. There is one for a hub's life.
    pub fn watch(&self, watch: Weak<dyn Watch>) {
        let first = self.shared.watch.set(watch).is_ok();
        debug_assert!(first, "a hub is watched once");
    }

    /// Starts the task that removes idle channels and old events; it ends with [`Hub::clear`] or when
    /// the hub is dropped. Needs a tokio runtime.
    pub fn start_sweeper(self: &Arc<Self>) {
        let hub = Arc::downgrade(self);
        let every = SWEEP_EVERY.min(Duration::from_millis(self.shared.bounds.sweep_ms()));
        let sweeper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(hub) = Weak::upgrade(&hub) else {
                    break;
                };
                hub.sweep();
            }
        });
        let earlier = lock(&self.sweeper).replace(sweeper.abort_handle());
        if let Some(earlier) = earlier {
            earlier.abort();
        }
    }

    /// The identity's channel of that name, made and registered with the feed if need be.
    /// `TooManyChannels`, `ShuttingDown`.
    pub fn open(&self, identity: &Arc<Identity>, id: &ChannelId) -> Result<Arc<Channel>> {
        let mut registry = lock(&self.registry);
        if registry.down {
            return Err(Error::new(
                Kind::ShuttingDown,
                "The server takes nothing new.",
            ));
        }
        let known = registry.groups.get(&identity.key).cloned();
        if let Some(channel) = known.as_ref().and_then(|group| group.find(id)) {
            // One that nobody read for too long is gone, whether or not that was noticed before.
            if !channel.sweep() {
                return Ok(channel);
            }
            registry.departed.add(&identity.key, id);
        }
        let group = known
            .clone()
            .unwrap_or_else(|| Arc::new(Group::new(identity.clone(), self.shared.clone())));
        let heir = registry.departed.has(&identity.key, id);
        let mark = registry.advanced.clone();
        let channel = Channel::new(id.clone(), group.clone(), first_number(), mark, heir);
        let channel = Arc::new(channel);
        group.add(channel.clone())?;
        if heir {
            registry.departed.remove(&identity.key, id);
        }
        if known.is_none() {
            registry.enter(group);
        }
        Ok(channel)
    }

    /// Begins to read the identity's channel of that name, made if need be.
    /// `TooManyChannels`, `ShuttingDown`.
    pub fn attach(
        &self,
        identity: &Arc<Identity>,
        id: &ChannelId,
        attach: Attach,
    ) -> Result<Attachment> {
        loop {
            match self.open(identity, id)?.attach(attach.clone()) {
                // It was ended in between; the next one of that name is new, and not idle.
                Err(error) if error.kind() == Kind::ChannelEnded => {}
                attached => return attached,
            }
        }
    }

    /// The identity's channel of that name, if it exists.
    pub fn find(&self, key: &IdentityKey, id: &ChannelId) -> Option<Arc<Channel>> {
        let group = lock(&self.registry).groups.get(key).cloned();
        group?.find(id)
    }

    /// A plain answer is about to be read for this identity, whose channels are told of whatever it may
    /// show that is gone again by the end of the batch.
    pub fn look(&self, identity: &Identity) -> Look {
        Look::new(lock(&self.registry).groups.get(&identity.key).cloned())
    }

    /// Ends a channel: its reader is closed (4002), its requests are cancelled without another word.
    /// Whether there was one.
    pub fn end(&self, key: &IdentityKey, id: &ChannelId) -> bool {
        let Some(channel) = self.find(key, id) else {
            return false;
        };
        channel.end(Kind::ChannelEnded);
        self.prune(channel.group());
        true
    }

    /// The feed has taken the snapshot `to`: channels registered from now on start there. Returns
    /// those who were registered before, to whom everything up to `to` has to be told.
    pub fn advance(self: &Arc<Self>, to: Position) -> Audience {
        lock(&self.registry).advanced.position = to.clone();
        Audience::new(self.clone(), to)
    }

    /// Everything up to `to` was queued for every group that nobody holds: their `ping` and `open`
    /// may say so.
    pub fn settle(&self, to: Position) {
        lock(&self.shared.settled).position = to;
    }

    /// The database went back to an earlier state and now stands at `to`: versions and cursors from
    /// before are void, as protocol.md says of a new log id. Changes that wait are dropped, requests
    /// whose rows wait end with an error, holds from before tell nothing any more, and every reader
    /// gets a `reset` of everything for this reason.
    pub fn rewind(&self, to: Position, reason: &'static str) {
        let mark = {
            let mut registry = lock(&self.registry);
            let epoch = registry.advanced.epoch + 1;
            let mark = Mark {
                epoch,
                position: to,
            };
            self.shared.epoch.store(epoch, SeqCst);
            *lock(&self.shared.settled) = mark.clone();
            registry.advanced = mark.clone();
            mark
        };
        for channel in self.channels() {
            channel.rewind(&mark, reason);
        }
    }

    /// The groups of one organization that are online now.
    pub fn groups_of(&self, organization: &OrganizationId) -> Arc<Vec<Arc<Group>>> {
        let registry = lock(&self.registry);
        let groups = registry.organizations.get(organization);
        groups.cloned().unwrap_or_default()
    }

    /// All groups that are online now.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        lock(&self.registry).groups.values().cloned().collect()
    }

    pub(super) fn organizations(&self) -> Vec<OrganizationId> {
        lock(&self.registry).organizations.keys().cloned().collect()
    }

    /// Whether nobody is online.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.registry).groups.is_empty()
    }

    /// Whether nobody reads any channel. What is queued for those who come back may wait a little.
    pub fn is_unattended(&self) -> bool {
        self.shared.attachments.load(Relaxed) == 0
    }

    /// Resolves when somebody attaches, or has since this resolved last. For one who waits.
    pub async fn attached(&self) {
        self.shared.attached.notified().await;
    }

    /// Begins the end: no new channels, attachments and requests; running requests are told
    /// `ShuttingDown`; each reader gets what is queued, the ends of its requests included, and then
    /// `close` 4100. How long that may take is the caller's to decide, who then calls
    /// [`Hub::clear`].
    pub fn shut_down(&self) {
        lock(&self.registry).down = true;
        for channel in self.channels() {
            channel.drain();
        }
    }

    /// Ends all channels at once, whatever they still have to say, and the sweeper.
    pub fn clear(&self) {
        if let Some(sweeper) = lock(&self.sweeper).take() {
            sweeper.abort();
        }
        for group in self.groups() {
            for channel in group.channels() {
                channel.end(Kind::ShuttingDown);
            }
            self.prune(&group);
        }
    }

    /// What is there now.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            channels: self.shared.channels.load(Relaxed),
            attachments: self.shared.attachments.load(Relaxed),
            ..Stats::default()
        };
        for group in self.groups() {
            stats.requests += group.requests();
            for channel in group.channels() {
                let (queued, replay) = channel.bytes();
                stats.queued_bytes += queued;
                stats.replay_bytes += replay;
            }
        }
        stats
    }

    /// Forgets old events and removes idle channels, remembering their names: who comes back to one
    /// has to hear that it was gone.
    fn sweep(&self) {
        for group in self.groups() {
            let mut removed = false;
            for channel in group.channels() {
                if channel.sweep() {
                    removed = true;
                    let key = &group.identity().key;
                    lock(&self.registry).departed.add(key, channel.id());
                }
            }
            if removed {
                self.prune(&group);
            }
        }
    }

    fn channels(&self) -> Vec<Arc<Channel>> {
        let groups = self.groups();
        groups.iter().flat_map(|group| group.channels()).collect()
    }

    /// Forgets a group's ended channels, and the group if it has no others. Who adds a channel holds
    /// the registry's lock too.
    fn prune(&self, group: &Arc<Group>) {
        let mut registry = lock(&self.registry);
        if group.prune() {
            registry.leave(group);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Registry {
    fn enter(&mut self, group: Arc<Group>) {
        let identity = group.identity().clone();
        let groups = self.organizations.entry(identity.organization.clone());
        Arc::make_mut(groups.or_default()).push(group.clone());
        self.groups.insert(identity.key, group);
    }

    fn leave(&mut self, group: &Arc<Group>) {
        let identity = group.identity();
        let same = |it: &Arc<Group>| Arc::ptr_eq(it, group);
        if !self.groups.get(&identity.key).is_some_and(same) {
            return;
        }
        self.groups.remove(&identity.key);
        if let Some(groups) = self.organizations.get_mut(&identity.organization) {
            Arc::make_mut(groups).retain(|it| !Arc::ptr_eq(it, group));
            if groups.is_empty() {
                self.organizations.remove(&identity.organization);
            }
        }
    }
}

/// The number of a channel's first event: microseconds since 1970, so that the numbers of an earlier
/// life of the channel lie below. They stay under 2^53, which JSON's readers can count to, until the
/// year 2255.
fn first_number() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.map_or(1, |it| it.as_micros());
    u64::try_from(micros).unwrap_or(1).clamp(1, (1 << 53) - 1)
}
