//! How the rows of each relation belong to an organization, or why nobody can say.

use super::Discovery;
use crate::{
    catalog::{Oid, Tenancy},
    config::{OrganizationRule, TenancyMode},
};
use std::collections::{HashMap, HashSet};

/// The tenancies of the relations that are exposed; the others are hidden, with the reason.
pub(super) fn resolve(discovery: &mut Discovery<'_>, named: &[usize]) -> HashMap<Oid, Tenancy> {
    let mut resolved = HashMap::new();
    let mut pending = Vec::new();
    for &index in named {
        match own(discovery, index) {
            Ok(Tenancy::Via {
                column,
                target,
                target_column,
            }) => pending.push((index, column, target, target_column)),
            Ok(tenancy) => {
                resolved.insert(discovery.found.relations[index].oid, tenancy);
            }
            Err(reason) => discovery.hide(index, reason),
        }
    }
    // What belongs through something waits until that has been resolved. Each round resolves at least
    // one link; what is left in the end goes in circles or leads to what is hidden.
    loop {
        let before = pending.len();
        pending.retain(|&(index, column, target, target_column)| {
            let open = !resolved.contains_key(&target);
            if !open {
                resolved.insert(
                    discovery.found.relations[index].oid,
                    Tenancy::Via {
                        column,
                        target,
                        target_column,
                    },
                );
            }
            open
        });
        if pending.len() == before {
            break;
        }
    }
    let circular: HashSet<Oid> = pending
        .iter()
        .map(|(index, ..)| discovery.found.relations[*index].oid)
        .collect();
    for (index, _, target, _) in pending {
        let target_name = discovery.found.describe(target);
        let reason = if circular.contains(&target) {
            format!("its organization comes through {target_name}, which leads nowhere")
        } else {
            format!("its organization comes through {target_name}, which is not exposed")
        };
        discovery.hide(index, reason);
    }
    resolved
}

/// What the settings and the columns of one relation say.
fn own(discovery: &Discovery<'_>, index: usize) -> Result<Tenancy, String> {
    let config = discovery.config;
    let relation = &discovery.found.relations[index];
    if config.tenancy.tenancy == TenancyMode::Single {
        return Ok(Tenancy::Single);
    }
    let columns = discovery.found.columns(relation.oid);
    let column = |name: &str| columns.iter().position(|it| &*it.name == name);
    let rule = config
        .resources
        .get(&*relation.name)
        .and_then(|it| it.organization.as_ref());
    match rule {
        Some(OrganizationRule::Shared) => Ok(Tenancy::Shared),
        Some(OrganizationRule::Column(name)) => {
            column(name).map(Tenancy::Column).ok_or_else(|| {
                format!("the settings name the column {name:?}, which it does not have")
            })
        }
        Some(OrganizationRule::Via(name)) => {
            let place = column(name).ok_or_else(|| {
                format!("the settings name the column {name:?}, which it does not have")
            })?;
            let number = columns[place].number;
            let reference = discovery
                .found
                .references(relation.oid)
                .find(|it| it.columns == [number])
                .ok_or_else(|| {
                    format!("the settings name the column {name:?}, which has no foreign key")
                })?;
            Ok(Tenancy::Via {
                column: place,
                target: reference.target,
                target_column: reference.target_columns[0],
            })
        }
        None => column(&config.tenancy.column)
            .map(Tenancy::Column)
            .ok_or_else(|| {
                format!(
                    "it has no column {:?}, and the settings do not say how its rows belong to an \
                     organization",
                    config.tenancy.column
                )
            }),
    }
}
