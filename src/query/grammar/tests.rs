//! The grammar, by example and by property.

use super::*;
use crate::query::syntax::{
    Embed, Embedded, Field, Include, Key, Operator, Order, Quantifier, Search, Selected, State,
    Step, Term, Test, Tree,
};
use proptest::prelude::*;

fn refused(text: &str) -> (Kind, String) {
    let error = read(text).expect_err(text);
    (error.kind(), error.detail().to_owned())
}

fn names() -> impl Strategy<Value = String> {
    let reserved = WHOLE.iter().chain(ROWS).map(|it| (*it).to_owned());
    let others = [
        "a->b", "a-", "-", "not", "count", " a ", "in", "inner", "left", "a.b", "1",
    ];
    let odd: Vec<String> = reserved.chain(others.map(str::to_owned)).collect();
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,10}",
        "[^\\x00]{1,12}",
        prop::sample::select(odd),
    ]
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\\x00]{0,12}",
        "[,()\"\\\\.%&+= {}]{0,8}",
        "\\{[a-z,]{0,6}\\}"
    ]
}

fn word<T: Word + std::fmt::Debug>() -> impl Strategy<Value = T> {
    let all: Vec<T> = T::ALL.iter().map(|(_, it)| *it).collect();
    prop::sample::select(all)
}

fn types() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9_]{0,6}", Just("double precision".to_owned())]
}

fn tests() -> impl Strategy<Value = Test> {
    let quantifiable =
        word::<Operator>().prop_filter("takes no modifier", |it| it.is_quantifiable());
    prop_oneof![
        (word(), values()).prop_map(|(operator, value)| Test::Compare(operator, value)),
        (quantifiable, word(), values()).prop_map(
            |(operator, quantifier, value)| Test::Quantified(operator, quantifier, value)
        ),
        prop::collection::vec(values(), 0..4).prop_map(Test::In),
        word().prop_map(Test::Is),
        (word(), prop::option::of(types()), values())
            .prop_map(|(search, language, value)| Test::Search(search, language, value)),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let keys = prop_oneof![
        names().prop_map(Key::Member),
        any::<i32>().prop_map(Key::Element)
    ];
    (any::<bool>(), keys).prop_map(|(text, key)| Step { text, key })
}

prop_compose! {
    fn fields()(column in names(), path in prop::collection::vec(steps(), 0..3)) -> Field {
        Field { column, path }
    }
}

fn conditions() -> impl Strategy<Value = Filter> {
    let leaf =
        (fields(), tests(), any::<bool>()).prop_map(|(field, test, negated)| match negated {
            true => Filter::Not(field, test),
            false => Filter::Test(field, test),
        });
    leaf.prop_recursive(3, 12, 3, |inner| {
        (any::<bool>(), word(), prop::collection::vec(inner, 1..4)).prop_map(
            |(negated, logic, filters)| {
                Filter::Tree(Tree {
                    negated,
                    logic,
                    filters,
                })
            },
        )
    })
}

prop_compose! {
    fn orders()(
        relation in prop::option::of(names()),
        field in fields(),
        descending in any::<bool>(),
        nulls in prop::option::of(word()),
    ) -> Order {
        Order { relation, field, descending, nulls }
    }
}

prop_compose! {
    fn rows()(
        filters in prop::collection::vec(conditions(), 0..4),
        order in prop::collection::vec(orders(), 0..4),
        limit in prop::option::of(0..=i64::MAX as u64),
        offset in prop::option::of(0..=i64::MAX as u64),
    ) -> Rows {
        Rows { filters, order, limit, offset }
    }
}

prop_compose! {
    fn selected()(
        alias in prop::option::of(names()),
        field in fields(),
        cast in prop::option::of(types()),
        aggregate in prop::option::of((word(), prop::option::of(types()))),
    ) -> Selected {
        let (aggregate, aggregate_cast) = aggregate.unzip();
        Selected { alias, field, cast, aggregate, aggregate_cast: aggregate_cast.flatten() }
    }
}

fn terms() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        Just(Term::All),
        selected().prop_map(Term::Field),
        (prop::option::of(names()), prop::option::of(types()))
            .prop_map(|(alias, cast)| Term::Count { alias, cast }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let alias = prop_oneof![
            Just((true, None)),
            prop::option::of(names()).prop_map(|it| (false, it))
        ];
        let related = (names(), prop::option::of(names()), prop::option::of(word()));
        (alias, related, prop::collection::vec(inner, 0..3)).prop_map(
            |((spread, alias), (name, hint, join), select)| {
                Term::Embed(Embed {
                    spread,
                    alias,
                    name,
                    hint,
                    join,
                    select,
                })
            },
        )
    })
}

fn includes() -> impl Strategy<Value = Include> {
    let leaf = (names(), prop::option::of(names())).prop_map(|(name, hint)| Include {
        name,
        hint,
        include: Vec::new(),
    });
    leaf.prop_recursive(2, 6, 3, |inner| {
        (
            names(),
            prop::option::of(names()),
            prop::collection::vec(inner, 0..3),
        )
            .prop_map(|(name, hint, include)| Include {
                name,
                hint,
                include,
            })
    })
}

prop_compose! {
    fn embedded()(
        path in prop::collection::vec(names(), 1..3),
        rows in rows().prop_filter("nothing said", |it| !it.is_empty()),
    ) -> Embedded {
        Embedded { path, rows }
    }
}

prop_compose! {
    fn queries()(
        select in prop::option::of(prop::collection::vec(terms(), 0..4)),
        rows in rows(),
        embedded in prop::collection::vec(embedded(), 0..3),
        columns in prop::option::of(prop::collection::vec(names(), 1..3)),
        on_conflict in prop::option::of(prop::collection::vec(names(), 1..3)),
        include in prop::collection::vec(includes(), 0..3),
        after in prop::option::of(values()),
        modified_since in prop::option::of(values()),
    ) -> Syntax {
        let mut paths = Vec::new();
        let embedded = embedded.into_iter().filter(|it| {
            let new = !paths.contains(&it.path);
            paths.push(it.path.clone());
            new
        }).collect();
        Syntax { select, rows, embedded, columns, on_conflict, include, after, modified_since }
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
        text in "(select|order|limit|a|\"a|not\\.and|or|b\\.or|include)=(eq|in|is|neq|not|fts|eq\\(any\\))?[.(),\":*>\\\\a-z0-9!{}%-]{0,20}(&[a-z=.]{0,8})?"
    ) {
        if let Ok(query) = read(&text) {
            prop_assert_eq!(read(&query.to_string()).ok(), Some(query));
        }
    }
}

/// A query as it is printed, percent-decoded, where reading and printing agree.
#[track_caller]
fn becomes(text: &str, expected: &str) {
    let query = read(text).expect(text);
    let printed = query.to_string();
    let decoded = percent_encoding::percent_decode_str(&printed).decode_utf8_lossy();
    assert_eq!(decoded, expected, "{text}");
    assert_eq!(read(&printed).expect("printed"), query);
}

fn field(column: &str) -> Field {
    Field {
        column: column.to_owned(),
        path: Vec::new(),
    }
}

fn filter(text: &str) -> Filter {
    let mut query = read(text).expect(text);
    query.rows.filters.pop().expect("a filter")
}

#[test]
fn filters_are_read() {
    let compare = |operator, value: &str| Test::Compare(operator, value.to_owned());
    // Everything behind `eq.` is the value, whatever it looks like.
    assert_eq!(
        filter("a=eq.in.(1)%26b%3D%22"),
        Filter::Test(field("a"), compare(Operator::Eq, "in.(1)&b=\""))
    );
    assert_eq!(
        filter("\"order\"=is.TRUE"),
        Filter::Test(field("order"), Test::Is(State::True))
    );
    assert_eq!(
        filter("a=not.gte.3"),
        Filter::Not(field("a"), compare(Operator::Gte, "3"))
    );
    assert_eq!(
        filter("a=like(any).{a*,b*}"),
        Filter::Test(
            field("a"),
            Test::Quantified(Operator::Like, Quantifier::Any, "{a*,b*}".into())
        )
    );
    assert_eq!(
        filter("a=not.wfts(english).fat cat"),
        Filter::Not(
            field("a"),
            Test::Search(Search::Wfts, Some("english".into()), "fat cat".into())
        )
    );
    let list = |text: &str| match filter(text) {
        Filter::Test(_, Test::In(values)) => values,
        other => panic!("{other:?}"),
    };
    assert!(list("a=in.()").is_empty());
    assert_eq!(list("a=in.(1,)"), ["1", ""]);
    assert_eq!(list("a=in.(1,%22a,b%22,x)"), ["1", "a,b", "x"]);
    // A quote that does not enclose the whole value is a character like others.
    assert_eq!(list("a=in.(%22a%22b,c%22)"), ["\"a\"b", "c\""]);
    let path = |text: &str| match filter(text) {
        Filter::Test(field, _) => field.path,
        other => panic!("{other:?}"),
    };
    let step = |text, key| Step { text, key };
    assert_eq!(
        path("data->a->-1->>\"b.c\"=eq.1"),
        [
            step(false, Key::Member("a".into())),
            step(false, Key::Element(-1)),
            step(true, Key::Member("b.c".into())),
        ]
    );
}

#[test]
fn trees_are_read() {
    becomes(
        "or=(a.eq.1,not.and(b.not.in.(1,2),c.is.null))",
        "or=(a.eq.\"1\",not.and(b.not.in.(\"1\",\"2\"),c.is.null))",
    );
    becomes(
        "not.or=( a.eq.%22x,y%22, d->>e.cs.{1,2} )",
        "not.or=(a.eq.\"x,y\",d->>e.cs.\"{1,2}\")",
    );
    becomes(
        "and=(or.eq.1)&and=(a.lt(all).{1,2})",
        "and=(\"or\".eq.\"1\")&and=(a.lt(all).\"{1,2}\")",
    );
    becomes("b.c.not.or=(a.eq.)", "b.c.not.or=(a.eq.\"\")");
}

#[test]
fn selects_are_read() {
    for text in [
        "select=",
        "select=*,a,b:c->d->>0::text",
        "select=count(),n:count()::int8,amount::int4.sum()::text,b.max()",
        "select=a:b!c!inner(*,...d!left(e,f())),g()",
        "order=data->>a.desc.nullslast,contacts(name).nullsfirst,b",
        "columns=a,b&on_conflict=c",
        "include=contacts,messages!ticket_id(attachments)&after=x&modified_since=y",
        "messages.a=eq.1&messages.order=b&messages.limit=3&messages.offset=4",
        "messages.attachments.or=(a.is.null)",
    ] {
        becomes(text, text);
    }
    becomes("select= a , b : c ", "select=a,b:c");
    becomes("order=a.asc, b.desc", "order=a,b.desc");
}

#[test]
fn the_arguments_of_a_call_are_what_is_no_filter() {
    let (query, arguments) = read_call("a=1&b=eq.2&c=eq&limit=3&d.e=x y").expect("a call");
    assert_eq!(query.rows.filters.len(), 1);
    assert_eq!(query.rows.limit, Some(3));
    let arguments: Vec<_> = arguments.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(arguments, [("a", "1"), ("c", "eq"), ("d.e", "x y")]);
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, detail) in [
        (
            "id=5",
            "In \"id\" at character 1: expected \"not\" or operator (eq, gt, ...), found \"5\". Equality is written eq.value, as in id=eq.5; others are gt, in.(…), is.null, like.",
        ),
        (
            "id=equals.5",
            "In \"id\" at character 1: expected \"not\" or operator (eq, gt, ...), found \"equals.5\". Equality is written eq.value, as in id=eq.5; others are gt, in.(…), is.null, like.",
        ),
        (
            "id",
            "In \"id\" at character 1: expected \"not\" or operator (eq, gt, ...), found the end. Equality is written eq.value, as in id=eq.5; others are gt, in.(…), is.null, like.",
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
            "id=in.(1)x",
            "In \"id\" at character 7: expected the end, found \"x\".",
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
