//! `POST /passes`: a pass for one channel, in exchange for a token.

use super::{
    body::Body,
    channels::read,
    credentials::Callers,
    head::Head,
    reply::{self, Answered, put_no_store},
};
use crate::{channel::ChannelId, wire::answer};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// `POST /passes`
pub(super) async fn issue(head: Head, body: Body, callers: Arc<Callers>) -> Answered {
    #[derive(Deserialize)]
    struct Wanted {
        channel: Option<String>,
    }
    let caller = callers.caller(&head)?;
    let Wanted { channel } = read(&body.json(&head).await?)?;
    let channel = match channel {
        Some(name) => ChannelId::parse(&name)?,
        None => ChannelId::default(),
    };
    let passes = callers.passes();
    let pass = passes.issue(caller, channel)?;
    let body = answer::pass(&pass, passes.first_use_s());
    let mut response = reply::json(StatusCode::CREATED, body);
    put_no_store(response.headers_mut());
    Ok(response)
}
