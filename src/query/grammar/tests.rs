//! The grammar, by example and by property.

use super::*;
use proptest::prelude::*;

fn refused(text: &str) -> (Kind, String) {
    let error = read(text).expect_err(text);
    (error.kind(), error.detail().to_owned())
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,10}",
        "[^\\x00]{1,12}",
        prop::sample::select(RESERVED).prop_map(str::to_owned),
        Just("a->b".to_owned()),
        Just("a-".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof!["[^\\x00]{0,12}", "[,()\"\\\\.%&+= ]{0,8}"]
}

fn tests() -> impl Strategy<Value = Test> {
    let states: Vec<State> = State::ALL.iter().map(|(_, state)| *state).collect();
    prop_oneof![
        values().prop_map(Test::Equals),
        prop::collection::vec(values(), 0..4).prop_map(Test::In),
        prop::sample::select(states).prop_map(Test::Is),
    ]
}

prop_compose! {
    fn fields()(column in names()) -> Field { Field { column } }
}

prop_compose! {
    fn orders()(
        field in fields(),
        descending in any::<bool>(),
        nulls in prop::option::of(prop::sample::select(vec![Nulls::First, Nulls::Last])),
    ) -> Order {
        Order { field, descending, nulls }
    }
}

prop_compose! {
    fn queries()(
        select in prop::option::of(prop::collection::vec(
            prop_oneof![Just(Term::All), fields().prop_map(Term::Column)], 1..4
        )),
        filters in prop::collection::vec((fields(), tests()), 0..4),
        order in prop::collection::vec(orders(), 0..4),
        limit in prop::option::of(0..=i64::MAX as u64),
        offset in prop::option::of(0..=i64::MAX as u64),
    ) -> Syntax {
        let filters = filters.into_iter().map(|(field, test)| Filter::Test(field, test)).collect();
        Syntax { select, filters, order, limit, offset }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(query in queries()) {
        let text = query.to_string();
        prop_assert!(!text.contains(['#', '+', ' ', '\n']), "{}", text);
        prop_assert_eq!(read(&text).map_err(|error| error.to_string()), Ok(query), "{}", text);
    }

    #[test]
    fn nothing_panics(text in "[^\\x00]{0,80}") {
        let _ = read(&text);
    }

    #[test]
    fn nothing_that_looks_like_a_query_panics(
        text in "(select|order|limit|a|\"a|not\\.and)=(eq|in|is|neq|not)?[.(),\":*>\\\\a-z0-9%-]{0,20}(&[a-z=.]{0,8})?"
    ) {
        if let Ok(query) = read(&text) {
            prop_assert_eq!(read(&query.to_string()).ok(), Some(query));
        }
    }
}

#[test]
fn the_supported_grammar() {
    let query = read(
        "select=id,\"odd, name\"&status=eq.open&id=in.(1,2,%22a,b%22)&closed_at=is.null\
         &order=updated_at.desc.nullslast,id&limit=25&offset=50",
    )
    .expect("supported");
    let field = |column: &str| Field {
        column: column.to_owned(),
    };
    assert_eq!(
        query,
        Syntax {
            select: Some(vec![
                Term::Column(field("id")),
                Term::Column(field("odd, name"))
            ]),
            filters: vec![
                Filter::Test(field("status"), Test::Equals("open".to_owned())),
                Filter::Test(
                    field("id"),
                    Test::In(vec!["1".to_owned(), "2".to_owned(), "a,b".to_owned()])
                ),
                Filter::Test(field("closed_at"), Test::Is(State::Null)),
            ],
            order: vec![
                Order {
                    field: field("updated_at"),
                    descending: true,
                    nulls: Some(Nulls::Last)
                },
                Order {
                    field: field("id"),
                    descending: false,
                    nulls: None
                },
            ],
            limit: Some(25),
            offset: Some(50),
        }
    );
    // Everything behind `eq.` is the value, whatever it looks like.
    let query = read("a=eq.in.(1)%26b%3D%22&\"order\"=is.TRUE").expect("supported");
    assert_eq!(
        query.filters,
        [
            Filter::Test(field("a"), Test::Equals("in.(1)&b=\"".to_owned())),
            Filter::Test(field("order"), Test::Is(State::True)),
        ]
    );
    assert_eq!(
        read("a=in.()").expect("nothing").filters,
        [Filter::Test(field("a"), Test::In(vec![]))]
    );
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, detail) in [
        (
            "id=5",
            "In \"id\" at character 1: expected an operator, found \"5\".",
        ),
        (
            "id=equals.5",
            "In \"id\" at character 1: expected an operator, found \"equals.5\".",
        ),
        (
            "id",
            "In \"id\" at character 1: expected an operator, found the end.",
        ),
        (
            "id=in.1",
            "In \"id\" at character 4: expected a list in parentheses, found \"1\".",
        ),
        (
            "id=in.(1",
            "In \"id\" at character 6: expected a comma or a closing parenthesis, found the end.",
        ),
        (
            "id=in.(1,)",
            "In \"id\" at character 7: expected a value, found \")\".",
        ),
        (
            "id=in.(1)x",
            "In \"id\" at character 7: expected the end, found \"x\".",
        ),
        (
            "id=in.(%22a)",
            "In \"id\" at character 8: expected a closing quote, found the end.",
        ),
        (
            "id=is.nul",
            "In \"id\" at character 4: expected null, not_null, true, false or unknown, found \"nul\".",
        ),
        (
            "order=id.up",
            "In \"order\" at character 3: expected .asc, .desc, .nullsfirst, .nullslast or a comma, found \".up\".",
        ),
        (
            "order=",
            "In \"order\" at character 1: expected a column's name, found the end.",
        ),
        (
            "select=a,,b",
            "In \"select\" at character 3: expected a column's name, found \",b\".",
        ),
        (
            "limit=-1",
            "In \"limit\" at character 1: expected a number of rows, found \"-1\".",
        ),
        (
            "limit=+1",
            "In \"limit\" at character 1: expected a number of rows, found \" 1\".",
        ),
        (
            "limit=9223372036854775808",
            "In \"limit\" at character 1: expected a number of rows, found \"9223372036854775808\".",
        ),
        ("limit=1&limit=2", "\"limit\" is given twice."),
        (
            "a%2Cb=eq.1",
            "In \"a parameter's name\" at character 2: expected a column's name, found \",b\".",
        ),
    ] {
        assert_eq!(
            refused(text),
            (Kind::QueryMalformed, detail.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    for (text, part) in [
        ("id=neq.5", "the operator \"neq\""),
        ("id=not.eq.5", "the operator \"not\""),
        ("id=fts(english).x", "the operator \"fts\""),
        ("id=eq(any).{1}", "an operator's modifier"),
        ("or=(a.eq.1,b.eq.2)", "The parameter \"or\""),
        ("and=(a.eq.1)", "The parameter \"and\""),
        ("not.or=(a.eq.1)", "The parameter \"not.or\""),
        ("include=contacts", "The parameter \"include\""),
        ("after=x", "The parameter \"after\""),
        ("modified_since=x", "The parameter \"modified_since\""),
        ("on_conflict=id", "The parameter \"on_conflict\""),
        ("columns=id", "The parameter \"columns\""),
        ("contacts.name=eq.x", "a filter on an embedded resource"),
        ("data->>a=eq.1", "a path into a JSON value"),
        ("select=a:b", "an alias"),
        ("select=a::text", "a cast"),
        ("select=contacts(name)", "embedding a related resource"),
        (
            "select=contacts!inner(name)",
            "embedding a related resource",
        ),
        ("select=...contacts(name)", "spreading a related resource"),
        ("select=data->a", "a path into a JSON value"),
        ("select=amount.sum()", "an aggregate"),
        ("order=contacts(name)", "ordering by a related resource"),
        ("order=data->a", "a path into a JSON value"),
    ] {
        let (kind, detail) = refused(text);
        assert_eq!(kind, Kind::NotSupported, "{text}: {detail}");
        assert!(detail.contains(part), "{text}: {detail}");
    }
}
