//! The grammar: decoded parameters → syntax tree. PostgREST's, as far as it is supported; of the rest,
//! what has a name is refused by its name, and nothing is ignored.

use super::{
    parameters::{self, Parameter},
    scanner::{Scanner, excerpt},
    syntax::{Field, Filter, Nulls, Order, RESERVED, State, Syntax, Term, Test},
};
use crate::error::{Error, Kind, Result};

/// How many columns one query may order by.
const ORDER_TERMS_MAX: usize = 32;
/// How many items `select` may have: PostgreSQL's tables have at most 1,600 columns.
const SELECT_TERMS_MAX: usize = 1_600;

/// PostgREST's operators beside those that are supported.
const OTHER_OPERATORS: &[&str] = &[
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "like",
    "ilike",
    "match",
    "imatch",
    "isdistinct",
    "fts",
    "plfts",
    "phfts",
    "wfts",
    "cs",
    "cd",
    "ov",
    "sl",
    "sr",
    "nxr",
    "nxl",
    "adj",
    "not",
];

/// Reads a query string, percent-encoded as it came.
pub(crate) fn read(query_string: &str) -> Result<Syntax> {
    let mut syntax = Syntax::default();
    let mut seen = Vec::new();
    for Parameter { name, value } in parameters::read(query_string)? {
        if let Some(reserved) = RESERVED.iter().find(|it| **it == name) {
            if seen.contains(reserved) {
                return Err(Error::new(
                    Kind::QueryMalformed,
                    format!("{reserved:?} is given twice."),
                ));
            }
            seen.push(reserved);
        }
        let mut scanner = Scanner::new(&name, &value);
        match name.as_str() {
            "select" => syntax.select = Some(select(&mut scanner)?),
            "order" => syntax.order = order(&mut scanner)?,
            "limit" => syntax.limit = Some(number(&mut scanner)?),
            "offset" => syntax.offset = Some(number(&mut scanner)?),
            other if RESERVED.contains(&other) || other.starts_with("not.") => {
                return Err(Error::new(
                    Kind::NotSupported,
                    format!("The parameter {:?} is not supported yet.", excerpt(other)),
                )
                .with_hint("A column of that name is written in double quotes."));
            }
            _ => {
                let field = filtered_field(&name)?;
                syntax
                    .filters
                    .push(Filter::Test(field, test(&mut scanner)?));
            }
        }
    }
    Ok(syntax)
}

/// The name of a parameter that filters.
fn filtered_field(name: &str) -> Result<Field> {
    let mut scanner = Scanner::new("a parameter's name", name);
    let field = field(&mut scanner)?;
    if scanner.rest().starts_with('.') {
        return Err(scanner.unsupported("a filter on an embedded resource"));
    }
    match scanner.is_at_end() {
        true => Ok(field),
        false => Err(scanner.expected("a column's name")),
    }
}

fn field(scanner: &mut Scanner<'_>) -> Result<Field> {
    let column = scanner.name()?;
    if scanner.rest().starts_with("->") {
        return Err(scanner.unsupported("a path into a JSON value"));
    }
    Ok(Field { column })
}

fn test(scanner: &mut Scanner<'_>) -> Result<Test> {
    let start = scanner.rest();
    let operator = scanner.take_while(|it| it.is_ascii_alphanumeric() || it == '_');
    let modified = scanner.rest().starts_with('(');
    if OTHER_OPERATORS.contains(&operator) && (modified || scanner.rest().starts_with('.')) {
        return Err(scanner.unsupported(&format!("the operator {operator:?}")));
    }
    if modified && ["eq", "in", "is"].contains(&operator) {
        return Err(scanner.unsupported("an operator's modifier"));
    }
    match operator {
        "eq" if scanner.take(".") => Ok(Test::Equals(scanner.rest().to_owned())),
        "in" if scanner.take(".") => Ok(Test::In(list(scanner)?)),
        "is" if scanner.take(".") => state(scanner),
        _ => {
            *scanner = scanner.back_to(start);
            Err(scanner.expected("an operator").with_hint(
                "Equality is written eq.value, as in id=eq.5; then there are in.(…) and is.null.",
            ))
        }
    }
}

fn state(scanner: &mut Scanner<'_>) -> Result<Test> {
    let word = scanner.rest().to_ascii_lowercase();
    let found = State::ALL.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, state)| Test::Is(*state))
        .ok_or_else(|| scanner.expected("null, not_null, true, false or unknown"))
}

/// `(a,b,"c,d")`
fn list(scanner: &mut Scanner<'_>) -> Result<Vec<String>> {
    if !scanner.take("(") {
        return Err(scanner.expected("a list in parentheses"));
    }
    let mut values = Vec::new();
    if !scanner.take(")") {
        loop {
            values.push(if scanner.rest().starts_with('"') {
                scanner.quoted()?
            } else {
                let value = scanner.take_while(|it| !matches!(it, ',' | ')'));
                if value.is_empty() {
                    return Err(scanner
                        .expected("a value")
                        .with_hint("An empty text is written \"\"."));
                }
                value.to_owned()
            });
            if scanner.take(")") {
                break;
            }
            if !scanner.take(",") {
                return Err(scanner.expected("a comma or a closing parenthesis"));
            }
        }
    }
    match scanner.is_at_end() {
        true => Ok(values),
        false => Err(scanner.expected("the end")),
    }
}

fn select(scanner: &mut Scanner<'_>) -> Result<Vec<Term>> {
    let mut terms = Vec::new();
    loop {
        if terms.len() == SELECT_TERMS_MAX {
            return Err(scanner.expected("fewer columns"));
        }
        if scanner.rest().starts_with("...") {
            return Err(scanner.unsupported("spreading a related resource"));
        }
        terms.push(match scanner.take("*") {
            true => Term::All,
            false => Term::Column(field(scanner)?),
        });
        match scanner.rest() {
            rest if rest.starts_with("::") => return Err(scanner.unsupported("a cast")),
            rest if rest.starts_with(':') => return Err(scanner.unsupported("an alias")),
            rest if rest.starts_with(['(', '!']) => {
                return Err(scanner.unsupported("embedding a related resource"));
            }
            rest if rest.starts_with('.') => return Err(scanner.unsupported("an aggregate")),
            _ => {}
        }
        if scanner.is_at_end() {
            return Ok(terms);
        }
        if !scanner.take(",") {
            return Err(scanner.expected("a comma"));
        }
    }
}

fn order(scanner: &mut Scanner<'_>) -> Result<Vec<Order>> {
    let mut terms = Vec::new();
    loop {
        if terms.len() == ORDER_TERMS_MAX {
            return Err(scanner.expected("fewer columns"));
        }
        let field = field(scanner)?;
        if scanner.rest().starts_with('(') {
            return Err(scanner.unsupported("ordering by a related resource"));
        }
        let descending = scanner.take(".desc");
        if !descending {
            scanner.take(".asc");
        }
        let nulls = if scanner.take(".nullsfirst") {
            Some(Nulls::First)
        } else if scanner.take(".nullslast") {
            Some(Nulls::Last)
        } else {
            None
        };
        terms.push(Order {
            field,
            descending,
            nulls,
        });
        if scanner.is_at_end() {
            return Ok(terms);
        }
        if !scanner.take(",") {
            return Err(scanner.expected(".asc, .desc, .nullsfirst, .nullslast or a comma"));
        }
    }
}

/// A number of rows, as far as PostgreSQL's `bigint` goes.
fn number(scanner: &mut Scanner<'_>) -> Result<u64> {
    let text = scanner.rest();
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.parse::<i64>()
        .ok()
        .filter(|_| digits)
        .map(i64::unsigned_abs)
        .ok_or_else(|| scanner.expected("a number of rows"))
}

#[cfg(test)]
mod tests;
