//! The secret keys of rows: `GET /{resource}/{id}/key`, and beside the rows of a list.

use super::{
    head::{Head, Segment, parameters},
    reads::Reads,
    reply::{self, Answered, put_no_store},
};
use crate::{
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::Database,
    query::Query,
    wire::answer,
};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde_json::value::RawValue;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// `GET /{resource}/{id}/key`: the key in force, or with `id=<key id>` one that the caller had before.
pub(super) async fn show(
    resource: Segment,
    id: Segment,
    head: Head,
    reads: Arc<Reads>,
) -> Answered {
    let (caller, _, _) = reads.begin(&head)?;
    let [key_id] = parameters(&head.query, ["id"])?;
    let name = resource.decode()?;
    let database = &reads.database;
    let key = match key_id {
        Some(key_id) => {
            let key_id = Uuid::try_parse(&key_id).map_err(|_| {
                let detail = "The id of a key is a uuid.";
                Error::new(Kind::QueryMalformed, detail)
            })?;
            database.key_held(&caller.identity, &name, key_id).await?
        }
        None => database.key(&caller.identity, &name, id.raw()).await?,
    };
    let mut response = reply::json(StatusCode::OK, answer::row_key(&key.as_answer()));
    put_no_store(response.headers_mut());
    Ok(response)
}

/// A list's body with the keys of its own rows beside them: an object, as with included rows.
pub(super) async fn beside(
    database: &Database,
    identity: &Identity,
    query: &Query,
    body: &Bytes,
    own_rows: u64,
) -> Result<Bytes> {
    let broken = |_| Error::internal("a list is no JSON");
    let name = &*query.resource().name;
    let rows: Vec<&RawValue> = match query.includes() {
        true => {
            let parts: HashMap<&str, &RawValue> = serde_json::from_slice(body).map_err(broken)?;
            let own = parts.get(name).map_or("[]", |it| it.get());
            serde_json::from_str(own).map_err(broken)?
        }
        false => serde_json::from_slice(body).map_err(broken)?,
    };
    let own = rows
        .iter()
        .take(usize::try_from(own_rows).unwrap_or(usize::MAX));
    let own = own.map(|it| it.get().as_bytes());
    let keys = database.keys_of(identity, query.resource(), own).await?;
    let keys: Vec<_> = keys.iter().map(|it| it.as_answer()).collect();
    let mut whole = BytesMut::with_capacity(body.len() + 256 * keys.len() + 64);
    if query.includes() {
        whole.extend_from_slice(&body[..body.len() - 1]);
    } else {
        whole.extend_from_slice(b"{");
        whole.extend_from_slice(&answer::text(name));
        whole.extend_from_slice(b":");
        whole.extend_from_slice(body);
    }
    whole.extend_from_slice(b",\"key\":");
    whole.extend_from_slice(&answer::row_keys(&keys));
    whole.extend_from_slice(b"}");
    Ok(whole.freeze())
}
