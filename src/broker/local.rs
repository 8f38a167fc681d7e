//! The broker of a server that stands alone: straight to its own channels.

use super::{Address, Broker};
use crate::channel::{Batch, Group, Hub};
use std::sync::Arc;

/// Pushes to the groups of this server's hub.
#[derive(Debug)]
pub struct Local {
    hub: Arc<Hub>,
}

impl Local {
    /// A broker for the channels of this hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

impl Broker for Local {
    fn publish(&self, to: &Address, batch: &Arc<Batch>) {
        let push = |group: &Arc<Group>| group.push(batch);
        match to {
            Address::Everybody => self.hub.groups().iter().for_each(push),
            Address::Organization(organization) => {
                self.hub.groups_of(organization).iter().for_each(push);
            }
            Address::Role(organization, role) => {
                let groups = self.hub.groups_of(organization);
                let of_role = groups.iter().filter(|it| it.identity().role == *role);
                of_role.for_each(push);
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(feature = "shuttle"))]
mod tests {
    use super::*;
    use crate::{
        channel::{Attach, Attachment, BatchBuilder, Change, ChannelId, Delivery},
        config::Limits,
        identity::{Identity, IdentityKey},
        snapshot::{Position, Version},
        wire::event::{Actions, Op},
    };

    fn at(version: u64) -> Position {
        Position {
            version: Version(version),
            cursor: version.to_string().as_str().into(),
        }
    }

    fn batch(version: u64) -> Arc<Batch> {
        let mut builder = BatchBuilder::new(Version(version - 1), at(version));
        builder.change(Change {
            resource: "t".into(),
            key: "1".into(),
            op: Op::Delete,
            version: Version(version),
            actions: Actions::None,
            row: None,
            transient: false,
        });
        builder.build()
    }

    fn member(hub: &Hub, organization: &str, user: u8, role: &str) -> Attachment {
        let identity = Arc::new(Identity {
            key: IdentityKey([user; 32]),
            organization: organization.into(),
            user: "u".into(),
            role: role.into(),
            claims: "{}".into(),
        });
        hub.attach(&identity, &ChannelId::default(), Attach::default())
            .unwrap()
    }

    /// Whether something is there, without waiting.
    async fn hears(reader: &mut Attachment) -> bool {
        tokio::select! {
            biased;
            delivery = reader.next(1000) => matches!(delivery, Delivery::Events(_)),
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_batch_reaches_those_to_whom_it_is_addressed_and_nobody_else() {
        let hub = Hub::new(&Limits::default(), at(1));
        let broker = Local::new(hub.clone());
        let mut readers = [
            member(&hub, "1", 1, "clerk"),
            member(&hub, "1", 2, "chief"),
            member(&hub, "2", 3, "clerk"),
        ];
        let cases = [
            (Address::Organization("1".into()), [true, true, false]),
            (Address::Organization("2".into()), [false, false, true]),
            (Address::Organization("3".into()), [false, false, false]),
            (
                Address::Role("1".into(), "clerk".into()),
                [true, false, false],
            ),
            (
                Address::Role("2".into(), "chief".into()),
                [false, false, false],
            ),
            (Address::Everybody, [true, true, true]),
        ];
        for ((to, expected), version) in cases.into_iter().zip(2..) {
            broker.publish(&to, &batch(version));
            for (reader, expected) in readers.iter_mut().zip(expected) {
                assert_eq!(hears(reader).await, expected, "{to:?}");
            }
        }
    }
}
