//! Writes at the level of the library: what becomes of rows, and what is answered.

mod answers;
mod moments;
mod rights;
mod rows;
mod values;

use crate::{
    support,
    zoo::{self, Zoo, caller, keeper},
};
use rowcast::{
    config::{Config, Secret},
    error::{Error, Kind},
    identity::Identity,
    postgres::{Database, Written},
    query::{Action, Answer, Query, Write, WriteOptions},
};
use serde_json::{Value, json};

/// Somebody who writes.
pub(crate) struct Writer<'a> {
    pub(crate) database: &'a Database,
    pub(crate) who: Identity,
    pub(crate) options: WriteOptions,
    pub(crate) action: Option<Action>,
}

/// The body of an answer.
pub(crate) fn body(written: &Written) -> Value {
    serde_json::from_slice(written.body.as_ref().expect("a body")).unwrap()
}

impl<'a> Writer<'a> {
    pub(crate) fn new(database: &'a Database, who: Identity) -> Self {
        Self {
            database,
            who,
            options: WriteOptions::default(),
            action: None,
        }
    }

    pub(crate) fn minimal(mut self) -> Self {
        self.options.answer = Answer::Minimal;
        self
    }

    pub(crate) fn if_match(mut self, tags: &[&str]) -> Self {
        self.options.if_match = Some(tags.iter().map(|it| (*it).to_owned()).collect());
        self
    }

    async fn run(&self, write: Result<Write, Error>) -> Result<Written, Error> {
        let action = self.action.as_ref();
        let written = self.database.write(&self.who, &write?, action).await;
        let connections = self.database.connections();
        assert_eq!(connections.plain_busy, 0, "a connection is still in use");
        written
    }

    pub(crate) async fn post(&self, resource: &str, body: Value) -> Result<Written, Error> {
        self.post_text(resource, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, resource: &str, body: &str) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let write = Write::create(&access, resource, "", body.as_bytes(), self.options.clone());
        self.run(write).await
    }

    pub(crate) async fn patch(
        &self,
        resource: &str,
        id: &str,
        body: Value,
    ) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let body = body.to_string();
        let options = self.options.clone();
        let write = Write::update(&access, resource, id, "", body.as_bytes(), options);
        self.run(write).await
    }

    pub(crate) async fn put(
        &self,
        resource: &str,
        id: &str,
        body: Value,
    ) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let body = body.to_string();
        let options = self.options.clone();
        let write = Write::replace(&access, resource, id, "", body.as_bytes(), options);
        self.run(write).await
    }

    pub(crate) async fn delete(&self, resource: &str, id: &str) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let write = Write::delete(&access, resource, id, "", self.options.clone());
        self.run(write).await
    }

    pub(crate) async fn patch_where(
        &self,
        resource: &str,
        query: &str,
        body: Value,
    ) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let body = body.to_string();
        let options = self.options.clone();
        let write = Write::update_matching(&access, resource, query, body.as_bytes(), options);
        self.run(write).await
    }

    pub(crate) async fn delete_where(&self, resource: &str, query: &str) -> Result<Written, Error> {
        let access = self.database.access(&self.who.role).await?;
        let write = Write::delete_matching(&access, resource, query, self.options.clone());
        self.run(write).await
    }

    /// One row, as a GET answers it.
    pub(crate) async fn get(&self, resource: &str, id: &str) -> Result<Value, Error> {
        let access = self.database.access(&self.who.role).await?;
        let query = Query::item(&access, resource, id, "")?;
        let item = self.database.item(&self.who, &query).await?;
        Ok(serde_json::from_slice(&item.body).unwrap())
    }
}

/// That a write was refused in this way.
#[track_caller]
pub(crate) fn refused(result: Result<Written, Error>, kind: Kind) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        other => panic!("{kind:?} was expected: {other:?}"),
    }
}

impl Zoo {
    pub(crate) fn writer(&self, organization: i32) -> Writer<'_> {
        Writer::new(&self.database, keeper(organization))
    }
}

/// The help desk, and rowcast connected to it.
pub(crate) struct Desk {
    pub(crate) postgres: support::Database,
    pub(crate) database: Database,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let postgres = support::Database::helpdesk().await;
        let mut config = Config::default();
        config.database.url = Some(Secret::from(postgres.url.as_str()));
        config.database.default_role = Some("helpdesk_agent".into());
        let database = zoo::connect(&config).await;
        Self { postgres, database }
    }

    pub(crate) fn agent(&self, organization: i32, user: i32) -> Writer<'_> {
        let (organization, user) = (organization.to_string(), user.to_string());
        Writer::new(
            &self.database,
            caller(&organization, &user, "helpdesk_agent"),
        )
    }

    pub(crate) async fn close(self) {
        self.database.close().await;
        drop(self.database);
        self.postgres.finish().await;
    }
}
