//! What people who know PostgREST expect: requests and their answers, in files that a person can
//! read, against one library of books in a single-tenant database that answers writes as PostgREST
//! does.
//!
//! A case is a name, a request, and behind `--` the answer: its status, headers that it has (or, with
//! `!`, lacks), and its body: `(empty)`, JSON that it equals, or, of an error, members that it has.
//! The cases of a file run one after the other on one database.

use crate::support::{Answer, Client, Database, TestServer};
use rowcast::config::{TenancyMode, WriteAnswer};
use serde_json::Value;

struct Case<'a> {
    name: &'a str,
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
    answer: &'a str,
}

impl<'a> Case<'a> {
    fn read(text: &'a str) -> Self {
        let (name, text) = text.split_once('\n').expect("a case begins with its name");
        let (request, answer) = text.split_once("\n--\n").expect("-- before the answer");
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let line = lines.next().expect("a request line");
        let (method, path) = line.split_once(' ').expect("a method and a path");
        Self {
            name,
            method,
            path,
            headers: lines.map(header).collect(),
            body,
            answer: answer.trim_end(),
        }
    }

    async fn run(&self, client: &Client) -> Vec<String> {
        // A person writes what a client encodes.
        let encoded = [" ", "\"", "<", ">", "\\", "^", "`", "{", "|", "}"];
        let path = encoded.iter().fold(self.path.to_owned(), |path, it| {
            path.replace(it, &format!("%{:02X}", it.as_bytes()[0]))
        });
        let mut call = client.request(self.method, &path);
        for (name, value) in &self.headers {
            call = call.header(name, value);
        }
        let answer = call.body(self.body.to_owned()).send().await;
        let mut faults = Vec::new();
        let (head, body) = self.answer.split_once("\n\n").unwrap_or((self.answer, ""));
        let mut lines = head.lines();
        let status = lines.next().expect("a status");
        if answer.status.as_str() != status {
            faults.push(format!("status {}, not {status}", answer.status.as_str()));
        }
        for line in lines {
            if let Some(name) = line.strip_prefix('!') {
                if answer.headers.contains_key(name) {
                    faults.push(format!("has {name}: {}", answer.header(name)));
                }
                continue;
            }
            let (name, value) = header(line);
            if answer.header(name) != value {
                faults.push(format!("{name}: {}, not {value}", answer.header(name)));
            }
        }
        faults.extend(differs(&answer, body));
        faults
    }
}

fn header(line: &str) -> (&str, &str) {
    line.split_once(": ").expect("a header")
}

fn differs(answer: &Answer, expected: &str) -> Option<String> {
    let said = answer.text();
    match expected {
        "" => None,
        "(empty)" => (!said.is_empty()).then(|| format!("the body is {said}")),
        expected => {
            let expected: Value = serde_json::from_str(expected).expect("JSON is expected");
            let Ok(found) = serde_json::from_str::<Value>(&said) else {
                return Some(format!("the body is {said}"));
            };
            // An error says more than PostgREST's: it is a problem document, too.
            let of_error = |found: &Value| {
                expected.as_object().is_some_and(|expected| {
                    expected.iter().all(|(name, value)| match value {
                        Value::Null => found[name].is_null(),
                        value => found[name] == *value,
                    })
                })
            };
            let same = match answer.status.is_success() {
                true => found == expected,
                false => of_error(&found),
            };
            (!same).then(|| format!("the body is {said}\n      and not {expected}"))
        }
    }
}

async fn conform(file: &str, cases: &str) {
    let database = Database::with(include_str!("conformance/schema.sql")).await;
    let server = TestServer::start(database, |config| {
        config.tenancy.tenancy = TenancyMode::Single;
        config.api.write_answer = WriteAnswer::Minimal;
        config.api.aggregates_enabled = file == "aggregates.http";
    })
    .await;
    let client = server.client(1, 1);
    let mut faults = String::new();
    let (mut count, mut failed) = (0, 0);
    for text in cases.split("\n### ").skip(1) {
        let case = Case::read(text);
        let found = case.run(&client).await;
        count += 1;
        if !found.is_empty() {
            failed += 1;
            let (name, method, path) = (case.name, case.method, case.path);
            faults.push_str(&format!("\n{file}: {name}\n  {method} {path}"));
            for fault in found {
                faults.push_str(&format!("\n    {fault}"));
            }
        }
    }
    assert!(count > 0, "{file} has no cases");
    assert!(failed == 0, "{failed} of {count} cases differ:{faults}");
    server.finish().await;
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let file = concat!(stringify!($name), ".http");
            conform(file, include_str!(concat!("conformance/", stringify!($name), ".http"))).await;
        }
    )*};
}

conformance!(
    filters,
    logic,
    select,
    order_and_range,
    singular,
    embedding,
    computed,
    aggregates,
    insert,
    upsert,
    update_and_delete,
    prefer_and_errors,
    rpc,
);
