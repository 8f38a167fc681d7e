//! Short runs in which readers work and rest in turns, before a server of the checker's schema: what all
//! of them begin and end with, and what has to be found where harm was done.
//!
//! Knows neither the harm nor what is written meanwhile.

use super::{
    company::{Company, Phase},
    ears::Roster,
    invariants::{Findings, Invariant},
    readers::Reader,
    report::Tally,
    schema,
};
use crate::support::{Database, server::SECRET};
use rowcast::config::Config;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// The settings of a server in front of this database, which has the checker's schema.
pub(super) fn config(database: &Database) -> Config {
    let mut config = Config::default();
    config.database.url = Some(database.url.as_str().into());
    config.database.default_role = Some(schema::ROLE.to_owned());
    config.auth.jwt_secret = Some(SECRET.into());
    config.limits.ping_ms = 400;
    // A poll that was given up may arrive after the end of its channel, and makes one of that name. It
    // has to have ended by the time in which everything has to be gone.
    config.limits.channel_idle_ms = 20_000;
    config
}

/// The readers of one run.
pub(super) struct Rounds {
    phase: watch::Sender<Phase>,
    resting: mpsc::Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Rounds {
    /// A run without readers yet, and what they are to be made with. They may take `patience` to come
    /// to rest.
    pub(super) fn begin(
        database: &Database,
        patience: Duration,
        roster: Option<Arc<Roster>>,
    ) -> (Self, Company) {
        let (phase, phases) = watch::channel(Phase::Work);
        let (rested, resting) = mpsc::channel(16);
        let company = Company {
            findings: Findings::default(),
            tally: Tally::start(),
            phase: phases,
            rested,
            database_url: database.url.clone(),
            pause_max: Duration::ZERO,
            peaceful: true,
            curious: true,
            patience,
            foreign_cursor: None,
            roster,
        };
        let readers = Vec::new();
        let rounds = Self {
            phase,
            resting,
            readers,
        };
        (rounds, company)
    }

    /// A reader begins to read.
    pub(super) fn enter(&mut self, reader: Reader) {
        self.readers.push(tokio::spawn(reader.run()));
    }

    /// All readers come to rest at this mark, which is written to the marks that `wanted` chooses.
    pub(super) async fn rest(&mut self, database: &Database, mark: i64, wanted: &str) {
        let update = format!("update marks set number = {mark} where {wanted}");
        database.execute(&update).await;
        let version = "select (pg_snapshot_xmax(s)::text::bigint
            - (select count(*) from pg_snapshot_xip(s)))::text from pg_current_snapshot() s";
        let version = database.value(version).await.parse().unwrap();
        self.phase.send_replace(Phase::Rest { mark, version });
        for _ in &self.readers {
            self.resting.recv().await.unwrap();
        }
    }

    /// All go on.
    pub(super) fn work(&self) {
        self.phase.send_replace(Phase::Work);
    }

    /// All have read enough.
    pub(super) async fn end(self) {
        self.phase.send_replace(Phase::End);
        for reader in self.readers {
            reader.await.unwrap();
        }
    }
}

/// Asserts that nothing was found where nothing was done.
pub(super) fn assert_nothing(findings: &Findings) {
    assert!(
        findings.is_empty(),
        "nothing was done, and this found:\n{findings}"
    );
}

/// Asserts that harm was done, and found under its name.
pub(super) fn assert_found(
    harm: impl fmt::Display,
    done: u64,
    expected: Invariant,
    findings: &Findings,
) {
    assert!(done > 0, "{harm} was never done");
    let found = findings.invariants();
    assert!(
        found.contains(&expected),
        "{harm} was done {done} times; expected {expected}, found:\n{findings}"
    );
    let names: Vec<_> = found.iter().map(|it| it.name()).collect();
    eprintln!("{harm}, done {done} times, is caught by {expected}, and found by {names:?}");
}
