//! The time zones that PostgreSQL knows, asked for once.

use super::{
    Database,
    fault::{self, Speech},
};
use crate::{error::Result, query::TimeZone};
use std::collections::HashMap;
use tokio::sync::OnceCell;

const TIME_ZONES: &str = include_str!("../../sql/discovery/time_zones.sql");

/// The time zones by their names, once somebody has asked for one.
#[derive(Debug, Default)]
pub(super) struct TimeZones(OnceCell<HashMap<String, TimeZone>>);

impl Database {
    /// The time zone of this name, if PostgreSQL knows it.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, `Overloaded`.
    pub async fn time_zone(&self, name: &str) -> Result<Option<TimeZone>> {
        let inner = &self.inner;
        let zones = inner.time_zones.0.get_or_try_init(async || {
            let lease = inner.lease(&inner.plain, None).await?;
            let names = lease.query(TIME_ZONES, &[]).await;
            let names = names.map_err(|error| fault::fault(error, Speech::Guarded))?;
            let zones = names.iter().filter_map(|row| {
                let name: String = row.get(0);
                let zone = TimeZone::listed(&name)?;
                Some((name, zone))
            });
            Ok::<_, crate::error::Error>(zones.collect())
        });
        Ok(zones.await?.get(name).cloned())
    }
}
