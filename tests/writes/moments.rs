//! What else happens at the same moment.

use super::*;

#[tokio::test]
async fn two_replacements_at_once_leave_one_row() {
    let zoo = Zoo::open().await;
    for round in 0..20 {
        let id = round.to_string();
        let put = |label: &'static str| {
            let database = &zoo.database;
            let id = id.clone();
            async move {
                let access = database.access(&keeper(1).role).await.unwrap();
                let body = json!({ "label": format!("{label}{id}") }).to_string();
                let write = Write::replace(
                    &access,
                    "cages",
                    &id,
                    "",
                    body.as_bytes(),
                    WriteOptions::default(),
                );
                database
                    .write(&keeper(1), &write.unwrap(), None)
                    .await
                    .unwrap()
            }
        };
        let (one, two) = tokio::join!(put("a"), put("b"));
        assert_eq!(usize::from(one.created) + usize::from(two.created), 1);
    }
    assert_eq!(zoo.postgres.value("select count(*) from cages").await, "20");
    zoo.close().await;
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_unnoticed() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    writer.post("cages", json!({ "label": "a" })).await.unwrap();
    zoo.postgres
        .execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rowcast' and datname = current_database()")
        .await;
    writer.post("cages", json!({ "label": "b" })).await.unwrap();
    zoo.close().await;
}

#[tokio::test]
async fn an_altered_table_is_written_with_a_new_plan() {
    let zoo = Zoo::open().await;
    let writer = zoo.writer(1);
    let id = writer
        .post("cages", json!({ "label": "a" }))
        .await
        .unwrap()
        .id
        .unwrap();
    for _ in 0..3 {
        writer
            .patch("cages", &id, json!({ "label": "b" }))
            .await
            .unwrap();
    }
    zoo.postgres
        .execute("drop view heavy; alter table cages alter column label type varchar(20)")
        .await;
    writer
        .patch("cages", &id, json!({ "label": "c" }))
        .await
        .unwrap();
    zoo.close().await;
}
