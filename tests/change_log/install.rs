//! Installing the change log: with few rights, beside writers, by several servers, after damage, and
//! away again.

use super::{entries, expect, logged, server};
use crate::support::Database;
use rowcast::{
    config::Config,
    postgres::{Database as Server, changelog::Keeper},
};

#[tokio::test]
async fn unprivileged_writers_are_logged_and_cannot_read_the_log() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null);
         create table c (id int primary key, organization_id int not null, t_id int references t on delete cascade);
         create role log_writer; grant all on t to log_writer; grant insert on c to log_writer;
         alter default privileges grant all on tables to log_writer;
         alter default privileges grant all on schemas to log_writer;
         alter default privileges grant all on functions to log_writer;
         alter default privileges grant all on sequences to log_writer;
         create schema evil; grant all on schema evil to log_writer",
    )
    .await;
    let (_server, _keeper, _plan) = logged(&database).await;
    expect(
        &database,
        "set role log_writer; set search_path = evil, public;
         create function evil.current_setting(text, boolean) returns text language plpgsql as
             $$ begin raise exception 'called'; end $$;
         create function evil.text(int) returns text language plpgsql as
             $$ begin raise exception 'called'; end $$;
         insert into t values (1, 1); insert into c values (1, 1, 1); delete from t",
        &["t i {1} 1", "c i {1} 1", "t d {1} 1", "c d {1} 1"],
    )
    .await;
    let rights = database
        .value(
            "select count(*) from (
                 select from pg_class c where relnamespace = 'rowcast'::regnamespace and relkind in ('r', 'S')
                     and exists (select from aclexplode(relacl) where grantee <> relowner)
                 union all select from pg_namespace where nspname = 'rowcast'
                     and exists (select from aclexplode(nspacl) where grantee <> nspowner)
                 union all select from pg_proc where pronamespace = 'rowcast'::regnamespace
                     and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee <> proowner)
             ) them",
        )
        .await;
    assert_eq!(rights, "0");
    database
        .psql("drop owned by log_writer; drop role log_writer")
        .await;
    database.finish().await;
}

#[tokio::test]
async fn several_servers_install_at_once_and_uninstalling_leaves_nothing() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null);
         create table p (id int primary key, organization_id int not null) partition by range (id);
         create table p1 partition of p for values from (0) to (10)",
    )
    .await;
    let before = everything(&database).await;
    let server = server(&database).await;
    let install = async || {
        let mut keeper = Keeper::open(&server).await.unwrap();
        let (plan, _) = keeper.plan().await.unwrap();
        let progress = keeper.install(&plan).await.unwrap();
        assert_eq!(progress.unlogged, Default::default());
        (
            progress.installed,
            keeper.cursor_key().await.unwrap(),
            keeper.database_id().await.unwrap(),
        )
    };
    let (one, two, three) = tokio::join!(install(), install(), install());
    assert_eq!(one.0 + two.0 + three.0, 3, "each table once");
    assert_eq!((one.2, two.2), (two.2, three.2));
    assert_eq!(install().await.0, 0, "nothing is left to do");
    // A newer schema is left alone.
    database
        .psql("insert into rowcast.migrations (number) values (999)")
        .await;
    let refusal = Keeper::open(&server).await.unwrap_err();
    assert!(refusal.detail().contains("999"), "{refusal}");
    assert_eq!(Keeper::uninstall(&server).await.unwrap(), 3);
    assert_eq!(everything(&database).await, before);
    assert_eq!(Keeper::uninstall(&server).await.unwrap(), 0);
    database.psql("insert into t values (1, 1)").await;
    server.close().await;
    database.finish().await;
}

/// All that a migration or an installation could leave behind.
async fn everything(database: &Database) -> String {
    database
        .value(
            "select string_agg(it, ' ' order by it) from (
                 select 'n ' || nspname as it from pg_namespace where nspname !~ '^pg_'
                 union all select 'p ' || oid::regprocedure::text from pg_proc where oid >= 16384
                 union all select 't ' || tgname from pg_trigger where not tgisinternal
                 union all select 'c ' || oid::regclass::text from pg_class where oid >= 16384
                     and relnamespace <> 'pg_toast'::regnamespace
                 union all select 'e ' || evtname from pg_event_trigger
             ) them",
        )
        .await
}

#[tokio::test]
async fn writers_never_queue_behind_an_installation() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null);
         create table free (id int primary key, organization_id int not null)",
    )
    .await;
    let server = server(&database).await;
    let mut keeper = Keeper::open(&server).await.unwrap();
    let (plan, _) = keeper.plan().await.unwrap();
    let writer = database.connect().await;
    writer
        .batch_execute("begin; insert into t values (1, 1)")
        .await
        .unwrap();
    let other = database.connect().await;
    other
        .batch_execute("set statement_timeout = '2s'")
        .await
        .unwrap();
    let installing = async {
        let progress = keeper.install(&plan).await.unwrap();
        assert!(progress.busy);
        let reasons: Vec<&str> = progress.unlogged.values().map(String::as_str).collect();
        assert_eq!(reasons, ["other transactions hold it locked"]);
        assert_eq!(progress.installed, 1);
    };
    let writing = async {
        for id in 10..60 {
            other
                .execute("insert into t values ($1, 1)", &[&id])
                .await
                .unwrap();
        }
    };
    tokio::join!(installing, writing);
    writer.batch_execute("commit").await.unwrap();
    let progress = keeper.install(&plan).await.unwrap();
    assert_eq!((progress.installed, progress.busy), (1, false));
    drop((writer, other));
    database.finish().await;
}

#[tokio::test]
async fn triggers_that_were_disabled_or_dropped_come_back() {
    let database =
        Database::with("create table t (id int primary key, organization_id int not null)").await;
    let (_server, mut keeper, plan) = logged(&database).await;
    for damage in [
        "alter table t disable trigger all",
        "drop trigger rowcast_update on t",
        "alter table t enable always trigger rowcast_replica",
        "drop function rowcast.log_truncate() cascade; create function rowcast.log_truncate() returns trigger
             language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin
             insert into rowcast.changes (relation, op) values (tg_relid, 't'); return null; end $$",
    ] {
        database.psql(damage).await;
        let progress = keeper.install(&plan).await.unwrap();
        assert_eq!(progress.installed, 1, "{damage}");
        // Everybody is told, on every server, and whoever comes back later.
        assert_eq!(entries(&database).await, ["t s"], "{damage}");
        assert_eq!(keeper.install(&plan).await.unwrap().installed, 0);
        expect(
            &database,
            "insert into t values (1, 1); update t set id = 2; truncate t",
            &["t i {1} 1", "t o {1} 1", "t u {2} 1", "t t"],
        )
        .await;
        keeper.install(&plan).await.unwrap();
        assert_eq!(entries(&database).await, ["t s"], "a truncated table has a new file");
    }
    database.finish().await;
}

#[tokio::test]
async fn a_login_without_rights_says_so() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null);
         create table mine (id int primary key, organization_id int not null);
         create role log_login login; grant create on database :db to log_login;
         alter table mine owner to log_login; grant select, insert on t to log_login"
            .replace(":db", "current")
            .replace("grant create on database current to log_login;", "")
            .as_str(),
    )
    .await;
    database
        .psql(&format!(
            "grant create on database {} to log_login",
            database.name
        ))
        .await;
    let mut config = Config::default();
    config.database.url = Some(
        database
            .url
            .replace("postgres@", "log_login@")
            .as_str()
            .into(),
    );
    let server = Server::connect(&config).await.unwrap();
    let mut keeper = Keeper::open(&server).await.unwrap();
    let (plan, _) = keeper.plan().await.unwrap();
    let progress = keeper.install(&plan).await.unwrap();
    let reasons: Vec<&str> = progress.unlogged.values().map(String::as_str).collect();
    assert_eq!(
        reasons,
        ["the role that rowcast logs in as may not create triggers on it"]
    );
    assert!(!progress.busy);
    // The right to create triggers is enough for everything but replication.
    database.psql("grant trigger on t to log_login").await;
    let progress = keeper.install(&plan).await.unwrap();
    assert_eq!(progress.unlogged, Default::default());
    entries(&database).await;
    expect(
        &database,
        "insert into t values (1, 1); truncate t; insert into mine values (1, 1)",
        &["t i {1} 1", "t t", "mine i {1} 1"],
    )
    .await;
    assert_eq!(keeper.install(&plan).await.unwrap().installed, 0);
    drop((keeper, plan));
    server.close().await;
    database
        .psql("drop schema rowcast cascade; drop owned by log_login; drop role log_login")
        .await;
    database.finish().await;
}

#[tokio::test]
async fn functions_that_no_trigger_calls_go_and_no_writer_waits() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null);
         create table gone (id int primary key, organization_id int not null);
         create table parent (id int primary key, organization_id int not null) partition by list (id);
         create table two (id int primary key, organization_id int not null)",
    )
    .await;
    let (_server, mut keeper, plan) = logged(&database).await;
    let functions = "select string_agg(proname, ' ' order by proname) from pg_proc
        where pronamespace = 'rowcast'::regnamespace";
    let before = database.value(functions).await;
    let table = database.value("select 't'::regclass::oid").await;
    let made = |name: &str| {
        format!(
            "create function rowcast.{name}() returns trigger language plpgsql
                 as 'begin return null; end';"
        )
    };
    // As an earlier version made them, and as one that is used by a trigger of another server's.
    let unused = [made(&format!("log_{table}")), made("log_row_1")].concat();
    let used = made("log_insert_2");
    database
        .psql(&format!(
            "{unused} {used}
             create trigger theirs after insert on two for each statement
                 execute function rowcast.log_insert_2();
             drop table gone"
        ))
        .await;
    let writer = database.connect().await;
    let open = "begin; insert into t values (1, 1); insert into two values (1, 1)";
    writer.batch_execute(open).await.unwrap();
    drop(plan);
    let (plan, _) = keeper.plan().await.unwrap();
    keeper.install(&plan).await.unwrap();
    let after = database.value(functions).await;
    let after: Vec<&str> = after.split(' ').collect();
    let expected: Vec<&str> = before.split(' ').filter(|it| after.contains(it)).collect();
    let mut left = after.clone();
    left.retain(|it| *it != "log_insert_2");
    assert_eq!(left, expected);
    assert_eq!(left.len() + 1, after.len());
    // Those of the table that is gone: for inserts, updates, deletes and single rows.
    assert_eq!(before.split(' ').count() - left.len(), 4);
    writer.batch_execute("commit").await.unwrap();
    database.execute("drop trigger theirs on two").await;
    keeper.install(&plan).await.unwrap();
    assert_eq!(database.value(functions).await, left.join(" "));
    entries(&database).await;
    expect(
        &database,
        "update t set id = 2; delete from t",
        &["t o {1} 1", "t u {2} 1", "t d {2} 1"],
    )
    .await;
    drop(writer);
    database.finish().await;
}
