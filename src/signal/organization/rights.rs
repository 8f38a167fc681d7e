//! Which rights to topics are in doubt, and what becomes of those that are lost.

use super::{Organization, Seat};
use crate::{
    error::{Error, Kind},
    identity::{Identity, IdentityKey},
    signal::topic::Topic,
    wire::problem,
};
use std::{collections::HashSet, sync::Arc};

impl Organization {
    /// An identity no longer sees a row: its channels leave the topic, and are told.
    pub(in crate::signal) fn lose(&mut self, key: IdentityKey, topic: &Topic) {
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
                channel.error(&problem::document(&error, None));
            }
        }
    }

    /// The rows that this identity's channels are on as topics.
    pub(in crate::signal) fn rows_of(&self, key: IdentityKey) -> Vec<Topic> {
        let rows = self.rows.get(&key);
        rows.map_or_else(Vec::new, |it| it.keys().cloned().collect())
    }

    /// The identity's right to be on a topic is to be looked at again.
    pub(in crate::signal) fn doubt(&mut self, key: IdentityKey, topic: Topic) {
        self.doubts.insert((key, topic));
    }

    /// A user has shown a token that says something else than the one before: whether it still shows
    /// them the rows whose topics they were on is to be looked at. Whether there were any.
    pub(in crate::signal) fn succeed(&mut self, key: IdentityKey, now: &Arc<Identity>) -> bool {
        let rows = self.rows_of(key);
        let any = !rows.is_empty();
        self.doubt_under(now, rows);
        any
    }

    /// The identity's right to these rows is to be looked at, whether it is on their topics or not.
    pub(in crate::signal) fn doubt_under(
        &mut self,
        identity: &Arc<Identity>,
        topics: impl IntoIterator<Item = Topic>,
    ) {
        let topics = topics.into_iter();
        self.succeeded
            .extend(topics.map(|topic| (identity.clone(), topic)));
    }

    /// What [`Self::doubt_under`] was told.
    pub(in crate::signal) fn take_succeeded(&mut self) -> Vec<(Arc<Identity>, Topic)> {
        std::mem::take(&mut self.succeeded)
    }

    /// Somebody may have lost the right to rows of a resource, whose keys are then to be looked at
    /// again, as far as anybody here is on their topics. Whether any is.
    pub(in crate::signal) fn shake(&mut self, resource: &str, rows: Option<&[Arc<str>]>) -> bool {
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
    pub(in crate::signal) fn shake_again(&mut self, topic: Topic) {
        self.shaken.insert(topic);
    }

    /// The rows whose keys are to be looked at again.
    pub(in crate::signal) fn take_shaken(&mut self) -> HashSet<Topic> {
        std::mem::take(&mut self.shaken)
    }

    /// The rights to look at again, each with whose it is.
    pub(in crate::signal) fn take_doubts(&mut self) -> Vec<(Arc<Identity>, Topic)> {
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
}
