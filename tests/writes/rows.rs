//! Rows that come, change and go.

use super::*;

#[tokio::test]
async fn a_row_is_created_changed_replaced_and_deleted() {
    let desk = Desk::open().await;
    let agent = desk.agent(1, 1);
    let created = agent
        .post(
            "contacts",
            json!({ "name": "Ada", "payments": [{ "on": "2024-01-01", "amount": 1.50 }] }),
        )
        .await
        .unwrap();
    let row = body(&created);
    let id = created.id.clone().unwrap();
    assert_eq!(row["organization_id"], 1);
    assert_eq!(
        (row["name"].as_str(), row["plan"].as_str()),
        (Some("Ada"), Some("free"))
    );
    assert_eq!(row["id"].to_string(), id);
    assert!(created.created && created.rows == 1 && created.etag.is_some());
    assert_eq!(row, agent.get("contacts", &id).await.unwrap());

    let changed = agent
        .patch(
            "contacts",
            &id,
            json!({ "plan": "team", "company": null, "organization_id": 1 }),
        )
        .await
        .unwrap();
    let row = body(&changed);
    assert_eq!(
        (&row["plan"], &row["name"]),
        (&json!("team"), &json!("Ada"))
    );
    assert!(!changed.created && changed.etag != created.etag);
    let position = |written: &Written| written.position.clone().unwrap().version;
    assert!(position(&changed) > position(&created));
    assert_eq!(row, agent.get("contacts", &id).await.unwrap());

    let replaced = agent
        .put("contacts", &id, json!({ "id": row["id"], "name": "Bea" }))
        .await
        .unwrap();
    let row = body(&replaced);
    assert_eq!(
        (&row["plan"], &row["name"]),
        (&json!("free"), &json!("Bea"))
    );
    assert_eq!(row["payments"], json!([]));
    assert!(!replaced.created);

    let deleted = agent.delete("contacts", &id).await.unwrap();
    assert_eq!(body(&deleted), row);
    assert!(deleted.position.is_some());
    refused(agent.delete("contacts", &id).await, Kind::RowUnknown);
    refused(
        agent.patch("contacts", &id, json!({})).await,
        Kind::RowUnknown,
    );

    let again = agent
        .put(
            "contacts",
            &id,
            json!({ "name": "Cleo", "organization_id": 1 }),
        )
        .await
        .unwrap();
    assert!(again.created);
    assert_eq!(body(&again)["id"].to_string(), id);
    desk.close().await;
}

#[tokio::test]
async fn an_array_is_created_whole_or_not_at_all() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let created = writer
        .post(
            "cages",
            json!([{ "label": "a", "weight": 2 }, { "weight": 3, "label": "b" }]),
        )
        .await
        .unwrap();
    let rows = body(&created);
    assert_eq!(
        (&rows[0]["label"], &rows[1]["label"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!((created.rows, created.id.as_deref()), (2, None));
    assert_eq!(rows[1]["weight"], 3);

    let empty = writer.post("cages", json!([])).await.unwrap();
    assert_eq!((body(&empty), empty.rows), (json!([]), 0));
    assert!(empty.position.is_some());

    let error = refused(
        writer
            .post("cages", json!([{ "label": "c" }, { "label": "a" }]))
            .await,
        Kind::UniqueViolation,
    );
    assert!(
        error
            .database()
            .unwrap()
            .details
            .as_ref()
            .unwrap()
            .contains("(1, a)")
    );
    refused(
        writer
            .post("cages", json!([{ "label": "c" }, { "weight": 1 }]))
            .await,
        Kind::BodyMalformed,
    );
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "2");
    zoo.close().await;
}

#[tokio::test]
async fn keys_of_every_kind_are_addressed() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let pair = writer
        .post(
            "pairs",
            json!({ "left": "a,b/ä \"'%", "right": 7, "note": "x" }),
        )
        .await
        .unwrap();
    let id = pair.id.unwrap();
    assert_eq!(id, "a%2Cb%2F%C3%A4%20%22%27%25,7");
    assert_eq!(
        body(
            &writer
                .patch("pairs", &id, json!({ "note": "y" }))
                .await
                .unwrap()
        )["note"],
        "y"
    );
    let moved = writer
        .patch("pairs", &id, json!({ "right": 8 }))
        .await
        .unwrap();
    assert_eq!(moved.id.as_deref(), Some("a%2Cb%2F%C3%A4%20%22%27%25,8"));
    assert_eq!(body(&moved)["right"], 8);
    refused(writer.delete("pairs", &id).await, Kind::RowUnknown);
    let put = writer
        .put("pairs", "k,-1", json!({ "note": "new" }))
        .await
        .unwrap();
    assert_eq!(
        body(&put),
        json!({ "organization_id": 1, "left": "k", "right": -1, "note": "new" })
    );
    refused(
        writer.put("pairs", "k,-1", json!({ "right": 2 })).await,
        Kind::ValueInvalid,
    );

    // Identities that are always generated.
    let visit = writer
        .post("visits", json!({ "day": "2024-05-01", "guests": 2 }))
        .await
        .unwrap();
    let id = visit.id.clone().unwrap();
    assert!(id.starts_with("2024-05-01,"), "{id}");
    assert_eq!(
        body(
            &writer
                .patch("visits", &id, json!({ "guests": 3 }))
                .await
                .unwrap()
        )["guests"],
        3
    );
    // The row moves to another partition.
    let moved = writer
        .patch("visits", &id, json!({ "day": "2023-05-01" }))
        .await
        .unwrap();
    assert_eq!(body(&moved)["day"], "2023-05-01");
    refused(
        writer
            .patch("visits", &moved.id.clone().unwrap(), json!({ "id": 9 }))
            .await,
        Kind::ValueInvalid,
    );
    let error = refused(
        writer
            .patch("visits", &moved.id.unwrap(), json!({ "guests": 0 }))
            .await,
        Kind::ConstraintViolation,
    );
    assert!(error.detail().contains("visits_guests_check"), "{error}");
    let put = writer
        .put("visits", "2024-06-01,1000", json!({ "guests": 5 }))
        .await
        .unwrap();
    assert!(put.created);
    let put = writer
        .put("visits", "2024-06-01,1000", json!({ "guests": 6 }))
        .await
        .unwrap();
    assert!(!put.created);
    assert_eq!(put.id.as_deref(), Some("2024-06-01,1000"));

    // The organization in the key.
    let tour = writer
        .put("tours", "1,5", json!({ "title": "Lions" }))
        .await
        .unwrap();
    assert_eq!(
        body(&tour),
        json!({ "organization_id": 1, "number": 5, "title": "Lions" })
    );
    let tour = writer
        .put(
            "tours",
            "1,5",
            json!({ "title": "Tigers", "organization_id": "1" }),
        )
        .await
        .unwrap();
    assert_eq!(body(&tour)["title"], "Tigers");
    refused(
        writer.put("tours", "2,5", json!({ "title": "x" })).await,
        Kind::RowUnknown,
    );
    // The organization as text.
    let letter = writer
        .post("letters", json!({ "id": 1, "body": "x" }))
        .await
        .unwrap();
    assert_eq!(body(&letter)["organization_id"], "1");
    zoo.close().await;
}

#[tokio::test]
async fn filters_write_to_what_matches_and_need_to_be_there() {
    let zoo = Zoo::with(
        "insert into cages (id, organization_id, label, weight)
        select n, 1 + n % 2, 'c' || n, n % 5 from generate_series(1, 20) n",
        |_| (),
    )
    .await;
    let writer = zoo.writer(1);
    let written = writer
        .patch_where(
            "cages",
            "weight=in.(0,1)",
            json!({ "badge": null, "weight": 9 }),
        )
        .await
        .unwrap();
    let rows = body(&written);
    assert_eq!(rows.as_array().unwrap().len() as u64, written.rows);
    assert!(
        rows.as_array()
            .unwrap()
            .iter()
            .all(|row| row["organization_id"] == 1 && row["weight"] == 9)
    );
    assert_eq!(
        zoo.postgres.value("select string_agg(distinct organization_id::text, '') || count(*) from cages where weight = 9").await,
        format!("1{}", written.rows)
    );
    assert_eq!(written.rows, 4);
    let none = writer
        .patch_where("cages", "id=eq.1", json!({ "weight": 1 }))
        .await
        .unwrap();
    assert_eq!((none.rows, body(&none)), (0, json!([])));
    assert!(none.position.is_some());
    let deleted = writer.delete_where("cages", "weight=eq.9").await.unwrap();
    assert_eq!(
        (deleted.rows, body(&deleted).as_array().unwrap().len()),
        (4, 4)
    );
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "16");
    for query in ["", "select=id", "order=id&limit=1"] {
        refused(
            writer.delete_where("cages", query).await,
            Kind::QueryMalformed,
        );
        refused(
            writer
                .patch_where("cages", query, json!({ "weight": 1 }))
                .await,
            Kind::QueryMalformed,
        );
    }
    refused(
        writer.delete_where("cages", "weight=eq.2&limit=1").await,
        Kind::NotSupported,
    );
    refused(
        writer.delete_where("cages", "wieght=eq.2").await,
        Kind::ColumnUnknown,
    );
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "16");
    zoo.close().await;
}

#[tokio::test]
async fn defaults_fill_an_empty_object() {
    let zoo = Zoo::with(
        "create table blanks (id int generated always as identity primary key, organization_id int, note text default 'x');
        grant all on blanks to zoo_keeper",
        |_| (),
    )
    .await;
    let writer = zoo.writer(1);
    assert_eq!(
        body(&writer.post("blanks", json!({})).await.unwrap()),
        json!({ "id": 1, "organization_id": 1, "note": "x" })
    );
    let rows = body(
        &writer
            .post("blanks", json!([{}, { "organization_id": 1 }]))
            .await
            .unwrap(),
    );
    assert_eq!(rows.as_array().unwrap().len(), 2);
    // A value for what is always generated is taken over.
    assert_eq!(
        body(&writer.post("blanks", json!({ "id": 50 })).await.unwrap())["id"],
        50
    );
    assert!(writer.put("blanks", "60", json!({})).await.unwrap().created);
    assert!(
        !writer
            .put("blanks", "60", json!({ "note": "y" }))
            .await
            .unwrap()
            .created
    );
    // What a client got it may send back, id and all; another id may not be given.
    let whole = json!({ "id": "60", "organization_id": 1, "note": "z" });
    let row = body(&writer.patch("blanks", "60", whole.clone()).await.unwrap());
    assert_eq!(row["note"], "z");
    refused(
        writer.patch("blanks", "50", whole).await,
        Kind::ValueInvalid,
    );
    zoo.close().await;
}
