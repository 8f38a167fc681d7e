//! Which values make no sense, alone or together.

use super::{
    Config, MASTER_KEY_BYTES, OrganizationRule, Shape, TenancyMode, load::Loading,
    secret::master_key_bytes,
};
use std::collections::BTreeSet;

/// HS256 needs a key of at least the size of its hash (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;

/// Numbers that may be 0; of all others at least 1 makes sense.
const MAY_BE_ZERO: &[&str] = &[
    "server.drain_ms",
    "auth.leeway_s",
    "auth.expiry_warning_ms",
    "limits.connections_max",
    "limits.replay_bytes_max",
    "limits.replay_ms",
    "limits.poll_wait_ms",
    "limits.signals_per_second",
    "limits.signals_burst",
];

/// Numbers that need more than 1, and those that make no sense beyond some value.
const RANGES: &[(&str, i64, i64)] = &[
    ("auth.leeway_s", 0, 300),
    ("limits.queue_bytes_max", 64 << 10, i64::MAX),
    // What hyper needs at least to read a request's head.
    ("limits.header_bytes_max", 8 << 10, 16 << 20),
    ("limits.url_bytes_max", 256, 1 << 20),
    ("limits.message_bytes_max", 1 << 10, i64::MAX),
    ("limits.stream_share_percent", 1, 100),
    ("limits.ping_ms", 100, i64::MAX),
    ("feed.log_bytes_max", 1 << 20, i64::MAX),
    ("feed.retention_hours", 1, 24 * 366),
    ("actions.retention_days", 1, 366),
    ("keys.retention_days", 1, 36_600),
    ("limits.batch_writes_max", 1, 10_000),
];

/// Names of roles, columns, claims: not set, or not empty.
const NOT_EMPTY: &[&str] = &[
    "database.url",
    "database.default_role",
    "database.anonymous_role",
    "auth.audience",
    "tenancy.column",
    "server.log",
];

/// Notes every value that makes no sense.
pub(super) fn check(loading: &mut Loading) {
    numbers(loading);
    texts(loading);
    contradictions(loading);
    resources(loading);
}

fn numbers(loading: &mut Loading) {
    for (setting, shape, value) in all(&loading.config) {
        let (Shape::Number, Some(number)) = (shape, value.as_ref().and_then(|it| it.as_integer()))
        else {
            continue;
        };
        let range = RANGES.iter().find(|(name, _, _)| *name == setting);
        let zero_allowed = MAY_BE_ZERO.contains(&setting.as_str());
        let (least, most) = match range {
            Some((_, least, most)) => (*least, *most),
            None => (i64::from(!zero_allowed), i64::MAX),
        };
        if number < least {
            loading.refuse(
                &setting,
                format!("is {number}; it must be at least {least}"),
            );
        } else if number > most {
            loading.refuse(&setting, format!("is {number}; it must be at most {most}"));
        }
    }
}

fn texts(loading: &mut Loading) {
    for (setting, _, value) in all(&loading.config) {
        let empty = value.as_ref().and_then(|it| it.as_str()) == Some("");
        let named = NOT_EMPTY.contains(&setting.as_str()) || setting.starts_with("auth.claims.");
        if empty && named {
            loading.refuse(&setting, "must not be empty");
        }
    }
    for (setting, claim) in [
        (
            "auth.claims.organization",
            loading.config.claims.organization.clone(),
        ),
        ("auth.claims.user", loading.config.claims.user.clone()),
        ("auth.claims.role", loading.config.claims.role.clone()),
    ] {
        if !claim.is_empty() && claim.split('.').any(str::is_empty) {
            loading.refuse(setting, "has an empty part beside a dot");
        }
    }
    let secret = loading.config.auth.jwt_secret.as_ref();
    if let Some(bytes) = secret.map(|it| it.expose().len())
        && bytes < JWT_SECRET_BYTES_MIN
    {
        loading.refuse(
            "auth.jwt_secret",
            format!(
                "has {bytes} bytes; HS256 needs at least {JWT_SECRET_BYTES_MIN} (RFC 7518, section \
                 3.2), for example from `openssl rand -base64 32`"
            ),
        );
    }
    if !is_listen_address(&loading.config.server.listen) {
        loading.refuse(
            "server.listen",
            "must be an address and a port, such as 127.0.0.1:8080, [::]:8080 or localhost:8080",
        );
    }
    let origins = loading.config.server.cors_origins.clone();
    for origin in origins.iter().filter(|it| !is_origin(it)) {
        let fault = format!("has {origin:?}; an origin is `https://host` or `https://host:port`");
        loading.refuse("server.cors_origins", fault);
    }
    schemas(loading);
    master_keys(loading);
    header(loading);
}

fn master_keys(loading: &mut Loading) {
    let keys = loading.config.keys.master_keys.clone();
    for (place, key) in keys.iter().enumerate() {
        if master_key_bytes(key).is_none() {
            let fault = format!(
                "has a key, number {}, that is not {MASTER_KEY_BYTES} bytes in base64, for example \
                 from `openssl rand -base64 32`",
                place + 1
            );
            loading.refuse("keys.master_keys", fault);
        }
        if keys[..place].contains(key) {
            let fault = format!("has the same key twice, as number {}", place + 1);
            loading.refuse("keys.master_keys", fault);
        }
    }
    let keyed = loading.config.resources.iter().find(|(_, it)| it.key);
    if let Some(name) = keyed.map(|(name, _)| name.clone())
        && keys.is_empty()
    {
        loading.refuse(
            &format!("resources.{name}.key"),
            "needs a master key under which keys are stored: set `keys.master_keys`",
        );
    }
}

fn schemas(loading: &mut Loading) {
    let schemas = loading.config.database.schemas.clone();
    if schemas.is_empty() {
        loading.refuse("database.schemas", "must name at least one schema");
    }
    let mut seen = BTreeSet::new();
    for schema in &schemas {
        if schema.is_empty() {
            loading.refuse("database.schemas", "has an empty name");
        } else if !seen.insert(schema) {
            loading.refuse("database.schemas", format!("names {schema:?} twice"));
        } else if matches!(schema.as_str(), "rowcast" | "information_schema")
            || schema.starts_with("pg_")
        {
            let fault = format!("names {schema:?}, which is not the application's");
            loading.refuse("database.schemas", fault);
        }
    }
}

fn header(loading: &mut Loading) {
    const TAKEN: &[&str] = &[
        "accept",
        "action-id",
        "authorization",
        "channel-id",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "cursor",
        "etag",
        "host",
        "if-match",
        "if-none-match",
        "last-event-id",
        "location",
        "origin",
        "prefer",
        "priority",
        "range",
        "sequence",
        "te",
        "transfer-encoding",
        "upgrade",
        "version",
    ];
    let header = &loading.config.api.request_id_header;
    if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
        loading.refuse("api.request_id_header", "is not the name of a header");
    } else if TAKEN.contains(&header.to_ascii_lowercase().as_str()) {
        loading.refuse(
            "api.request_id_header",
            "is a header with a meaning of its own",
        );
    }
}

fn contradictions(loading: &mut Loading) {
    let limits = loading.config.limits.clone();
    if limits.poll_wait_ms > limits.poll_wait_ms_max {
        let fault = format!(
            "is {}, more than `limits.poll_wait_ms_max` ({}) allows",
            limits.poll_wait_ms, limits.poll_wait_ms_max
        );
        loading.refuse("limits.poll_wait_ms", fault);
    }
    if limits.request_grace_ms > limits.channel_idle_ms {
        let fault = format!(
            "is {}, longer than a channel without a reader lives (`limits.channel_idle_ms`, {})",
            limits.request_grace_ms, limits.channel_idle_ms
        );
        loading.refuse("limits.request_grace_ms", fault);
    }
    if limits.signal_bytes_max > limits.message_bytes_max {
        let fault = format!(
            "is {}, more than one WebSocket message holds (`limits.message_bytes_max`, {})",
            limits.signal_bytes_max, limits.message_bytes_max
        );
        loading.refuse("limits.signal_bytes_max", fault);
    }
    let feed = &loading.config.feed;
    if feed.poll_ms >= feed.retention_hours.saturating_mul(3_600_000) {
        loading.refuse("feed.poll_ms", "is longer than the change log is kept");
    }
}

fn resources(loading: &mut Loading) {
    let single = loading.config.tenancy.tenancy == TenancyMode::Single;
    for (name, resource) in loading.config.resources.clone() {
        let setting = |it: &str| format!("resources.{name}.{it}");
        if single
            && matches!(resource.organization, Some(ref it) if *it != OrganizationRule::Shared)
        {
            loading.refuse(
                &setting("organization"),
                "makes no sense with `tenancy = \"single\"`, where there is one organization",
            );
        }
        if resource.updated_at.as_deref() == Some("") {
            loading.refuse(&setting("updated_at"), "must not be empty");
        }
        if resource.visibility_depends_on.iter().any(String::is_empty) {
            loading.refuse(&setting("visibility_depends_on"), "has an empty name");
        }
    }
}

/// All settings but those of single resources: `section.name`, shape, value.
fn all(config: &Config) -> Vec<(String, Shape, Option<toml::Value>)> {
    let sections = config.sections().into_iter();
    let named = sections.filter(|section| !section.name.starts_with("resources."));
    named
        .flat_map(|section| {
            let of = move |it: super::Setting| {
                (format!("{}.{}", section.name, it.name), it.shape, it.value)
            };
            section.settings.into_iter().map(of)
        })
        .collect()
}

fn is_listen_address(text: &str) -> bool {
    if text.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name) && port.parse::<u16>().is_ok()
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text == "*";
    };
    let uri = text.parse::<http::Uri>();
    matches!(scheme, "http" | "https") && !rest.contains(['/', '?', '#', '@']) && uri.is_ok()
}
