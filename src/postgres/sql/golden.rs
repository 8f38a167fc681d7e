//! Requests and the statements that they become, in files that a person reads: `golden/*.sql`.
//!
//! Each file has a family of requests against the sample catalog, each with its statements below it and
//! their parameters. `UPDATE_DOCUMENTS=1 cargo test --lib golden` writes the files anew; what has changed
//! in them is then for a person to read.

use super::{Rendered, of_query, of_write};
use crate::{
    catalog::{Access, sample},
    error::Result,
    identity::OrganizationId,
    query::{Answer, Brought, Call, Counting, Duplicates, Query, Write, WriteOptions},
};
use std::fmt::Write as _;

/// A file, and the requests in it: a verb, a path, and for writes the body. `single:` before the verb
/// means that the whole database is one organization.
const FILES: &[(&str, &[&str])] = &[
    (
        "filters",
        &[
            "GET /tickets",
            "GET /tickets?select=id&id=eq.5&subject=neq.x",
            "GET /tickets?select=id&priority=gt.1&priority=lte.9&opened_at=gte.2024-01-01",
            "GET /tickets?select=id&id=in.(1,2,3)&tags=in.({a},{b})",
            "GET /tickets?select=id&subject=like.*a*&subject=not.ilike.b*&subject=match.^a&subject=imatch.b$",
            "GET /tickets?select=id&urgent=is.true&parent_id=is.null&contact_id=not.is.null",
            "GET /tickets?select=id&subject=isdistinct.x",
            "GET /tickets?select=id&tags=cs.{a,b}&tags=ov.{c}&data=cd.{\"a\":1}",
            "GET /tickets?select=id&due=sl.[2024-01-01,2024-02-01)&due=sr.empty&due=nxr.empty&due=nxl.empty&due=adj.empty",
            "GET /tickets?select=id&words=fts.cat&words=plfts(english).cat&subject=phfts.fat cat&subject=wfts(german).katze",
            "GET /tickets?select=id&subject=like(any).{a*,b*}&priority=eq(all).{1,2}&id=eq(any).{1,2}",
            "GET /tickets?select=id&status=eq.open&assignee=eq.00000000-0000-0000-0000-000000000001",
            "GET /contacts?select=id&email=eq.a@b&country_code=eq.DE",
            "GET /open_tickets?\"Days Open\"=gt.1&id=eq.1",
        ],
    ),
    (
        "logic",
        &[
            "GET /tickets?select=id&or=(id.eq.1,priority.gt.2)",
            "GET /tickets?select=id&not.and=(id.lt.3,or(urgent.is.true,not.or(subject.eq.a,subject.eq.b)))",
            "GET /tickets?select=id&or=(id.in.(1,2),data->>kind.eq.x)",
        ],
    ),
    (
        "values",
        &[
            "GET /tickets?select=id,title:subject,data->customer->>name,data->items->0->>price::numeric,id::text",
            "GET /tickets?select=id&data->>kind=eq.bug&data->size=gt.3&tags->0=eq.\"a\"",
            "GET /tickets?select=\"order\"&order=\"order\".desc",
            "GET /tickets?select=status,count(),amount.sum(),priority::numeric.avg()::text&order=status",
            "GET /tickets?select=count()",
            "GET /tickets/7?select=id,subject",
            "GET /ticket_labels/1,2",
        ],
    ),
    (
        "pages",
        &[
            "GET /tickets?select=id&order=priority.desc.nullslast,subject.asc.nullsfirst",
            "GET /tickets?select=id&order=opened_at.desc&limit=25",
            "GET /tickets?select=id&order=opened_at.desc&limit=25&after={2024-01-01T00:00:00Z,17}",
            "GET /tickets?select=id&order=priority,amount.desc&limit=3&after={null,1.5,17}",
            "GET /tickets?select=id&limit=10&offset=20",
            "COUNT /tickets?select=id&status=eq.open&limit=1",
            "GUESS /tickets?limit=1",
            "single: GUESS /tickets?limit=1",
            "GET /visits?order=at&limit=3",
            "GET /tickets?select=id&modified_since=2024-01-01T00:00:00Z",
        ],
    ),
    (
        "embedding",
        &[
            "GET /tickets?select=id,contacts(name)",
            "GET /contacts?select=name,tickets(id,subject)&tickets.status=eq.open&tickets.order=id.desc&tickets.limit=2",
            "GET /tickets?select=id,labels(name)",
            "GET /tickets?select=id,parent_id(subject),children:tickets!parent_id(id)",
            "GET /tickets?select=id,contacts!inner(name,countries(name))&contacts.name=eq.x",
            "GET /tickets?select=id,...contacts(name,email),...messages(body)",
            "GET /tickets?select=id,messages()&messages=is.null",
            "GET /tickets?select=id,contacts(name)&order=contacts(name).desc",
            "GET /messages?select=body,tickets(subject)",
        ],
    ),
    (
        "include",
        &[
            "GET /tickets?id=in.(1,2)&select=id&include=contacts,messages",
            "GET /contacts?select=id&limit=2&include=tickets(messages,labels)",
            "GET /tickets/7?include=contacts",
        ],
    ),
    (
        "writes",
        &[
            "POST /labels [{\"name\":\"a\"},{\"name\":\"b\"}]",
            "POST /tickets?select=id,contacts(name) {\"subject\":\"a\",\"tags\":[\"x\"],\"data\":{\"a\":1}}",
            "POST /labels?columns=id,name [{\"id\":1,\"name\":\"a\",\"more\":2},{\"id\":2}]",
            "DEFAULTS /labels?columns=id,name [{\"id\":1,\"name\":\"a\"},{\"id\":2}]",
            "MERGE /labels?on_conflict=id [{\"id\":1,\"name\":\"a\"}]",
            "IGNORE /labels [{\"id\":1,\"name\":\"a\"}]",
            "PATCH /tickets/7?select=id,subject {\"subject\":\"b\"}",
            "PATCH /tickets?id=gt.3&subject=like.a* {\"urgent\":true}",
            "PUT /labels/1 {\"id\":1,\"name\":\"c\"}",
            "DELETE /messages/00000000-0000-0000-0000-000000000001",
            "DELETE /tickets?status=eq.closed",
            "single: POST /labels [{\"name\":\"a\"}]",
            "single: DELETE /tickets?status=eq.closed",
        ],
    ),
    (
        "functions",
        &[
            "GET /rpc/add?a=1&b=2",
            "GET /rpc/find_tickets?words=cat&select=id,contacts(name)&status=eq.open&order=id&limit=2",
            "POST /rpc/add {\"a\":1}",
            "POST /rpc/close_ticket {\"id\":7}",
        ],
    ),
    (
        "fence",
        &[
            "GET /messages?select=body&sent_at=gt.2024-01-01",
            "GET /messages?select=body&body=match.x",
            "GET /countries",
            "single: GET /messages?select=body&body=match.x",
        ],
    ),
];

#[test]
fn statements_are_the_ones_in_the_files() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql/golden");
    let update = std::env::var_os("UPDATE_DOCUMENTS").is_some();
    let mut stale = Vec::new();
    for (name, requests) in FILES {
        let text = requests.iter().map(|it| told(it));
        let text = text.collect::<Vec<_>>().join("\n\n");
        let path = format!("{folder}/{name}.sql");
        if update {
            std::fs::write(&path, &text).expect("the folder is there");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&*text) {
            stale.push(*name);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?} are not what is rendered now; if that is meant: UPDATE_DOCUMENTS=1 cargo test --lib golden"
    );
}

/// A request with its statements.
fn told(request: &str) -> String {
    let (is_single, asked) = match request.strip_prefix("single: ") {
        Some(asked) => (true, asked),
        None => (false, request),
    };
    let access = sample::access(is_single);
    let organization = match is_single {
        true => OrganizationId::single(),
        false => OrganizationId::from("42"),
    };
    let mut text = format!("-- {request}\n");
    let statements = statements(&access, asked, &organization).expect(request);
    for (purpose, statement) in statements {
        let _ = write!(text, "\n-- {purpose}\n{};\n", formatted(&statement.sql));
        for (number, value) in (1..).zip(&statement.parameters) {
            let value = value
                .text()
                .map_or("null".to_owned(), |it| format!("{it:?}"));
            let _ = writeln!(text, "-- ${number} = {value}");
        }
    }
    text
}

fn statements(
    access: &Access,
    request: &str,
    organization: &OrganizationId,
) -> Result<Vec<(&'static str, Rendered)>> {
    let (verb, rest) = request.split_once(' ').expect("a verb");
    // A body begins with a brace or a bracket behind a space; no path here has one.
    let body = rest.find(" {").or_else(|| rest.find(" ["));
    let (path, body) = rest.split_at(body.unwrap_or(rest.len()));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_prefix('/').expect("a path");
    let (resource, id) = path.split_once('/').unwrap_or((path, ""));
    let query = &encoded(access, resource, query)?;
    let body = body.trim().as_bytes();
    if resource == "rpc" {
        let brought = match verb {
            "GET" => Brought::Query,
            _ => Brought::Json(body),
        };
        return of_query(&Call::query(access, id, query, brought)?, organization);
    }
    let options = |duplicates| WriteOptions {
        answer: Answer::Rows,
        duplicates,
        defaults: verb == "DEFAULTS",
        ..WriteOptions::default()
    };
    let item = !id.is_empty();
    let write = match verb {
        "GET" if item => return of_query(&Query::item(access, resource, id, query)?, organization),
        "GET" | "COUNT" | "GUESS" => {
            let mut query = Query::list(access, resource, query)?;
            query.counted(match verb {
                "COUNT" => Some(Counting::Exact),
                "GUESS" => Some(Counting::Planned),
                _ => None,
            });
            return of_query(&query, organization);
        }
        "MERGE" => Write::create(
            access,
            resource,
            query,
            body,
            options(Some(Duplicates::Merge)),
        ),
        "IGNORE" => Write::create(
            access,
            resource,
            query,
            body,
            options(Some(Duplicates::Ignore)),
        ),
        "PATCH" if item => Write::update(access, resource, id, query, body, options(None)),
        "PATCH" => Write::update_matching(access, resource, query, body, options(None)),
        "PUT" => Write::replace(access, resource, id, query, body, options(None)),
        "DELETE" if item => Write::delete(access, resource, id, query, options(None)),
        "DELETE" => Write::delete_matching(access, resource, query, options(None)),
        _ => Write::create(access, resource, query, body, options(None)),
    }?;
    of_write(&write, organization)
}

/// A query string with its spaces encoded, and the token in place of the values in braces that it is
/// written with here.
fn encoded(access: &Access, resource: &str, query: &str) -> Result<String> {
    let query = query.replace(' ', "%20");
    let Some((list, values)) = query.split_once("&after={") else {
        return Ok(query);
    };
    let values = values.trim_end_matches('}').split(',');
    let values: Vec<Option<String>> = values
        .map(|it| (it != "null").then(|| it.to_owned()))
        .collect();
    let token = Query::list(access, resource, list)?.token(&values);
    Ok(format!("{list}&after={token}"))
}

/// Words with which a line begins, where they do not stand in parentheses of their own. The longer ones
/// first, since they are taken whole.
const CLAUSES: &[&str] = &[
    "left join lateral ",
    "cross join ",
    "join rows from ",
    "delete from ",
    "select ",
    "from ",
    "where ",
    "group by ",
    "order by ",
    "limit ",
    "offset ",
    "returning ",
    "set ",
    "on conflict ",
    "union ",
];

/// Where a line that is too long goes on in the next one.
const COLUMNS_MAX: usize = 100;

/// A statement in lines: one for each clause and each condition, and subqueries further in.
fn formatted(sql: &str) -> String {
    let mut lines = Lines::default();
    let mut rest = sql;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '"' | '\'' => rest[1..].find(character).map_or(rest.len(), |end| end + 2),
            _ if !lines.at_word() => character.len_utf8(),
            _ => lines.begin(rest).unwrap_or(character.len_utf8()),
        };
        let (taken, behind) = rest.split_at(length);
        lines.push(taken, behind);
        rest = behind;
    }
    wrapped(lines.text.trim_end())
}

#[derive(Default)]
struct Lines {
    text: String,
    /// For each open parenthesis, and each `case`, whether a subquery stands in it.
    open: Vec<bool>,
}

impl Lines {
    fn at_word(&self) -> bool {
        self.text.is_empty() || self.text.ends_with([' ', '(', ')'])
    }

    /// Begins a line if the word that follows does; says how much of the text belongs together.
    fn begin(&mut self, text: &str) -> Option<usize> {
        if text.starts_with("case when ") {
            self.open.push(false);
            return Some("case when ".len());
        }
        if text == "end" || text.starts_with("end ") || text.starts_with("end)") {
            self.open.pop();
            return Some("end".len());
        }
        if self.open.last() == Some(&false) {
            return None;
        }
        if text.starts_with("distinct from ") {
            return Some("distinct from ".len());
        }
        if let Some(clause) = CLAUSES.iter().find(|it| text.starts_with(**it)) {
            self.line("");
            return Some(clause.len());
        }
        let condition = ["and ", "or "].iter().find(|it| text.starts_with(**it))?;
        self.line("  ");
        Some(condition.len())
    }

    fn push(&mut self, taken: &str, behind: &str) {
        match taken {
            "(" => {
                let words = ["select", "insert", "update", "delete"];
                let subquery = words.iter().any(|it| behind.starts_with(it));
                self.text.push('(');
                self.open.push(subquery);
                if subquery {
                    self.line("");
                }
            }
            ")" => {
                if self.open.pop() == Some(true) {
                    self.line("");
                }
                self.text.push(')');
            }
            taken => self.text.push_str(taken),
        }
    }

    /// Goes to the beginning of a line, unless it is there.
    fn line(&mut self, more: &str) {
        let depth = self.open.iter().filter(|it| **it).count();
        self.text.truncate(self.text.trim_end().len());
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&"    ".repeat(depth));
        self.text.push_str(more);
    }
}

/// The same with lists broken into lines.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut rest = line.to_owned();
        while rest.len() > COLUMNS_MAX {
            let part = &rest[..COLUMNS_MAX];
            // A comma stays where it is, and a condition takes its word along.
            let ends = [", ", " and ", " or "]
                .iter()
                .filter_map(|it| part.rfind(it));
            let Some(at) = ends.max().filter(|at| *at > indent + 4) else {
                break;
            };
            let at = at + usize::from(rest[at..].starts_with(','));
            let behind = format!("{}{}", " ".repeat(indent + 4), &rest[at + 1..]);
            rest.truncate(at);
            lines.push(rest);
            rest = behind;
        }
        lines.push(rest);
    }
    lines.join("\n")
}
