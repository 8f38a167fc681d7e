//! One organization's topics: who is on them, who may send how much, and what is to be told.
//!
//! Owns all that signals share inside an organization, behind one lock that the service holds for as
//! long as a signal is handed to its receivers: so signals of one sender on one topic keep their
//! order. Reads no clock and no database.

mod delivery;
mod rights;
mod room;

pub(super) use delivery::Outgoing;

use super::{
    announced::Announced,
    presence::Presence,
    rate::{Bucket, Rate},
    topic::Topic,
};
use crate::{
    channel::{Channel, ChannelId},
    error::{Error, Kind, Result},
    identity::{Identity, IdentityKey},
    wire::signal::PresenceList,
};
use room::{Room, event};
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// How long news of who is there are collected before they are told.
pub(super) const TICK: Duration = Duration::from_millis(200);

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

/// One organization.
#[derive(Debug)]
pub(super) struct Organization {
    members: HashMap<Seat, Member>,
    topics: HashMap<Topic, Room>,
    fanout: Bucket,
    pub(super) announced: Announced,
    /// Rights to be looked at again.
    doubts: HashSet<(IdentityKey, Topic)>,
    /// The same of users who have shown another token, under which they are on no topic yet.
    succeeded: Vec<(Arc<Identity>, Topic)>,
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

impl Organization {
    pub(super) fn new() -> Self {
        Self {
            members: HashMap::new(),
            topics: HashMap::new(),
            fanout: Bucket::full(),
            announced: Announced::default(),
            doubts: HashSet::new(),
            succeeded: Vec::new(),
            shaken: HashSet::new(),
            rows: HashMap::new(),
        }
    }

    /// Nobody is here, and nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.announced.is_empty() && self.succeeded.is_empty()
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
            || !self.succeeded.is_empty()
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
