//! Every setting, limit and time-out but those of single resources, with defaults and units.

use super::{
    declare::{section, words},
    secret::Secret,
};

section! {
    /// Where the server listens and how it ends.
    pub struct Server {
        /// Address and port to listen on; port 0 takes any that is free.
        listen: String = "127.0.0.1:8080".to_owned(),
        /// Origins of web pages that may call this server (`https://app.example.com`); `*` for any.
        /// Empty: pages of this server's own origin only.
        cors_origins: Vec<String> = Vec::new(),
        /// On shutdown, how long requests that are being answered may still take.
        drain_ms: u64 = 10_000,
        /// What is logged, on standard error: `error`, `warn`, `info`, `debug`, `trace`, or a filter
        /// per module such as `info,rowcast::feed=debug`.
        log: String = "info".to_owned(),
    }
}

section! {
    /// The PostgreSQL server, and as whom statements run there.
    pub struct Database {
        /// The database, as a URL (`postgres://user:password@host:5432/name`) or as `key=value` pairs.
        url: Option<Secret> = None,
        /// Schemas whose tables and views become resources. Of two tables of one name, the one in
        /// the schema named first is exposed.
        schemas: Vec<String> = vec!["public".to_owned()],
        /// The role of callers whose token names none. Not set: what the database itself says
        /// (`alter database … set rowcast.default_role = …`), else the role that rowcast connects as.
        default_role: Option<String> = None,
        /// The role of callers without a token. Not set: they are refused (401).
        anonymous_role: Option<String> = None,
        /// Connections for plain requests and writes.
        connections_max: usize = 10,
        /// Connections for the rows of asynchronous GETs, apart from the others because a slow reader
        /// may hold one for a while.
        stream_connections_max: usize = 8,
        /// How long one statement may take.
        statement_timeout_ms: u64 = 30_000,
        /// How long connecting may take.
        connect_timeout_ms: u64 = 5_000,
        /// How long a request waits for a free connection before it is refused (503).
        acquire_timeout_ms: u64 = 5_000,
    }
}

section! {
    /// How tokens are verified.
    pub struct Auth {
        /// The secret that tokens are signed with (HS256): at least 32 bytes.
        jwt_secret: Option<Secret> = None,
        /// What a token's `aud` has to name. Not set: any.
        audience: Option<String> = None,
        /// By how many seconds the clock of whoever issues tokens may differ from ours.
        leeway_s: u64 = 5,
        /// How long before its token expires a channel is warned.
        expiry_warning_ms: u64 = 60_000,
        /// Within what time a pass has to be used first.
        pass_ms: u64 = 30_000,
        /// Most passes that one identity may hold unused.
        passes_per_identity: usize = 64,
    }
}

section! {
    /// The names of the claims that rowcast reads. A dot steps into an object: `app.org_id`.
    pub struct Claims {
        /// The caller's organization: text or a whole number.
        organization: String = "org".to_owned(),
        /// The user inside the organization: text or a whole number.
        user: String = "sub".to_owned(),
        /// The PostgreSQL role; a token without it runs as `database.default_role`.
        role: String = "role".to_owned(),
    }
}

section! {
    /// How rows belong to organizations, unless a resource says otherwise.
    pub struct Tenancy {
        /// The column that holds a row's organization. Tables without it are not exposed unless
        /// `[resources.<name>]` says how they belong.
        column: String = "organization_id".to_owned(),
        /// `column`: rows belong to organizations. `single`: the whole database is one organization,
        /// every table is exposed, and tokens need no organization.
        tenancy: TenancyMode = TenancyMode::default(),
    }
}

words! {
    /// Whether the database holds one organization or many.
    pub enum TenancyMode {
        /// Rows belong to organizations, by a column or as their resource says.
        #[default]
        Column = "column",
        /// The whole database is one organization.
        Single = "single",
    }
}

section! {
    /// What one caller, one channel, one request may take up. Beyond each, the caller is told so.
    pub struct Limits {
        /// Channels that one identity may have open.
        channels_per_identity: usize = 64,
        /// Asynchronous GETs that one identity may have open, over all of its channels.
        requests_per_identity: usize = 64,
        /// Undelivered bytes that one channel holds. Beyond, rows wait in PostgreSQL and changes are
        /// first squashed to the newest per row, then replaced by a `reset`.
        queue_bytes_max: usize = 4 << 20,
        /// Delivered bytes that a channel keeps for a reader that comes back.
        replay_bytes_max: usize = 1 << 20,
        /// How long delivered events are kept for a reader that comes back.
        replay_ms: u64 = 120_000,
        /// How long a request waits for somebody to fetch its first rows before it ends.
        request_grace_ms: u64 = 30_000,
        /// How long the reader of a channel may stand still before its requests end.
        request_stall_ms: u64 = 30_000,
        /// How long a channel lives without a reader.
        channel_idle_ms: u64 = 120_000,
        /// Bytes of a request's body.
        body_bytes_max: usize = 10 << 20,
        /// Bytes of a request's path and query.
        url_bytes_max: usize = 16 << 10,
        /// Bytes of a request's headers together.
        header_bytes_max: usize = 32 << 10,
        /// Bytes of one WebSocket message from a client.
        message_bytes_max: usize = 64 << 10,
        /// Compressors that streams of events hold at once at most, some 300 KB each.
        compressors_max: usize = 256,
        /// Bytes of one plain answer.
        answer_bytes_max: usize = 256 << 20,
        /// Open connections to this server; 0: as many as the open-files limit leaves room for.
        connections_max: usize = 0,
        /// Plain requests and writes that are worked on at once; more are refused (503).
        concurrent_requests_max: usize = 1_024,
        /// How long a client may take to send a request's line and headers.
        request_head_timeout_ms: u64 = 10_000,
        /// How long a client may take to send a request's body.
        request_body_timeout_ms: u64 = 30_000,
        /// How long a client's connection may stand still with an answer half written.
        write_stall_ms: u64 = 30_000,
        /// The largest part of the stream connections that one identity may hold, in percent.
        stream_share_percent: u32 = 25,
        /// How long a channel's reader hears nothing before it gets a `ping`.
        ping_ms: u64 = 25_000,
        /// How long a long-poll waits that does not say so itself.
        poll_wait_ms: u64 = 25_000,
        /// The longest that a long-poll may wait.
        poll_wait_ms_max: u64 = 60_000,
        /// Changed rows in one batch; a batch of more becomes a `reset` of each resource.
        batch_keys_max: usize = 10_000,
        /// Writes in one `POST /batch`.
        batch_writes_max: usize = 100,
        /// Signals per second that one channel may send.
        signals_per_second: u32 = 10,
        /// Signals that one channel may send at once after a pause.
        signals_burst: u32 = 30,
        /// Bytes of what one signal carries.
        signal_bytes_max: usize = 10 << 10,
        /// Deliveries per second of all signals of one organization: a signal to 100 channels is 100.
        signal_deliveries_per_second: u32 = 200_000,
        /// How long a write that a signal announced may take before the signal is taken back.
        signal_action_ms: u64 = 10_000,
        /// Topics that one channel may be on.
        topics_per_channel: usize = 100,
    }
}

section! {
    /// The change log and how it is read.
    pub struct Feed {
        /// How often the change log is looked at for what other programs wrote. What is written
        /// through this server is announced at once.
        poll_ms: u64 = 10,
        /// How long the change log is kept, and so for how long a client may be away.
        retention_hours: u64 = 24,
        /// Size of the change log beyond which it is cut earlier than `retention_hours` says.
        log_bytes_max: u64 = 4 << 30,
        /// How long row-level security may take to decide about one batch for one identity before
        /// that identity gets a `reset` instead.
        policy_timeout_ms: u64 = 2_000,
        /// Clients that come back with a cursor and are told at the same time what they missed, each
        /// over a connection to the database; others wait for their turn.
        replays_max: usize = 4,
        /// How long it may take to tell a client what it missed, waiting for its turn included. What
        /// is not told by then becomes a `reset`.
        replay_timeout_ms: u64 = 20_000,
        /// Entries of the change log from which a client is told what it missed; with more, it gets a
        /// `reset`.
        replay_changes_max: u64 = 1_000_000,
    }
}

section! {
    /// What users did, remembered so that it is done once.
    pub struct Actions {
        /// How long an action is remembered, and so for how long a client that was offline may repeat
        /// it without effect.
        retention_days: u64 = 7,
    }
}

section! {
    /// The secret keys of rows, for clients that encrypt their signals.
    pub struct Keys {
        /// The master keys under which the keys of rows are stored: each 32 random bytes in base64,
        /// for example from `openssl rand -base64 32`. The first one encrypts, all decrypt. To change
        /// it, add the new one at the end on all servers, then move it to the front on all, and drop
        /// the old one once `rowcast check` says that nothing is under it any more.
        master_keys: Vec<Secret> = Vec::new(),
        /// How long a key is kept after it was last handed out, and so for how long those who had it
        /// can read it again.
        retention_days: u64 = 90,
    }
}

section! {
    /// What callers see.
    pub struct Api {
        /// The header that makes a GET asynchronous. Some libraries send `Request-Id` unasked; then
        /// choose another name.
        request_id_header: String = "Request-Id".to_owned(),
        /// What a write answers when the caller does not say: the rows, or nothing.
        write_answer: WriteAnswer = WriteAnswer::default(),
        /// Functions that are exposed at `/rpc`, as `name` or `schema.name`. A function sees whatever
        /// its role sees, of whichever organization, so that with several organizations none is
        /// exposed unasked; with `tenancy = "single"` all of the schemas are.
        functions: Vec<String> = Vec::new(),
        /// Whether callers may undo their writes with `Prefer: tx=rollback`, as tests do.
        tx_rollback: bool = false,
        /// Whether queries may have aggregates (`count()`, `sum()`, `avg()`, `min()`, `max()`), of which
        /// each may cost as much as its table is large.
        aggregates_enabled: bool = false,
    }
}

words! {
    /// What a write answers.
    pub enum WriteAnswer {
        /// The rows as they now are.
        #[default]
        Row = "row",
        /// An empty answer, as PostgREST gives by default.
        Minimal = "minimal",
    }
}
