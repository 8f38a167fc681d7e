//! The row encoder alone: nanoseconds per row of twelve columns and about 576 bytes of JSON, beside
//! serde on the same rows. Run it with `cargo bench --bench encode`; both columns are of one run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use bytes::{BufMut, BytesMut};
use rowcast::{
    catalog::{ColumnType, TypeKind},
    postgres::encode::{Encoding, RowEncoder},
};
use serde::Serialize;
use std::{hint::black_box, time::Instant};
use support::Database;
use tokio_postgres::{
    Row,
    types::{FromSql, Kind, Type},
};

const ROWS: usize = 5_000;
const ROUNDS: usize = 60;

/// `body` is the text of a mail, with lines, quotes and letters beyond ASCII, or one of plain words.
const QUERIES: &[(&str, &str)] = &[
    ("plain words", "repeat('word ', 56)"),
    (
        "lines, quotes, umlauts",
        "repeat(E'Grüße, she said \"no\".\\n', 10)",
    ),
];

fn query(body: &str) -> String {
    format!(
        "select i::int8 id, 1 organization_id, 'Item number ' || i title, {body} body,
            (array['open', 'closed'])[1 + i % 2] status, i % 5 priority, md5('a' || i)::uuid assignee,
            case when i % 3 = 0 then md5('r' || i)::uuid end reporter,
            now() + i * interval '1.000001 second' created_at, now() updated_at,
            array['red', 'green'] tags, jsonb_build_object('n', i, 'k', 'value') meta
        from generate_series(1, {ROWS}) i"
    )
}

#[tokio::main]
async fn main() {
    let database = Database::empty().await;
    let client = database.connect().await;
    println!(
        "{:24} {:>10} {:>10} {:>10}",
        "body", "bytes/row", "ours, ns", "serde, ns"
    );
    for (name, body) in QUERIES {
        let rows = client.query(&query(body), &[]).await.unwrap();
        let columns = rows[0].columns();
        let encoder = RowEncoder::new(
            columns
                .iter()
                .map(|it| (it.name(), Encoding::of(&described(it.type_())))),
        );
        encoder.check(columns).unwrap();
        let mut bytes = 0;
        let ours = best(&rows, |row, out| {
            encoder.encode(row, out).unwrap();
            bytes = bytes.max(out.len());
        });
        let serde = best(&rows, with_serde);
        println!("{name:24} {:>10} {ours:>10.0} {serde:>10.0}", bytes / ROWS);
    }
    drop(client);
    database.finish().await;
}

/// The time per row of the best round, each into a buffer that has room already.
fn best(rows: &[Row], mut encode: impl FnMut(&Row, &mut BytesMut)) -> f64 {
    let mut out = BytesMut::with_capacity(8 << 20);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        out.clear();
        let start = Instant::now();
        for row in rows {
            encode(black_box(row), &mut out);
            out.extend_from_slice(b"\n");
        }
        black_box(&out);
        best = best.min(start.elapsed().as_secs_f64());
    }
    best / rows.len() as f64 * 1e9
}

fn described(type_: &Type) -> ColumnType {
    ColumnType {
        oid: type_.oid(),
        name: type_.name().into(),
        kind: match type_.kind() {
            Kind::Array(element) => TypeKind::Array(Box::new(described(element))),
            _ => TypeKind::Base,
        },
    }
}

/// What a program without an encoder of its own would do; its times are numbers, its uuids are text.
fn with_serde(row: &Row, out: &mut BytesMut) {
    #[derive(Serialize)]
    struct Item<'a> {
        id: i64,
        organization_id: i32,
        title: &'a str,
        body: &'a str,
        status: &'a str,
        priority: i32,
        assignee: Option<Id>,
        reporter: Option<Id>,
        created_at: i64,
        updated_at: i64,
        tags: Vec<&'a str>,
        meta: Option<&'a serde_json::value::RawValue>,
    }
    let micros = |index| i64::from_be_bytes(row.get::<_, Bytes>(index).0.try_into().unwrap());
    let uuid = |index| {
        let value: Option<Bytes> = row.get(index);
        value.map(|it| Id(uuid::Uuid::from_slice(it.0).unwrap()))
    };
    let meta: Option<Bytes> = row.get(11);
    let item = Item {
        id: row.get(0),
        organization_id: row.get(1),
        title: row.get(2),
        body: row.get(3),
        status: row.get(4),
        priority: row.get(5),
        assignee: uuid(6),
        reporter: uuid(7),
        created_at: micros(8),
        updated_at: micros(9),
        tags: row.get(10),
        meta: meta.map(|it| serde_json::from_slice(&it.0[1..]).unwrap()),
    };
    serde_json::to_writer(out.writer(), &item).unwrap();
}

/// As the uuid crate serializes itself.
struct Id(uuid::Uuid);

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = uuid::Uuid::encode_buffer();
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut text))
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Bytes(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
