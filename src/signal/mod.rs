//! Signals and presence: what clients tell each other without touching the database.
//!
//! Owns topics, who is on them, and what may be sent. A signal goes from one channel to the others of
//! its topic in memory: never to its sender, never to another organization, never to disk. The
//! database is asked two things only: whether an identity sees the row that a topic is about, and
//! whether a write that a signal announced was committed.
//!
//! Invariant: what an organization's signals share stands in its own `Organization`, found by the
//! identity's organization; there is no way from one to another.

mod announced;
mod organization;
mod presence;
mod rate;
mod topic;
mod upkeep;
mod watch;

pub use topic::{Named, RowTopic, Topic};

use crate::{
    channel::{Channel, Hub, Watch},
    config::Config,
    error::{Error, Kind, Result},
    identity::{Identity, OrganizationId},
    postgres::Database,
    query::{ActionId, Query, row_id},
    wire::{Events, signal},
};
use organization::{Organization, Outgoing, Rates, Seat};
use rate::Rate;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::AbortHandle};

/// Bytes of what somebody says about themselves on a topic.
const STATE_BYTES_MAX: usize = 1 << 10;
/// Characters of a signal's name.
const NAME_CHARS_MAX: usize = 64;
/// People that an answer lists.
const LISTED_MAX: usize = 1_000;

/// What a client wants to tell the others.
#[derive(Debug)]
pub struct Message<'a> {
    /// What it is about.
    pub topic: &'a str,
    /// A word of the clients'.
    pub name: &'a str,
    /// The write that it announces.
    pub action: Option<ActionId>,
    /// Whatever else.
    pub data: Option<&'a RawValue>,
}

/// The signals of this server.
#[derive(Debug)]
pub struct Signals {
    database: Database,
    rates: Rates,
    bytes_max: usize,
    action_timeout: Duration,
    /// Found under a lock that is held for the look-up only.
    organizations: Mutex<HashMap<OrganizationId, Arc<Mutex<Organization>>>>,
    work: Arc<Notify>,
    task: Mutex<Option<AbortHandle>>,
}

impl Signals {
    /// Signals between the channels of this hub, whose comings and goings are watched from now on.
    /// Needs a tokio runtime; the task that looks after presence ends with [`Signals::stop`].
    pub fn start(config: &Config, hub: &Hub, database: Database) -> Arc<Self> {
        let limits = &config.limits;
        let signals = Arc::new(Self {
            database,
            rates: Rates {
                channel: Rate::new(limits.signals_per_second, limits.signals_burst),
                fanout: Rate::new(
                    limits.signal_deliveries_per_second,
                    limits.signal_deliveries_per_second,
                ),
                topics_max: limits.topics_per_channel,
            },
            bytes_max: limits.signal_bytes_max,
            action_timeout: Duration::from_millis(limits.signal_action_ms),
            organizations: Mutex::default(),
            work: Arc::default(),
            task: Mutex::default(),
        });
        let watch: Weak<dyn Watch> = Arc::downgrade(&(signals.clone() as Arc<dyn Watch>));
        hub.watch(watch);
        let task = tokio::spawn(upkeep::look_after(
            Arc::downgrade(&signals),
            signals.work.clone(),
        ));
        *lock(&signals.task) = Some(task.abort_handle());
        signals
    }

    /// Ends the task.
    pub fn stop(&self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }

    /// Takes part in a topic, to hear its signals and who is there; `state` is what the user says
    /// about themselves, at most 1 KiB of JSON.
    ///
    /// # Errors
    /// `TopicUnknown`, also for a row that the identity does not see; `TooManyTopics`;
    /// `SignalTooLarge` for a state that is.
    pub async fn join(
        &self,
        channel: &Arc<Channel>,
        topic: &str,
        state: Option<&RawValue>,
    ) -> Result<()> {
        if state.is_some_and(|it| it.get().len() > STATE_BYTES_MAX) {
            let detail = format!("A state has at most {STATE_BYTES_MAX} bytes.");
            return Err(Error::new(Kind::SignalTooLarge, detail));
        }
        let state = state.filter(|it| it.get() != "null");
        let state = state.map(|it| Arc::from(it.to_owned()));
        let topic = self.topic(channel.identity(), topic).await?;
        let organization = self.organization(&channel.identity().organization);
        lock(&organization).join(channel, &topic, state, &self.rates)?;
        // What the row's change may have taken away while it was read is looked at once more.
        if let Topic::Row(_) = &topic {
            lock(&organization).doubt(channel.identity().key, topic);
        }
        self.work.notify_one();
        Ok(())
    }

    /// No longer takes part.
    ///
    /// # Errors
    /// `TopicUnknown` if the channel was not on it.
    pub fn leave(&self, channel: &Channel, topic: &str) -> Result<()> {
        let seat = Seat::of(channel);
        let organization = self.organization(&channel.identity().organization);
        let mut organization = lock(&organization);
        let topic = match Named::parse(topic)? {
            Named::Organization => Some(Topic::Organization),
            // What was joined is found by its name: a right is not needed to leave.
            Named::Row { .. } => {
                let mut rows = organization.rows_of(seat.0).into_iter();
                rows.find(|it| it.name() == topic)
            }
        };
        let left = topic.is_some_and(|topic| organization.leave(&seat, &topic));
        self.work.notify_one();
        match left {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// Tells everybody else on a topic. Who is not on it may send all the same, if they see its row.
    ///
    /// # Errors
    /// `TopicUnknown`, `SignalTooLarge`, `TooManySignals`, `CommandMalformed` for a bad name.
    pub async fn send(&self, channel: &Arc<Channel>, message: &Message<'_>) -> Result<()> {
        let name_fits = (1..=NAME_CHARS_MAX).contains(&message.name.chars().count());
        if !name_fits || message.name.chars().any(char::is_control) {
            let detail = format!("A signal's name has 1 to {NAME_CHARS_MAX} characters.");
            return Err(Error::new(Kind::CommandMalformed, detail));
        }
        if message
            .data
            .is_some_and(|it| it.get().len() > self.bytes_max)
        {
            let detail = format!("A signal carries at most {} bytes.", self.bytes_max);
            return Err(Error::new(Kind::SignalTooLarge, detail));
        }
        let identity = channel.identity();
        let organization = self.organization(&identity.organization);
        let joined = lock(&organization).rows_of(identity.key);
        let topic = match joined.into_iter().find(|it| it.name() == message.topic) {
            Some(topic) if lock(&organization).is_on(&Seat::of(channel), &topic) => topic,
            _ => self.topic(identity, message.topic).await?,
        };
        let line = signal::line(&signal::Signal {
            topic: topic.name(),
            name: message.name,
            from: signal::Sender {
                user: &identity.user.0,
                channel: channel.id().as_str(),
            },
            action_id: message.action.as_ref().map(ActionId::as_str),
            data: message.data,
        });
        let now = Instant::now();
        let announces = message.action.as_ref();
        let announces = announces.map(|it| (Arc::from(it.as_str()), now + self.action_timeout));
        let outgoing = Outgoing {
            topic: &topic,
            events: &Arc::new(Events::one(line)),
            announces,
        };
        lock(&organization).send(channel, &outgoing, &self.rates, now)?;
        self.work.notify_one();
        Ok(())
    }

    /// A write was refused: what announced it is taken back.
    pub fn refused(&self, identity: &Identity, action: &ActionId) {
        if let Some(organization) = self.known(&identity.organization) {
            lock(&organization).take_back(&identity.user, &Arc::from(action.as_str()));
        }
    }

    /// A user has shown another token, whose claims are others than those before: what they see no more
    /// is looked at, though their channel ends anyway. Of another user's token nothing follows.
    pub fn succeeded(&self, before: &Identity, now: &Arc<Identity>) {
        if before.organization != now.organization || before.user != now.user {
            return;
        }
        if let Some(organization) = self.known(&before.organization)
            && lock(&organization).succeed(before.key, now)
        {
            self.work.notify_one();
        }
    }

    /// Who is on a topic, as a JSON document.
    ///
    /// # Errors
    /// `TopicUnknown`.
    pub async fn presence(&self, identity: &Identity, topic: &str) -> Result<Vec<u8>> {
        let topic = self.topic(identity, topic).await?;
        let organization = self.organization(&identity.organization);
        let organization = lock(&organization);
        let mut list = organization.presence(&topic, LISTED_MAX);
        list.topic = topic.name();
        Ok(serde_json::to_vec(&list).expect("people have a JSON form"))
    }

    /// The topic of this name, which the identity may see.
    async fn topic(&self, identity: &Identity, name: &str) -> Result<Topic> {
        match Named::parse(name)? {
            Named::Organization => Ok(Topic::Organization),
            Named::Row { resource, id } => {
                let row = self.row(identity, &resource, &id).await?;
                row.map(|it| Topic::Row(Arc::new(it))).ok_or_else(unknown)
            }
        }
    }

    /// The row as a topic, if the identity sees it.
    async fn row(&self, identity: &Identity, resource: &str, id: &str) -> Result<Option<RowTopic>> {
        let access = self.database.access(&identity.role).await?;
        let query = match Query::row_key(&access, resource, id) {
            Ok(query) => query,
            Err(error) if error.kind() == Kind::Internal => return Err(error),
            Err(_) => return Ok(None),
        };
        let item = match self.database.item(identity, &query).await {
            Ok(item) => item,
            Err(error) if error.kind() == Kind::RowUnknown => return Ok(None),
            Err(error) => return Err(error),
        };
        let (key, id) = row_id(query.resource(), &item.body)?;
        Ok(Some(RowTopic {
            resource: query.resource().name.clone(),
            name: format!("{}/{id}", query.resource().name).into(),
            key: key.into(),
        }))
    }

    fn organization(&self, id: &OrganizationId) -> Arc<Mutex<Organization>> {
        let mut organizations = lock(&self.organizations);
        let organization = organizations.entry(id.clone());
        let new = || Arc::new(Mutex::new(Organization::new()));
        organization.or_insert_with(new).clone()
    }

    fn known(&self, id: &OrganizationId) -> Option<Arc<Mutex<Organization>>> {
        lock(&self.organizations).get(id).cloned()
    }
}

fn unknown() -> Error {
    Error::new(
        Kind::TopicUnknown,
        "There is no such topic, or you may not see its row.",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
