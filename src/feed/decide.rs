//! What happened to each touched row, for one organization: the difference of two states.
//!
//! Pure. Decides by what was read, never by what the log says; the log only helps where the earlier
//! state was lost with a connection, and says what came and went between the two.

use super::touched::{TouchedKey, Whose, Writers};
use crate::{
    catalog::{Resource, Tenancy},
    postgres::changelog::State,
    wire::event::Op,
};
use std::{collections::HashSet, sync::Arc};

/// What is known of one touched row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) touched: &'a Arc<TouchedKey>,
    /// The state at the batch's start; `None` if it was lost.
    pub(super) before: Option<&'a State>,
    /// The state at the batch's end.
    pub(super) after: &'a State,
}

/// What happened to a row, for those who see all rows of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// It is different now.
    Changed(Op),
    /// It came and went; somebody may have looked in between.
    Passed,
}

impl Row<'_> {
    /// What happened, for this organization; `None`: nothing that it has to know.
    pub(super) fn happened(&self, resource: &Resource, organization: &str) -> Option<Happened> {
        let after = belongs(resource, self.after, organization);
        let Some(before) = self.before else {
            return match after {
                true if self.touched.inserted => Some(Happened::Changed(Op::Insert)),
                true => Some(Happened::Changed(Op::Update)),
                // Perhaps it never had it; a deletion of what one does not hold is nothing.
                false if self.touched.owners.contains(organization) => {
                    Some(Happened::Changed(Op::Delete))
                }
                false => None,
            };
        };
        match (belongs(resource, before, organization), after) {
            (false, true) => Some(Happened::Changed(Op::Insert)),
            (true, true) => Some(Happened::Changed(Op::Update)),
            (true, false) => Some(Happened::Changed(Op::Delete)),
            (false, false) if self.touched.owners.contains(organization) => {
                self.may_have_been_seen().then_some(Happened::Passed)
            }
            (false, false) => None,
        }
    }

    /// Whether there was a state between the two that a snapshot can have shown.
    pub(super) fn may_have_been_seen(&self) -> bool {
        self.touched.writers == Writers::Several
    }

    /// The organizations between which the row moved, if it did.
    pub(super) fn moved(&self) -> Option<Whose> {
        let before = self.before.filter(|it| it.present)?;
        let after = Some(self.after).filter(|it| it.present)?;
        (before.owner != after.owner).then(|| Whose {
            organizations: [&before.owner, &after.owner]
                .into_iter()
                .flatten()
                .cloned()
                .collect::<HashSet<Arc<str>>>(),
            ..Whose::default()
        })
    }
}

/// Whether a row is there and one of this organization's.
pub(super) fn belongs(resource: &Resource, state: &State, organization: &str) -> bool {
    state.present
        && match resource.tenancy {
            Tenancy::Shared | Tenancy::Single => true,
            Tenancy::Column(_) | Tenancy::Via { .. } => {
                state.owner.as_deref() == Some(organization)
            }
        }
}
