//! Rows stay with their organization, and refer to its rows only.

use super::*;

#[tokio::test]
async fn another_organization_in_a_body_is_refused() {
    let zoo = zoo().await;
    let before = theirs(&zoo).await;
    let writer = zoo.writer(1);
    for organization in [json!(2), json!("2"), json!(null), json!(" 2 ")] {
        for refusal in [
            writer
                .post(
                    "cages",
                    json!({ "label": "x", "organization_id": organization }),
                )
                .await,
            writer
                .post(
                    "cages",
                    json!([{ "label": "x" }, { "label": "y", "organization_id": organization }]),
                )
                .await,
            writer
                .patch("cages", "1", json!({ "organization_id": organization }))
                .await,
            writer
                .patch("cages", "2", json!({ "organization_id": organization }))
                .await,
            writer
                .put(
                    "cages",
                    "1",
                    json!({ "label": "x", "organization_id": organization }),
                )
                .await,
            writer
                .put(
                    "cages",
                    "88",
                    json!({ "label": "x", "organization_id": organization }),
                )
                .await,
            writer
                .patch_where(
                    "cages",
                    "id=eq.1",
                    json!({ "organization_id": organization }),
                )
                .await,
        ] {
            refused(refusal, Kind::OrganizationNotAllowed);
        }
    }
    refused(
        writer
            .post_text(
                "cages",
                r#"{"label":"x","organization_id":1,"organization_id":2}"#,
            )
            .await,
        Kind::BodyMalformed,
    );
    refused(
        writer
            .post_text(
                "cages",
                r#"{"label":"x","organization_id":1,"organization\u005fid":2}"#,
            )
            .await,
        Kind::BodyMalformed,
    );
    for organization in [json!(1), json!("1"), json!("01"), json!(" 1 ")] {
        let row = json!({ "label": organization.to_string(), "organization_id": organization });
        assert_eq!(
            body(&writer.post("cages", row).await.unwrap())["organization_id"],
            1
        );
    }
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn references_to_others_look_like_references_to_nothing() {
    let zoo = zoo().await;
    let before = theirs(&zoo).await;
    let writer = zoo.writer(1);
    // Of each: a row that refers to another's, and the same to one that does not exist.
    for (resource, theirs, nothing) in [
        (
            "beds",
            json!({ "label": "x", "cage_id": 2 }),
            json!({ "label": "x", "cage_id": 77 }),
        ),
        ("pillows", json!({ "bed_id": 2 }), json!({ "bed_id": 77 })),
        (
            "rooms",
            json!({ "id": 5, "cage_id": 2 }),
            json!({ "id": 5, "cage_id": 77 }),
        ),
        (
            "rooms",
            json!({ "id": 5, "parent_id": 2 }),
            json!({ "id": 5, "parent_id": 77 }),
        ),
        (
            "tickets_sold",
            json!({ "id": 5, "tour": 2 }),
            json!({ "id": 5, "tour": 77 }),
        ),
        (
            "diary_pages",
            json!({ "id": 5, "diary_id": 3 }),
            json!({ "id": 5, "diary_id": 77 }),
        ),
        // A colleague's, which row-level security hides.
        (
            "diary_pages",
            json!({ "id": 5, "diary_id": 2 }),
            json!({ "id": 5, "diary_id": 77 }),
        ),
    ] {
        let missing = told(writer.post(resource, nothing.clone()).await);
        assert_eq!(
            (&missing["status"], &missing["code"]),
            (&json!(409), &json!("23503")),
            "{missing}"
        );
        assert_eq!(told(writer.post(resource, theirs.clone()).await), missing);
        assert_eq!(told(writer.post(resource, json!([theirs])).await), missing);
        let without = |row: &Value| {
            let mut row = row.clone();
            row.as_object_mut().unwrap().remove("id");
            row
        };
        assert_eq!(
            told(writer.patch(resource, "1", without(&nothing)).await),
            missing
        );
        assert_eq!(
            told(writer.patch(resource, "1", without(&theirs)).await),
            missing
        );
        assert_eq!(
            told(writer.put(resource, "1", without(&theirs)).await),
            missing
        );
        assert_eq!(
            told(writer.put(resource, "99", without(&theirs)).await),
            missing
        );
        assert_eq!(
            told(
                writer
                    .patch_where(resource, "id=eq.1", without(&theirs))
                    .await
            ),
            missing
        );
    }
    // A body in which only one row is amiss.
    let rows = json!([{ "label": "x", "cage_id": 1 }, { "label": "y", "cage_id": 2 }]);
    refused(writer.post("beds", rows).await, Kind::ReferenceViolation);
    // What is visible, shared, or not there may be referred to.
    writer
        .post("beds", json!({ "label": "x", "cage_id": 3 }))
        .await
        .unwrap();
    writer
        .post("rooms", json!({ "id": 6, "cage_id": null, "parent_id": 1 }))
        .await
        .unwrap();
    writer
        .patch("cages", "1", json!({ "country": "ch" }))
        .await
        .unwrap();
    writer
        .post("tickets_sold", json!({ "id": 6, "tour": 1 }))
        .await
        .unwrap();
    writer
        .post("keeper_keys", json!({ "id": 6, "keeper": 1 }))
        .await
        .unwrap();
    let missing = told(writer.patch("cages", "1", json!({ "country": "xx" })).await);
    assert_eq!(missing["code"], "23503");
    assert!(!missing.to_string().contains("countries"), "{missing}");
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn a_row_stays_inside_its_organization() {
    let zoo = zoo().await;
    let writer = zoo.writer(1);
    refused(
        writer.post("pillows", json!({ "colour": "x" })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer.post("pillows", json!({ "bed_id": null })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer
            .patch("pillows", "1", json!({ "bed_id": null }))
            .await,
        Kind::RowNotAllowed,
    );
    refused(
        writer.put("pillows", "1", json!({ "colour": "x" })).await,
        Kind::RowNotAllowed,
    );
    // A trigger that moves rows elsewhere is not followed out of the fence.
    zoo.postgres
        .execute(
            "create function stray() returns trigger language plpgsql as $$
            begin if new.label = 'stray' then new.organization_id := 2; end if; return new; end $$;
            create trigger stray before insert or update on cages for each row execute function stray()",
        )
        .await;
    let before = theirs(&zoo).await;
    refused(
        writer.post("cages", json!({ "label": "stray" })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer
            .patch("cages", "1", json!({ "label": "stray" }))
            .await,
        Kind::RowNotAllowed,
    );
    refused(
        writer.put("cages", "1", json!({ "label": "stray" })).await,
        Kind::RowNotAllowed,
    );
    refused(
        writer.put("cages", "70", json!({ "label": "stray" })).await,
        Kind::RowNotAllowed,
    );
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn rows_that_are_referred_to_are_kept_without_saying_by_whom() {
    let zoo = Zoo::with(
        &format!("{TWO}; alter table beds drop constraint beds_cage_id_fkey, add foreign key (cage_id) references cages; insert into keeper_keys values (1, 2, 1)"),
        |_| (),
    )
    .await;
    let writer = zoo.writer(1);
    for refusal in [
        writer.delete("cages", "1").await,
        writer.patch("cages", "1", json!({ "id": 50 })).await,
    ] {
        let told = told(refusal);
        assert_eq!(
            (&told["status"], &told["code"]),
            (&json!(409), &json!("23503"))
        );
        assert!(!told.to_string().contains("beds"), "{told}");
    }
    // A deferred constraint speaks up at the commit only.
    let deferred = told(writer.delete_where("cages", "id=eq.1").await);
    assert_eq!(deferred["code"], "23503");
    zoo.close().await;
}
