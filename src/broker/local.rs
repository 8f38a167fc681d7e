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
