//! What an operator should know of what was found, although nothing is refused for it.
//!
//! Decides nothing: what is exposed is known by then.

use super::Discovery;
use crate::catalog::{OWN_NAMES, Oid, Remark, Resource, ResourceKind, Tenancy};
use std::collections::HashSet;

impl Discovery<'_> {
    /// What an operator should know although nothing is refused for it.
    pub(super) fn warn(&mut self, resources: &[Resource]) {
        let mut remarks = Vec::new();
        let exposed: HashSet<Oid> = resources.iter().map(|it| it.relation).collect();
        for resource in resources {
            let name = &resource.name;
            if OWN_NAMES.contains(&&**name) {
                remarks.push(Remark::Note(format!(
                    "{name} has the name of a route of rowcast's own: it is at /resources/{name} only"
                )));
            }
            let reads = self.found.reads(resource.relation);
            let invoker = !resource.secured_by.is_empty();
            if matches!(resource.kind, ResourceKind::View { .. }) && !invoker {
                let bypassed: Vec<String> = reads
                    .iter()
                    .filter(|it| it.row_security)
                    .filter_map(|it| self.found.relation(it.relation))
                    .map(ToString::to_string)
                    .collect();
                if !bypassed.is_empty() {
                    remarks.push(Remark::Wrong(format!(
                        "the view {name} reads {} with its owner's rights, past row-level security: \
                         alter view {name} set (security_invoker = true)",
                        bypassed.join(", ")
                    )));
                }
            }
            if resource.row_security {
                for function in self.found.opaque(resource.relation) {
                    remarks.push(Remark::Note(format!(
                        "row-level security of {name} calls {function}, and PostgreSQL does not know \
                         what that reads: name it in resources.{name}.visibility_depends_on"
                    )));
                }
            }
            for reference in resource
                .references
                .iter()
                .filter(|_| resource.is_writable())
            {
                let own =
                    matches!(resource.tenancy, Tenancy::Column(it) if reference.columns == [it]);
                let target = self.found.relation(reference.target);
                if let Some(target) = target.filter(|it| !own && !exposed.contains(&it.oid)) {
                    remarks.push(Remark::Note(format!(
                        "{name} refers to {target}, which is not exposed: nothing but the foreign key \
                         holds writes back that set {}, and it tells which rows exist there",
                        reference
                            .columns
                            .iter()
                            .map(|it| &*resource.columns[*it].name)
                            .collect::<Vec<_>>()
                            .join(", ")
                    )));
                }
            }
        }
        self.warn_of_settings(&exposed, &mut remarks);
        self.remarks.extend(remarks);
    }

    /// Settings that name what is not there.
    fn warn_of_settings(&self, exposed: &HashSet<Oid>, remarks: &mut Vec<Remark>) {
        for (name, settings) in &self.config.resources {
            let relation = self.found.relations.iter().find(|it| &*it.name == name);
            let Some(relation) = relation else {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}: the schemas have no table or view of that name"
                )));
                continue;
            };
            for depends in &settings.visibility_depends_on {
                if self.found.named(depends).is_none() {
                    remarks.push(Remark::Wrong(format!(
                        "resources.{name}.visibility_depends_on: there is no table {depends:?}"
                    )));
                }
            }
            let columns = self.found.columns(relation.oid);
            if let Some(column) = &settings.updated_at
                && !columns.iter().any(|it| &*it.name == column)
            {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}.updated_at: there is no column {column:?}"
                )));
            }
            if !exposed.contains(&relation.oid) && settings.organization.is_some() {
                remarks.push(Remark::Wrong(format!(
                    "resources.{name}: {relation} is not exposed, see there"
                )));
            }
        }
        for schema in &self.config.database.schemas {
            if !self.found.relations.iter().any(|it| &*it.schema == schema) {
                remarks.push(Remark::Wrong(format!(
                    "database.schemas: {schema:?} has no table or view"
                )));
            }
        }
    }
}
