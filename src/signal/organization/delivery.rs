//! Who gets what is said on a topic, and what is taken back of it.

use super::{Member, Organization, Rates, Room, Seat};
use crate::{
    channel::Channel,
    error::{Error, Kind, Result},
    identity::UserId,
    signal::topic::Topic,
    wire::{Events, signal},
};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// A signal on its way to the others.
pub(in crate::signal) struct Outgoing<'a> {
    pub(in crate::signal) topic: &'a Topic,
    pub(in crate::signal) events: &'a Arc<Events>,
    /// The write that it announces, and until when that has to be committed.
    pub(in crate::signal) announces: Option<(Arc<str>, Instant)>,
}

impl Organization {
    /// Hands a signal to everybody else on its topic.
    ///
    /// # Errors
    /// `TooManySignals`, with the time after which it would go.
    pub(in crate::signal) fn send(
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
    pub(in crate::signal) fn take_back(&mut self, user: &UserId, action: &Arc<str>) {
        let Some(receivers) = self.announced.remove(user, action) else {
            return;
        };
        let events = Arc::new(Events::one(signal::line(&signal::Void {
            action_id: action,
        })));
        for seat in receivers {
            let member = self.members.get(&seat);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                channel.tell(&events);
            }
        }
    }

    /// Tells everybody on a topic.
    pub(in crate::signal) fn tell(&self, topic: &Topic, events: &Arc<Events>) {
        let room = self.topics.get(topic);
        for seat in room.iter().flat_map(|it| &it.seats) {
            let member = self.members.get(seat);
            if let Some(channel) = member.and_then(|it| it.channel.upgrade()) {
                channel.tell(events);
            }
        }
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
