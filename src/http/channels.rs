//! `/channels/{id}`: attaching on whichever transport the caller wants, acknowledging, renewing,
//! ending.

use super::{
    accept::negotiate,
    asynchronous::Asynchronous,
    body::Body,
    credentials::Callers,
    deflate::{Deflaters, Gzip},
    expiry::Expiries,
    head::{Head, Segment, malformed, parameters},
    long_poll::{self, Begins, Poll},
    reader::Reader,
    reply::{self, Answered, put_no_store},
    streams::{self, Ndjson, Sse},
    websocket::{self, Commands, First, Sockets, Upgrade},
};
use crate::{
    channel::{Attach, Channel, ChannelId, Hub},
    config::Config,
    error::{Error, Kind, Result},
    feed::Replays,
    identity::{Caller, Identity},
    postgres::Database,
    signal::Signals,
    wire::event::Close,
};
use http::{HeaderName, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};

/// What EventSource sends when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How a channel whose reader has become somebody else is closed: it comes back at once.
const OTHER_IDENTITY: Close = Close::new(4200, "the token belongs to another identity", 0);

/// For how long who long-polls counts as present between two polls.
const POLLER_LINGERS_MS: u32 = 10_000;

/// The transports of a GET without an upgrade.
#[derive(Clone, Copy)]
enum Transport {
    LongPoll,
    Sse,
    Ndjson,
}

const TRANSPORTS: [(&str, Transport); 3] = [
    ("application/json", Transport::LongPoll),
    ("text/event-stream", Transport::Sse),
    ("application/x-ndjson", Transport::Ndjson),
];

/// The channels of all callers.
#[derive(Debug)]
pub struct Channels {
    hub: Arc<Hub>,
    database: Database,
    callers: Arc<Callers>,
    asynchronous: Arc<Asynchronous>,
    replays: Arc<Replays>,
    signals: Arc<Signals>,
    expiries: Arc<Expiries>,
    sockets: Sockets,
    deflaters: Arc<Deflaters>,
    expiry_warning: Duration,
    poll: long_poll::PollLimits,
}

impl Channels {
    /// The channels of this hub.
    pub fn new(
        config: &Config,
        hub: Arc<Hub>,
        database: Database,
        callers: Arc<Callers>,
        asynchronous: Arc<Asynchronous>,
        replays: Arc<Replays>,
        signals: Arc<Signals>,
    ) -> Self {
        let deflaters = Deflaters::new(&config.limits);
        Self {
            hub,
            database,
            callers,
            asynchronous,
            replays,
            signals,
            expiries: Arc::default(),
            sockets: Sockets::new(&config.limits, deflaters.clone()),
            deflaters,
            expiry_warning: Duration::from_millis(config.auth.expiry_warning_ms),
            poll: long_poll::PollLimits::from(&config.limits),
        }
    }

    /// How many WebSockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.open()
    }

    /// Waits until all WebSockets have closed, for so long at most; then cuts the rest.
    pub async fn drain(&self, patience: Duration) {
        self.sockets.drain(patience).await;
    }

    fn commands(&self) -> Commands {
        Commands {
            asynchronous: self.asynchronous.clone(),
            renewal: self.renewal(),
            signals: self.signals.clone(),
        }
    }

    fn renewal(&self) -> Renewal {
        Renewal {
            hub: self.hub.clone(),
            callers: self.callers.clone(),
            expiries: self.expiries.clone(),
        }
    }

    /// The caller's reader of a channel, as its query string and headers ask.
    async fn attach(&self, id: &Segment, head: &Head) -> Result<(Reader, Asked)> {
        let id = ChannelId::parse(&id.decode()?)?;
        let mut asked = Asked::read(head)?;
        let caller = self.callers.attaching(head, &id, asked.pass.as_deref())?;
        // A role that nobody may take has no channel either; its first caller finds that out here.
        let access = self.database.access(&caller.identity.role).await?;
        for resource in asked.resources.iter().flatten() {
            access.resource(resource)?;
        }
        let channel = self.hub.open(&caller.identity, &id)?;
        let mut attachment = channel.attach(Attach {
            after: asked.after,
            since: asked.since.as_deref().map(|it| self.replays.since(it)),
            resources: asked.resources.clone(),
            acknowledges: asked.acknowledges,
            lingers_ms: asked.lingers_ms,
        })?;
        let replay = attachment.take_replay();
        asked.replays = replay.is_some();
        if let Some(lane) = replay {
            self.replays.start(lane);
        }
        let warning = self.expiry_warning;
        let key = caller.identity.key;
        let clock = self.expiries.clock(key, &id, caller.expires_at, warning);
        let reader = Reader::new(attachment, clock);
        if !asked.first.is_empty() {
            let reads = std::mem::take(&mut asked.first);
            self.commands().begin(reads, reader.channel()).await;
        }
        Ok((reader, asked))
    }

    /// The caller's channel of that name.
    fn find(&self, identity: &Identity, id: &Segment) -> Result<Arc<Channel>> {
        let id = ChannelId::parse(&id.decode()?)?;
        self.hub
            .find(&identity.key, &id)
            .ok_or_else(|| unknown(&id))
    }
}

/// `GET /channels/{id}`
pub(super) async fn attach(id: Segment, mut head: Head, channels: Arc<Channels>) -> Answered {
    if let Some(connection) = &head.connection {
        connection.mark_streams();
    }
    if websocket::is_asked(&head) {
        let upgrade = Upgrade::accept(&mut head)?;
        let sockets = &channels.sockets;
        let response = match channels.attach(&id, &head).await {
            Ok((reader, _)) => sockets.serve(upgrade, reader, channels.commands()),
            // Browsers do not show scripts how a handshake failed, so it succeeds.
            Err(error) => sockets.refuse(upgrade, &error),
        };
        return Ok(response);
    }
    let transport = negotiate(&head, &TRANSPORTS)?;
    let (reader, asked) = channels.attach(&id, &head).await?;
    let gzip = || Gzip::for_caller(&head, &channels.deflaters);
    Ok(match transport {
        Transport::Sse => streams::answer(reader, Sse, gzip()),
        Transport::Ndjson => streams::answer(reader, Ndjson, gzip()),
        Transport::LongPoll => {
            let granted = channels.poll.poll(&asked.poll);
            let begins = match asked.after {
                _ if asked.replays => Begins::Replay,
                Some(_) => Begins::Again,
                None => Begins::Anew,
            };
            long_poll::answer(reader, granted, begins, gzip()).await
        }
    })
}

/// `DELETE /channels/{id}`
pub(super) async fn end(id: Segment, head: Head, channels: Arc<Channels>) -> Answered {
    let caller = channels.callers.caller(&head)?;
    let id = ChannelId::parse(&id.decode()?)?;
    match channels.hub.end(&caller.identity.key, &id) {
        true => Ok(done()),
        false => Err(unknown(&id).into()),
    }
}

/// `POST /channels/{id}/ack`
pub(super) async fn acknowledge(
    id: Segment,
    head: Head,
    body: Body,
    channels: Arc<Channels>,
) -> Answered {
    #[derive(Deserialize)]
    struct Ack {
        sequence: u64,
    }
    let caller = channels.callers.caller(&head)?;
    let Ack { sequence } = read(&body.json(&head).await?)?;
    let channel = channels.find(&caller.identity, &id)?;
    channel.acknowledge(sequence)?;
    Ok(done())
}

/// `POST /channels/{id}/auth`: the fresh token is in the body, or, without one, in the header.
pub(super) async fn renew(
    id: Segment,
    head: Head,
    body: Body,
    channels: Arc<Channels>,
) -> Answered {
    #[derive(Deserialize)]
    struct Auth {
        token: String,
    }
    let caller = channels.callers.caller(&head)?;
    let body = body.json(&head).await?;
    let channel = channels.find(&caller.identity, &id)?;
    if body.is_empty() {
        channels.renewal().prolong(&channel, &caller);
        return Ok(done());
    }
    let Auth { token } = read(&body)?;
    match channels
        .renewal()
        .renew(&channel, &token, &channels.signals)?
    {
        None => Ok(done()),
        Some(reason) => {
            channel.close(reason);
            let detail = "The channel was closed: attach anew with the other token.";
            Err(Error::new(Kind::IdentityMismatch, detail).into())
        }
    }
}

/// The answer to what was done and has nothing to tell.
pub(super) fn done() -> reply::Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    put_no_store(response.headers_mut());
    response
}

/// The answer to the name of a channel that the caller has not.
pub(super) fn unknown(id: &ChannelId) -> Error {
    let detail = format!("There is no channel {:?} of yours.", id.as_str());
    Error::new(Kind::ChannelUnknown, detail)
}

/// Reads a body of ours.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Kind::BodyMalformed,
            format!("The body cannot be read: {error}."),
        )
    })
}

/// Gives readers more time, by fresh tokens.
#[derive(Debug)]
pub(super) struct Renewal {
    hub: Arc<Hub>,
    callers: Arc<Callers>,
    expiries: Arc<Expiries>,
}

impl Renewal {
    /// Lets the channel's reader go on until this token ends. A token of another identity ends the
    /// channel, whose events are not that identity's; the reader is to be closed as returned, and
    /// comes back at once for a channel of the new identity's. What the token takes away of rights to
    /// topics is looked at.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`, `ClaimMissing`: the former token still counts.
    pub(super) fn renew(
        &self,
        channel: &Arc<Channel>,
        token: &str,
        signals: &Signals,
    ) -> Result<Option<Close>> {
        let caller = self.callers.verify(token)?;
        if caller.identity.key == channel.identity().key {
            self.prolong(channel, &caller);
            return Ok(None);
        }
        signals.succeeded(channel.identity(), &caller.identity);
        channel.close(OTHER_IDENTITY);
        self.hub.end(&channel.identity().key, channel.id());
        Ok(Some(OTHER_IDENTITY))
    }

    fn prolong(&self, channel: &Channel, caller: &Caller) {
        let key = caller.identity.key;
        self.expiries.renew(key, channel.id(), caller.expires_at);
    }
}

/// What the query string and the headers of an attaching caller ask for.
struct Asked {
    after: Option<u64>,
    since: Option<String>,
    /// Whether a replay was begun.
    replays: bool,
    resources: Option<Vec<Arc<str>>>,
    acknowledges: bool,
    lingers_ms: u32,
    pass: Option<String>,
    poll: Poll,
    /// Reads that are asked for along with the attaching.
    first: Vec<First>,
}

impl Asked {
    fn read(head: &Head) -> Result<Self> {
        let known = [
            "after",
            "since",
            "resources",
            "wait",
            "max_events",
            "pass",
            "get",
        ];
        let [after, since, resources, wait, max_events, pass, get] =
            parameters(&head.query, known)?;
        let transport = negotiate(head, &TRANSPORTS);
        let polls = !websocket::is_asked(head) && matches!(transport, Ok(Transport::LongPoll));
        Ok(Self {
            lingers_ms: if polls { POLLER_LINGERS_MS } else { 0 },
            after: match last_event_id(head)? {
                Some(id) => Some(id),
                None => after.map(|it| number("after", &it)).transpose()?,
            },
            since,
            replays: false,
            resources: resources.map(|it| {
                let names = it.split(',').map(str::trim).filter(|it| !it.is_empty());
                names.map(Arc::from).collect()
            }),
            acknowledges: websocket::is_asked(head) || polls,
            pass,
            poll: Poll::read(wait.as_deref(), max_events.as_deref())?,
            first: match get {
                None => Vec::new(),
                Some(text) => serde_json::from_str(&text).map_err(|error| {
                    let detail = format!("get is a JSON array of reads: {error}.");
                    Error::new(Kind::QueryMalformed, detail)
                })?,
            },
        })
    }
}

fn last_event_id(head: &Head) -> Result<Option<u64>> {
    match head.header(&LAST_EVENT_ID)? {
        None | Some("") => Ok(None),
        Some(id) => match id.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(malformed(&LAST_EVENT_ID, "is not a sequence")),
        },
    }
}

/// A whole number in a query string.
pub(super) fn number(name: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| {
        Error::new(
            Kind::QueryMalformed,
            format!("{name} is a whole number, not {text:?}."),
        )
    })
}
