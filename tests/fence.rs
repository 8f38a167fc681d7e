//! The fence between organizations is a barrier: nothing of a caller's runs on another's rows, and
//! where no barrier is needed, indexes are used.

use crate::zoo::{Zoo, caller, keeper};
use rowcast::{error::Kind, query::Query};
use serde_json::json;

/// Row 13 of organization 2 raises an error when it is compared with anything.
const MINES: &str =
    "insert into mines select n, 1, row(n)::touchy, 'n' || n from generate_series(1, 5) as n;
    insert into mines values (13, 2, row(13)::touchy, 'the mine');
    -- The planner asks for no more than a reason to evaluate the cheap condition last.
    alter function touchy_equal cost 0.0001;
    insert into cages (organization_id, label, weight) values (1, 'light', 4), (2, 'weightless', 0);
    -- A view whose organization takes more to tell than its share does.
    create view slanted as
        select id, label, organization_id + 0 * id + 0 * id as organization_id, 100 / weight as share from cages;
    grant select on slanted to zoo_keeper;
    analyze";

#[tokio::test]
async fn the_mine_is_there() {
    let zoo = Zoo::with(MINES, |_| ()).await;
    // Written flat, as it must not be, the condition of the caller meets the other's row first.
    let plain = zoo.postgres.connect().await;
    for sql in [
        "select id from mines as t where t.organization_id = 1 and t.trigger = row(2)::touchy",
        "select id from slanted as t where t.organization_id = 1 and t.share = 25",
    ] {
        let refused = plain.simple_query(sql).await;
        assert!(refused.is_err(), "{sql}");
    }
    drop(plain);
    zoo.close().await;
}

#[tokio::test]
async fn a_comparison_that_can_fail_never_meets_another_organizations_row() {
    let zoo = Zoo::with(MINES, |_| ()).await;
    let one = keeper(1);
    assert_eq!(zoo.column(&one, "mines", "trigger=eq.(2)", "id").await, [2]);
    assert_eq!(
        zoo.column(
            &one,
            "mines",
            "trigger=in.(%22(2)%22,%22(4)%22)&order=id.desc",
            "id"
        )
        .await,
        [4, 2]
    );
    assert_eq!(
        zoo.column(
            &one,
            "mines",
            "trigger=eq.(2)&id=in.(2,3,13)&order=id&limit=5",
            "note"
        )
        .await,
        ["n2"]
    );
    assert_eq!(
        zoo.column(
            &one,
            "mines",
            "trigger=eq.(2)&select=note&limit=1&offset=0",
            "note"
        )
        .await,
        ["n2"]
    );
    // A view's column may be an expression that fails on a row.
    for view in ["heavy", "slanted"] {
        assert_eq!(
            zoo.column(&one, view, "share=eq.25", "label").await,
            ["light"]
        );
        assert_eq!(
            zoo.list(&one, view, "share=is.null").await.unwrap(),
            json!([])
        );
    }
    // Whoever owns the row gets its error, in the database's own words, for a table,
    let refused = zoo
        .list(&keeper(2), "mines", "trigger=eq.(2)")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Raised);
    assert_eq!(refused.database().unwrap().message, "touched 13");
    // and in ours for a view, whose expressions may have met any row.
    let refused = zoo
        .list(&keeper(2), "heavy", "share=eq.25")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::DataInvalid);
    assert_eq!(
        refused.database().unwrap().message,
        "PostgreSQL refused this."
    );
    assert!(!refused.detail().contains("zero"), "{refused}");
    zoo.close().await;
}

#[tokio::test]
async fn the_planner_meets_no_value_of_another_organization_either() {
    // To estimate how many rows pass, the planner compares with the most common values of a column,
    // whoever's they are.
    let common =
        "insert into mines select n, 1, row(n)::touchy, 'n' || n from generate_series(1, 5) as n;
        insert into mines select n, 2, row(13)::touchy, 'mine' from generate_series(100, 400) as n;
        alter operator = (touchy, touchy) set (restrict = eqsel);
        create view mined as select * from mines;
        grant select on mined to zoo_keeper;
        analyze";
    let zoo = Zoo::with(common, |_| ()).await;
    let plain = zoo.postgres.connect().await;
    let estimate =
        "explain select from (select * from mines where organization_id = 1 offset 0) as t
        where trigger = row(2)::touchy";
    assert!(
        plain.simple_query(estimate).await.is_err(),
        "the planner asks"
    );
    drop(plain);
    for resource in ["mines", "mined"] {
        for query in [
            "trigger=eq.(2)",
            "trigger=in.(%22(2)%22)",
            "trigger=eq.(2)&order=id&limit=3",
        ] {
            let found = zoo.column(&keeper(1), resource, query, "id").await;
            assert_eq!(found, [2], "{resource}?{query}");
        }
    }
    zoo.close().await;
}

#[tokio::test]
async fn a_key_that_can_fail_is_compared_behind_the_fence() {
    // A primary key needs a btree operator class, whose functions fail as well.
    let schema =
        "create function touchy_less(a touchy, b touchy) returns boolean language sql immutable
             return a.value < b.value;
         create function touchy_compare(a touchy, b touchy) returns int language sql immutable
             return a.value - b.value;
         create operator < (leftarg = touchy, rightarg = touchy, function = touchy_less);
         create operator class touchy_order default for type touchy using btree as
             operator 1 <, operator 3 =, function 1 touchy_compare(touchy, touchy);
         create table traps (organization_id int not null, id touchy primary key, note text);
         insert into traps values (1, row(1), 'one'), (2, row(13), 'two');
         grant select on traps to zoo_keeper";
    let zoo = Zoo::with(schema, |_| ()).await;
    assert_eq!(
        zoo.item(&keeper(1), "traps", "(1)").await.unwrap()["note"],
        "one"
    );
    let refused = zoo.item(&keeper(1), "traps", "(2)").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::RowUnknown);
    zoo.close().await;
}

#[tokio::test]
async fn nothing_in_a_url_reaches_another_organization() {
    let zoo = Zoo::with(
        "insert into cages (id, organization_id, label, badge) values (1, 1, 'mine', 'm'), (2, 2, 'yours', 'y');
         insert into beds (id, cage_id, label) values (1, 1, 'mine'), (2, 2, 'yours')",
        |_| (),
    )
    .await;
    let one = keeper(1);
    for (resource, query) in [
        ("cages", "organization_id=eq.2"),
        ("cages", "organization_id=in.(1,2)&id=eq.2"),
        ("cages", "id=in.(2)"),
        ("cages", "label=eq.yours"),
        ("cages", "badge=eq.y&select=badge"),
        ("beds", "cage_id=eq.2"),
        ("beds", "id=eq.2"),
        ("heavy", "id=eq.2"),
        ("heavy", "organization_id=eq.2"),
    ] {
        assert_eq!(
            zoo.list(&one, resource, query).await.unwrap(),
            json!([]),
            "{resource}?{query}"
        );
    }
    assert_eq!(
        zoo.column(&one, "cages", "organization_id=in.(1,2)", "label")
            .await,
        ["mine"]
    );
    zoo.close().await;
}

/// The plan of a query on the help desk, as PostgreSQL explains it for the role and its claims.
async fn plan(database: &rowcast::postgres::Database, resource: &str, query: &str) -> String {
    let who = caller("1", "1", "helpdesk_agent");
    let access = database.access(&who.role).await.unwrap();
    let query = match query.strip_prefix('/') {
        Some(id) => Query::item(&access, resource, id, "").unwrap(),
        None => Query::list(&access, resource, query).unwrap(),
    };
    database.explain(&who, &query).await.unwrap()
}

#[tokio::test]
async fn the_help_desks_lists_are_read_from_their_indexes() {
    let postgres = crate::support::Database::helpdesk().await;
    postgres.execute("analyze").await;
    let mut config = rowcast::config::Config::default();
    config.database.url = Some(rowcast::config::Secret::from(postgres.url.as_str()));
    let database = crate::zoo::connect(&config).await;
    for (resource, query, index) in [
        (
            "tickets",
            "status=eq.open&order=updated_at.desc&limit=25",
            "tickets_organization_id_status_updated_at_id_idx",
        ),
        (
            "tickets",
            "order=updated_at.desc&limit=25",
            "tickets_organization_id_updated_at_id_idx",
        ),
        ("tickets", "limit=25", "tickets_pkey"),
        ("tickets", "/42", "tickets_organization_id_id_idx"),
        ("tickets", "id=in.(1,2,3)", "tickets_"),
        (
            "messages",
            "ticket_id=eq.42&order=id",
            "messages_ticket_id_id_idx",
        ),
        ("contacts", "id=in.(1,2,3,4,5,6,7,8,9,10)", "contacts_pkey"),
    ] {
        let plan = plan(&database, resource, query).await;
        let used = [
            format!("using {index}"),
            format!("Bitmap Index Scan on {index}"),
        ];
        assert!(
            used.iter().any(|it| plan.contains(it)),
            "{resource}?{query}\n{plan}"
        );
        if query.contains("order=updated_at") {
            assert!(!plan.contains("Sort"), "{plan}");
        }
    }
    database.close().await;
    drop(database);
    postgres.finish().await;
}
