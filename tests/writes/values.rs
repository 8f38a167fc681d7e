//! Values of every type, and those that are none.

use super::*;

#[tokio::test]
async fn every_type_is_written_as_it_is_read() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    // As text, so that no number loses digits before it is sent.
    let text = r#"{
        "Id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "fullName": "Älex \"the\" \\ cat'; drop table cages; --",
        "odd \"name\", indeed": 9, "select": "x", "mood": "sad \"indeed\"", "mail": "a@b",
        "workMail": "w@work", "score": 12.34, "tags": ["a", "b c", null, "{\"}"],
        "moods": ["happy", "so so"], "matrix": [[1, 2], [3, 4]],
        "period": "[\"2024-01-01 00:00:00+00\",\"2024-02-01 00:00:00+00\")", "spans": "{[1,3),[5,7)}",
        "doc": {"b" : 1.50, "a": "ä"}, "docb": {"a": [1.0], "b": 1e2},
        "amount": 123456789012345678901234567890.12345, "raw": "\\xdeadbeef",
        "at": "2024-02-29T12:00:00.123456+02:00", "local": "2024-02-29T12:00:00", "day": "2024-02-29",
        "clock": "23:59:59", "span": "1 year 2 days", "flag": true, "big": 9223372036854775807,
        "small": -5, "single": 1.5, "double": "-Infinity", "spot": "(1,2)",
        "home": {"street": "Main, St", "number": 5}, "address": "10.0.0.1/8", "bits": "1010",
        "code": "ab", "short": "short"
    }"#;
    let created = writer.post_text("Animals", text).await.unwrap();
    let oracle = "select row_to_json(a) from \"Animals\" a";
    let oracle = format!("set timezone to 'UTC'; {oracle}");
    assert_eq!(
        std::str::from_utf8(created.body.as_ref().unwrap()).unwrap(),
        zoo.postgres.value(&oracle).await
    );
    let row = body(&created);
    let given: Value = serde_json::from_str(text).unwrap();
    for name in [
        "Id",
        "fullName",
        "odd \"name\", indeed",
        "mood",
        "tags",
        "moods",
        "matrix",
        "home",
        "raw",
        "big",
        "spans",
    ] {
        assert_eq!(row[name], given[name], "{name}");
    }
    assert_eq!(row["doubled"], -10);
    assert_eq!(
        zoo.postgres
            .value("select amount || ' ' || doc from \"Animals\"")
            .await,
        r#"123456789012345678901234567890.12345 {"b" : 1.50, "a": "ä"}"#
    );
    // What was answered can be written back.
    let mut back = row.clone();
    back.as_object_mut().unwrap().remove("doubled");
    let replaced = writer.put("Animals", id, back).await.unwrap();
    let mut expected = row.clone();
    // Through this test's own tree of JSON values, a long number is a double.
    expected["amount"] = body(&replaced)["amount"].clone();
    assert_eq!(body(&replaced), expected);
    assert_eq!(body(&replaced), writer.get("Animals", id).await.unwrap());

    let nulls = json!({ "mood": null, "tags": null, "docb": null, "home": null, "raw": null });
    let patched = body(&writer.patch("Animals", id, nulls).await.unwrap());
    for name in ["mood", "tags", "docb", "home", "raw"] {
        assert_eq!(patched[name], Value::Null, "{name}");
    }
    assert_eq!(patched["moods"], row["moods"]);
    zoo.close().await;
}

#[tokio::test]
async fn wrong_values_are_refused_by_column() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    for (name, value) in [
        ("Id", json!("no uuid")),
        ("big", json!(9223372036854775808u64)),
        ("small", json!("x")),
        ("flag", json!("perhaps")),
        ("day", json!("2024-02-30")),
        ("tags", json!({ "a": 1 })),
        ("matrix", json!([[1], [1, 2]])),
        ("raw", json!("\\xzz")),
        ("fullName", json!("a\0b")),
        ("amount", json!("1e")),
    ] {
        let mut row = json!({ "fullName": "a" });
        row[name] = value.clone();
        let error = refused(writer.post("Animals", row).await, Kind::ValueInvalid);
        assert!(error.detail().contains(name), "{error}");
    }
    for (name, value, kind) in [
        ("mood", json!("furious"), Kind::DataInvalid),
        ("mail", json!("no at"), Kind::ConstraintViolation),
        ("workMail", json!("a@home"), Kind::ConstraintViolation),
        ("short", json!("longer than ten"), Kind::DataInvalid),
        ("score", json!(1e12), Kind::DataInvalid),
        ("period", json!("[2,1)"), Kind::DataInvalid),
        ("fullName", json!(null), Kind::ConstraintViolation),
        ("doubled", json!(2), Kind::ValueInvalid),
    ] {
        let mut row = json!({ "fullName": "a" });
        row[name] = value;
        refused(writer.post("Animals", row).await, kind);
    }
    let error = refused(
        writer.post("Animals", json!({ "fullname": "a" })).await,
        Kind::ColumnUnknown,
    );
    assert!(error.hint().unwrap().contains("fullName"), "{error:?}");
    refused(
        writer.post("cages", json!({ "weight": 1 })).await,
        Kind::ConstraintViolation,
    );
    for body in [
        "",
        "[",
        "1",
        "[1]",
        "null",
        "{\"label\":\"a\",\"label\":\"b\"}",
    ] {
        refused(writer.post_text("cages", body).await, Kind::BodyMalformed);
    }
    assert_eq!(
        zoo.postgres.value("select count(*) from \"Animals\"").await,
        "0"
    );
    zoo.close().await;
}
