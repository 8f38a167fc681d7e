//! Reads against a small catalog.

use super::*;
use crate::{
    catalog::{Column, ColumnType, OperatorName, Privileges, ResourceKind, Tenancy, TypeKind, oid},
    identity::Role,
};
use proptest::prelude::*;
use std::collections::HashMap;

pub(in crate::query) fn column(name: &str, oid: u32) -> Column {
    let comparable = oid != 114;
    Column {
        name: name.into(),
        number: 1,
        type_: ColumnType {
            oid,
            name: format!("type {oid}").into(),
            kind: TypeKind::Base,
        },
        not_null: false,
        has_default: false,
        identity_always: false,
        generated: false,
        equality: comparable.then(|| OperatorName {
            schema: "pg_catalog".into(),
            name: "=".into(),
        }),
        leakproof_equality: comparable,
        leakproof_order: comparable,
        orderable: comparable,
    }
}

/// The columns that a query answers, which are all that it answers.
fn columns(query: &Query) -> Vec<usize> {
    let outputs = query.outputs.iter();
    let columns = outputs.map(|it| it.as_column(&query.resource));
    columns.collect::<Option<_>>().expect("columns only")
}

/// `tickets`, which a role may use but for its secret, and `pairs`, whose key is of two texts.
pub(in crate::query) fn access() -> Access {
    let mut columns = vec![
        column("id", 20),
        column("organization_id", 20),
        column("subject", 25),
        column("urgent", oid::BOOL),
        column("data", 114),
        column("secret", 25),
        column("order", 25),
    ];
    for (number, column) in (1..).zip(&mut columns) {
        column.number = number;
    }
    let tickets = Resource {
        relation: 1,
        kind: ResourceKind::Table,
        key: vec![0],
        tenancy: Tenancy::Column(1),
        ..Resource::of_values(&"public".into(), &"tickets".into(), columns)
    };
    let pairs = Resource {
        name: "pairs".into(),
        relation: 2,
        columns: vec![column("left", 25), column("right", 25)],
        key: vec![0, 1],
        tenancy: Tenancy::Single,
        ..tickets.clone()
    };
    let views = Resource {
        name: "views".into(),
        relation: 3,
        key: Vec::new(),
        ..tickets.clone()
    };
    let all_but_secret: Vec<bool> = (0..7).map(|index| index != 5).collect();
    let privileges = |columns: Vec<bool>| Privileges {
        select: columns.clone(),
        select_whole: false,
        insert: columns.clone(),
        update: columns,
        delete: true,
        row_security_binds: true,
    };
    let grants = HashMap::from([
        (1, privileges(all_but_secret.clone())),
        (2, privileges(vec![true, true])),
        (3, privileges(all_but_secret)),
    ]);
    let catalog = Catalog::new(vec![tickets, pairs, views], Vec::new(), Vec::new());
    Access::new(Role::from("agent"), Arc::new(catalog), grants)
}

fn list(text: &str) -> Result<Query> {
    Query::list(&access(), "tickets", text)
}

fn item(resource: &str, id: &str) -> Result<Vec<String>> {
    let query = Query::item(&access(), resource, id, "")?;
    let texts = query.conditions.into_iter().map(|it| {
        let (_, value) = it.as_equal().expect("an id is compared for equality");
        value.text().unwrap().to_owned()
    });
    Ok(texts.collect())
}

#[test]
fn a_plain_list_has_what_may_be_read() {
    let query = list("").unwrap();
    assert_eq!(columns(&query), [0, 1, 2, 3, 4, 6]);
    assert!(!query.is_partial() && query.order.is_empty() && query.limit.is_none());
}

#[test]
fn a_selection_is_partial_unless_it_is_everything() {
    let query = list("select=subject,id").unwrap();
    assert_eq!(columns(&query), [2, 0]);
    assert!(query.is_partial());
    assert!(!list("select=*").unwrap().is_partial());
    assert!(
        !list("select=order,data,urgent,subject,organization_id,id")
            .unwrap()
            .is_partial()
    );
}

#[test]
fn a_list_that_is_cut_is_ordered_by_the_key_at_last() {
    let columns = |text: &str| -> Vec<(usize, bool)> {
        let order = list(text).unwrap().order.into_iter();
        order.map(|it| (it.place.column, it.descending)).collect()
    };
    assert_eq!(columns("order=subject.desc"), [(2, true)]);
    assert_eq!(
        columns("order=subject.desc&limit=1"),
        [(2, true), (0, true)]
    );
    assert_eq!(columns("order=subject&offset=1"), [(2, false), (0, false)]);
    assert_eq!(
        columns("order=id.desc,subject&limit=1"),
        [(0, true), (2, false)]
    );
    assert_eq!(columns("limit=1"), [(0, false)]);
    let view = Query::list(&access(), "views", "limit=1").unwrap();
    assert!(view.order.is_empty());
}

#[test]
fn rows_are_numbered_as_far_as_postgresql_numbers_them() {
    let mut query = list("").unwrap();
    let range = Range {
        first: u64::MAX,
        last: Some(u64::MAX),
    };
    assert!(query.within(range).is_err());
    let all = Range { first: 0, ..range };
    query.within(all).unwrap();
    assert_eq!((query.first(), query.limit), (0, Some(NUMBER_MAX)));
}

#[test]
fn what_does_not_fit_the_catalog_is_refused() {
    for (text, kind, part) in [
        (
            "subjct=eq.x",
            Kind::ColumnUnknown,
            "\"tickets\" has no column \"subjct\"",
        ),
        ("utm_source=eq.x", Kind::ColumnUnknown, "utm_source"),
        ("id=eq.x", Kind::ValueInvalid, "`id`"),
        ("id=in.(1,x)", Kind::ValueInvalid, "`id`"),
        ("urgent=eq.perhaps", Kind::ValueInvalid, "`urgent`"),
        ("subject=is.true", Kind::ValueInvalid, "is no boolean"),
        ("data=eq.{}", Kind::OperatorUnknown, "cannot be compared"),
        ("order=data", Kind::OperatorUnknown, "have no order"),
        ("secret=eq.x", Kind::PermissionDenied, "secret"),
        ("order=secret", Kind::PermissionDenied, "secret"),
        ("select=secret", Kind::PermissionDenied, "secret"),
        ("select=count()", Kind::AggregatesDisabled, "not enabled"),
        ("select=id.sum()", Kind::AggregatesDisabled, "not enabled"),
        ("or=(id.eq.1,id.gt.x)", Kind::ValueInvalid, "`id`"),
        ("id=eq(any).{1,x}", Kind::ValueInvalid, "`id`"),
    ] {
        let error = list(text).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.detail().contains(part), "{text}: {error}");
    }
    assert_eq!(
        list("Subject=eq.x").unwrap_err().hint(),
        Some("Perhaps you meant \"subject\".")
    );
    // Null is a state that every column may be in.
    for text in [
        "data=is.null",
        "urgent=is.unknown",
        "%22order%22=eq.x",
        "id=in.()",
    ] {
        assert!(list(text).is_ok(), "{text}");
    }
}

#[test]
fn ids_are_the_parts_of_the_key() {
    assert_eq!(item("tickets", "42").unwrap(), ["42"]);
    assert_eq!(item("pairs", "a%2Cb,c%20+d").unwrap(), ["a,b", "c +d"]);
    assert_eq!(item("pairs", ",").unwrap(), ["", ""]);
    for (resource, id, kind) in [
        ("tickets", "x", Kind::ValueInvalid),
        ("tickets", "1,2", Kind::ValueInvalid),
        ("tickets", "", Kind::ValueInvalid),
        ("tickets", "%", Kind::QueryMalformed),
        ("tickets", "1%00", Kind::QueryMalformed),
        ("pairs", "a", Kind::ValueInvalid),
        ("pairs", "a,b,c", Kind::ValueInvalid),
        ("views", "1", Kind::NotSupported),
        ("nothing", "1", Kind::ResourceUnknown),
    ] {
        assert_eq!(
            item(resource, id).unwrap_err().kind(),
            kind,
            "{resource}/{id}"
        );
    }
    for text in ["id=eq.1", "limit=1", "offset=0", "order=id"] {
        let error = Query::item(&access(), "tickets", "1", text).unwrap_err();
        assert_eq!(error.kind(), Kind::QueryMalformed, "{text}");
    }
    assert!(
        Query::item(&access(), "tickets", "1", "select=id")
            .unwrap()
            .is_partial()
    );
}

#[test]
fn a_composite_id_may_be_encoded_as_a_whole() {
    assert_eq!(item("pairs", "a,b%2C").unwrap(), ["a", "b,"]);
    assert_eq!(item("pairs", "a%2Cb").unwrap(), ["a", "b"]);
    assert!(item("pairs", "a%2Cb%2Cc").is_err());
    assert!(item("pairs", "a").is_err());
}

proptest! {
    #[test]
    fn ids_that_are_written_are_read(left in "[^\\x00]{0,9}", right in "[^\\x00]{0,9}") {
        let id = key::encode([left.as_str(), right.as_str()]);
        prop_assert_eq!(item("pairs", &id).unwrap(), [left, right]);
    }

    #[test]
    fn no_query_and_no_id_panics(text in "[^\\x00]{0,60}") {
        let _ = list(&text);
        let _ = item("pairs", &text);
        let _ = item("tickets", &text);
    }
}
