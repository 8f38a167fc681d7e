//! What those of one organization and role are told of one resource: changes, a reset, or a question to
//! be asked for each of them.
//!
//! Pure. Knows neither how rows are read nor to whom a batch goes.

use super::{
    decide::{Happened, Row},
    lanes::{Known, Question},
    pass::{Pass, Reading, RoleRows},
    rights::{columns, readable},
    touched::{Touch, Writers, reason},
};
use crate::{
    catalog::{Announce, Oid, Privileges},
    channel::{BatchBuilder, Change},
    identity::OrganizationId,
    wire::event::Op,
};
use std::{collections::HashMap, sync::Arc};

/// What those of one organization and role are told of one resource.
pub(super) struct Told<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) touch: &'a Touch,
    pub(super) organization: &'a OrganizationId,
    pub(super) privileges: &'a Privileges,
    pub(super) reading: Option<&'a Reading>,
}

impl Told<'_> {
    /// Whether the resource is reset, in which case nothing else is to be said of it.
    pub(super) fn reset(&self, batch: &mut BatchBuilder) -> bool {
        let resource = &self.touch.resource;
        let reset = self.touch.reset.as_ref();
        let reason = match reset.filter(|it| it.0.contains(&self.organization.0)) {
            Some((_, reason)) => {
                // Behind row-level security not everybody is to know who did something.
                let actions = match resource.restricted {
                    false => self.touch.actions(&self.organization.0),
                    true => Arc::default(),
                };
                batch.reset_by(resource.name.clone(), reason, actions);
                return true;
            }
            // Rows whose key the role may not read cannot be told one by one.
            None if self.reading.is_some() && !readable(resource, self.privileges) => {
                if !self.rows().any(|(_, row)| self.happened(&row).is_some()) {
                    return true;
                }
                reason::CHANGED
            }
            None => return false,
        };
        batch.reset(Some(resource.name.clone()), reason);
        true
    }

    pub(super) fn changes(&self, rows: &RoleRows, batch: &mut BatchBuilder) {
        let resource = &self.touch.resource;
        let whole = resource.announce == Announce::Rows;
        let rows = match rows.get(&resource.relation) {
            Some(None) => {
                batch.reset(Some(resource.name.clone()), reason::SCHEMA);
                return;
            }
            Some(Some(rows)) => Some(rows),
            None => None,
        };
        // A row that is there but could not be read: TRUNCATE, and whatever writes a table anew, hides
        // its rows from snapshots from before (PostgreSQL manual, "Caveats" of concurrency control).
        let unread = |(number, row): &(usize, Row<'_>)| {
            let told = matches!(self.happened(row), Some(Happened::Changed(op)) if op.leaves_row());
            whole && told && rows.is_some_and(|it| !it.contains_key(number))
        };
        if self.rows().any(|it| unread(&it)) {
            batch.reset(Some(resource.name.clone()), reason::SCHEMA);
            return;
        }
        for (number, row) in self.rows() {
            let Some(happened) = self.happened(&row) else {
                continue;
            };
            let (op, transient) = match happened {
                Happened::Changed(op) => (op, false),
                Happened::Passed => (Op::Delete, true),
            };
            let data = rows.and_then(|it| it.get(&number)).cloned();
            batch.change(Change {
                resource: resource.name.clone(),
                key: row.after.id.clone(),
                op,
                version: self.pass.position.version,
                actions: row.touched.actions.clone(),
                row: data.filter(|_| whole && op.leaves_row()),
                transient,
            });
        }
    }

    /// What is to be asked for each identity. The rows are the same for all roles.
    pub(super) fn question(
        &self,
        known: &mut HashMap<Oid, Arc<Vec<Known>>>,
        batch: &mut BatchBuilder,
    ) -> Option<Question> {
        let resource = &self.touch.resource;
        let visibility = self.touch.visibility.as_ref();
        let compare = visibility
            .filter(|it| it.0.contains(&self.organization.0))
            .map(|it| it.1 == Writers::Several);
        let rows = known
            .entry(resource.relation)
            .or_insert_with(|| Arc::new(self.known()))
            .clone();
        if rows.is_empty() && compare.is_none() {
            return None;
        }
        if self.pass.before.is_none() || resource.key.is_empty() {
            batch.reset(Some(resource.name.clone()), reason::UNREADABLE);
            return None;
        }
        let columns = match resource.announce {
            Announce::Rows => columns(resource, self.privileges),
            _ => Vec::new(),
        };
        Some(Question {
            resource: resource.clone(),
            rows,
            columns,
            compare,
        })
    }

    fn known(&self) -> Vec<Known> {
        self.rows()
            .filter(|(_, row)| self.happened(row).is_some())
            .map(|(_, row)| Known {
                touched: row.touched.clone(),
                before: row.before.unwrap_or(row.after).clone(),
                after: row.after.clone(),
            })
            .collect()
    }

    fn rows(&self) -> impl Iterator<Item = (usize, Row<'_>)> {
        let reading = self.reading.into_iter();
        reading.flat_map(|it| it.rows(self.touch)).enumerate()
    }

    fn happened(&self, row: &Row<'_>) -> Option<Happened> {
        row.happened(&self.touch.resource, &self.organization.0)
    }
}
