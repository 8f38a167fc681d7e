//! In which order.

use super::{
    Place,
    embed::{self, Embedding},
    rights::may,
};
use crate::{
    catalog::Allowed,
    error::{Error, Kind, Result},
    query::syntax::{Nulls, Rows},
};

/// One value of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Index into the embeddings, if it is a value of a related row.
    pub(crate) related: Option<usize>,
    pub(crate) place: Place,
    pub(crate) descending: bool,
    pub(crate) nulls: Option<Nulls>,
}

/// The order that a query says.
pub(super) fn order(allowed: &Allowed, rows: &Rows, embeds: &[Embedding]) -> Result<Vec<Order>> {
    let mut order: Vec<Order> = Vec::new();
    for term in &rows.order {
        let related = match &term.relation {
            Some(name) => Some(embed::ordering(&allowed.resource, embeds, name)?),
            None => None,
        };
        let allowed = related.map_or(allowed, |it| &embeds[it].allowed);
        let resource = &allowed.resource;
        let place = Place::find(allowed, &term.field)?;
        if !place.is_orderable(resource) {
            let name = &place.type_(resource).name;
            return Err(Error::new(
                Kind::OperatorUnknown,
                format!(
                    "{:?} has the type {name}, whose values have no order.",
                    &*resource.at(place.column).name
                ),
            )
            .with_message(format!(
                "could not identify an ordering operator for type {name}"
            )));
        }
        order.push(Order {
            related,
            place,
            descending: term.descending,
            nulls: term.nulls,
        });
    }
    Ok(order)
}

/// Adds the key behind an order, so that no two rows stand at the same place of it.
pub(super) fn by_key(allowed: &Allowed, order: &mut Vec<Order>) {
    for index in &allowed.resource.key {
        let place = Place::of_column(*index);
        let said = order
            .iter()
            .any(|it| it.related.is_none() && it.place == place);
        let orderable = allowed.resource.columns[*index].orderable;
        if !said && orderable && may(&allowed.privileges.select, *index) {
            order.push(Order {
                related: None,
                place,
                // An index behind the caller's order is then read in one direction.
                descending: order.last().is_some_and(|it| it.descending),
                nulls: None,
            });
        }
    }
}
