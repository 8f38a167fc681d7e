//! What fuzzing looks at in this room. Compiled for tests and for fuzzing only.

use super::{Query, grammar};
use crate::catalog::Access;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// A query string that is read prints as one that reads back the same.
pub(crate) fn reads_back(text: &str) {
    let _ = grammar::read_call(text);
    let Ok(query) = grammar::read(text) else {
        return;
    };
    let printed = query.to_string();
    let again = grammar::read(&printed);
    assert!(
        again.as_ref().is_ok_and(|it| *it == query),
        "{text}\n{printed}\n{query:?}\n{again:?}"
    );
}

/// Paging tokens that nobody gave out: this text, the token around it, and the one that has its lines as
/// the values of an order. Whatever is taken for one `planned` looks at.
pub(crate) fn forged(access: &Access, text: &str, planned: impl Fn(&Query)) {
    const LISTS: [&str; 3] = [
        "order=opened_at.desc,subject,data->>a.nullsfirst&limit=3",
        "order=amount.desc.nullslast&limit=3",
        "limit=3",
    ];
    for list in LISTS {
        let query = Query::list(access, "tickets", list).expect("a list as it should be");
        let lines = text
            .split('\n')
            .map(|it| (it != "null").then(|| it.to_owned()));
        let values: Vec<Option<String>> = lines.collect();
        let token = query.token(&values);
        for token in [text, &URL_SAFE_NO_PAD.encode(text), &token] {
            let token =
                percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
            if let Ok(query) = Query::list(access, "tickets", &format!("{list}&after={token}")) {
                planned(&query);
            }
        }
    }
}
