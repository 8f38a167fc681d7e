//! Types whose values have parts: JSON, arrays, ranges, whole rows.

use bytes::BytesMut;
use proptest::prelude::*;
use rowcast::postgres::encode::{Encoding, RowEncoder};

use super::{
    oracle::{column_type, compare, described, only, oracle, texts},
    strategies::{any_numeric, any_text, any_timestamp, arrays, pairs, ranges},
};

#[tokio::test]
async fn json_agrees_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let edges = [
        "null",
        "1.50",
        "-0",
        "1e5",
        "\"\"",
        "[]",
        "{}",
        " { \"a\" :\n\t1,\r\n \"a\": 2 } \n",
        "\"a\\u2028\\u0009\\n\"",
        "[1,\n2]",
        "12345678901234567890.12345678901234567890",
        "{\"\\u0041\": \"\\ud83e\\udd80🦀\"}",
    ];
    let documents = any_text().prop_map(|text| {
        let text = serde_json::to_string(&text).unwrap();
        format!("{{\n\t\"text\":\r\n{text} , \"list\" : [{text},\n{text}, null, true, 1.10]}}\n")
    });
    compare(client, "json", true, texts(&edges, documents.clone())).await;
    compare(client, "document", true, texts(&edges, documents.clone())).await;
    compare(client, "jsonb", true, texts(&edges, documents)).await;
    database.finish().await;
}

#[tokio::test]
async fn arrays_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let empty = ["{}"];
    let integers = any::<i32>().prop_map(|it| it.to_string());
    for type_ in ["int4[]", "int8[]", "text[]", "numeric[]", "float8[]"] {
        compare(client, type_, true, texts(&empty, arrays(integers.clone()))).await;
    }
    let nested = [
        "{{{1,2},{3,4}},{{5,6},{7,NULL}}}",
        "[0:1][-2:-1]={{1,2},{3,4}}",
    ];
    compare(client, "int4[]", true, only(&nested)).await;
    for type_ in ["text[]", "varchar[]", "citext[]", "name[]"] {
        compare(client, type_, true, texts(&empty, arrays(any_text()))).await;
    }
    compare(
        client,
        "numeric[]",
        true,
        texts(&["{NaN,Infinity}"], arrays(any_numeric())),
    )
    .await;
    for type_ in ["timestamp[]", "timestamptz[]", "moment[]"] {
        compare(client, type_, true, texts(&empty, arrays(any_timestamp()))).await;
    }
    let dates = ["{2024-02-29,infinity,0001-01-01 BC,-infinity}", "{}"];
    compare(client, "date[]", true, only(&dates)).await;
    compare(client, "bool[]", true, only(&["{t,f,NULL}", "{{t},{f}}"])).await;
    compare(
        client,
        "bytea[]",
        true,
        only(&["{\"\\\\x00ff\",NULL,\"\"}"]),
    )
    .await;
    compare(client, "interval[]", true, only(&["{1 year -2 days,NULL}"])).await;
    compare(
        client,
        "uuid[]",
        true,
        only(&["{00000000-0000-0000-0000-000000000001}"]),
    )
    .await;
    compare(client, "inet[]", true, only(&["{10.0.0.1,::1/64}"])).await;
    let json = arrays(
        any_text().prop_map(|it| format!("{{\n\"a\": {}}}", serde_json::to_string(&it).unwrap())),
    );
    compare(client, "json[]", true, texts(&empty, json)).await;
    compare(
        client,
        "jsonb[]",
        true,
        only(&["{\"[1, \\\"a\\\"]\",NULL,null}"]),
    )
    .await;
    let moods = proptest::sample::select(vec!["sad", "glücklich", "a \"quoted\" one", ""]);
    let moods = arrays(moods.prop_map(str::to_owned));
    compare(client, "mood[]", true, texts(&empty, moods)).await;
    compare(client, "moods", true, only(&["{sad,NULL}", "{}"])).await;
    compare(
        client,
        "small_positive[]",
        true,
        only(&["{1,99}", "{{1},{2}}"]),
    )
    .await;
    compare(
        client,
        "int4range[]",
        true,
        only(&["{\"[1,3)\",empty,NULL}"]),
    )
    .await;
    compare(client, "oid[]", true, only(&["{1,2}"])).await;
    database.finish().await;
}

#[tokio::test]
async fn ranges_agree_with_to_json() {
    let (database, client) = oracle().await;
    let client = &client;
    let numbers = || pairs(-1_000_000..1_000_000).prop_map(|(a, b)| (a.to_string(), b.to_string()));
    for type_ in ["int4range", "int8range", "numrange", "float8_range"] {
        compare(
            client,
            type_,
            true,
            texts(&["empty", "(,)"], ranges(numbers())),
        )
        .await;
    }
    compare(
        client,
        "numrange",
        true,
        only(&["[NaN,NaN]", "[1.50,Infinity)", "(-Infinity,0.00]"]),
    )
    .await;
    compare(
        client,
        "float8_range",
        true,
        only(&["[1e20,Infinity)", "[-0,NaN]"]),
    )
    .await;
    let stamps = || {
        pairs(0..3_000_000_000).prop_map(|(a, b)| {
            let stamp = |it: i64| {
                let (day, second) = (it / 1_000_000, it % 86_400);
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                format!(
                    "{:04}-01-01 {hour:02}:{minute:02}:{second:02}.{day:06}",
                    1 + day
                )
            };
            (stamp(a - a % 1_000_000), stamp(b - b % 1_000_000))
        })
    };
    let edges = [
        "[-infinity,infinity]",
        "[4713-12-01 BC,0001-01-01 BC)",
        "(,2024-01-01)",
    ];
    for type_ in ["tsrange", "tstzrange", "moment_range"] {
        compare(client, type_, true, texts(&edges, ranges(stamps()))).await;
    }
    compare(client, "daterange", true, texts(&edges, ranges(stamps()))).await;
    let edges = ["[10:00,24:00)", "[00:00:00.000001,12:34:56.7]"];
    compare(client, "time_range", true, only(&edges)).await;
    let two = numbers().prop_map(|(a, b)| format!("{{[{a},{b}],(,-2000000),[5000000,)}}"));
    for type_ in ["int4multirange", "int8multirange", "nummultirange"] {
        compare(
            client,
            type_,
            true,
            texts(&["{}", "{empty}", "{(,)}"], two.clone()),
        )
        .await;
    }
    let edges = [
        "{}",
        "{[2024-01-01,2024-02-01),[2024-03-01,)}",
        "{(,0044-03-15 BC)}",
    ];
    for type_ in ["datemultirange", "tsmultirange", "tstzmultirange"] {
        compare(client, type_, true, only(&edges)).await;
    }
    database.finish().await;
}

#[tokio::test]
async fn other_types_come_from_to_json_itself() {
    let (database, client) = oracle().await;
    let client = &client;
    for (type_, value) in [
        ("point", "(1,2)"),
        ("point[]", "{\"(1,2)\"}"),
        ("money", "12.50"),
        ("tsvector", "a:1 'b\"':2"),
        ("hstore", "a=>1, b=>NULL"),
        ("jsonpath", "$.a"),
        ("text_range", "[a,b)"),
        ("point3", "(1,\"line\nbreak\",\"{\n\"\"a\"\":\r\n1}\")"),
        ("point3[]", "{\"(1,,)\",NULL}"),
        ("xml", "<a/>"),
    ] {
        compare(client, type_, false, only(&[value])).await;
    }
    database.finish().await;
}

/// A whole row with its names, as `row_to_json` makes it, and one that is all nulls.
#[tokio::test]
async fn rows_agree_with_row_to_json() {
    let (database, client) = oracle().await;
    let setup = r#"
        create table everything (
            id bigint generated always as identity primary key,
            "camelCase" text, "with ""quotes"" and \" int[], "зима" mood, amount numeric(12, 2),
            at timestamptz, day date, spot point, tags text[], meta jsonb, raw json, during tstzrange,
            own point3, id2 uuid, ok bool, ratio float8, span interval, blob bytea);
        insert into everything default values;
        insert into everything values (default, E'a\n"b"', '{1,null}', 'sad', 12.5, '2024-01-02 03:04:05.000006+02',
            '0044-03-15 BC', '(1,2)', '{a,"b c"}', '{"b": 1, "a": [1.0]}', E'{\n "a": 1}',
            '[2024-01-01,)', '(1,two,null)', '00000000-0000-0000-0000-000000000001', true, 1e20,
            '-1 day 2 hours', '\x00ff');"#;
    client.batch_execute(setup).await.unwrap();
    let all = client.prepare("select * from everything").await.unwrap();
    let columns: Vec<(String, Encoding)> = all
        .columns()
        .iter()
        .map(|it| (it.name().to_owned(), Encoding::of(&described(it.type_()))))
        .collect();
    let list: Vec<String> = columns
        .iter()
        .map(|(name, encoding)| {
            let name = format!("t.\"{}\"", name.replace('"', "\"\""));
            encoding.select(&name).into_owned()
        })
        .collect();
    let query = format!(
        "select {}, row_to_json(t)::text from everything t order by id",
        list.join(", ")
    );
    let statement = client.prepare(&query).await.unwrap();
    let encoder = RowEncoder::new(columns.iter().map(|(name, it)| (name.as_str(), it.clone())));
    encoder.check(statement.columns()).unwrap();
    let rows = client.query(&statement, &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let mut encoded = BytesMut::from("before");
        encoder.encode(&row, &mut encoded).unwrap();
        let expected: String = row.get(encoder.len());
        let expected = expected.replace(['\n', '\r', '\t'], " ");
        assert_eq!(
            String::from_utf8_lossy(&encoded),
            format!("before{expected}")
        );
        serde_json::from_slice::<serde_json::Value>(&encoded[6..]).unwrap();
    }
    database.finish().await;
}

/// A column that was altered behind the catalog's back is noticed before its bytes are misread.
#[tokio::test]
async fn an_altered_column_is_noticed() {
    let (database, client) = oracle().await;
    let integer = Encoding::of(&column_type(&client, "int4").await);
    let encoder = RowEncoder::new([("v", integer)]);
    let statement = client.prepare("select 'abcd'::text v").await.unwrap();
    assert!(encoder.check(statement.columns()).is_err());
    let statement = client.prepare("select").await.unwrap();
    assert!(encoder.check(statement.columns()).is_err());
    // A value that does not fit is an error that leaves nothing behind.
    let rows = client.query("select 'abc'::text v", &[]).await.unwrap();
    let mut out = BytesMut::from("kept");
    assert!(encoder.encode(&rows[0], &mut out).is_err());
    assert!(encoder.encode_value(&rows[0], 0, &mut out).is_err());
    assert!(encoder.encode_value(&rows[0], 1, &mut out).is_err());
    assert_eq!(&out[..], b"kept");
    database.finish().await;
}
