//! Rows of others do not exist, whichever way they are addressed.

use super::*;

#[tokio::test]
async fn ids_of_others_are_unknown_to_every_method() {
    let zoo = zoo().await;
    let before = theirs(&zoo).await;
    let writer = zoo.writer(1);
    for (resource, theirs, missing, patch, put) in [
        (
            "cages",
            "2",
            "77",
            json!({ "label": "x" }),
            json!({ "label": "x" }),
        ),
        (
            "beds",
            "2",
            "77",
            json!({ "label": "x" }),
            json!({ "label": "x", "cage_id": 1 }),
        ),
        (
            "pillows",
            "2",
            "77",
            json!({ "colour": "x" }),
            json!({ "bed_id": 1 }),
        ),
        (
            "pairs",
            "b,2",
            "b,7",
            json!({ "note": "x" }),
            json!({ "note": "x" }),
        ),
        (
            "tours",
            "2,2",
            "2,7",
            json!({ "title": "x" }),
            json!({ "title": "x" }),
        ),
        (
            "rooms",
            "2",
            "77",
            json!({ "cage_id": null }),
            json!({ "cage_id": 1 }),
        ),
        (
            "letters",
            "2",
            "77",
            json!({ "body": "x" }),
            json!({ "body": "x" }),
        ),
        (
            "mines",
            "2",
            "77",
            json!({ "note": "x" }),
            json!({ "note": "x" }),
        ),
        (
            "diaries",
            "3",
            "77",
            json!({ "body": "x" }),
            json!({ "writer": "1", "body": "x" }),
        ),
        (
            "diaries",
            "2",
            "77",
            json!({ "body": "x" }),
            json!({ "writer": "1", "body": "x" }),
        ),
        (
            "diary_pages",
            "2",
            "77",
            json!({ "text": "x" }),
            json!({ "diary_id": 1 }),
        ),
        (
            "Animals",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a22",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a77",
            json!({ "fullName": "x" }),
            json!({ "fullName": "x" }),
        ),
    ] {
        let unknown = told(writer.patch(resource, missing, patch.clone()).await);
        assert_eq!(unknown["type"], "row-unknown", "{resource}: {unknown}");
        for refusal in [
            writer.patch(resource, theirs, patch).await,
            writer.patch(resource, theirs, json!({})).await,
            writer.delete(resource, theirs).await,
            writer.put(resource, theirs, put).await,
        ] {
            assert_eq!(told(refusal), unknown, "{resource}");
        }
    }
    for (resource, filter) in [
        ("cages", "id=eq.2"),
        ("beds", "cage_id=eq.2"),
        ("mines", "trigger=eq.(2)"),
        ("mines", "note=eq.theirs"),
        ("pairs", "note=eq.theirs"),
        ("diaries", "slug=eq.slug three"),
        ("cages", "organization_id=eq.2"),
    ] {
        let deleted = writer.delete_where(resource, filter).await.unwrap();
        assert_eq!((deleted.rows, body(&deleted)), (0, json!([])), "{resource}");
    }
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn filters_over_all_rows_spare_others() {
    let zoo = zoo().await;
    let before = theirs(&zoo).await;
    let writer = zoo.writer(1);
    for (resource, filter, patch) in [
        ("cages", "id=not_null", json!({ "weight": 5 })),
        ("beds", "id=not_null", json!({ "label": "x" })),
        ("pillows", "id=not_null", json!({ "colour": "x" })),
        ("pairs", "right=not_null", json!({ "note": "x" })),
        ("mines", "id=not_null", json!({ "note": "x" })),
        ("diaries", "id=not_null", json!({ "body": "x" })),
    ] {
        let filter = filter.replace("not_null", "is.not_null");
        assert!(
            writer
                .patch_where(resource, &filter, patch)
                .await
                .unwrap()
                .rows
                > 0
        );
    }
    assert_eq!(theirs(&zoo).await, before);
    for (resource, filter) in [
        ("pillows", "id=is.not_null"),
        ("beds", "id=is.not_null"),
        ("mines", "trigger=eq.(1)"),
        ("pairs", "left=is.not_null"),
    ] {
        assert_eq!(
            writer.delete_where(resource, filter).await.unwrap().rows,
            1,
            "{resource}"
        );
    }
    assert_eq!(theirs(&zoo).await, before);
    zoo.close().await;
}

#[tokio::test]
async fn nobody_without_an_organization_writes() {
    let zoo = zoo().await;
    for organization in ["\0", "x", "", "1; drop table cages", "2147483648"] {
        let nobody = Writer::new(&zoo.database, caller(organization, "1", "zoo_keeper"));
        for refusal in [
            nobody.post("cages", json!({ "label": "x" })).await,
            nobody.patch("cages", "1", json!({ "label": "x" })).await,
            nobody.put("cages", "1", json!({ "label": "x" })).await,
            nobody.delete("cages", "1").await,
            nobody.delete_where("cages", "id=is.not_null").await,
            nobody
                .post("beds", json!({ "label": "x", "cage_id": 1 }))
                .await,
        ] {
            let error = refusal.expect_err("nobody writes");
            assert!(
                matches!(
                    error.kind(),
                    Kind::OrganizationNotAllowed | Kind::ReferenceViolation
                ),
                "{organization:?}: {error}"
            );
        }
    }
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "3");
    zoo.close().await;
}

#[tokio::test]
async fn text_is_never_sql() {
    let zoo = zoo().await;
    let writer = zoo.writer(1);
    let attack = "'; drop table cages; --\"$1::json\\";
    let row = body(
        &writer
            .post("cages", json!({ "label": attack }))
            .await
            .unwrap(),
    );
    assert_eq!(row["label"], attack);
    let id = row["id"].to_string();
    assert_eq!(
        body(
            &writer
                .patch("cages", &id, json!({ "badge": attack }))
                .await
                .unwrap()
        )["badge"],
        attack
    );
    for name in [
        "label\" = 'x'; --",
        "label, weight",
        "g.label",
        "Label",
        "ctid",
        "xmin",
        "tableoid",
        "",
    ] {
        refused(
            writer.post("cages", json!({ name: "x" })).await,
            Kind::ColumnUnknown,
        );
        refused(
            writer.patch("cages", "1", json!({ name: "x" })).await,
            Kind::ColumnUnknown,
        );
    }
    for id in [
        "1 or true",
        "1;delete from cages",
        "1'",
        "1%27",
        "%00",
        "1,2",
    ] {
        let error = writer.delete("cages", id).await.expect_err(id);
        assert!(
            matches!(error.kind(), Kind::ValueInvalid | Kind::QueryMalformed),
            "{id}: {error}"
        );
    }
    let pair = json!({ "left": attack, "right": 1 });
    let id = writer.post("pairs", pair).await.unwrap().id.unwrap();
    assert_eq!(
        body(&writer.delete("pairs", &id).await.unwrap())["left"],
        attack
    );
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "4");
    zoo.close().await;
}

#[tokio::test]
async fn the_help_desk_is_fenced_for_writers() {
    let desk = Desk::open().await;
    let before = others(&desk).await;
    let agent = desk.agent(1, 1);
    let theirs = |table: &str| {
        let sql = format!("select min(id) from {table} where organization_id = 2");
        let postgres = &desk.postgres;
        async move { postgres.value(&sql).await }
    };
    let (ticket, contact, user) = (
        theirs("tickets").await,
        theirs("contacts").await,
        theirs("users").await,
    );
    let number = |text: &str| text.parse::<i64>().unwrap();
    let own = desk
        .postgres
        .value("select min(id) from tickets where organization_id = 1 and not private")
        .await;
    for refusal in [
        agent
            .patch("tickets", &ticket, json!({ "subject": "x" }))
            .await,
        agent
            .put("tickets", &ticket, json!({ "subject": "x" }))
            .await,
        agent.delete("tickets", &ticket).await,
    ] {
        refused(refusal, Kind::RowUnknown);
    }
    let missing = told(
        agent
            .patch("tickets", &own, json!({ "contact_id": 999_999_999 }))
            .await,
    );
    assert_eq!(
        told(
            agent
                .patch("tickets", &own, json!({ "contact_id": number(&contact) }))
                .await
        ),
        missing
    );
    for refusal in [
        agent
            .post(
                "messages",
                json!({ "ticket_id": number(&ticket), "body": "x" }),
            )
            .await,
        agent
            .post(
                "ticket_members",
                json!({ "ticket_id": number(&own), "user_id": number(&user) }),
            )
            .await,
        agent
            .post(
                "tickets",
                json!({ "subject": "x", "assignee_id": number(&user) }),
            )
            .await,
    ] {
        assert_eq!(told(refusal)["code"], "23503");
    }
    // The row of a private mailbox is as unknown to a colleague who is no member.
    let private = desk
        .postgres
        .value("select min(id) from tickets where organization_id = 1 and private")
        .await;
    let colleague = desk.agent(1, 2);
    refused(
        colleague
            .patch("tickets", &private, json!({ "subject": "x" }))
            .await,
        Kind::RowUnknown,
    );
    let blind = told(
        colleague
            .post(
                "messages",
                json!({ "ticket_id": number(&private), "body": "x" }),
            )
            .await,
    );
    let absent = told(
        colleague
            .post("messages", json!({ "ticket_id": 999_999_999, "body": "x" }))
            .await,
    );
    assert_eq!(blind, absent);
    agent
        .patch("tickets", &private, json!({ "subject": "x" }))
        .await
        .unwrap();
    // E-mail addresses are unique per organization, so another's is free.
    let email = desk
        .postgres
        .value("select email from contacts where organization_id = 2 and email is not null limit 1")
        .await;
    let taken = desk
        .postgres
        .value(&format!(
            "select count(*) from contacts where organization_id = 1 and email = '{email}'"
        ))
        .await;
    if taken == "0" {
        agent
            .post("contacts", json!({ "email": email }))
            .await
            .unwrap();
    }
    let changed = agent
        .patch_where("tickets", "status=eq.open", json!({ "priority": "high" }))
        .await
        .unwrap();
    assert!(changed.rows > 0);
    assert_eq!(others(&desk).await, before);
    // And nothing of it is there for the other organization to read.
    let access = desk.database.access(&agent.who.role).await.unwrap();
    let query = Query::item(&access, "tickets", &own, "").unwrap();
    let other = desk.agent(2, 1).who;
    assert_eq!(
        desk.database.item(&other, &query).await.unwrap_err().kind(),
        Kind::RowUnknown
    );
    desk.close().await;
}
