//! `rowcast demo` loads the help desk once, and overwrites nothing.

use super::Program;
use crate::support::Database;

#[tokio::test]
async fn the_help_desk_is_loaded_once() {
    let database = Database::empty().await;
    let demo = || Program::new(&["demo", "--database-url", &database.url]);
    let first = demo().run();
    assert_eq!(first.code(), Some(0), "{}", first.err());
    assert!(first.out().contains("rowcast serve"), "{}", first.out());
    let count = "select count(*) from tickets where organization_id = 1";
    assert_eq!(database.value(count).await, "1600");
    let role = "select current_setting('rowcast.default_role')";
    assert_eq!(database.value(role).await, "helpdesk_agent");

    database
        .execute("update tickets set subject = 'mine' where id = 1")
        .await;
    let second = demo()
        .variable("DATABASE_URL", "postgres://127.0.0.1:1/x")
        .run();
    second.says(1, "already");
    assert_eq!(second.out(), "");
    let subject = "select subject from tickets where id = 1";
    assert_eq!(database.value(subject).await, "mine");
    database.finish().await;
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_left_alone() {
    let database =
        Database::with("create table labels (mine text); insert into labels values ('x')").await;
    let ended = Program::new(&["demo"])
        .variable("DATABASE_URL", &database.url)
        .run();
    ended.says(1, "labels");
    assert_eq!(database.value("select mine from labels").await, "x");
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(database.value(tables).await, "1");
    database.finish().await;
}
