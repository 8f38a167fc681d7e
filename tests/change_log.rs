//! The change log: whoever writes, and however, each changed row is in it once.

mod install;

use crate::support::Database;
use rowcast::{
    config::Config,
    postgres::{
        Database as Server,
        changelog::{Keeper, Plan},
    },
};
use std::sync::Arc;

pub(crate) async fn server(database: &Database) -> Server {
    server_with(database, Config::default()).await
}

async fn server_with(database: &Database, mut config: Config) -> Server {
    config.database.url = Some(database.url.as_str().into());
    Server::connect(&config).await.unwrap()
}

/// Installs the log and forgets what that logged.
pub(crate) async fn logged(database: &Database) -> (Server, Keeper, Arc<Plan>) {
    let server = server(database).await;
    let mut keeper = Keeper::open(&server).await.unwrap();
    let (plan, _) = keeper.plan().await.unwrap();
    let progress = keeper.install(&plan).await.unwrap();
    assert_eq!(progress.unlogged, Default::default());
    database.execute("delete from rowcast.changes").await;
    (server, keeper, plan)
}

/// What was logged since the last call: relation, op, key, organization, each entry once.
async fn entries(database: &Database) -> Vec<String> {
    let text = database
        .value(
            "with gone as (delete from rowcast.changes returning *)
             select string_agg(concat_ws(' ', relation::regclass, op, key, organization,
                 '→' || reference, '#' || nullif(action_id, '')), e'\\n' order by seq) from gone",
        )
        .await;
    text.lines().map(str::to_owned).collect()
}

async fn expect(database: &Database, statements: &str, expected: &[&str]) {
    database.psql(statements).await;
    let mut found = entries(database).await;
    let mut expected: Vec<String> = expected.iter().map(|it| (*it).to_owned()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{statements}");
}

#[tokio::test]
async fn every_kind_of_statement_is_logged_once() {
    let database = Database::with(
        "create table t (id bigint primary key, organization_id bigint not null, n int default 0);
         create table child (
             id int primary key, organization_id bigint not null,
             t_id bigint references t on delete cascade on update cascade
         )",
    )
    .await;
    let (_server, _keeper, _plan) = logged(&database).await;
    let db = &database;
    expect(
        db,
        "insert into t values (1, 1), (2, 2)",
        &["t i {1} 1", "t i {2} 2"],
    )
    .await;
    expect(db, "update t set n = n + 1", &["t u {1} 1", "t u {2} 2"]).await;
    expect(db, "update t set n = n + 1 where id = 99", &[]).await;
    expect(db, "delete from t where false", &[]).await;
    expect(
        db,
        "insert into t values (2, 2), (3, 1) on conflict (id) do update set n = 7",
        &["t u {2} 2", "t i {3} 1"],
    )
    .await;
    expect(
        db,
        "insert into t values (3, 1) on conflict do nothing",
        &[],
    )
    .await;
    expect(
        db,
        "merge into t using (values (3, 1), (4, 1)) v (id, o) on t.id = v.id
         when matched then delete when not matched then insert values (v.id, v.o)",
        &["t d {3} 1", "t i {4} 1"],
    )
    .await;
    // Both organizations, both keys.
    expect(
        db,
        "update t set organization_id = 2 where id = 1",
        &["t o {1} 1", "t u {1} 2"],
    )
    .await;
    expect(
        db,
        "update t set id = 10 where id = 1",
        &["t o {1} 2", "t u {10} 2"],
    )
    .await;
    expect(
        db,
        "insert into child values (1, 2, 10), (2, 2, 10)",
        &["child i {1} 2", "child i {2} 2"],
    )
    .await;
    expect(
        db,
        "update t set id = 1 where id = 10",
        &["t o {10} 2", "t u {1} 2", "child u {1} 2", "child u {2} 2"],
    )
    .await;
    expect(
        db,
        "delete from t where id = 1",
        &["t d {1} 2", "child d {1} 2", "child d {2} 2"],
    )
    .await;
    expect(
        db,
        "begin; insert into t values (20, 1); savepoint s; insert into t values (21, 1);
         rollback to s; insert into t values (22, 1); commit;
         begin; insert into t values (23, 1); rollback",
        &["t i {20} 1", "t i {22} 1"],
    )
    .await;
    expect(
        db,
        "begin; set local rowcast.action_id = 'a1'; update t set n = 0 where id = 20; commit;
         update t set n = 1 where id = 20",
        &["t u {20} 1 #a1", "t u {20} 1"],
    )
    .await;
    expect(
        db,
        "copy t (id, organization_id) from program 'seq 100 104 | sed \"s/$/\\t1/\"'",
        &[
            "t i {100} 1",
            "t i {101} 1",
            "t i {102} 1",
            "t i {103} 1",
            "t i {104} 1",
        ],
    )
    .await;
    expect(db, "truncate t cascade", &["t t", "child t"]).await;
    // What replication's apply workers do.
    expect(
        db,
        "set session_replication_role = replica; insert into t values (1, 1), (2, 1);
         update t set id = 3 where id = 2; delete from t where id = 1; truncate t cascade",
        &[
            "t i {1} 1",
            "t i {2} 1",
            "t o {2} 1",
            "t u {3} 1",
            "t d {1} 1",
            "t t",
            "child t",
        ],
    )
    .await;
    database.finish().await;
}

#[tokio::test]
async fn logical_replication_is_logged() {
    // The apply worker of a subscription fires row-level triggers only, in the role `replica`.
    let database =
        Database::with("create table t (id int primary key, organization_id int not null)").await;
    let (_server, _keeper, _plan) = logged(&database).await;
    let states = database
        .value(
            "select string_agg(tgname || ' ' || tgenabled::text, ', ' order by tgname)
             from pg_trigger where tgrelid = 't'::regclass",
        )
        .await;
    assert_eq!(
        states,
        "rowcast_delete O, rowcast_insert O, rowcast_replica R, rowcast_truncate A, rowcast_update O"
    );
    database.finish().await;
}

#[tokio::test]
async fn partitions_and_children_are_logged_by_whatever_name_they_are_written() {
    let database = Database::with(
        "create table p (id int, day int, organization_id int not null, primary key (id, day))
             partition by list (day);
         create table p1 partition of p for values in (1);
         create table p2 (organization_id int not null, day int not null, id int not null);
         alter table p attach partition p2 for values in (2);
         create table p3 partition of p for values in (3) partition by range (id);
         create schema elsewhere;
         create table elsewhere.p3a partition of p3 for values from (0) to (100);
         create table parent (id int primary key, organization_id int not null);
         create table heir (extra int, primary key (id)) inherits (parent);
         create table odd (code text primary key) inherits (parent)",
    )
    .await;
    let (_server, _keeper, plan) = logged(&database).await;
    let db = &database;
    expect(
        db,
        "insert into p values (1, 1, 1), (2, 2, 2), (3, 3, 1)",
        &["p i {1,1} 1", "p i {2,2} 2", "p i {3,3} 1"],
    )
    .await;
    expect(db, "insert into p1 values (4, 1, 1)", &["p1 i {4,1} 1"]).await;
    expect(db, "insert into p2 values (1, 2, 5)", &["p2 i {5,2} 1"]).await;
    expect(
        db,
        "insert into elsewhere.p3a values (6, 3, 1)",
        &["elsewhere.p3a i {6,3} 1"],
    )
    .await;
    expect(
        db,
        "update p3 set organization_id = 2 where id = 6",
        &["p3 o {6,3} 1", "p3 u {6,3} 2"],
    )
    .await;
    // A row that moves from one partition to another.
    expect(
        db,
        "update p set day = 2 where id = 1",
        &["p o {1,1} 1", "p u {1,2} 1"],
    )
    .await;
    expect(
        db,
        "delete from p where day = 2 and id = 1",
        &["p d {1,2} 1"],
    )
    .await;
    expect(
        db,
        "truncate p",
        &["p t", "p1 t", "p2 t", "p3 t", "elsewhere.p3a t"],
    )
    .await;
    expect(
        db,
        "set session_replication_role = replica; insert into p values (7, 1, 1)",
        &["p1 i {7,1} 1"],
    )
    .await;
    expect(db, "insert into heir values (1, 1)", &["heir i {1} 1"]).await;
    expect(
        db,
        "update parent set id = 2",
        &["parent o {1} 1", "parent u {2} 1"],
    )
    .await;
    expect(db, "insert into odd values (1, 1, 'x')", &["odd i {x} 1"]).await;
    let concerns = |name: &'static str| {
        let plan = plan.clone();
        async move {
            let oid: u32 = db
                .value(&format!("select '{name}'::regclass::oid"))
                .await
                .parse()
                .unwrap();
            let mut found: Vec<String> = plan
                .concerns(oid)
                .iter()
                .map(|it| format!("{}:{:?}", it.resource.name, it.meaning))
                .collect();
            found.sort();
            found.join(" ")
        }
    };
    assert_eq!(concerns("elsewhere.p3a").await, "p:Row");
    assert_eq!(concerns("p3").await, "p:Row");
    assert_eq!(concerns("parent").await, "heir:Row odd:Anything parent:Row");
    assert_eq!(concerns("heir").await, "heir:Row parent:Row");
    assert_eq!(concerns("odd").await, "odd:Row parent:Anything");
    database.finish().await;
}

#[tokio::test]
async fn keys_of_all_types_have_one_text() {
    let database = Database::with(
        "create type color as enum ('red', 'it''s \\ \"green\"');
         create domain small as int check (value < 100);
         create table t (a uuid, b timestamptz, c color, d small, e bytea, f float8, g numeric, h boolean,
             \"select\" text, \"new\" date, \"action\" text, \"Quoted \"\" name\" interval,
             \"organization_id\" text, primary key (a, b, c, d, e, f, g, h, \"select\", \"new\",
             \"action\", \"Quoted \"\" name\"));
         create table no_key (organization_id int, x int)",
    )
    .await;
    let (_server, _keeper, _plan) = logged(&database).await;
    let insert = "insert into t values ('6F9619FF-8B86-D011-B42D-00CF4FC964FF', '2026-01-02 03:04:05+06',
        'it''s \\ \"green\"', 7, '\\x00ff', 0.1, 1.50, true, 'a,b', '2026-01-02', 'act', '1 day 2 hours', 'Org')";
    database.psql(insert).await;
    let plain = database
        .value("select key::text || organization from rowcast.changes")
        .await;
    assert_eq!(
        plain,
        "{6f9619ff-8b86-d011-b42d-00cf4fc964ff,\"2026-01-01 21:04:05+00\",\
         \"it's \\\\ \\\"green\\\"\",7,\"\\\\x00ff\",0.1,1.50,true,\"a,b\",2026-01-02,act,\
         \"1 day 02:00:00\"}Org"
    );
    database
        .psql(
            "set datestyle = 'German'; set timezone = 'Asia/Tokyo'; set extra_float_digits = -15;
             set bytea_output = 'escape'; set intervalstyle = 'iso_8601'; update t set \"organization_id\" = 'Other'",
        )
        .await;
    let texts = database
        .value("select count(distinct key) || ' ' || count(*) from rowcast.changes")
        .await;
    assert_eq!(texts, "1 3");
    database.psql("delete from rowcast.changes").await;
    expect(
        &database,
        "insert into no_key values (1, 1), (1, 2), (2, 3); update no_key set x = 0 where organization_id = 1;
         delete from no_key where x = 99",
        &["no_key r 1", "no_key r 2", "no_key r 1"],
    )
    .await;
    database.finish().await;
}

/// The functions run with their owner's power, under the writer's search path.
#[tokio::test]
async fn whatever_the_writers_path_leads_to_is_not_run() {
    let database = Database::with(
        "create table t (id text primary key, organization_id numeric not null, n int default 0);
         create table no_key (organization_id int, x int);
         create schema evil;
         create function evil.fail(a text, b text) returns boolean language plpgsql as
             $$ begin raise 'run as %', current_user; end $$;
         create function evil.fail(a bigint, b int) returns boolean language plpgsql as
             $$ begin raise 'run as %', current_user; end $$;
         create function evil.fail(a text[], b text[]) returns boolean language plpgsql as
             $$ begin raise 'run as %', current_user; end $$;
         create operator evil.= (leftarg = text, rightarg = text, function = evil.fail);
         create operator evil.= (leftarg = bigint, rightarg = int, function = evil.fail);
         create operator evil.= (leftarg = text[], rightarg = text[], function = evil.fail);
         create function evil.current_setting(text, boolean) returns text language plpgsql as
             $$ begin raise 'run as %', current_user; end $$;
         create domain evil.text as pg_catalog.text check (value = 'never');
         create domain evil.int8 as pg_catalog.int8 check (value < 0)",
    )
    .await;
    let (_server, _keeper, _plan) = logged(&database).await;
    let evil = "set search_path = evil, public, pg_catalog, pg_temp;
         create temp table new_rows (id int); create temp table old_rows (id int);";
    expect(
        &database,
        &format!(
            "{evil} insert into t values ('1', 1), ('2', 1), ('3', 2); update t set n = 1;
             update t set id = '4' where id operator(pg_catalog.=) '3';
             delete from t where id operator(pg_catalog.=) '2';
             insert into no_key values (1, 1); truncate t;
             set session_replication_role = replica; insert into t values ('5', 1);
             update t set n = 2; delete from t"
        ),
        &[
            "t i {1} 1",
            "t i {2} 1",
            "t i {3} 2",
            "t u {1} 1",
            "t u {2} 1",
            "t u {3} 2",
            "t o {3} 2",
            "t u {4} 2",
            "t d {2} 1",
            "no_key r 1",
            "t t",
            "t i {5} 1",
            "t u {5} 1",
            "t d {5} 1",
        ],
    )
    .await;
    database.finish().await;
}

/// One row at a time and many at once, which are logged differently.
#[tokio::test]
async fn updates_name_every_key_and_owner_there_was() {
    let database = Database::with(
        "create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         create table t (id int primary key, organization_id numeric, n int default 0);
         create table f (id text collate folded primary key, organization_id int not null);
         insert into t select i, 1 from generate_series(1, 6) i; insert into f values ('a', 1)",
    )
    .await;
    let (_server, _keeper, _plan) = logged(&database).await;
    for (update, expected) in [
        ("update t set n = 1 where id = 1", &["t u {1} 1"][..]),
        ("update t set n = 1 where id = 0", &[]),
        (
            "update t set organization_id = 2 where id = 1",
            &["t o {1} 1", "t u {1} 2"],
        ),
        (
            "update t set organization_id = 2.0 where id = 1",
            &["t o {1} 2", "t u {1} 2.0"],
        ),
        (
            "update t set organization_id = null where id = 1",
            &["t o {1} 2.0", "t u {1}"],
        ),
        ("update t set n = 2 where id = 1", &["t u {1}"]),
        ("update t set id = 7 where id = 1", &["t o {1}", "t u {7}"]),
        (
            "update t set n = 3 where id in (2, 3)",
            &["t u {2} 1", "t u {3} 1"],
        ),
        (
            "update t set organization_id = id where id in (2, 3, 7)",
            &[
                "t o {2} 1",
                "t u {2} 2",
                "t o {3} 1",
                "t u {3} 3",
                "t o {7}",
                "t u {7} 7",
            ],
        ),
        // The keys of two rows move on: what was one's is the other's.
        (
            "alter table t drop constraint t_pkey, add primary key (id) deferrable;
             update t set id = id + 1 where id in (4, 5) or id = 6",
            &["t o {4} 1", "t u {5} 1", "t u {6} 1", "t u {7} 1"],
        ),
        ("update f set id = 'A'", &["f o {a} 1", "f u {A} 1"]),
    ] {
        let setup = update
            .starts_with("alter")
            .then_some("delete from t where id = 7");
        if let Some(setup) = setup {
            database.psql(setup).await;
            entries(&database).await;
        }
        expect(&database, update, expected).await;
    }
    database.finish().await;
}

#[tokio::test]
async fn a_schema_change_never_makes_a_write_fail() {
    let database = Database::with(
        "create table t (id int primary key, organization_id int not null, v int);
         create table u (id int primary key, organization_id int not null)",
    )
    .await;
    let (_server, mut keeper, _) = logged(&database).await;
    let db = &database;
    // In a session that has planned the trigger's statements before, and in new ones.
    expect(
        db,
        "insert into t values (1, 1, 0); alter table t rename id to number; insert into t values (2, 1, 0);
         update t set v = 1 where number = 1; set session_replication_role = replica;
         delete from t where number = 2",
        &["t i {1} 1", "t i {NULL} 1", "t u {NULL} 1", "t d {NULL} 1"],
    )
    .await;
    expect(
        db,
        "alter table t drop column organization_id; update t set v = 2",
        &["t u {NULL}"],
    )
    .await;
    expect(
        db,
        "alter table t add organization_id text not null default 'x', alter number type bigint;
         alter table t rename number to id; update t set v = 3",
        &["t u {1} x"],
    )
    .await;
    expect(
        db,
        "alter table u drop constraint u_pkey; alter table u drop column id;
         insert into u values (5); alter table u rename to w; insert into w values (6)",
        &["w i {NULL} 5", "w i {NULL} 6"],
    )
    .await;
    let (plan, _) = keeper.plan().await.unwrap();
    let progress = keeper.install(&plan).await.unwrap();
    assert!(progress.unlogged.is_empty(), "{progress:?}");
    entries(db).await;
    expect(db, "insert into w values (7)", &["w r 7"]).await;
    database.finish().await;
}
