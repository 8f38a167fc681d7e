//! Reads at the level of the library: what a query's rows are.

use crate::zoo::{CAGES, KEEPER, VISITOR, Zoo, caller, keeper, rows_of};
use rowcast::{error::Kind, identity::Role, query::Query};
use serde_json::{Value, json};

const ANIMALS: &str = r#"
    insert into "Animals" values (
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, 'Älex "the" \ cat', 9, 'x', 'sad "indeed"', 'a@b', 'w@work',
        12.345, '{a,"b c",null}', '{happy,"so so"}', '{{1,2},{3,4}}', '[2024-01-01,2024-02-01)', '{[1,3),[5,7)}',
        '{"b" : 1,
          "a" : "ä"}', '{"b": 1, "a": [1.0]}', 1e30, '\xdeadbeef', '2024-02-29 12:00:00.123456+02',
        '2024-02-29 12:00', '2024-02-29', '23:59:59', '1 year 2 days', true, 9223372036854775807, -5, 1.5,
        '-Infinity', '(1,2)', '("Main, St",5)', '10.0.0.1/8', '1010', 'ab', 'short', default
    ), (
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a22', 1, 'nulls', null, null, null, null, null, null, null, null,
        null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
        null, null, null, null, null, null, default
    ), (
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a33', 2, 'of another', null, null, 'happy', null, null, null, null, null,
        null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
        null, null, null, null, null, null, default
    )"#;

#[tokio::test]
async fn every_type_comes_as_to_json_writes_it() {
    let zoo = Zoo::with(ANIMALS, |_| ()).await;
    let rows = zoo.list(&keeper(1), "Animals", "order=Id").await.unwrap();
    let oracle = zoo
        .postgres
        .value("set timezone to 'UTC'; select json_agg(row_to_json(a) order by \"Id\") from \"Animals\" a where organization_id = 1")
        .await;
    assert_eq!(rows, serde_json::from_str::<Value>(&oracle).unwrap());
    assert_eq!(rows[0]["odd \"name\", indeed"], 9);
    let item = zoo
        .item(
            &keeper(1),
            "Animals",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        )
        .await;
    assert_eq!(item.unwrap(), rows[0]);
    zoo.close().await;
}

#[tokio::test]
async fn filters_find_values_of_every_type() {
    let zoo = Zoo::with(ANIMALS, |_| ()).await;
    for filter in [
        "Id=eq.a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "fullName=eq.%C3%84lex%20%22the%22%20%5C%20cat",
        "%22odd%20%5C%22name%5C%22,%20indeed%22=eq.9",
        "%22select%22=eq.x",
        "mood=eq.sad%20%22indeed%22",
        "mood=in.(%22sad%20%5C%22indeed%5C%22%22,%22so%20so%22)",
        "mail=eq.a@b",
        "workMail=in.(w@work)",
        "score=eq.12.35",
        "tags=eq.{a,%22b%20c%22,null}",
        "moods=eq.{happy,%22so%20so%22}",
        "period=eq.[2024-01-01,2024-02-01)",
        "docb=eq.{%22a%22:[1.0],%22b%22:1}",
        "amount=eq.1e30",
        "raw=eq.%5Cxdeadbeef",
        "at=eq.2024-02-29T10:00:00.123456Z",
        "day=eq.2024-02-29",
        "span=eq.1%20year%202%20days",
        "flag=is.true",
        "big=in.(9223372036854775807)",
        "double=eq.-Infinity",
        "home=eq.(%22Main,%20St%22,5)",
        "address=eq.10.0.0.1/8",
        "bits=eq.1010",
        "code=eq.ab",
        "short=in.(short,long)",
        "doubled=eq.-10",
        "doc=is.not_null",
    ] {
        let found = zoo
            .column(&keeper(1), "Animals", &format!("{filter}&select=Id"), "Id")
            .await;
        assert_eq!(found, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "{filter}");
        assert_eq!(
            zoo.list(&keeper(2), "Animals", filter).await.unwrap(),
            json!([]),
            "{filter}"
        );
    }
    let nulls = zoo
        .column(
            &keeper(1),
            "Animals",
            "doc=is.null&mood=is.null&flag=is.unknown",
            "fullName",
        )
        .await;
    assert_eq!(nulls, ["nulls"]);
    // The database has the last word about values that we do not know.
    for filter in ["mood=eq.angry", "address=eq.nowhere", "home=eq.(1,2,3)"] {
        let refused = zoo.list(&keeper(1), "Animals", filter).await.unwrap_err();
        assert!(
            matches!(refused.kind(), Kind::DataInvalid | Kind::ValueInvalid),
            "{filter}: {refused}"
        );
    }
    zoo.close().await;
}

#[tokio::test]
async fn lists_are_cut_and_ordered() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let who = keeper(1);
    let ids = async |query: &str| -> Vec<i64> {
        let ids = zoo.column(&who, "cages", query, "id").await;
        ids.iter().map(|it| it.as_i64().unwrap()).collect()
    };
    assert_eq!(ids("order=id&limit=3").await, [2, 4, 6]);
    assert_eq!(ids("order=id.desc&limit=2&offset=1").await, [38, 36]);
    assert_eq!(ids("limit=2").await, [2, 4]);
    assert_eq!(ids("limit=0").await, [0i64; 0]);
    assert_eq!(ids("order=weight.desc,id&limit=3").await, [4, 14, 24]);
    assert_eq!(
        ids("order=weight&limit=5&offset=3").await,
        [40, 6, 16, 26, 36]
    );
    assert_eq!(
        ids("order=badge.desc.nullslast,id&limit=3").await,
        [4, 2, 6]
    );
    assert_eq!(ids("order=badge.nullsfirst,id&limit=2").await, [6, 8]);
    assert_eq!(ids("id=in.(2,3,4)&order=id").await, [2, 4]);
    assert_eq!(ids("id=in.()").await, [0i64; 0]);
    assert_eq!(ids("weight=eq.4&country=eq.ch&order=id").await, [24]);
    let rows = zoo
        .list(&who, "cages", "select=label,id&id=eq.2")
        .await
        .unwrap();
    assert_eq!(rows, json!([{ "label": "cage 2", "id": 2 }]));
    zoo.close().await;
}

#[tokio::test]
async fn items_are_found_by_their_key_and_others_are_not() {
    let zoo = Zoo::with(
        &format!("{CAGES}; insert into pairs values (1, 'a,b', 2, 'x'), (2, 'c', 3, 'y'); {PARTS}"),
        |_| (),
    )
    .await;
    assert_eq!(
        zoo.item(&keeper(1), "cages", "2").await.unwrap()["label"],
        "cage 2"
    );
    assert_eq!(
        zoo.item(&keeper(1), "pairs", "a%2Cb,2").await.unwrap()["note"],
        "x"
    );
    assert_eq!(
        zoo.item(&keeper(1), "visits", "2024-05-01,1")
            .await
            .unwrap()["guests"],
        3
    );
    for (resource, id) in [
        ("cages", "3"),
        ("cages", "999"),
        ("pairs", "c,3"),
        ("beds", "1"),
    ] {
        let refused = zoo.item(&keeper(1), resource, id).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::RowUnknown, "{resource}/{id}");
    }
    let access = zoo.database.access(&Role::from(KEEPER)).await.unwrap();
    let query = Query::item(&access, "cages", "2", "select=id").unwrap();
    let item = zoo.database.item(&keeper(1), &query).await.unwrap();
    assert_eq!(&item.body[..], br#"{"id":2}"#);
    let xmin = zoo
        .postgres
        .value("select xmin from cages where id = 2")
        .await;
    assert_eq!(item.etag, Some(xmin));
    zoo.close().await;
}

const PARTS: &str = "insert into visits (organization_id, day, guests) values
        (1, '2024-05-01', 3), (2, '2024-05-01', 4), (1, '2030-01-01', 5);
    insert into beds (id, cage_id, label) select n, n, 'bed ' || n from generate_series(1, 4) as n;
    insert into beds (id, cage_id, label) values (5, 3, 'of two');
    insert into pillows (bed_id, colour) values (1, 'red'), (2, 'blue'), (null, 'lost'), (5, 'green');
    refresh materialized view cage_counts;
    insert into ledger values (1, 'a'), (2, 'b'), (1, 'a'), (null, 'nobody');
    insert into letters values (1, '1', 'mine'), (2, '2', 'yours'), (3, '01', 'nobody')";

#[tokio::test]
async fn each_organization_sees_its_own_however_rows_belong() {
    let zoo = Zoo::with(&format!("{CAGES}; {PARTS}"), |_| ()).await;
    for (resource, column, first, second) in [
        ("visits", "guests", json!([3, 5]), json!([4])),
        ("beds", "id", json!([2, 4]), json!([1, 3, 5])),
        (
            "pillows",
            "colour",
            json!(["blue"]),
            json!(["green", "red"]),
        ),
        ("ledger", "line", json!(["a", "a"]), json!(["b"])),
        ("letters", "body", json!(["mine"]), json!(["yours"])),
        ("cage_counts", "cages", json!([20]), json!([20])),
        (
            "countries",
            "code",
            json!(["ch", "se"]),
            json!(["ch", "se"]),
        ),
    ] {
        let of = async |organization| {
            let order = format!("order={column}");
            Value::Array(
                zoo.column(&keeper(organization), resource, &order, column)
                    .await,
            )
        };
        assert_eq!(of(1).await, first, "{resource}");
        assert_eq!(of(2).await, second, "{resource}");
        if resource != "countries" {
            assert_eq!(of(3).await, json!([]), "{resource}");
        }
    }
    zoo.close().await;
}

#[tokio::test]
async fn an_organization_that_cannot_be_one_is_refused() {
    let zoo = Zoo::with(&format!("{CAGES}; {PARTS}"), |_| ()).await;
    let stranger = caller("acme", "1", KEEPER);
    for resource in ["cages", "beds", "visits"] {
        let refused = zoo.list(&stranger, resource, "").await.unwrap_err();
        assert_eq!(refused.kind(), Kind::OrganizationNotAllowed, "{resource}");
    }
    assert_eq!(zoo.list(&stranger, "letters", "").await.unwrap(), json!([]));
    zoo.close().await;
}

#[tokio::test]
async fn a_single_tenant_sees_everything() {
    let zoo = Zoo::with(CAGES, |config| {
        config.tenancy.tenancy = rowcast::config::TenancyMode::Single;
    })
    .await;
    let who = caller("whatever", "1", KEEPER);
    assert_eq!(
        zoo.list(&who, "cages", "")
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        40
    );
    zoo.close().await;
}

#[tokio::test]
async fn a_role_sees_the_columns_that_it_may_read() {
    let zoo = Zoo::with(&format!("{CAGES}; {PARTS}"), |_| ()).await;
    let visitor = caller("1", "1", VISITOR);
    let rows = zoo.list(&visitor, "cages", "id=eq.2").await.unwrap();
    assert_eq!(
        rows,
        json!([{ "id": 2, "organization_id": 1, "label": "cage 2" }])
    );
    let query = zoo.query(&visitor, "cages", "").await.unwrap();
    assert!(!query.is_partial());
    let refused = zoo
        .query(&visitor, "cages", "badge=eq.b2")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::PermissionDenied);
    // Entity tags need the right to the whole table.
    let access = zoo.database.access(&visitor.role).await.unwrap();
    let query = Query::item(&access, "cages", "2", "").unwrap();
    assert_eq!(
        zoo.database.item(&visitor, &query).await.unwrap().etag,
        None
    );
    // Beds belong through cages, of which the visitor may read what it takes.
    assert_eq!(zoo.column(&visitor, "beds", "order=id", "id").await, [2, 4]);
    zoo.close().await;
}

#[tokio::test]
async fn row_level_security_reads_the_claims() {
    let zoo = Zoo::with(
        "insert into diaries values (1, 1, 'ann', 'a', null), (2, 1, 'bob', 'b', null), (3, 2, 'ann', 'c', null);
         insert into diary_pages values (1, 1, 'p'), (2, 2, 'q'), (3, 3, 'r');
         grant select on diaries_seen, diaries_bypassed to zoo_keeper",
        |_| (),
    )
    .await;
    let ann = caller("1", "ann", KEEPER);
    let bob = caller("1", "bob", KEEPER);
    assert_eq!(zoo.column(&ann, "diaries", "", "id").await, [1]);
    assert_eq!(zoo.column(&bob, "diaries", "", "id").await, [2]);
    assert_eq!(zoo.column(&ann, "diary_pages", "", "id").await, [1]);
    assert_eq!(zoo.column(&ann, "diaries_seen", "", "id").await, [1]);
    assert_eq!(
        zoo.column(&ann, "diaries_bypassed", "order=id", "id").await,
        [1, 2]
    );
    zoo.postgres
        .execute("insert into readers values (1, 2, 'ann')")
        .await;
    assert_eq!(zoo.column(&ann, "diaries", "order=id", "id").await, [1, 2]);
    // One connection serves them all: nothing of one caller is left for the next.
    assert!(zoo.database.connections().open <= 3);
    zoo.close().await;
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_runs_nothing() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let query = zoo.query(&keeper(1), "cages", "").await.unwrap();
    for role in ["none", "zoo_gone", "zoo keeper", ""] {
        let stranger = caller("1", "1", role);
        for _ in 0..2 {
            let refused = zoo.database.list(&stranger, &query).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::RoleNotAllowed, "{role}");
            let refused = zoo.database.stream(&stranger, &query).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::RoleNotAllowed, "{role}");
        }
        // The statement is prepared now; the connection is still good.
        assert_eq!(
            zoo.database.list(&keeper(1), &query).await.unwrap().rows,
            20
        );
    }
    zoo.close().await;
}

#[tokio::test]
async fn the_position_is_the_state_that_was_read() {
    let zoo = Zoo::with(CAGES, |_| ()).await;
    let query = zoo.query(&keeper(1), "cages", "").await.unwrap();
    let before = zoo.database.list(&keeper(1), &query).await.unwrap();
    let same = zoo.database.list(&keeper(1), &query).await.unwrap();
    assert_eq!(before.position, same.position);
    zoo.postgres
        .execute("update cages set weight = 9 where id = 2")
        .await;
    let after = zoo.database.stream(&keeper(1), &query).await.unwrap();
    assert!(after.position.version > before.position.version);
    // The stream's state stays, whatever is written meanwhile.
    zoo.postgres.execute("delete from cages").await;
    assert_eq!(rows_of(after).await.unwrap().len(), 20);
    assert_eq!(zoo.database.list(&keeper(1), &query).await.unwrap().rows, 0);
    zoo.close().await;
}
