//! Milliseconds since the hub began, and waiting for one of them.
//!
//! Under shuttle, whose scheduler knows no time, the clock stands still and no wait ends.

use std::task::{Context, Poll};

/// The hub's clock. It is tokio's, so that tests can move it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    #[cfg(not(feature = "shuttle"))]
    start: tokio::time::Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            #[cfg(not(feature = "shuttle"))]
            start: tokio::time::Instant::now(),
        }
    }

    #[cfg(not(feature = "shuttle"))]
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    #[cfg(feature = "shuttle")]
    pub(super) fn now(&self) -> u64 {
        0
    }
}

/// A wait that costs nothing until it is needed, and whose end can be moved without touching the
/// runtime's timer: who finds it over looks whether it is over still.
#[derive(Debug, Default)]
pub(super) struct Timer {
    #[cfg(not(feature = "shuttle"))]
    sleep: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    /// Whether the clock has reached `until`; else the task is woken then, or earlier.
    #[cfg(not(feature = "shuttle"))]
    pub(super) fn poll(
        &mut self,
        clock: &Clock,
        until: u64,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let deadline = clock.start + std::time::Duration::from_millis(until);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            match Future::poll(sleep.as_mut(), context) {
                Poll::Ready(()) if sleep.deadline() < deadline => sleep.as_mut().reset(deadline),
                other => return other,
            }
        }
    }

    #[cfg(feature = "shuttle")]
    pub(super) fn poll(&mut self, _: &Clock, _: u64, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
