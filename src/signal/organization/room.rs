//! One topic: who sits there, and what they are told of each other.

use super::{Member, Seat};
use crate::{
    signal::{
        presence::{LISTED_MAX, News, Presence},
        topic::Topic,
    },
    wire::{
        Events,
        signal::{self, Absent, PresenceEvent},
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long news of a crowd are collected, of which only the count is told.
const CROWD_TICK: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) seats: HashSet<Seat>,
    pub(super) presence: Presence,
    told_at: Option<Instant>,
}

impl Room {
    /// Tells those who are on the topic what is new about who is there.
    pub(super) fn tell(&mut self, topic: &Topic, members: &HashMap<Seat, Member>, now: Instant) {
        let pause = match self.presence.count() > LISTED_MAX {
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

pub(super) fn event(topic: &Topic, news: &News) -> Arc<Events> {
    Arc::new(Events::one(signal::line(&PresenceEvent {
        topic: topic.name(),
        joined: &news.joined,
        left: news.left.iter().map(|it| Absent { user: &it.0 }).collect(),
        count: news.count,
    })))
}
