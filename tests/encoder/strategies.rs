//! Where the values come from: texts, numbers, time stamps, and arrays and ranges of them, as
//! PostgreSQL's input functions read them.

use proptest::prelude::*;

/// Texts of every kind of character that JSON, PostgreSQL's arrays or a line protocol treat apart.
pub(crate) fn any_text() -> BoxedStrategy<String> {
    let character = prop_oneof![
        6 => proptest::char::range(' ', '~'),
        2 => proptest::sample::select(vec!['"', '\\', '{', '}', ',', '/', '\'', ' ']),
        1 => proptest::char::range('\u{1}', '\u{1f}'),
        1 => proptest::sample::select(vec!['\u{7f}', '\u{80}', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '🦀', 'é', '\u{10ffff}']),
        1 => any::<char>().prop_filter("PostgreSQL stores no NUL", |it| *it != '\0'),
    ];
    proptest::collection::vec(character, 0..70)
        .prop_map(|it| it.into_iter().collect())
        .boxed()
}

/// As an element of an array literal.
pub(crate) fn element(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Arrays of one or two dimensions, with nulls and lower bounds.
pub(crate) fn arrays(of: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let item = prop_oneof![
        1 => Just("NULL".to_owned()),
        5 => of.prop_map(|it| element(&it)),
    ]
    .boxed();
    let list = |items: Vec<String>| format!("{{{}}}", items.join(","));
    let lower = prop_oneof![
        Just(String::new()),
        (-5i32..5).prop_map(|it| it.to_string())
    ];
    let one = (proptest::collection::vec(item.clone(), 0..5), lower).prop_map(
        move |(items, lower)| match (lower.parse::<i32>(), items.len() as i32) {
            (Ok(lower), length @ 1..) => {
                format!("[{lower}:{}]={}", lower + length - 1, list(items))
            }
            _ => list(items),
        },
    );
    let two =
        proptest::collection::vec((item.clone(), item.clone(), item), 1..4).prop_map(move |rows| {
            list(
                rows.into_iter()
                    .map(|(a, b, c)| list(vec![a, b, c]))
                    .collect(),
            )
        });
    prop_oneof![one, two].boxed()
}

pub(crate) fn any_numeric() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,40}",
        "-?[0-9]{0,12}\\.[0-9]{1,30}",
        "-?0\\.0{0,20}[0-9]{1,6}",
        "-?[1-9][0-9]{0,3}e-?[0-9]{1,2}",
    ]
}

pub(crate) fn any_timestamp() -> impl Strategy<Value = String> {
    let years = prop_oneof![5 => 1i32..10_000, 1 => 10_000i32..294_276];
    let moments = (
        years,
        1..13,
        1..29,
        0..24,
        0..60,
        0..60,
        prop_oneof![Just(0), Just(1), 0..1_000_000],
        any::<bool>(),
    );
    let moments = moments.prop_map(|(year, month, day, hour, minute, second, micros, ad)| {
        let era = if ad || year > 4000 { "" } else { " BC" };
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}{era}")
    });
    prop_oneof![
        1 => Just("infinity".to_owned()),
        1 => Just("-infinity".to_owned()),
        12 => moments,
    ]
}

/// Two values in order, as a range with any bounds, or one that is open or empty.
pub(crate) fn ranges(
    ordered: impl Strategy<Value = (String, String)> + 'static,
) -> BoxedStrategy<String> {
    let bounds = (ordered, "[\\[(]", "[\\])]");
    (bounds, 0..8)
        .prop_map(|(((lower, upper), open, close), shape)| {
            let (lower, upper) = (element(&lower), element(&upper));
            match shape {
                0 => "empty".to_owned(),
                1 => format!("{open},{upper}{close}"),
                2 => format!("{open}{lower},{close}"),
                3 => format!("{open},{close}"),
                _ => format!("{open}{lower},{upper}{close}"),
            }
        })
        .boxed()
}

pub(crate) fn pairs(span: std::ops::Range<i64>) -> BoxedStrategy<(i64, i64)> {
    (span.clone(), span)
        .prop_map(|(a, b)| (a.min(b), a.max(b)))
        .boxed()
}
