//! The grammar of `order`.

use super::{filter::field, items};
use crate::{
    error::Result,
    query::{
        scanner::Scanner,
        syntax::{Nulls, Order, Word},
    },
};

/// How many columns one query may order by.
const TERMS_MAX: usize = 32;

/// Reads `a.desc.nullslast,rel(b)` to the end.
pub(super) fn terms(scanner: &mut Scanner<'_>) -> Result<Vec<Order>> {
    let terms = items(scanner, term)?;
    if terms.len() > TERMS_MAX {
        return Err(scanner.expected("fewer columns"));
    }
    scanner.end(".asc, .desc, .nullsfirst, .nullslast or a comma")?;
    Ok(terms)
}

fn term(scanner: &mut Scanner<'_>) -> Result<Order> {
    scanner.skip_spaces();
    let mut field = field(scanner)?;
    let mut relation = None;
    if field.path.is_empty() && scanner.take("(") {
        relation = Some(field.column);
        field = self::field(scanner)?;
        scanner.require(")", "a closing parenthesis")?;
    }
    let descending = scanner.take(".desc");
    if !descending {
        scanner.take(".asc");
    }
    let found = Nulls::ALL.iter().find(|(word, _)| {
        let mut ahead = *scanner;
        ahead.take(".") && ahead.take(word)
    });
    let nulls = found.map(|(word, nulls)| {
        scanner.take(".");
        scanner.take(word);
        *nulls
    });
    scanner.skip_spaces();
    Ok(Order {
        relation,
        field,
        descending,
        nulls,
    })
}
