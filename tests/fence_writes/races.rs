//! Two organizations want one key at the same moment.

use super::*;

/// Both insert the same id at the same moment: one row comes about, and the other organization hears
/// that there is none for it.
#[tokio::test]
async fn a_replacement_races_with_another_organizations_insert() {
    let zoo = zoo().await;
    for round in 200..230 {
        let id = round.to_string();
        let put = |organization: i32| {
            let (zoo, id) = (&zoo, id.clone());
            async move {
                let who = zoo.writer(organization).who;
                let access = zoo.database.access(&who.role).await.unwrap();
                let body = json!({ "label": format!("race {id}") }).to_string();
                let write = Write::replace(
                    &access,
                    "cages",
                    &id,
                    "",
                    body.as_bytes(),
                    WriteOptions::default(),
                );
                zoo.database.write(&who, &write.unwrap(), None).await
            }
        };
        let (one, two) = tokio::join!(put(1), put(2));
        let (won, lost, owner) = match one {
            Ok(_) => (one, two, "1"),
            Err(_) => (two, one, "2"),
        };
        assert!(won.unwrap().created);
        refused(lost, Kind::RowUnknown);
        let held = zoo
            .postgres
            .value(&format!(
                "select organization_id from cages where id = {id}"
            ))
            .await;
        assert_eq!(held, owner);
    }
    zoo.close().await;
}

/// An uncommitted row of another organization holds the key: the replacement waits, and then finds
/// that the row is not for it.
#[tokio::test]
async fn a_replacement_waits_for_an_insert_and_does_not_take_it_over() {
    let zoo = zoo().await;
    let other = zoo.postgres.connect().await;
    other
        .batch_execute(
            "begin; insert into cages (id, organization_id, label) values (500, 2, 'new')",
        )
        .await
        .unwrap();
    let writer = zoo.writer(1);
    let access = zoo.database.access(&writer.who.role).await.unwrap();
    let write = Write::replace(
        &access,
        "cages",
        "500",
        "",
        br#"{"label":"mine"}"#,
        WriteOptions::default(),
    )
    .unwrap();
    let waits = async {
        // Until the replacement waits for the lock.
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while zoo.postgres.value(waiting).await != "1" {}
        other.batch_execute("commit").await.unwrap();
    };
    let (result, ()) = tokio::join!(zoo.database.write(&writer.who, &write, None), waits);
    refused(result, Kind::RowUnknown);
    assert_eq!(
        zoo.postgres
            .value("select organization_id || label from cages where id = 500")
            .await,
        "2new"
    );
    zoo.close().await;
}
