//! Waiting for what has to come about: how long at most, and how often one looks.
//!
//! Knows nothing of what is waited for. Whoever tests that a limit is in effect waits until [`soon`]; all
//! others wait for as long as a machine that has much else to do may need.

use std::{panic::Location, time::Duration};
use tokio::time::Instant;

/// For as long as a busy machine may need.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Well below the defaults of the limits that tests shorten (25 s and more), so that a limit which is
/// not in effect is seen, and well above what a busy machine needs.
pub const SOON: Duration = Duration::from_secs(20);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    until_within(PATIENCE, what, holds)
}

/// Waits until something holds that does so soon, and without a limit that is in effect much later.
#[track_caller]
pub fn soon(what: &str, holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    until_within(SOON, what, holds)
}

#[track_caller]
fn until_within(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let place = Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        while !holds().await {
            assert!(
                Instant::now() < deadline,
                "not in {limit:?}, at {place}: {what}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
