//! Whose rows are that do not say so themselves: they belong to an organization through another row,
//! which may be gone, or have moved.
//!
//! Owns the looking up, in both states and in the log. Knows nothing of who is told.

use super::{
    pass::{Pass, Reading},
    touched::{Logged, Referred, Touched, Whose, reason},
};
use crate::{
    catalog::{Catalog, Oid, Resource},
    error::Result,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

impl Pass<'_> {
    /// Finds the organizations of rows that belong to one through another row, where the row itself
    /// is not there to be asked: what it had meanwhile, and what is reset as a whole.
    pub(super) async fn follow_references(
        &self,
        touched: &mut Touched,
        readings: &HashMap<Oid, Reading>,
    ) -> Result<()> {
        self.follow_logged(touched).await?;
        let mut open: HashSet<Referred> = HashSet::new();
        for touch in touched.resources.values() {
            let whole = [
                touch.reset.as_ref().map(|it| &it.0),
                touch.visibility.as_ref().map(|it| &it.0),
            ];
            for whose in whole.into_iter().flatten() {
                open.extend(whose.references.iter().cloned());
            }
            let reading = readings.get(&touch.resource.relation);
            for (number, key) in touch.keys.iter().enumerate() {
                // Without the earlier state, the log alone says whose it was.
                if reading.is_some_and(|it| it.before.is_none()) {
                    open.extend(key.owners.references.iter().cloned());
                }
                let stayed = reading.is_some_and(|it| {
                    let (before, after) = (it.before.as_ref(), &it.after[number]);
                    before.is_some_and(|it| {
                        let before = &it[number];
                        before.present && after.present && before.owner == after.owner
                    })
                });
                // A row that stayed with the one row that all of its writers name was that one's.
                let between = &key.holders.between().references;
                if !stayed || between.len() > 1 {
                    open.extend(between.iter().cloned());
                }
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let found = self.owners(open, touched).await?;
        let resolve = |whose: &mut Whose, lost_to_everybody: bool| {
            for referred in std::mem::take(&mut whose.references) {
                match found.get(&referred) {
                    Some(owners) if !owners.is_empty() => {
                        whose.organizations.extend(owners.iter().cloned());
                    }
                    _ => whose.everybody |= lost_to_everybody,
                }
            }
        };
        for touch in touched.resources.values_mut() {
            if let Some((whose, _)) = &mut touch.reset {
                resolve(whose, true);
            }
            if let Some((whose, _)) = &mut touch.visibility {
                resolve(whose, true);
            }
            for key in &mut touch.keys {
                // A row of which nothing is left, not even the row that it belonged to: nobody can
                // have looked at it through a row that nobody saw.
                let key = Arc::make_mut(key);
                resolve(&mut key.owners, false);
                resolve(key.holders.between_mut(), false);
            }
        }
        Ok(())
    }

    /// Finds whose the rows are that the entries of a relation refer to which were too many to be told
    /// one by one: those that are there, and whoever wrote to the rows that are referred to.
    async fn follow_logged(&self, touched: &mut Touched) -> Result<()> {
        let mut logged: HashSet<Logged> = HashSet::new();
        for touch in touched.resources.values() {
            let whose = touch.reset.iter().map(|it| &it.0);
            let whose = whose.chain(touch.visibility.iter().map(|it| &it.0));
            logged.extend(whose.flat_map(|it| it.logged.iter().copied()));
        }
        let mut found: HashMap<Logged, Whose> = HashMap::new();
        for it in logged {
            let resource = self.plan.catalog().relation(it.target);
            let column = |resource: &Arc<Resource>| {
                let mut columns = resource.columns.iter();
                columns.position(|column| column.number == it.column)
            };
            let Some((resource, column)) = resource.and_then(|it| Some((it, column(it)?))) else {
                found.insert(it, Whose::everybody());
                continue;
            };
            let view = self.after;
            let owners = view.owners_referred(self.plan, self.since, it.relation, resource, column);
            let owners = owners.await?;
            let mut whose = Whose {
                everybody: owners.is_none(),
                organizations: owners.unwrap_or_default(),
                ..Whose::default()
            };
            if let Some(touch) = touched.resources.get(&resource.name) {
                let written = touch.keys.iter().map(|it| &it.owners);
                let written = written.chain(touch.reset.iter().map(|it| &it.0));
                for owners in written {
                    whose
                        .organizations
                        .extend(owners.organizations.iter().cloned());
                    // Where those rows belong through others again, it is not followed further.
                    let known = owners.references.is_empty() && owners.logged.is_empty();
                    whose.everybody |= owners.everybody || !known;
                }
            }
            found.insert(it, whose);
        }
        for touch in touched.resources.values_mut() {
            let whose = touch.reset.iter_mut().map(|it| &mut it.0);
            for whose in whose.chain(touch.visibility.iter_mut().map(|it| &mut it.0)) {
                for it in std::mem::take(&mut whose.logged) {
                    whose.add(found.get(&it).cloned().unwrap_or_else(Whose::everybody));
                }
            }
        }
        Ok(())
    }

    /// Whose the referred rows are or were, in either state or by the log.
    async fn owners(
        &self,
        mut open: HashSet<Referred>,
        touched: &Touched,
    ) -> Result<HashMap<Referred, HashSet<Arc<str>>>> {
        let mut found: HashMap<Referred, HashSet<Arc<str>>> = HashMap::new();
        // What the log says of the rows referred to; it may refer further.
        let mut links: HashMap<Referred, Vec<Referred>> = HashMap::new();
        let mut ahead: Vec<Referred> = open.iter().cloned().collect();
        while let Some(referred) = ahead.pop() {
            let Some(logged) = logged_owner(self.plan.catalog(), touched, &referred) else {
                continue;
            };
            found
                .entry(referred.clone())
                .or_default()
                .extend(logged.organizations.iter().cloned());
            for next in &logged.references {
                links
                    .entry(referred.clone())
                    .or_default()
                    .push(next.clone());
                if open.insert(next.clone()) {
                    ahead.push(next.clone());
                }
            }
        }
        let mut by_column: HashMap<(Oid, i16), Vec<Arc<str>>> = HashMap::new();
        for referred in &open {
            let place = by_column.entry((referred.target, referred.column));
            place.or_default().push(referred.value.clone());
        }
        for ((target, column), values) in by_column {
            let Some(resource) = self.plan.catalog().relation(target) else {
                continue;
            };
            let Some(index) = resource.columns.iter().position(|it| it.number == column) else {
                continue;
            };
            for view in self.before.into_iter().chain([self.after]) {
                let owners = view.owners(self.plan, resource, index, &values).await?;
                for (value, owner) in values.iter().zip(owners) {
                    let referred = Referred {
                        target,
                        column,
                        value: value.clone(),
                    };
                    found.entry(referred).or_default().extend(owner);
                }
            }
        }
        // Chains of references end, so going round as often as there are links reaches their ends.
        for _ in 0..links.len() {
            for (from, to) in &links {
                let owners: HashSet<Arc<str>> = to
                    .iter()
                    .filter_map(|it| found.get(it))
                    .flatten()
                    .cloned()
                    .collect();
                found.entry(from.clone()).or_default().extend(owners);
            }
        }
        Ok(found)
    }

    /// A row that moves to another organization takes those along that belong to one through it.
    pub(super) fn follow_moves(&self, touched: &mut Touched, readings: &HashMap<Oid, Reading>) {
        let mut moves: Vec<(Arc<Resource>, Whose)> = Vec::new();
        for touch in touched.resources.values() {
            let dependents = self.plan.dependents(&touch.resource);
            let Some(reading) = readings.get(&touch.resource.relation) else {
                continue;
            };
            for row in reading.rows(touch).filter(|_| !dependents.is_empty()) {
                if let Some(whose) = row.moved() {
                    moves.extend(dependents.iter().map(|it| (it.clone(), whose.clone())));
                }
            }
        }
        for (resource, whose) in moves {
            touched.reset(&resource, whose, reason::MOVED);
        }
    }
}

/// What the log says of the row with this value in a column that is its key.
fn logged_owner<'a>(
    catalog: &Catalog,
    touched: &'a Touched,
    referred: &Referred,
) -> Option<&'a Whose> {
    let resource = catalog.relation(referred.target)?;
    let [key] = resource.key[..] else {
        return None;
    };
    if resource.columns[key].number != referred.column {
        return None;
    }
    let touch = touched.resources.get(&resource.name)?;
    touch
        .find(std::slice::from_ref(&referred.value))
        .map(|it| &it.owners)
}
