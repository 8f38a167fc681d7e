//! Whoever reads a channel, on whatever transport: the attachment and the end of its token.

use super::expiry::{Clock, Due};
use crate::{
    channel::{Attachment, Delivery},
    error::{Error, Kind},
    wire::{event::Close, problem},
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    ops::Deref,
};

/// Over how many milliseconds those who are sent away come back.
const SPREAD_MS: u64 = 2_000;

/// An attachment that ends with its token. Dropping it detaches.
pub(super) struct Reader {
    attachment: Attachment,
    clock: Clock,
}

impl Reader {
    pub(super) fn new(attachment: Attachment, clock: Clock) -> Self {
        Self { attachment, clock }
    }

    /// As [`Attachment::next_some`]; warns of the token's end on the channel, and closes there.
    pub(super) async fn next(&mut self, bytes_max: usize, events_max: usize) -> Delivery {
        loop {
            tokio::select! {
                biased;
                // First, so that a channel that is never quiet ends too.
                due = self.clock.due() => match due {
                    Due::Warning => self.warn(),
                    Due::Expired => return Delivery::Close(Close::TOKEN_EXPIRED),
                },
                delivery = self.attachment.next_some(bytes_max, events_max) => {
                    return match delivery {
                        Delivery::Close(close) => Delivery::Close(apart(close)),
                        delivery => delivery,
                    };
                }
            }
        }
    }

    fn warn(&self) {
        let error = Error::new(
            Kind::TokenExpiring,
            "Send a fresh token, or the channel closes.",
        )
        .with_hint("{\"type\":\"auth\",\"token\":…} or POST /channels/{id}/auth");
        let channel = self.attachment.channel();
        // Where too many errors wait already, the reader is not listening; the end will tell it.
        let _ = channel.error(&problem::document(&error, None));
    }
}

/// Spreads those who come back after a while, so that they do not all come at once.
fn apart(mut close: Close) -> Close {
    if (4100..4200).contains(&close.code) {
        let random = RandomState::new().build_hasher().finish();
        close.after_ms += u32::try_from(random % SPREAD_MS).expect("less than SPREAD_MS");
    }
    close
}

impl Deref for Reader {
    type Target = Attachment;

    fn deref(&self) -> &Attachment {
        &self.attachment
    }
}
