//! `rowcast uninstall` leaves a database as it was.

use super::Program;
use crate::support::{Database, TestServer};

/// Whatever rowcast could have left: schemas, functions, triggers, event triggers, tables, types.
const TRACES: &str = "
    select string_agg(it, E'\\n' order by it) from (
        select 'schema ' || nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp'
        union all select 'function ' || oid::regprocedure::text from pg_proc where oid >= 16384
        union all select 'trigger ' || tgname || ' on ' || tgrelid::regclass from pg_trigger
        union all select 'event trigger ' || evtname from pg_event_trigger
        union all select 'relation ' || oid::regclass from pg_class where oid >= 16384 and relkind <> 't'
            and relname !~ '^pg_toast'
        union all select 'type ' || oid::regtype from pg_type where oid >= 16384
    ) traces (it)";

#[tokio::test]
async fn nothing_of_rowcasts_is_left() {
    let database = Database::helpdesk().await;
    let role_of_requests = |role: &str| {
        format!(
            "alter database {} set rowcast.default_role = {role}",
            database.name
        )
    };
    // As `demo` leaves it.
    database.execute(&role_of_requests("helpdesk_agent")).await;
    let before = database.value(TRACES).await;
    let rows = database.value("select count(*) from tickets").await;
    let running = TestServer::serve(&database, |config| {
        config.database.default_role = Some("helpdesk_agent".to_owned());
    })
    .await;
    assert_ne!(database.value(TRACES).await, before);
    running.shutdown().await;

    let uninstall = || Program::new(&["uninstall", "--database-url", &database.url]).run();
    let first = uninstall();
    assert_eq!(first.code(), Some(0), "{}", first.err());
    assert!(first.out().contains("rowcast is gone"), "{}", first.out());
    assert_eq!(database.value(TRACES).await, before);
    assert_eq!(database.value("select count(*) from tickets").await, rows);
    let role = "select current_setting('rowcast.default_role', true)";
    assert_eq!(database.value(role).await, "");
    database.execute(&role_of_requests("another")).await;
    let again = uninstall();
    assert_eq!(again.code(), Some(0), "{}", again.err());
    assert!(again.out().contains("0 tables"), "{}", again.out());
    assert_eq!(
        database.value(role).await,
        "another",
        "a setting of the user's own"
    );
    database.finish().await;
}
