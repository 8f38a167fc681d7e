//! The change log's bounds: what goes and when, who waits, and what happens when it is damaged.

mod bounds;
mod damage;
mod full;

use crate::support::Database;
use rowcast::postgres::changelog::{Keeper, LogState, Retention};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const TABLE: &str = "
    create table t (id int primary key, organization_id int not null, v int default 0)";

pub(crate) fn kept(kept: Duration) -> Retention {
    Retention {
        kept,
        bytes_max: 1 << 30,
    }
}

/// Lets the keeper work until this holds.
#[track_caller]
pub(crate) fn until(
    keeper: &mut Keeper,
    retention: Retention,
    what: &str,
    mut holds: impl AsyncFnMut(LogState) -> bool,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let log = keeper.retain(retention).await.unwrap();
            let log = log.unwrap_or_else(|| panic!("at {place}: somebody else is at it"));
            if holds(log).await {
                return;
            }
            assert!(Instant::now() < deadline, "at {place}: {what}: {log:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) async fn number(database: &Database, sql: &str) -> i64 {
    let text = database.value(sql).await;
    text.parse().unwrap_or_else(|_| panic!("{sql}: {text:?}"))
}
