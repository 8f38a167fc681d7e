//! What a write answers, and what it expects and leaves behind.

use super::*;
use rowcast::{
    postgres::changelog::Keeper,
    query::{ActionId, Fingerprint},
};

#[tokio::test]
async fn entity_tags_guard_against_lost_updates() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let created = writer.post("cages", json!({ "label": "a" })).await.unwrap();
    let (id, etag) = (created.id.unwrap(), created.etag.unwrap());
    let item = {
        let access = zoo.database.access(&writer.who.role).await.unwrap();
        let query = Query::item(&access, "cages", &id, "").unwrap();
        zoo.database.item(&writer.who, &query).await.unwrap()
    };
    assert_eq!(item.etag.as_ref(), Some(&etag));
    let matching = zoo.writer(1).if_match(&["x", &etag]);
    let changed = matching
        .patch("cages", &id, json!({ "label": "b" }))
        .await
        .unwrap();
    assert_ne!(changed.etag.as_ref(), Some(&etag));
    refused(
        matching.patch("cages", &id, json!({ "label": "c" })).await,
        Kind::PreconditionFailed,
    );
    refused(
        matching.patch("cages", &id, json!({})).await,
        Kind::PreconditionFailed,
    );
    refused(
        matching.put("cages", &id, json!({ "label": "c" })).await,
        Kind::PreconditionFailed,
    );
    refused(
        matching.delete("cages", &id).await,
        Kind::PreconditionFailed,
    );
    refused(
        matching.put("cages", "777", json!({ "label": "c" })).await,
        Kind::PreconditionFailed,
    );
    refused(matching.delete("cages", "777").await, Kind::RowUnknown);
    let any = zoo.writer(1).if_match(&[]);
    refused(
        any.put("cages", "777", json!({ "label": "c" })).await,
        Kind::PreconditionFailed,
    );
    assert_eq!(
        body(
            &any.put("cages", &id, json!({ "label": "d" }))
                .await
                .unwrap()
        )["label"],
        "d"
    );
    // Another's row is as unknown with the right tag as with a wrong one.
    let other = zoo.writer(2).if_match(&["x", &etag]);
    refused(other.delete("cages", &id).await, Kind::RowUnknown);
    refused(
        other.put("cages", &id, json!({ "label": "c" })).await,
        Kind::PreconditionFailed,
    );
    let current = zoo.postgres.value("select xmin from cages").await;
    any.if_match(&[&current])
        .delete("cages", &id)
        .await
        .unwrap();
    zoo.close().await;
}

#[tokio::test]
async fn minimal_answers_have_a_position_and_no_body() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1).minimal();
    let created = writer.post("cages", json!({ "label": "a" })).await.unwrap();
    assert!(created.body.is_none() && created.position.is_some() && created.etag.is_some());
    let id = created.id.unwrap();
    let patched = writer
        .patch("cages", &id, json!({ "label": "b" }))
        .await
        .unwrap();
    assert!(patched.body.is_none() && patched.position.is_some());
    let many = writer
        .post("cages", json!([{ "label": "x" }, { "label": "y" }]))
        .await
        .unwrap();
    assert!(many.body.is_none() && many.position.is_some() && many.rows == 2);
    let deleted = writer.delete("cages", &id).await.unwrap();
    assert!(deleted.body.is_none() && deleted.position.is_some());
    zoo.close().await;
}

#[tokio::test]
async fn an_action_travels_with_the_transaction_and_no_further() {
    let zoo = Zoo::with(
        "create table seen (action text);
        create function see() returns trigger language plpgsql security definer as $$
        begin insert into seen values (current_setting('rowcast.action_id', true)); return null; end $$;
        create trigger see after insert or update or delete on cages execute function see()",
        |_| (),
    )
    .await;
    let mut writer = zoo.writer(1);
    // The table of actions is there once the log's keeper has been.
    drop(Keeper::open(&zoo.database).await.unwrap());
    writer.action = Some(Action {
        id: ActionId::new("a1").unwrap(),
        fingerprint: Fingerprint::of([&b"post"[..]]),
    });
    let id = writer
        .post("cages", json!({ "label": "a" }))
        .await
        .unwrap()
        .id
        .unwrap();
    writer.action = None;
    writer
        .patch("cages", &id, json!({ "label": "b" }))
        .await
        .unwrap();
    assert_eq!(
        zoo.postgres
            .value("select string_agg(coalesce(action, ''), ',') from seen")
            .await,
        "a1,"
    );
    zoo.close().await;
}

#[tokio::test]
async fn a_commit_wakes_the_feed_and_a_refusal_does_not() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let committed = zoo.database.committed();
    let woken = committed.notified();
    tokio::pin!(woken);
    woken.as_mut().enable();
    refused(
        writer.post("cages", json!({ "label": null })).await,
        Kind::ConstraintViolation,
    );
    assert!(futures_util::FutureExt::now_or_never(woken.as_mut()).is_none());
    writer.post("cages", json!({ "label": "a" })).await.unwrap();
    assert!(futures_util::FutureExt::now_or_never(woken).is_some());
    zoo.close().await;
}

#[tokio::test]
async fn a_row_that_is_gone_by_then_is_answered_as_written() {
    let zoo = Zoo::with(
        "create function vanish() returns trigger language plpgsql security definer as $$
        begin delete from cages where id = new.id; return null; end $$;
        create constraint trigger vanish after insert on cages deferrable initially deferred
        for each row execute function vanish()",
        |_| (),
    )
    .await;
    let written = zoo
        .writer(1)
        .post("cages", json!({ "label": "a" }))
        .await
        .unwrap();
    assert_eq!(body(&written)["label"], "a");
    assert!(written.position.is_none() && written.etag.is_none());
    zoo.close().await;
}
