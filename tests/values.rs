//! Values on their way to a column against two oracles: PostgreSQL's input functions, and its
//! `json_to_record`, which follows the rules of `json_populate_record`.

use rowcast::{catalog::ColumnType, error::Result, postgres::params, query::value::Value};
use serde_json::value::RawValue;
use tokio_postgres::Client;

use crate::{
    encoder::oracle::{column_type, drawn, oracle},
    support::Database,
};

/// Whether a cast succeeds, asked of PostgreSQL itself.
const TRY_CAST: &str = "
    create function castable(value text, type text) returns bool language plpgsql as $$
    begin
        execute format('select $1::%s', type) using value;
        return true;
    exception when others then
        return false;
    end $$";

async fn with_casts() -> (Database, Client) {
    let (database, client) = oracle().await;
    client.batch_execute(TRY_CAST).await.unwrap();
    (database, client)
}

/// How close the check has to come to PostgreSQL's own.
enum Agreement {
    /// Both take and refuse the same texts.
    Exact,
    /// The same, but for texts with one of these characters, which newer versions read.
    ExactWithout(&'static str),
    /// What PostgreSQL takes is never refused.
    NeverStricter,
}

async fn agrees(client: &Client, type_: &str, agreement: Agreement, texts: Vec<String>) {
    let described = column_type(client, type_).await;
    let query = "select text, castable(text, $2) from unnest($1::text[]) text";
    let verdicts = client.query(query, &[&texts, &type_]).await.unwrap();
    assert_eq!(verdicts.len(), texts.len());
    for verdict in verdicts {
        let (text, taken): (&str, bool) = (verdict.get(0), verdict.get(1));
        let checked = Value::from_text("c", &described, text).is_ok();
        assert!(checked || !taken, "{text:?} is refused, but is a {type_}");
        let exact = match &agreement {
            Agreement::Exact => true,
            Agreement::ExactWithout(characters) => !text.contains(|it| characters.contains(it)),
            Agreement::NeverStricter => false,
        };
        assert!(
            taken || !checked || !exact,
            "{text:?} is taken, but is no {type_}"
        );
    }
}

fn like(pattern: &str) -> Vec<String> {
    let mut texts = vec![String::new(), " ".to_owned(), "null".to_owned()];
    for _ in 0..4 {
        texts.extend(drawn(proptest::string::string_regex(pattern).unwrap()));
    }
    texts.retain(|text| !text.contains('\0'));
    texts
}

#[tokio::test]
async fn what_postgresql_takes_is_not_refused() {
    let (database, client) = with_casts().await;
    let client = &client;
    let newer = || Agreement::ExactWithout("xXoObB_");
    for type_ in ["int2", "int4", "int8"] {
        agrees(
            client,
            type_,
            newer(),
            like("[ +-]{0,2}[0-9_xob. ]{0,4}[0-9e ]{0,16}"),
        )
        .await;
    }
    agrees(
        client,
        "positive",
        Agreement::NeverStricter,
        like("[-0-9]{1,3}"),
    )
    .await;
    agrees(client, "oid", newer(), like("-?[0-9]{1,11}")).await;
    let decimals = "[ +-]{0,1}(nan|inf|infinity|[0-9.e-]{0,6})[0-9.eE+ -]{0,5}";
    agrees(client, "numeric", newer(), like(decimals)).await;
    agrees(client, "float8", Agreement::Exact, like(decimals)).await;
    agrees(client, "float4", Agreement::Exact, like(decimals)).await;
    let words = "[ ]?([tT]r?u?e?|f?a?l?s?e?|y?e?s?|no?|of?f?n?|[01]{0,2})[ x]?";
    agrees(client, "bool", Agreement::Exact, like(words)).await;
    let hexadecimal = "[{]?([0-9a-fA-F]{4}-?){7,8}[0-9a-fg]{3,4}[}]?";
    agrees(client, "uuid", Agreement::Exact, like(hexadecimal)).await;
    agrees(
        client,
        "bytea",
        Agreement::Exact,
        like("(\\\\x)?[0-9a-f \\\\]{0,8}"),
    )
    .await;
    let json =
        "[\\[{\"]?(null|true|[0-9.e-]{0,3}|\"[a\\\\nu0\n]{0,5}\")[,: ]?[0-9\"]{0,3}[\\]}\"\n]?";
    agrees(client, "json", Agreement::Exact, like(json)).await;
    agrees(client, "jsonb", Agreement::NeverStricter, like(json)).await;
    agrees(client, "text", Agreement::Exact, like(".{0,9}")).await;
    database.finish().await;
}

#[tokio::test]
async fn times_that_postgresql_takes_are_not_refused() {
    let (database, client) = with_casts().await;
    let client = &client;
    let lenient = || Agreement::NeverStricter;
    let day = "-?[0-9]{1,6}[-/. ]?(jan|February|[0-9]{1,2})[-/., ]{0,2}[0-9]{1,4}";
    let time = "([ T]?[0-9]{1,2}:[0-9]{1,2}(:[0-9]{2}(\\.[0-9]{0,7})?)?)?";
    let zone = " ?(Z|UTC|[+-][0-9]{1,2}(:?[0-9]{2})?|PST8PDT|Europe/Berlin|am|PM)?( BC| AD)?";
    for type_ in ["date", "timestamp", "timestamptz"] {
        agrees(
            client,
            type_,
            lenient(),
            like(&format!("{day}{time}{zone}")),
        )
        .await;
        let iso = "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9])?";
        agrees(client, type_, Agreement::Exact, like(iso)).await;
    }
    let words = [
        "now",
        "today",
        "tomorrow",
        "yesterday",
        "epoch",
        "infinity",
        "-infinity",
        "Now ",
    ];
    let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
    agrees(client, "timestamptz", Agreement::Exact, words).await;
    for type_ in ["time", "timetz"] {
        agrees(client, type_, lenient(), like(&format!("{time}{zone}"))).await;
    }
    let span =
        "[@P-]?[0-9][0-9.]{0,2} ?(years?|mon|day|h|sec|Y|M|T|D)?[ ]?[+-]?[0-9:.]{0,8}( ago)?";
    agrees(client, "interval", lenient(), like(span)).await;
    database.finish().await;
}

#[tokio::test]
async fn compounds_that_postgresql_takes_are_not_refused() {
    let (database, client) = with_casts().await;
    let client = &client;
    let lenient = || Agreement::NeverStricter;
    let list = "(\\[1:2\\]=)?[{ ]{0,2}([0-9nulNL\"\\\\]{0,5}[,{} ]){0,3}[0-9\"\\\\ ]{0,3}[} ]{0,2}";
    for type_ in ["int4[]", "text[]", "bool[]", "moods", "json[]"] {
        agrees(client, type_, lenient(), like(list)).await;
    }
    let range = "(empty|[\\[( ]{0,2}[0-9]{0,2},[0-9\" ]{0,3}[\\]) ]{0,2})";
    agrees(client, "int4range", lenient(), like(range)).await;
    agrees(
        client,
        "int4multirange",
        lenient(),
        like(&format!(" ?\\{{({range},?)?\\}} ?")),
    )
    .await;
    let address = "[0-9a-f]{0,3}[.:]{0,2}[0-9a-f]{0,3}[.:]{0,2}[0-9.:]{0,6}(/[0-9]{1,2})?";
    for type_ in ["inet", "cidr"] {
        agrees(client, type_, lenient(), like(address)).await;
    }
    agrees(
        client,
        "macaddr",
        lenient(),
        like("([0-9a-f]{2}[:.-]?){5,6}"),
    )
    .await;
    agrees(
        client,
        "pg_lsn",
        lenient(),
        like("[0-9A-F]{1,9}/[0-9A-F]{0,9}"),
    )
    .await;
    database.finish().await;
}

/// What becomes of a JSON value in a column: a value, told as `jsonb`, which knows one way to write a
/// thing; null; or a refusal.
type Outcome = Option<Option<String>>;

async fn ours(client: &Client, described: &ColumnType, json: &str) -> Outcome {
    let raw = RawValue::from_string(json.to_owned()).unwrap();
    let value = Value::from_json("c", described, &raw).ok()?;
    let expression = params::expression(value.form(), described, 1);
    let query = format!(
        "select to_json({expression}::{})::jsonb::text",
        described.name
    );
    let row = client.query_one(&query, &[&value]).await.ok()?;
    Some(row.get(0))
}

async fn postgresqls(client: &Client, type_: &str, json: &str) -> Outcome {
    let query = format!(
        "select to_json(v)::jsonb::text from json_to_record($1::text::json) as r (v {type_})"
    );
    let row = client
        .query_one(&query, &[&format!("{{\"v\":{json}}}")])
        .await;
    Some(row.ok()?.get(0))
}

#[tokio::test]
async fn bodies_become_what_json_populate_record_makes_of_them() {
    let (database, client) = with_casts().await;
    let values = [
        "null",
        "true",
        "1",
        "-1.50",
        "1e2",
        "99999999999",
        r#""""#,
        r#""1""#,
        r#""a\"b\\ \u00e9""#,
        r#""t""#,
        r#""sad""#,
        r#""2024-01-02T03:04:05Z""#,
        r#""{1,2}""#,
        r#""{}""#,
        r#""[1,5)""#,
        r#""(1,two,null)""#,
        r#""\\x00ff""#,
        r#""a\u0000b""#,
        "[]",
        "[[]]",
        "[1,2]",
        "[1, null]",
        r#"["a,b", "c\"d", "null", ""]"#,
        "[[1,2],[3,4]]",
        "[[1],[2,3]]",
        "[[1],2]",
        "[1,[2]]",
        r#"["sad", null]"#,
        r#"[{"a": 1, "a": 2}]"#,
        "{}",
        r#"{"b": [1, 2.50], "a": "x\ny"}"#,
        r#"{"x": 1, "y \"quoted\"": "two", "z": {"k": [1]}}"#,
        r#"[{"x": 1}, null]"#,
        r#"[true, false]"#,
        r#"["2024-01-02", "infinity"]"#,
    ];
    let types = [
        "bool",
        "int2",
        "int4",
        "int8",
        "float8",
        "numeric",
        "text",
        "varchar",
        "bpchar",
        "citext",
        "uuid",
        "bytea",
        "json",
        "jsonb",
        "date",
        "timestamptz",
        "interval",
        "mood",
        "positive",
        "int4range",
        "point3",
        "hstore",
        "document",
        "moods",
        "int4[]",
        "text[]",
        "json[]",
        "jsonb[]",
        "mood[]",
        "date[]",
        "bool[]",
        "point3[]",
        "numeric[]",
        "bpchar[]",
        "positive[]",
    ];
    for type_ in types {
        let described = column_type(&client, type_).await;
        for json in values {
            let (ours, expected) = (
                ours(&client, &described, json).await,
                postgresqls(&client, type_, json).await,
            );
            assert_eq!(ours, expected, "{json} as {type_}");
        }
    }
    database.finish().await;
}

/// Each is refused without a connection to any database: there is none.
#[test]
fn wrong_values_are_refused_at_once() -> Result<()> {
    use rowcast::catalog::{TypeKind, oid};
    let base = |oid| ColumnType {
        oid,
        name: "t".into(),
        kind: TypeKind::Base,
    };
    for (type_, text) in [
        (oid::INT4, "abc"),
        (oid::INT4, "2147483648"),
        (oid::INT2, "40000"),
        (oid::INT8, "9223372036854775808"),
        (oid::UUID, "not-a-uuid"),
        (oid::BOOL, "maybe"),
        (oid::TIMESTAMPTZ, "notadate"),
        (oid::TIMESTAMPTZ, "2024-13-01"),
        (oid::DATE, "2023-02-29"),
        (oid::NUMERIC, "12,50"),
        (oid::FLOAT8, "1e999"),
        (oid::JSONB, "{"),
        (oid::BYTEA, "\\xzz"),
        (oid::TEXT, "a\0b"),
    ] {
        assert!(Value::from_text("c", &base(type_), text).is_err(), "{text}");
    }
    Value::from_text("c", &base(oid::INT4), "7").map(|_| ())
}

/// A filter by a bound value is a constant to the planner: it finds the index.
#[tokio::test]
async fn bound_values_find_the_index() {
    let (database, client) = with_casts().await;
    let setup = "
        create table thing (id bigint primary key, at timestamptz, code char(4));
        insert into thing select i, now() + i * interval '1 second', 'ab' from generate_series(1, 20000) i;
        create index on thing (at);
        analyze thing;
        set plan_cache_mode to force_custom_plan;";
    client.batch_execute(setup).await.unwrap();
    let bigint = column_type(&client, "int8").await;
    let moment = column_type(&client, "timestamptz").await;
    let bpchar = ColumnType {
        name: "character".into(),
        ..column_type(&client, "bpchar").await
    };
    let plan = async |condition: String, value: Value| {
        let query = format!("explain select * from thing where {condition}");
        let rows = client.query(&query, &[&value]).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        lines.join("\n")
    };
    let one = params::expression(rowcast::query::value::Form::Plain, &bigint, 1);
    let found = plan(
        format!("id = {one}"),
        Value::from_text("id", &bigint, "7").unwrap(),
    )
    .await;
    assert!(
        found.contains("Index Scan") && found.contains("'7'::bigint"),
        "{found}"
    );
    let list = params::list_expression(&bigint, 1);
    let values = Value::list("id", &bigint, ["7", "8"]).unwrap();
    let found = plan(format!("id = any ({list})"), values).await;
    assert!(
        found.contains("Index Scan") && found.contains("'{7,8}'::bigint[]"),
        "{found}"
    );
    let stamp = params::expression(rowcast::query::value::Form::Plain, &moment, 1);
    let value = Value::from_text("at", &moment, "2000-01-01T00:00:00Z").unwrap();
    let found = plan(format!("at < {stamp}"), value).await;
    assert!(found.contains("Index Scan"), "{found}");
    // The name in SQL's own words means one character.
    let code = params::expression(rowcast::query::value::Form::Plain, &bpchar, 1);
    let query = format!("select count(*) from thing where code = {code}");
    let value = Value::from_text("code", &bpchar, "ab").unwrap();
    let count: i64 = client.query_one(&query, &[&value]).await.unwrap().get(0);
    assert_eq!(count, 20_000);
    database.finish().await;
}
