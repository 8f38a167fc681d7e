//! For how long actions are remembered.

use crate::zoo::{self, Zoo};
use rowcast::postgres::changelog::Keeper;
use std::time::Duration;

#[tokio::test]
async fn old_actions_are_forgotten_in_pieces_and_young_ones_are_not() {
    let zoo = Zoo::open().await;
    let keeper = Keeper::open(&zoo.database).await.unwrap();
    zoo.postgres
        .execute(
            "insert into rowcast.actions
                 (key, organization, user_id, action_id, fingerprint, written, recorded_at)
             select uuid_send(gen_random_uuid()), '1', '1', 'a' || n, sha256(n::text::bytea), '[]',
                 now() - n * interval '1 minute'
             from generate_series(1, 12000) n",
        )
        .await;
    let count = "select count(*) from rowcast.actions";
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    keeper.trim_actions(hours(10_000)).await.unwrap();
    assert_eq!(zoo.postgres.value(count).await, "12000");
    // Another server that is at it is left alone.
    let other = zoo.postgres.connect().await;
    let lock = "select pg_advisory_lock(x'726f776361737461'::bigint)";
    other.batch_execute(lock).await.unwrap();
    keeper.trim_actions(hours(10)).await.unwrap();
    assert_eq!(zoo.postgres.value(count).await, "12000");
    other
        .batch_execute("select pg_advisory_unlock_all()")
        .await
        .unwrap();
    keeper.trim_actions(hours(10)).await.unwrap();
    let oldest =
        "select extract(epoch from now() - min(recorded_at))::int / 60 from rowcast.actions";
    assert_eq!(zoo.postgres.value(count).await, "599");
    assert_eq!(zoo.postgres.value(oldest).await, "599");
    assert_eq!(zoo::config("x").actions.retention_days, 7);
    drop(keeper);
    zoo.close().await;
}
