//! Several statements in one round trip, in a given order.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// A statement on its way.
pub(in crate::postgres) type Sent<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends statements one behind the other and waits for all. A statement is sent when its future is
/// polled first, so polling them in order is what orders them on the connection.
pub(in crate::postgres) async fn in_order<T>(statements: Vec<Sent<'_, T>>) -> Vec<T> {
    let mut open: Vec<Result<T, Sent<'_, T>>> = statements.into_iter().map(Err).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for slot in &mut open {
            if let Err(statement) = slot {
                match statement.as_mut().poll(context) {
                    Poll::Ready(answer) => *slot = Ok(answer),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    open.into_iter().filter_map(Result::ok).collect()
}
