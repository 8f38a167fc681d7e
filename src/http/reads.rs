//! `GET` and `HEAD` of a resource and of one of its rows: at once, or asynchronously.

use super::{
    accept::negotiate,
    asynchronous::{Asynchronous, Target},
    conditions,
    credentials::Callers,
    head::{Head, Segment},
    preferences::Preferences,
    reply::{self, Answered, put_etag, put_position},
};
use crate::{error::Result, identity::Caller, postgres::Database};
use http::StatusCode;
use std::sync::Arc;

/// Answers reads.
#[derive(Debug)]
pub struct Reads {
    database: Database,
    callers: Arc<Callers>,
    asynchronous: Arc<Asynchronous>,
}

impl Reads {
    /// Reads of this database.
    pub fn new(database: Database, callers: Arc<Callers>, asynchronous: Arc<Asynchronous>) -> Self {
        Self {
            database,
            callers,
            asynchronous,
        }
    }

    /// What every read looks at before its query.
    pub(super) fn begin(&self, head: &Head) -> Result<(Caller, Preferences)> {
        let caller = self.callers.caller(head)?;
        let preferences = Preferences::read(head)?;
        negotiate(head, &[("application/json", ())])?;
        Ok((caller, preferences))
    }
}

/// `GET /{resource}`
pub(super) async fn list(resource: Segment, head: Head, reads: Arc<Reads>) -> Answered {
    let (Caller { identity, .. }, preferences) = reads.begin(&head)?;
    let target = Target { resource, id: None };
    let asynchronous = &reads.asynchronous;
    if let Some(id) = asynchronous.asked(&head, &preferences)? {
        return asynchronous
            .accept(&head, &preferences, &identity, id, &target)
            .await;
    }
    let access = reads.database.access(&identity.role).await?;
    let query = target.query(&access, &head.query)?;
    let listing = reads.database.list(&identity, &query).await?;
    let mut response = reply::json(StatusCode::OK, listing.body);
    put_position(response.headers_mut(), &listing.position);
    Ok(response)
}

/// `GET /{resource}/{id}`
pub(super) async fn item(
    resource: Segment,
    id: Segment,
    head: Head,
    reads: Arc<Reads>,
) -> Answered {
    let (Caller { identity, .. }, preferences) = reads.begin(&head)?;
    let target = Target {
        resource,
        id: Some(id),
    };
    let asynchronous = &reads.asynchronous;
    if let Some(id) = asynchronous.asked(&head, &preferences)? {
        return asynchronous
            .accept(&head, &preferences, &identity, id, &target)
            .await;
    }
    let unless = conditions::if_none_match(&head)?;
    let access = reads.database.access(&identity.role).await?;
    let query = target.query(&access, &head.query)?;
    let item = reads.database.item(&identity, &query).await?;
    let known = unless.is_some_and(|it| it.matches(item.etag.as_deref()));
    let mut response = match known {
        true => reply::empty(StatusCode::NOT_MODIFIED),
        false => reply::json(StatusCode::OK, item.body),
    };
    put_position(response.headers_mut(), &item.position);
    put_etag(response.headers_mut(), item.etag.as_deref());
    Ok(response)
}
