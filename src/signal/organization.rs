//! One organization's topics: who is on them, who may send how much, and what is to be told.
//!
//! Owns all that signals share inside an organization, behind one lock that the service holds for as
//! long as a signal is handed to its receivers: so signals of one sender on one topic keep their
//! order. Reads no clock and no database.

use super::{
    announced::Announced,
    presence::{News, Presence},
    rate::{Bucket, Rate},
    topic::Topic,
};
use crate::{
    channel::{Channel, ChannelId},
    error::{Error, Kind, Result},
    identity::{Identity, IdentityKey, UserId},
    wire::{
        Events,
        signal::{self, Absent, PresenceEvent, PresenceList},
    },
};
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// How long news of who is there are collected before they are told.
pub(super) const TICK: Duration = Duration::from_millis(200);
/// The same for a crowd, of which only the count is told.
const CROWD_TICK: Duration = Duration::from_secs(5);

/// How much an organization and its channels may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Signals of one channel.
    pub(super) channel: Rate,
    /// Deliveries of all signals of an organization.
    pub(super) fanout: Rate,
    /// Topics that one channel may be on.
    pub(super) topics_max: usize,
}

/// One channel, by whose it is and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seat(pub(super) IdentityKey, pub(super) ChannelId);

impl Seat {
    pub(super) fn of(channel: &Channel) -> Self {
        Self(channel.identity().key, channel.id().clone())
    }
}

/// A signal on its way to the others.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a Topic,
    pub(super) events: &'a Events,
    /// The write that it announces, and until when that has to be committed.
    pub(super) announces: Option<(Arc<str>, Instant)>,
}

/// One organization.
#[derive(Debug)]
pub(super) struct Organization {
    members: HashMap<Seat, Member>,
    topics: HashMap<Topic, Room>,
    fanout: Bucket,
    pub(super) announced: Announced,
    /// Rights to be looked at again.
    doubts: HashSet<(IdentityKey, Topic)>,
    /// Rows whose keys are to be looked at again.
    shaken: HashSet<Topic>,
    /// The rows that each identity's channels are on as topics, and how many of them are: looked up
    /// at every batch.
    rows: HashMap<IdentityKey, HashMap<Topic, usize>>,
}

#[derive(Debug)]
struct Member {
    channel: Weak<Channel>,
    identity: Arc<Identity>,
    bucket: Bucket,
    /// What it joined itself, with what its user says there.
    topics: HashMap<Topic, Option<Arc<RawValue>>>,
    /// It does not want to hear of what concerns everybody.
    left_organization: bool,
    online: bool,
    /// When it counts as gone, unless it comes back.
    gone_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Room {
    seats: HashSet<Seat>,
    presence: Presence,
    told_at: Option<Instant>,
}

impl Organization {
    pub(super) fn new() -> Self {
        Self {
            members: HashMap::new(),
            topics: HashMap::new(),
            fanout: Bucket::full(),
            announced: Announced::default(),
            doubts: HashSet::new(),
            shaken: HashSet::new(),
            rows: HashMap::new(),
        }
    }

    /// Nobody is here, and nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.announced.is_empty()
    }

    /// Somebody reads this channel.
    pub(super) fn attached(&mut self, channel: &Arc<Channel>) {
        let member = self.member(channel);
        member.gone_at = None;
        if !std::mem::replace(&mut member.online, true) {
            let user = member.identity.user.clone();
            for (topic, state) in member.topics.clone() {
                self.room(&topic).presence.enter(&user, state);
            }
            let everybody = &mut self.room(&Topic::Organization).presence;
            everybody.enter(&user, None);
        }
    }

    /// Nobody reads it any more; it counts as gone from then on.
    pub(super) fn detached(&mut self, seat: &Seat, gone_at: Instant) {
        if let Some(member) = self.members.get_mut(seat).filter(|it| it.online) {
            member.gone_at = Some(gone_at);
        }
    }

    /// The channel is no more.
    pub(super) fn ended(&mut self, seat: &Seat) {
        self.offline(seat);
        let Some(member) = self.members.remove(seat) else {
            return;
        };
        for topic in member.topics.keys() {
            self.stand_up(seat, topic);
        }
    }

    /// Takes part in a topic that the channel may see; again, to say something else about oneself.
    pub(super) fn join(
        &mut self,
        channel: &Arc<Channel>,
        topic: &Topic,
        state: Option<Arc<RawValue>>,
        rates: &Rates,
    ) -> Result<()> {
        let seat = Seat::of(channel);
        let member = self.member(channel);
        if *topic == Topic::Organization {
            member.left_organization = false;
        }
        let known = member.topics.contains_key(topic);
        if !known && member.topics.len() >= rates.topics_max {
            return Err(Error::new(
                Kind::TooManyTopics,
                format!("A channel is on at most {} topics.", rates.topics_max),
            ));
        }
        member.topics.insert(topic.clone(), state.clone());
        let (user, online) = (member.identity.user.clone(), member.online);
        if !known && matches!(topic, Topic::Row(_)) {
            let rows = self.rows.entry(seat.0).or_default();
            *rows.entry(topic.clone()).or_default() += 1;
        }
        let room = self.room(topic);
        room.seats.insert(seat);
        match (online, known || *topic == Topic::Organization) {
            (true, true) => room.presence.state(&user, state),
            (true, false) => room.presence.enter(&user, state),
            (false, _) => {}
        }
        if !known {
            let news = room.presence.everybody();
            channel.tell(&event(topic, &news));
        }
        Ok(())
    }

    /// No longer takes part in a topic. Whether it did.
    pub(super) fn leave(&mut self, seat: &Seat, topic: &Topic) -> bool {
        let Some(member) = self.members.get_mut(seat) else {
            return false;
        };
        let everybody = *topic == Topic::Organization;
        let heard = everybody && !std::mem::replace(&mut member.left_organization, true);
        let joined = member.topics.remove(topic).is_some();
        let (user, online) = (member.identity.user.clone(), member.online);
        if joined {
            self.stand_up(seat, topic);
            if online && !everybody {
                self.room(topic).presence.leave(&user);
            }
        }
        joined || heard
    }

    fn stand_up(&mut self, seat: &Seat, topic: &Topic) {
        if let Some(room) = self.topics.get_mut(topic) {
            room.seats.remove(seat);
        }
        if let Some(rows) = self.rows.get_mut(&seat.0)
            && let Some(count) = rows.get_mut(topic)
        {
            *count -= 1;
            if *count == 0 {
                rows.remove(topic);
            }
            if rows.is_empty() {
                self.rows.remove(&seat.0);
            }
        }
    }

    /// Whether the channel is on the topic, so that its right to be has been seen.
    pub(super) fn is_on(&self, seat: &Seat, topic: &Topic) -> bool {
        let member = self.members.get(seat);
        member.is_some_and(|it| it.topics.contains_key(topic))
    }

    /// Hands a signal to everybody else on its topic.
    ///
    /// # Errors
    /// `TooManySignals`, with the time after which it would go.
    pub(super) fn send(
        &mut self,
        channel: &Arc<Channel>,
        signal: &Outgoing<'_>,
        rates: &Rates,
        now: Instant,
    ) -> Result<()> {
        let sender = Seat::of(channel);
        let bucket = &mut self.member(channel).bucket;
        bucket.take(rates.channel, 1, now).map_err(|wait| {
            Error::new(
                Kind::TooManySignals,
                format!(
                    "The channel sends more than it may; the next signal goes in {} ms.",
                    wait.as_millis().max(1)
                ),
            )
        })?;
        let Self {
            members,
            topics,
            fanout,
            announced,
            ..
        } = self;
        let receivers = receivers(members, topics, signal.topic, &sender);
        let count = u32::try_from(receivers.len()).unwrap_or(u32::MAX);
        fanout.take(rates.fanout, count, now).map_err(|_| {
            Error::new(
                Kind::TooManySignals,
                "The organization's signals reach more channels than they may in this time.",
            )
        })?;
        for (_, channel) in &receivers {
            channel.tell(signal.events);
        }
        if let Some((action, deadline)) = &signal.announces {
            let user = &channel.identity().user;
            let seats = receivers.into_iter().map(|(seat, _)| seat.clone());
            announced.add(user, action, *deadline, seats)?;
        }
        Ok(())
    }

    /// Tells everybody who got these signals that the write did not happen.
    pub(super) fn take_back(&mut self, user: &UserId, action: &Arc<str>) {
        let Some(receivers) = self.announced.remove(user, action) else {
            return;
        };
        let events = Events::one(signal::line(&signal::Void { action_id: action }));
        for seat in receivers {
            let member = self.members.get(&seat);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                channel.tell(&events);
            }
        }
    }

    /// Who is on a topic.
    pub(super) fn presence(&self, topic: &Topic, most: usize) -> PresenceList<'_> {
        let presence = self.topics.get(topic).map(|it| &it.presence);
        PresenceList {
            topic: self
                .topics
                .get_key_value(topic)
                .map_or("", |(topic, _)| topic.name()),
            count: presence.map_or(0, Presence::count),
            present: presence.map_or_else(Vec::new, |it| it.list(most)),
        }
    }

    /// An identity no longer sees a row: its channels leave the topic, and are told.
    pub(super) fn lose(&mut self, key: IdentityKey, topic: &Topic) {
        let Some(room) = self.topics.get(topic) else {
            return;
        };
        let lost: Vec<Seat> = room
            .seats
            .iter()
            .filter(|it| it.0 == key)
            .cloned()
            .collect();
        for seat in lost {
            self.leave(&seat, topic);
            let member = self.members.get(&seat);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                let error = Error::new(
                    Kind::TopicLost,
                    format!("The row of the topic {topic} is not there for you any more."),
                );
                channel.error(&crate::wire::problem::document(&error, None));
            }
        }
    }

    /// The rows that this identity's channels are on as topics.
    pub(super) fn rows_of(&self, key: IdentityKey) -> Vec<Topic> {
        let rows = self.rows.get(&key);
        rows.map_or_else(Vec::new, |it| it.keys().cloned().collect())
    }

    /// The identity's right to be on a topic is to be looked at again.
    pub(super) fn doubt(&mut self, key: IdentityKey, topic: Topic) {
        self.doubts.insert((key, topic));
    }

    /// Somebody may have lost the right to rows of a resource, whose keys are then to be looked at
    /// again, as far as anybody here is on their topics. Whether any is.
    pub(super) fn shake(&mut self, resource: &str, rows: Option<&[Arc<str>]>) -> bool {
        let concerned = |topic: &&Topic| match topic {
            Topic::Row(row) => {
                *row.resource == *resource && rows.is_none_or(|it| it.contains(&row.key))
            }
            Topic::Organization => false,
        };
        let topics: Vec<Topic> = self.topics.keys().filter(concerned).cloned().collect();
        let any = !topics.is_empty();
        self.shaken.extend(topics);
        any
    }

    /// A row's key is to be looked at again.
    pub(super) fn shake_again(&mut self, topic: Topic) {
        self.shaken.insert(topic);
    }

    /// The rows whose keys are to be looked at again.
    pub(super) fn take_shaken(&mut self) -> HashSet<Topic> {
        std::mem::take(&mut self.shaken)
    }

    /// Tells everybody on a topic.
    pub(super) fn tell(&self, topic: &Topic, events: &Events) {
        let room = self.topics.get(topic);
        for seat in room.iter().flat_map(|it| &it.seats) {
            let member = self.members.get(seat);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                channel.tell(events);
            }
        }
    }

    /// The rights to look at again, each with whose it is.
    pub(super) fn take_doubts(&mut self) -> Vec<(Arc<Identity>, Topic)> {
        let doubts = std::mem::take(&mut self.doubts);
        let identity = |key| {
            let mut members = self.members.iter();
            members
                .find(|(seat, _)| seat.0 == key)
                .map(|(_, it)| it.identity.clone())
        };
        let doubts = doubts.into_iter();
        doubts
            .filter_map(|(key, topic)| Some((identity(key)?, topic)))
            .collect()
    }

    /// Does what is due: who is gone counts as gone, and news are told. Whether there is more to do
    /// soon.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let due = |it: &Member| it.gone_at.is_some_and(|at| at <= now);
        let gone: Vec<Seat> = self
            .members
            .iter()
            .filter(|(_, it)| due(it))
            .map(|(seat, _)| seat.clone())
            .collect();
        for seat in gone {
            self.offline(&seat);
        }
        let members = &self.members;
        for (topic, room) in &mut self.topics {
            room.tell(topic, members, now);
        }
        self.topics
            .retain(|_, it| !it.seats.is_empty() || !it.presence.is_empty());
        self.members.values().any(|it| it.gone_at.is_some())
            || self.topics.values().any(|it| it.presence.is_untold())
            || !self.announced.is_empty()
            || !self.doubts.is_empty()
            || !self.shaken.is_empty()
    }

    fn offline(&mut self, seat: &Seat) {
        let Some(member) = self.members.get_mut(seat) else {
            return;
        };
        member.gone_at = None;
        if !std::mem::replace(&mut member.online, false) {
            return;
        }
        let user = member.identity.user.clone();
        let rows = member
            .topics
            .keys()
            .filter(|it| **it != Topic::Organization);
        for topic in rows.cloned().chain([Topic::Organization]) {
            if let Some(room) = self.topics.get_mut(&topic) {
                room.presence.leave(&user);
            }
        }
    }

    fn member(&mut self, channel: &Arc<Channel>) -> &mut Member {
        let member = self
            .members
            .entry(Seat::of(channel))
            .or_insert_with(|| Member {
                channel: Weak::new(),
                identity: channel.identity().clone(),
                bucket: Bucket::full(),
                topics: HashMap::new(),
                left_organization: false,
                online: false,
                gone_at: None,
            });
        // A channel of the same name may have come in an earlier one's place.
        member.channel = Arc::downgrade(channel);
        member
    }

    fn room(&mut self, topic: &Topic) -> &mut Room {
        self.topics.entry(topic.clone()).or_default()
    }
}

/// Everybody on a topic but the sender.
fn receivers<'a>(
    members: &'a HashMap<Seat, Member>,
    topics: &'a HashMap<Topic, Room>,
    topic: &Topic,
    sender: &Seat,
) -> Vec<(&'a Seat, Arc<Channel>)> {
    let found = |(seat, member): (&'a Seat, &Member)| Some((seat, member.channel.upgrade()?));
    match topic {
        Topic::Organization => members
            .iter()
            .filter(|(seat, it)| !it.left_organization && *seat != sender)
            .filter_map(found)
            .collect(),
        Topic::Row(_) => {
            let room = topics.get(topic).into_iter();
            room.flat_map(|it| &it.seats)
                .filter(|seat| *seat != sender)
                .filter_map(|seat| members.get_key_value(seat).and_then(found))
                .collect()
        }
    }
}

impl Room {
    /// Tells those who are on the topic what is new about who is there.
    fn tell(&mut self, topic: &Topic, members: &HashMap<Seat, Member>, now: Instant) {
        let pause = match self.presence.count() > super::presence::LISTED_MAX {
            true => CROWD_TICK,
            false => Duration::ZERO,
        };
        if self.told_at.is_some_and(|it| now < it + pause) {
            return;
        }
        let Some(news) = self.presence.news() else {
            return;
        };
        self.told_at = Some(now);
        let event = event(topic, &news);
        for seat in &self.seats {
            let member = members.get(seat).filter(|it| it.online);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                channel.tell(&event);
            }
        }
    }
}

fn event(topic: &Topic, news: &News) -> Events {
    Events::one(signal::line(&PresenceEvent {
        topic: topic.name(),
        joined: &news.joined,
        left: news.left.iter().map(|it| Absent { user: &it.0 }).collect(),
        count: news.count,
    }))
}
