//! A reader at rest compares itself with PostgreSQL, and an asynchronous GET with a plain one.

use super::{ANSWER, Reader};
use crate::convergence::{
    invariants::Invariant,
    schema::{RESOURCES, key, truth},
};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::Instant;

impl Reader {
    /// At rest: the store against PostgreSQL, and an asynchronous GET against a plain one.
    pub(super) async fn compare(&mut self) {
        let claims =
            json!({ "org": self.member.organization, "sub": self.member.user.to_string() });
        let connected = tokio_postgres::connect(&self.company.database_url, tokio_postgres::NoTls);
        let (sql, connection) = connected.await.expect("PostgreSQL is at rest");
        let driver = tokio::spawn(connection);
        for resource in RESOURCES {
            let truth = truth(&sql, resource, self.member.organization, &claims);
            let truth = truth.await.expect("PostgreSQL is at rest");
            self.company.tally.add("rows compared", truth.len() as u64);
            self.book.compare(resource, &truth);
        }
        drop(sql);
        let _ = driver.await;
        let resource = self.random.pick(&RESOURCES);
        for _ in 0..5 {
            if self.equals_plain(resource).await {
                return;
            }
        }
        self.company.tally.count("plain GETs of another version");
    }

    /// Whether both answers could be compared.
    async fn equals_plain(&mut self, resource: &'static str) -> bool {
        let Some(id) = self.ask(resource, "", true).await else {
            return false;
        };
        let plain = self
            .client
            .get(&format!("/{resource}"))
            .try_send(ANSWER)
            .await;
        let deadline = Instant::now() + ANSWER;
        let collected = loop {
            if let Some(collected) = self.book.take_collected(&id) {
                break collected;
            }
            if Instant::now() >= deadline {
                break None;
            }
            self.live(false).await;
        };
        let (Ok(plain), Some((version, rows))) = (plain, collected) else {
            return false;
        };
        if plain.status != 200 || plain.version() != version {
            return false;
        }
        let answer = plain.json();
        let answer = answer.as_array().expect("an array of rows");
        let plain = answer.iter().map(|row| (key(resource, row), row.clone()));
        let plain: BTreeMap<_, _> = plain.collect();
        if plain != rows {
            let what = format!(
                "{resource} at {version}: {} and {} rows",
                plain.len(),
                rows.len()
            );
            self.book.finds(Invariant::EqualsPlainGet, what);
        }
        self.company.tally.count("GETs compared with plain ones");
        true
    }
}
