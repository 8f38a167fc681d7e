//! Who the readers of a run are, what they share, and what everybody does at the moment.
//!
//! Knows nothing of how one reads.

use super::{ears::Roster, invariants::Findings, report::Tally};
use crate::support::Transport;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// What everybody does at the moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Readers misbehave.
    Work,
    /// Writers have stopped; readers come to this mark and version, and compare.
    Rest { mark: i64, version: u64 },
    /// It is over.
    End,
}

/// Who a reader is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) organization: i64,
    pub(super) user: i64,
    pub(super) transport: Transport,
}

impl Member {
    pub(super) fn claims(&self) -> Value {
        json!({ "org": self.organization, "sub": self.user.to_string() })
    }
}

/// What all readers of a run share.
#[derive(Clone)]
pub(super) struct Company {
    pub(super) findings: Findings,
    pub(super) tally: Tally,
    pub(super) phase: watch::Receiver<Phase>,
    /// Told whenever a reader has compared itself at rest.
    pub(super) rested: mpsc::Sender<String>,
    /// The database, past all proxies.
    pub(super) database_url: String,
    pub(super) pause_max: Duration,
    /// Nothing is done to the connections.
    pub(super) peaceful: bool,
    /// Readers ask for more than they need, at random moments. What is asked for again may mend what
    /// was harmed before anybody compares.
    pub(super) curious: bool,
    pub(super) patience: Duration,
    /// A cursor of another database.
    pub(super) foreign_cursor: Option<String>,
    /// What is signalled, where it is known of every signal who has to hear it.
    pub(super) roster: Option<Arc<Roster>>,
}
