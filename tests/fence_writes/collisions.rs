//! Collisions, policies and errors tell of visible rows only.

use super::*;

#[tokio::test]
async fn collisions_with_others_tell_nothing() {
    let zoo = zoo().await;
    let before = theirs(&zoo).await;
    let writer = zoo.writer(1);
    let mut silent = Vec::new();
    for refusal in [
        // A globally unique badge, and the key.
        writer
            .post("cages", json!({ "label": "x", "badge": "two" }))
            .await,
        writer.post("cages", json!({ "label": "x", "id": 2 })).await,
        writer.patch("cages", "1", json!({ "badge": "two" })).await,
        writer.patch("cages", "1", json!({ "id": 2 })).await,
        writer
            .patch_where("cages", "id=eq.1", json!({ "badge": "two" }))
            .await,
        writer
            .put("cages", "1", json!({ "label": "x", "badge": "two" }))
            .await,
        writer
            .put("cages", "90", json!({ "label": "x", "badge": "two" }))
            .await,
        writer
            .post(
                "cages",
                json!([{ "label": "x", "badge": "two" }, { "label": "y", "badge": "z" }]),
            )
            .await,
        writer
            .post("pairs", json!({ "left": "b", "right": 2 }))
            .await,
        writer
            .patch("pairs", "a,1", json!({ "left": "b", "right": 2 }))
            .await,
        writer
            .post("beds", json!({ "id": 2, "cage_id": 1, "label": "x" }))
            .await,
        // An exclusion constraint over all organizations.
        writer
            .post("rooms", json!({ "id": 9, "during": "[11,12)" }))
            .await,
        writer
            .patch("rooms", "1", json!({ "during": "[11,12)" }))
            .await,
        // Of the own organization, but hidden by row-level security.
        writer
            .post(
                "diaries",
                json!({ "id": 9, "writer": "1", "slug": "slug two" }),
            )
            .await,
        writer
            .post("diaries", json!({ "id": 2, "writer": "1" }))
            .await,
        writer
            .post(
                "diaries",
                json!({ "id": 9, "writer": "1", "slug": "slug three" }),
            )
            .await,
    ] {
        silent.push(told(refusal));
    }
    for told in &silent {
        assert_eq!(told, &silent[0]);
        assert_eq!(
            (&told["status"], &told["type"]),
            (&json!(403), &json!("row-not-allowed"))
        );
        for word in ["badge", "two", "cages", "exist", "unique", "key"] {
            assert!(!told.to_string().contains(word), "{told}");
        }
    }
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn collisions_with_visible_rows_are_explained() {
    let zoo = zoo().await;
    let writer = zoo.writer(1);
    for (refusal, value) in [
        (
            writer.post("cages", json!({ "label": "mine" })).await,
            "(1, mine)",
        ),
        (
            writer
                .post("cages", json!({ "label": "x", "badge": "one" }))
                .await,
            "(one)",
        ),
        (
            writer.post("cages", json!({ "label": "x", "id": 1 })).await,
            "(1)",
        ),
        (
            writer.patch("cages", "3", json!({ "badge": "one" })).await,
            "(one)",
        ),
        (writer.patch("cages", "3", json!({ "id": 1 })).await, "(1)"),
        (
            writer.put("cages", "3", json!({ "label": "mine" })).await,
            "(1, mine)",
        ),
        (
            writer
                .post("pairs", json!({ "left": "a", "right": 1 }))
                .await,
            "(a, 1)",
        ),
        (
            writer
                .post("beds", json!({ "id": 1, "cage_id": 1, "label": "x" }))
                .await,
            "(1)",
        ),
        (
            writer
                .post(
                    "diaries",
                    json!({ "id": 9, "writer": "1", "slug": "slug one" }),
                )
                .await,
            "(slug one)",
        ),
    ] {
        let told = told(refusal);
        assert_eq!(
            (&told["status"], &told["code"]),
            (&json!(409), &json!("23505")),
            "{told}"
        );
        // PostgreSQL itself gives no details for a table with row-level security.
        let details = told["details"].as_str().unwrap_or_default();
        assert_eq!(details.contains(value), value != "(slug one)", "{told}");
    }
    // Twice in one body: the caller's own rows.
    let twice = json!([{ "label": "x", "badge": "b" }, { "label": "y", "badge": "b" }]);
    let told_twice = told(writer.post("cages", twice).await);
    assert_eq!(told_twice["code"], "23505");
    // Nulls collide with nothing, so that they do not explain a collision with another's row.
    let nulls = json!([{ "label": "x", "badge": "two" }, { "label": "y", "badge": null }, { "label": "z", "badge": null }]);
    assert_eq!(told(writer.post("cages", nulls).await)["code"], "RC301");
    // Twice by one value for several rows.
    let several = writer.patch_where("cages", "id=in.(1,3)", json!({ "badge": "b" }));
    assert_eq!(told(several.await)["code"], "23505");
    let others = writer.patch_where("cages", "id=in.(3)", json!({ "badge": "two" }));
    assert_eq!(told(others.await)["code"], "RC301");
    // Of several, one collides with a row that is seen and one with a row that is not.
    let both = json!([{ "label": "x", "badge": "two" }, { "label": "y", "badge": "one" }]);
    let told_both = told(writer.post("cages", both).await);
    assert_eq!(
        (&told_both["code"], told_both.get("details")),
        (&json!("23505"), Some(&json!(null)))
    );
    assert!(!told_both.to_string().contains("two"), "{told_both}");
    zoo.close().await;
}

#[tokio::test]
async fn errors_of_types_and_policies_tell_nothing_of_others() {
    let zoo = Zoo::with(
        &format!(
            "{TWO};
            create table shares (id int primary key, organization_id int not null, parts int not null);
            insert into shares values (1, 1, 1), (2, 2, 0);
            create policy fair on shares using (100 / parts > 0);
            alter table shares enable row level security;
            grant all on shares to zoo_keeper;
            -- So cheap that PostgreSQL would rather evaluate it before the fence.
            alter function touchy_equal(touchy, touchy) cost 0.0001"
        ),
        |_| (),
    )
    .await;
    let writer = zoo.writer(1);
    // Another's row makes this type's equality raise an error when it is met.
    assert_eq!(
        writer
            .patch_where("mines", "trigger=eq.(2)", json!({ "note": "x" }))
            .await
            .unwrap()
            .rows,
        0
    );
    let told = match writer.patch("shares", "2", json!({ "parts": 5 })).await {
        Err(error) => serde_json::from_slice::<Value>(&problem::document(&error, None)).unwrap(),
        Ok(written) => panic!("{written:?}"),
    };
    assert!(!told.to_string().contains("zero"), "{told}");
    zoo.close().await;
}

#[tokio::test]
async fn row_level_security_holds_on_writes() {
    let zoo = Zoo::with(
        &format!(
            "{TWO};
            create policy others on diaries for select using (organization_id = 1);
            drop policy own on diaries;
            create policy own on diaries using (writer = current_setting('request.jwt.claims', true)::json ->> 'sub')"
        ),
        |_| (),
    )
    .await;
    let writer = zoo.writer(1);
    // Seen by everybody, changed by its writer only.
    refused(
        writer.patch("diaries", "2", json!({ "body": "x" })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer.put("diaries", "2", json!({ "writer": "1" })).await,
        Kind::RowNotAllowed,
    );
    refused(writer.delete("diaries", "2").await, Kind::RowNotAllowed);
    refused(
        writer.patch("diaries", "1", json!({ "writer": "2" })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer
            .post("diaries", json!({ "id": 9, "writer": "2" }))
            .await,
        Kind::RowNotAllowed,
    );
    writer
        .patch("diaries", "1", json!({ "body": "x" }))
        .await
        .unwrap();
    assert_eq!(zoo.postgres.value("select string_agg(writer || body, ',' order by id) from diaries where organization_id = 1").await, "1x,2a colleague's");
    zoo.close().await;
}
