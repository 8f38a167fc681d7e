//! What happened to each touched row, for one organization: the difference of two states.
//!
//! Pure. Decides by what was read, never by what the log says; the log only helps where the earlier
//! state was lost with a connection, and says what came and went between the two.

use super::touched::{TouchedKey, Whose};
use crate::{
    catalog::{Resource, Tenancy},
    postgres::changelog::State,
    wire::event::Op,
};
use std::sync::Arc;

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
    /// It came and went, in transactions of its own: somebody may have looked in between.
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
            // Whoever held it only within a transaction never saw it.
            (false, false) if self.touched.holders.between().contains(organization) => {
                Some(Happened::Passed)
            }
            (false, false) => None,
        }
    }

    /// The organizations between which the row moved, if it did, those that had it on its way included.
    pub(super) fn moved(&self) -> Option<Whose> {
        let mut whose = self.touched.holders.between().clone();
        let ends = self.before.into_iter().chain([self.after]);
        let ends = ends.filter(|it| it.present);
        whose
            .organizations
            .extend(ends.filter_map(|it| it.owner.clone()));
        (whose.organizations.len() > 1 || self.changed_hands()).then_some(whose)
    }

    /// Whether it is another's now, or nobody's.
    fn changed_hands(&self) -> bool {
        let before = self.before.filter(|it| it.present);
        before.is_some_and(|it| self.after.present && it.owner != self.after.owner)
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
