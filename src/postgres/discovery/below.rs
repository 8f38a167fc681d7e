//! The key and the references that a view has from the one table whose rows it shows.
//!
//! Knows nothing of how it is found out which column a view's column shows (see [`super::views`]).

use super::{Discovery, rows::RelationRow};
use crate::catalog::{Column, Oid, Reference, ResourceKind, Tenancy};

impl Discovery<'_> {
    /// The table whose rows a view shows, one each, if it does.
    fn below(&self, relation: &RelationRow, columns: &[Column]) -> Option<Oid> {
        let is_view = matches!(relation.kind, ResourceKind::View { .. });
        let mut origins = columns.iter().filter_map(|it| {
            let origin = self.found.shown.get(&(relation.oid, it.number));
            origin.map(|it| it.table)
        });
        origins.next().filter(|_| is_view && relation.simple)
    }

    /// Where a view shows a column of a table below.
    fn shown_at(
        &self,
        relation: &RelationRow,
        columns: &[Column],
        table: Oid,
        number: i16,
    ) -> Option<usize> {
        columns.iter().position(|it| {
            let origin = self.found.shown.get(&(relation.oid, it.number));
            origin.is_some_and(|it| it.table == table && it.column == number)
        })
    }

    /// The key of a view each of whose rows is one of a table's: the table's own, if all of it is shown.
    pub(super) fn key_below(
        &self,
        relation: &RelationRow,
        columns: &[Column],
    ) -> Option<Vec<usize>> {
        let table = self.below(relation, columns)?;
        let key = self.found.collisions(table).iter().find(|it| it.is_key)?;
        let parts = key.columns.iter();
        parts
            .map(|number| self.shown_at(relation, columns, table, *number))
            .collect()
    }

    /// The references of the table whose rows a view shows, in the view's columns: what is written
    /// through it refers to other rows as the table does. `None` if one is shown in part, so that nobody
    /// could say what a write refers to.
    pub(super) fn references_below(
        &self,
        relation: &RelationRow,
        columns: &[Column],
        tenancy: &Tenancy,
    ) -> Option<Vec<Reference>> {
        let Some(table) = self.below(relation, columns) else {
            return Some(Vec::new());
        };
        let mut references = Vec::new();
        for it in self.found.all_references() {
            if it.relation != table {
                continue;
            }
            let parts = it.columns.iter();
            let places: Vec<Option<usize>> = parts
                .map(|number| self.shown_at(relation, columns, table, *number))
                .collect();
            // The organization is the caller's whatever is written, and where there is only one,
            // the foreign key itself is all that a reference needs.
            let own = |it: &usize| *tenancy == Tenancy::Single || *tenancy == Tenancy::Column(*it);
            if !places.iter().all(Option::is_some) && places.iter().flatten().all(own) {
                continue;
            }
            references.push(Reference {
                constraint: it.name.clone(),
                columns: places.into_iter().collect::<Option<_>>()?,
                target: it.target,
                target_columns: it.target_columns.clone(),
            });
        }
        Some(references)
    }
}
