//! What a role may write, and what nobody may.

use super::*;

#[tokio::test]
async fn column_grants_bound_what_is_written_and_answered() {
    let zoo = Zoo::with(
        "grant insert (id, organization_id, label, weight), update (label) on cages to zoo_visitor;
        grant insert (id, organization_id, title, number) on tours to zoo_visitor"
            .replace("(id, organization_id, title", "(organization_id, title")
            .as_str(),
        |_| (),
    )
    .await;
    let visitor = Writer::new(&zoo.database, caller("1", "1", "zoo_visitor"));
    let created = visitor
        .post("cages", json!({ "id": 1, "label": "a", "weight": 3 }))
        .await
        .unwrap();
    assert_eq!(
        body(&created),
        json!({ "id": 1, "organization_id": 1, "label": "a" })
    );
    assert!(created.position.is_some());
    let patched = visitor
        .patch("cages", "1", json!({ "label": "b" }))
        .await
        .unwrap();
    assert_eq!(body(&patched)["label"], "b");
    for refusal in [
        visitor.patch("cages", "1", json!({ "weight": 2 })).await,
        visitor.patch("cages", "1", json!({ "badge": "x" })).await,
        visitor
            .post("cages", json!({ "label": "c", "badge": "x" }))
            .await,
        visitor.put("cages", "1", json!({ "label": "c" })).await,
        visitor.delete("cages", "1").await,
        visitor.delete("beds", "1").await,
        visitor.post("rooms", json!({ "id": 1 })).await,
    ] {
        refused(refusal, Kind::PermissionDenied);
    }
    // Who may insert but not read gets no body.
    let blind = visitor
        .post("tours", json!({ "number": 1, "title": "x" }))
        .await
        .unwrap();
    assert!(
        blind.body.is_none() && blind.id.is_none() && blind.rows == 1 && blind.position.is_some()
    );
    assert_eq!(
        zoo.postgres
            .value("select organization_id || title from tours")
            .await,
        "1x"
    );
    zoo.close().await;
}

#[tokio::test]
async fn what_cannot_be_written_says_so() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    for resource in ["ledger", "countries", "cage_counts"] {
        refused(
            writer.post(resource, json!({})).await,
            Kind::ResourceReadOnly,
        );
        refused(
            writer.delete_where(resource, "name=eq.x").await,
            Kind::ResourceReadOnly,
        );
        refused(
            writer.put(resource, "1", json!({})).await,
            Kind::ResourceReadOnly,
        );
    }
    refused(
        writer.post("keepers_only", json!({})).await,
        Kind::ResourceUnknown,
    );
    zoo.close().await;
}
