//! The rows of one page of a replay: what is there of the keys now, and whose those were that are not.
//!
//! Knows nothing of the order in which a replay tells what it tells.

use super::{
    super::{
        decide::{Happened, Row, belongs},
        holders::Holders,
        rights::{allowed, columns},
        touched::{TouchedKey, Whose, Writers, reason},
    },
    Telling,
};
use crate::{
    catalog::{Announce, Oid, Resource, Tenancy},
    channel::Change,
    error::Result,
    postgres::changelog::{Asked, Concern, Meaning, MissedKey, Moves, State},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What came of the rows of one page.
pub(super) enum Page {
    Changes(Vec<Change>),
    /// The resource has to be fetched again instead.
    Reset(&'static str),
}

impl Telling<'_> {
    /// What there is now of these keys.
    pub(super) async fn page(
        &self,
        resource: &Arc<Resource>,
        missed: Vec<MissedKey>,
        moves: &Moves,
    ) -> Result<Page> {
        let mut keys = Vec::with_capacity(missed.len());
        let mut references = Vec::with_capacity(missed.len());
        for it in missed {
            // A part of the key was not there when it was logged: the schema has changed.
            let Some(key) = it.key else {
                return Ok(Page::Reset(reason::SCHEMA));
            };
            let mut owners = Whose::default();
            match resource.tenancy {
                Tenancy::Shared | Tenancy::Single => owners = Whose::everybody(),
                Tenancy::Column(_) if it.own => {
                    let own = self.identity.organization.0.clone();
                    owners.organizations.insert(own);
                }
                Tenancy::Column(_) | Tenancy::Via { .. } => {}
            }
            references.push(it.references);
            keys.push(Arc::new(TouchedKey {
                inserted: it.inserted || moves.contains(&key),
                key,
                owners,
                actions: it.actions,
                // Between the two states there were others.
                writers: Writers::Several,
                holders: Holders::default(),
            }));
        }
        let asked = Asked::new(resource, keys.iter().map(|it| it.key.as_slice()));
        let states = self.view.states(self.plan, std::slice::from_ref(&asked));
        let Some(states) = states.await?.into_iter().next().flatten() else {
            return Ok(Page::Reset(reason::SCHEMA));
        };
        self.follow(resource, &mut keys, &references, &states)
            .await?;
        let Some(mut rows) = self.rows(resource, &keys, &states).await? else {
            return Ok(Page::Reset(match resource.restricted {
                true => reason::UNREADABLE,
                false => reason::SCHEMA,
            }));
        };
        let own = &*self.identity.organization.0;
        let mut changes = Vec::with_capacity(keys.len());
        for (number, (touched, after)) in keys.iter().zip(&states).enumerate() {
            let row = Row {
                touched,
                before: None,
                after,
            };
            let Some(Happened::Changed(op)) = row.happened(resource, own) else {
                continue;
            };
            let seen = rows.remove(&number);
            if resource.restricted && seen.is_none() {
                return Ok(Page::Reset(reason::VISIBILITY));
            }
            let whole = resource.announce == Announce::Rows && op.leaves_row();
            if whole && seen.is_none() {
                // Truncated or written anew between the two readings, as in a pass.
                return Ok(Page::Reset(reason::SCHEMA));
            }
            changes.push(Change {
                resource: resource.name.clone(),
                key: after.id.clone(),
                op,
                version: self.position.version,
                actions: touched.actions.clone(),
                row: seen.flatten().filter(|_| whole),
                transient: false,
            });
        }
        Ok(Page::Changes(changes))
    }

    /// The organization's rows that are there, as the identity sees them, by number: those that it
    /// does not see are not among them, and of those whose content is not told, it is missing. `None`
    /// if they cannot be read.
    async fn rows(
        &self,
        resource: &Arc<Resource>,
        keys: &[Arc<TouchedKey>],
        states: &[State],
    ) -> Result<Option<HashMap<usize, Option<Bytes>>>> {
        let own = &*self.identity.organization.0;
        let wanted: Vec<usize> = (0..keys.len())
            .filter(|it| belongs(resource, &states[*it], own))
            .collect();
        if wanted.is_empty() {
            return Ok(Some(HashMap::new()));
        }
        let whole = resource.announce == Announce::Rows;
        let columns = allowed(self.access, resource)
            .filter(|_| whole)
            .map_or(Vec::new(), |it| columns(resource, it));
        let asked = Asked::new(resource, wanted.iter().map(|it| keys[*it].key.as_slice()));
        let rows = if resource.restricted {
            let (plan, limit) = (self.plan, self.policy_limit);
            let rows = self
                .view
                .rows_alone(plan, self.identity, &asked, &columns, limit);
            rows.await?
        } else if whole {
            let role = &self.identity.role;
            let asked = [(asked, columns)];
            let rows = self.view.rows(self.plan, role, &asked).await?;
            rows.into_iter().next().flatten()
        } else {
            let all = wanted.into_iter().map(|it| (it, None));
            return Ok(Some(all.collect()));
        };
        Ok(rows.map(|rows| {
            let numbered = rows.into_iter();
            numbered
                .filter_map(|(number, row)| {
                    Some((*wanted.get(number)?, Some(row).filter(|_| whole)))
                })
                .collect()
        }))
    }

    /// Finds the organizations of rows that belonged to one through another row and are no longer
    /// there, or another's.
    async fn follow(
        &self,
        resource: &Resource,
        keys: &mut [Arc<TouchedKey>],
        references: &[Vec<Arc<str>>],
        states: &[State],
    ) -> Result<()> {
        let Tenancy::Via {
            target,
            target_column,
            ..
        } = resource.tenancy
        else {
            return Ok(());
        };
        let own = &*self.identity.organization.0;
        let lost = |it: &usize| !belongs(resource, &states[*it], own);
        let mut values: Vec<Arc<str>> = (0..keys.len())
            .filter(lost)
            .flat_map(|it| references[it].iter().cloned())
            .collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return Ok(());
        }
        let owners = self.owners(target, target_column, values).await?;
        for (key, references) in keys.iter_mut().zip(references) {
            let owners = references.iter().filter_map(|it| owners.get(it)).flatten();
            Arc::make_mut(key)
                .owners
                .organizations
                .extend(owners.cloned());
        }
        Ok(())
    }

    /// Whose the rows are that have these values in a column, now or by the log.
    pub(super) async fn owners(
        &self,
        target: Oid,
        column: i16,
        values: Vec<Arc<str>>,
    ) -> Result<HashMap<Arc<str>, HashSet<Arc<str>>>> {
        let mut found: HashMap<Arc<str>, HashSet<Arc<str>>> = HashMap::new();
        let Some(resource) = self.plan.catalog().relation(target) else {
            return Ok(found);
        };
        let Some(index) = resource.columns.iter().position(|it| it.number == column) else {
            return Ok(found);
        };
        let now = self.view.owners(self.plan, resource, index, &values);
        for (value, owner) in values.iter().zip(now.await?) {
            found.entry(value.clone()).or_default().extend(owner);
        }
        if resource.key[..] != [index] {
            return Ok(found);
        }
        let followed = self.plan.followed();
        let same = |it: &Concern| it.meaning == Meaning::Row && it.resource.relation == target;
        let relations: Vec<Oid> = followed
            .filter(|(_, concerns)| concerns.iter().any(same))
            .map(|(relation, _)| relation)
            .collect();
        let logged = self.missed.logged_owners(&relations, &values).await?;
        let mut further: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
        for (value, owners) in logged {
            for (organization, reference) in owners {
                found.entry(value.clone()).or_default().extend(organization);
                further.entry(value.clone()).or_default().extend(reference);
            }
        }
        if let Tenancy::Via {
            target,
            target_column,
            ..
        } = resource.tenancy
        {
            let mut values: Vec<Arc<str>> = further.values().flatten().cloned().collect();
            values.sort_unstable();
            values.dedup();
            // Chains of references end.
            let owners = Box::pin(self.owners(target, target_column, values)).await?;
            for (value, references) in further {
                let owners = references.iter().filter_map(|it| owners.get(it)).flatten();
                found.entry(value).or_default().extend(owners.cloned());
            }
        }
        Ok(found)
    }
}
