//! The comparison: values of one type, encoded here and by PostgreSQL, in one query.

use bytes::{BufMut, BytesMut};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use rowcast::{
    catalog::{ColumnType, TypeKind},
    postgres::encode::{Encoding, RowEncoder},
};
use tokio_postgres::{
    Client,
    types::{IsNull, Kind, ToSql, Type, to_sql_checked},
};

use crate::support::Database;

/// How many values are drawn from a strategy. A batch is one query, so that many are cheap.
const DRAWN: usize = 400;

/// The settings under which `to_json` is the oracle.
const SESSION: &str = "
    set time zone 'UTC';
    set datestyle to 'ISO';
    set intervalstyle to 'postgres';
    set bytea_output to 'hex';
    set extra_float_digits to 1;";

const SCHEMA: &str = r#"
    create extension citext;
    create extension hstore;
    create type mood as enum ('sad', 'a "quoted" one', 'glücklich', '');
    create domain positive as int check (value > 0);
    create domain small_positive as positive check (value < 100);
    create domain moods as mood[];
    create domain label as varchar(40);
    create domain moment as timestamptz;
    create domain document as json;
    create type point3 as (x int, "y ""quoted""" text, z json);
    create type float8_range as range (subtype = float8);
    create type time_range as range (subtype = time);
    create type text_range as range (subtype = text);
    create type moment_range as range (subtype = moment);"#;

pub(crate) async fn oracle() -> (Database, Client) {
    let database = Database::with(SCHEMA).await;
    let client = database.connect().await;
    client.batch_execute(SESSION).await.unwrap();
    (database, client)
}

/// The description that discovery would give of a type, taken from what tokio-postgres finds.
pub(crate) async fn column_type(client: &Client, name: &str) -> ColumnType {
    // A result announces a domain as its base type, but names it as the element of an array.
    let element = format!("select null::{name}[]");
    let array = client.prepare(&element).await.unwrap();
    match array.columns()[0].type_().kind() {
        Kind::Array(element) if !name.ends_with("[]") => described(element),
        _ => described(array.columns()[0].type_()),
    }
}

pub(crate) fn described(type_: &Type) -> ColumnType {
    let inner = |it: &Type| Box::new(described(it));
    ColumnType {
        oid: type_.oid(),
        name: type_.name().into(),
        kind: match type_.kind() {
            Kind::Simple => TypeKind::Base,
            Kind::Enum(labels) => {
                TypeKind::Enum(labels.iter().map(|label| label.as_str().into()).collect())
            }
            Kind::Domain(it) => TypeKind::Domain(inner(it)),
            Kind::Array(it) => TypeKind::Array(inner(it)),
            Kind::Range(it) => TypeKind::Range(inner(it)),
            Kind::Multirange(it) => TypeKind::Multirange(inner(it)),
            _ => TypeKind::Other,
        },
    }
}

/// Compares what the encoder makes of each value with what `to_json` makes of it.
pub(crate) async fn compare(client: &Client, type_: &str, is_native: bool, values: Values) {
    let described = column_type(client, type_).await;
    let encoding = Encoding::of(&described);
    assert_eq!(
        matches!(encoding, Encoding::Native(_)),
        is_native,
        "{type_} is {described:?}"
    );
    let (source, parameter): (_, Box<dyn ToSql + Sync>) = match values {
        Values::Text(values) => (
            format!("select value::{type_} v from unnest($1::text[]) value"),
            Box::new(values),
        ),
        Values::Binary(values) => (
            format!("select v from unnest($1::{type_}[]) v"),
            Box::new(Elements {
                element: described.oid,
                values,
            }),
        ),
    };
    let query = format!(
        "select {}, to_json(v)::text from ({source}) source",
        encoding.select("v")
    );
    let statement = client.prepare(&query).await.unwrap();
    let encoder = RowEncoder::new([("v", encoding)]);
    encoder.check(statement.columns()).unwrap();
    let rows = client.query(&statement, &[&*parameter]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{type_}: {error:?}"));
    assert!(!rows.is_empty());
    for row in rows {
        let mut encoded = BytesMut::new();
        encoder.encode(&row, &mut encoded).unwrap();
        let expected: Option<String> = row.get(1);
        let expected = expected.unwrap_or_else(|| "null".to_owned());
        let expected = format!("{{\"v\":{}}}", expected.replace(['\n', '\r', '\t'], " "));
        assert_eq!(String::from_utf8_lossy(&encoded), expected, "as {type_}");
    }
}

pub(crate) enum Values {
    /// Read by the type's input function.
    Text(Vec<Option<String>>),
    /// Read by the type's receive function.
    Binary(Vec<Vec<u8>>),
}

pub(crate) fn texts(edges: &[&str], strategy: impl Strategy<Value = String>) -> Values {
    let mut values: Vec<_> = edges.iter().map(|it| Some((*it).to_owned())).collect();
    values.extend(drawn(strategy).into_iter().map(Some));
    values.push(None);
    Values::Text(values)
}

pub(crate) fn only(edges: &[&str]) -> Values {
    Values::Text(edges.iter().map(|it| Some((*it).to_owned())).collect())
}

pub(crate) fn binaries<T>(
    edges: &[T],
    strategy: impl Strategy<Value = T>,
    bytes: impl Fn(&T) -> Vec<u8>,
) -> Values {
    let drawn = drawn(strategy);
    Values::Binary(edges.iter().chain(&drawn).map(bytes).collect())
}

pub(crate) fn drawn<T>(strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::new(Config::default());
    let mut draw = || strategy.new_tree(&mut runner).unwrap().current();
    (0..DRAWN).map(|_| draw()).collect()
}

/// An array in the binary format, of elements whose bytes are given.
#[derive(Debug)]
struct Elements {
    element: u32,
    values: Vec<Vec<u8>>,
}

impl ToSql for Elements {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i32(1);
        out.put_i32(0);
        out.put_u32(self.element);
        out.put_i32(self.values.len() as i32);
        out.put_i32(1);
        for value in &self.values {
            out.put_i32(value.len() as i32);
            out.put_slice(value);
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
