//! What is fuzzed: for each reader of a caller's text a function that panics if something is wrong.
//!
//! Compiled for tests and with the feature `fuzzing` only. `fuzz/` drives these functions with inputs of
//! its own making, and the tests below with the seeds that are kept there. Knows nothing of fuzzers.

use crate::{
    catalog::{Access, sample},
    cursor, http,
    identity::OrganizationId,
    postgres,
    query::{self, Brought, Call, Counting, Duplicates, Format, Query, Range, Write, WriteOptions},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::LazyLock;

/// The help desk of several organizations.
static ACCESS: LazyLock<Access> = LazyLock::new(|| sample::access(false));

/// One function that is fuzzed.
pub type Target = fn(&[u8]);

/// All targets by their names, which are those of their files in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("query", query),
    ("select", select),
    ("filter", filter),
    ("order", order),
    ("path", path),
    ("plan", plan),
    ("body", body),
    ("token", token),
    ("headers", headers),
    ("frames", frames),
];

/// A whole query string, as it comes: what is read prints as what reads back the same.
pub fn query(input: &[u8]) {
    if let Some(text) = text(input) {
        query::fuzzing::reads_back(text);
    }
}

/// A decoded `select`, and the same text as an `include`.
pub fn select(input: &[u8]) {
    if let Some(text) = text(input) {
        query::fuzzing::reads_back(&format!("select={}", encoded(text)));
        query::fuzzing::reads_back(&format!("include={}", encoded(text)));
    }
}

/// A decoded condition, `column=operator.value`, and its value as a tree of conditions.
pub fn filter(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let (name, value) = text.split_once('=').unwrap_or(("id", text));
    query::fuzzing::reads_back(&format!("{}={}", encoded(name), encoded(value)));
    query::fuzzing::reads_back(&format!("not.or={}", encoded(value)));
}

/// A decoded `order`.
pub fn order(input: &[u8]) {
    if let Some(text) = text(input) {
        query::fuzzing::reads_back(&format!("order={}", encoded(text)));
    }
}

/// A path into JSON, wherever one may stand.
pub fn path(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let path = encoded(&format!("data->{text}"));
    for query in [
        format!("{path}=eq.1"),
        format!("select={path}"),
        format!("order={path}"),
        format!("or=({path}.is.null)"),
    ] {
        query::fuzzing::reads_back(&query);
        plans(&format!("tickets?{query}"));
    }
}

/// A read against the sample, `tickets?…`, `tickets/1?…` or `rpc/add?…`: what it becomes has no text of
/// the caller's in it.
pub fn plan(input: &[u8]) {
    if let Some(text) = text(input) {
        plans(text);
    }
}

/// A write: `json POST tickets?columns=…` in the first line, and its body behind that. Formats are
/// `json`, `csv` and `form`; verbs `POST`, `MERGE`, `IGNORE`, `PATCH`, `PUT` and `CALL`.
pub fn body(input: &[u8]) {
    let Some(at) = input.iter().position(|it| *it == b'\n') else {
        return;
    };
    let (head, body) = (&input[..at], &input[at + 1..]);
    let Some(head) = text(head) else {
        return;
    };
    let mut words = head.splitn(3, ' ');
    let format = match words.next() {
        Some("csv") => Format::Csv,
        Some("form") => Format::Form,
        _ => Format::Json,
    };
    let verb = words.next().unwrap_or_default();
    let (path, asked) = words
        .next()
        .unwrap_or_default()
        .split_once('?')
        .unwrap_or(("tickets", ""));
    let Ok(json) = query::to_json(format, body) else {
        return;
    };
    if format != Format::Json {
        let whole: Result<serde_json::Value, _> = serde_json::from_slice(&json);
        assert!(whole.is_ok(), "what a body stands for is no JSON");
    }
    let options = |duplicates| WriteOptions {
        duplicates,
        defaults: verb == "MERGE",
        ..WriteOptions::default()
    };
    let access = &*ACCESS;
    let (resource, id) = path.split_once('/').unwrap_or((path, "1"));
    let write = match verb {
        "CALL" => {
            if let Ok(query) = Call::query(access, resource, asked, Brought::Json(&json)) {
                is_ours(&query);
            }
            return;
        }
        "MERGE" => Write::create(
            access,
            resource,
            asked,
            &json,
            options(Some(Duplicates::Merge)),
        ),
        "IGNORE" => Write::create(
            access,
            resource,
            asked,
            &json,
            options(Some(Duplicates::Ignore)),
        ),
        "PATCH" => Write::update(access, resource, id, asked, &json, options(None)),
        "PUT" => Write::replace(access, resource, id, asked, &json, options(None)),
        _ => Write::create(access, resource, asked, &json, options(None)),
    };
    if let Ok(write) = write {
        let statements = postgres::sql::of_write(&write, &OrganizationId::from("1"));
        postgres::fuzzing::are_ours(access.catalog(), statements.into_iter().flatten());
    }
}

/// Paging tokens and cursors: as texts, as what they are the base64 of, and with the right signature
/// around these lines as values.
pub fn token(input: &[u8]) {
    cursor::fuzzing::reads_back(input);
    if let Some(text) = text(input) {
        query::fuzzing::forged(&ACCESS, text, is_ours);
    }
}

/// A request's headers, a line each.
pub fn headers(input: &[u8]) {
    http::fuzzing::headers(input);
}

/// What a WebSocket's client sends: it is understood the same in whatever pieces it arrives.
pub fn frames(input: &[u8]) {
    http::fuzzing::frames(input);
}

fn plans(text: &str) {
    let access = &*ACCESS;
    let (path, asked) = text.split_once('?').unwrap_or((text, ""));
    let query = match path.split_once('/') {
        Some(("rpc", function)) => Call::query(access, function, asked, Brought::Query),
        Some((resource, id)) => Query::item(access, resource, id, asked),
        None => Query::list(access, path, asked),
    };
    if let Ok(mut query) = query {
        if query.rows_limit().is_some() {
            query.counted(Some(Counting::Exact));
        }
        for range in [
            Range {
                first: 3,
                last: None,
            },
            Range {
                first: 0,
                last: Some(u64::MAX),
            },
        ] {
            let mut part = query.clone();
            if part.within(range).is_ok() {
                is_ours(&part);
            }
        }
        is_ours(&query);
    }
}

fn is_ours(query: &Query) {
    let statements = postgres::sql::of_query(query, &OrganizationId::from("1"));
    let catalog = ACCESS.catalog();
    postgres::fuzzing::are_ours(catalog, statements.into_iter().flatten());
}

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds of a target: one in each line of its file, with backslashes as in a shell's `printf`.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
        let text = std::fs::read_to_string(format!("{folder}/{target}")).expect("each has seeds");
        text.lines().map(unescaped).collect()
    }

    fn unescaped(line: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = line.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            if *first != b'\\' {
                bytes.push(*first);
                continue;
            }
            let (escape, behind) = rest.split_first().expect("an escape says what it is");
            rest = behind;
            bytes.push(match escape {
                b'n' => b'\n',
                b'\\' => b'\\',
                b'x' => {
                    let (digits, behind) = rest.split_at(2);
                    rest = behind;
                    let digits = std::str::from_utf8(digits).expect("two digits");
                    u8::from_str_radix(digits, 16).expect("hexadecimal ones")
                }
                other => panic!("no escape: {other}"),
            });
        }
        bytes
    }

    #[test]
    fn the_seeds_pass() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() > 3, "{name}");
            seeds.iter().for_each(|seed| target(seed));
        }
    }

    #[test]
    fn each_target_has_its_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
        let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).expect("a manifest");
        for (name, _) in TARGETS {
            let text = std::fs::read_to_string(format!("{folder}/targets/{name}.rs"));
            let call = format!("rowcast::fuzzing::{name}(");
            assert!(text.expect(name).contains(&call), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
