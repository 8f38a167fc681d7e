//! Whether a read would be planned alike by another catalog.
//!
//! Between its plan and its snapshot a read may wait for long, and the schema change meanwhile. Knows
//! nothing of either; compares catalogs only.

use super::{Query, embed::Embedding};
use crate::catalog::{Catalog, Resource, Tenancy};
use std::sync::Arc;

impl Query {
    /// The catalog that it was planned by.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Whether in `now` every resource that it reads is as in the catalog that it was planned by: its
    /// own, those of embedded and included rows, and those that their organizations come through.
    pub(crate) fn is_current(&self, now: &Catalog) -> bool {
        let related = |it: &Embedding| {
            let through = it.through.as_deref();
            through.is_none_or(|it| self.is_unaltered(it, now)) && it.query.is_current(now)
        };
        self.is_unaltered(&self.resource, now)
            && self.embeds.iter().all(related)
            && self.ways.iter().all(|it| related(&it.embed))
    }

    fn is_unaltered(&self, resource: &Resource, now: &Catalog) -> bool {
        // What functions give is no relation, and enters no store.
        if self.catalog.relation(resource.relation).is_none() {
            return true;
        }
        let found = now.relation(resource.relation);
        let same = found.is_some_and(|it| it.reads_like(resource));
        match resource.tenancy {
            Tenancy::Via { target, .. } if same => {
                let target = self.catalog.relation(target);
                target.is_none_or(|it| self.is_unaltered(it, now))
            }
            _ => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sample;

    #[test]
    fn a_read_is_planned_anew_when_anything_that_it_reads_is_another() {
        let access = sample::access(false);
        let with_rights_on = |name: &str| {
            let resources = access.catalog().resources().map(|it| {
                let mut resource = Resource::clone(it);
                resource.rights = i64::from(*resource.name == *name);
                resource
            });
            Catalog::new(resources.collect(), Vec::new(), Vec::new())
        };
        let query = |name, text| Query::list(&access, name, text).unwrap();
        // Rows of messages belong to their ticket's organization.
        for (name, text, reads) in [
            ("tickets", "", vec!["tickets"]),
            ("messages", "", vec!["messages", "tickets"]),
            (
                "contacts",
                "select=id,tickets(id)",
                vec!["contacts", "tickets"],
            ),
            ("tickets", "include=contacts", vec!["contacts", "tickets"]),
            (
                "contacts",
                "include=tickets(messages)",
                vec!["contacts", "messages", "tickets"],
            ),
        ] {
            let query = query(name, text);
            assert!(query.is_current(&with_rights_on("")), "{name}?{text}");
            for other in access.catalog().resources() {
                let other = &*other.name;
                let is_current = query.is_current(&with_rights_on(other));
                assert_eq!(
                    is_current,
                    !reads.contains(&other),
                    "{name}?{text}, {other}"
                );
            }
        }
        assert!(!query("tickets", "").is_current(&Catalog::default()));
    }
}
