//! Milliseconds since the hub began, and waiting for one of them.
//!
//! Under shuttle, whose scheduler knows no time, the clock stands still and no wait ends.

#[cfg(not(feature = "shuttle"))]
use std::task::Waker;
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
/// runtime's timer: who finds it over looks whether it is over still. A task that comes again for
/// another reason does not touch it either.
#[derive(Debug, Default)]
pub(super) struct Timer {
    #[cfg(not(feature = "shuttle"))]
    sleep: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
    /// When the runtime's timer ends.
    #[cfg(not(feature = "shuttle"))]
    at: u64,
    /// Whom it wakes then.
    #[cfg(not(feature = "shuttle"))]
    waker: Option<Waker>,
}

impl Timer {
    /// Whether the clock, which stands at `now`, has reached `until`; else the task is woken then, or
    /// earlier.
    #[cfg(not(feature = "shuttle"))]
    pub(super) fn poll(
        &mut self,
        clock: &Clock,
        now: u64,
        until: u64,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let is_known = |it: &Waker| it.will_wake(context.waker());
        let is_armed = self.waker.as_ref().is_some_and(is_known);
        if is_armed && now < self.at && self.at <= until {
            return Poll::Pending;
        }
        let deadline = clock.start + std::time::Duration::from_millis(until);
        let (at, sleep) = (&mut self.at, &mut self.sleep);
        let sleep = sleep.get_or_insert_with(|| {
            *at = until;
            Box::pin(tokio::time::sleep_until(deadline))
        });
        if *at > until {
            sleep.as_mut().reset(deadline);
            *at = until;
        }
        loop {
            match Future::poll(sleep.as_mut(), context) {
                Poll::Ready(()) if *at < until => {
                    sleep.as_mut().reset(deadline);
                    *at = until;
                }
                Poll::Ready(()) => {
                    self.waker = None;
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    if !is_armed {
                        self.waker = Some(context.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    #[cfg(feature = "shuttle")]
    pub(super) fn poll(&mut self, _: &Clock, _: u64, _: u64, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
