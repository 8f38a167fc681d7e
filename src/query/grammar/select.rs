//! The grammar of `select` and `include`.

use super::{DEPTH_MAX, filter::field, items};
use crate::{
    error::Result,
    query::{
        scanner::Scanner,
        syntax::{Aggregate, Embed, Field, Include, Join, Selected, Term, Word},
    },
};

/// Reads `a,b:c->d::text,e(f)` to the end; nothing at all selects nothing.
pub(super) fn terms(scanner: &mut Scanner<'_>) -> Result<Vec<Term>> {
    if scanner.is_at_end() {
        return Ok(Vec::new());
    }
    let terms = items(scanner, |scanner| term(scanner, 0))?;
    scanner.end("a comma")?;
    Ok(terms)
}

/// Reads `a,b!c(d)` to the end.
pub(super) fn includes(scanner: &mut Scanner<'_>) -> Result<Vec<Include>> {
    let includes = items(scanner, |scanner| include(scanner, 0))?;
    scanner.end("a comma")?;
    Ok(includes)
}

fn term(scanner: &mut Scanner<'_>, depth: usize) -> Result<Term> {
    scanner.skip_spaces();
    let spread = scanner.take("...");
    if !spread && scanner.take("*") {
        scanner.skip_spaces();
        return Ok(Term::All);
    }
    let mut alias = None;
    if !spread {
        let mut ahead = *scanner;
        if ahead.name().is_ok() && ahead.sees(":") && !ahead.sees("::") {
            alias = Some(scanner.name()?);
            scanner.take(":");
            scanner.skip_spaces();
        }
        if scanner.take("count()") {
            let cast = cast(scanner)?;
            return Ok(Term::Count { alias, cast });
        }
    }
    let field = field(scanner)?;
    let is_related = field.path.is_empty() && (scanner.sees("(") || scanner.sees("!"));
    if spread || is_related {
        return embed(scanner, spread, alias, field, depth);
    }
    let mut selected = Selected {
        alias,
        field,
        cast: cast(scanner)?,
        aggregate: None,
        aggregate_cast: None,
    };
    if scanner.take(".") {
        let here = *scanner;
        let aggregate = Aggregate::named(scanner.word());
        let aggregate = aggregate.filter(|_| scanner.take("()"));
        let what = "sum(), avg(), count(), max() or min()";
        selected.aggregate = Some(aggregate.ok_or_else(|| here.expected(what))?);
        selected.aggregate_cast = cast(scanner)?;
    }
    scanner.skip_spaces();
    Ok(Term::Field(selected))
}

/// Reads what follows the name of an embedding.
fn embed(
    scanner: &mut Scanner<'_>,
    spread: bool,
    alias: Option<String>,
    field: Field,
    depth: usize,
) -> Result<Term> {
    if !field.path.is_empty() {
        return Err(scanner.expected("a related resource"));
    }
    if depth == DEPTH_MAX {
        return Err(scanner.expected("fewer parentheses"));
    }
    let mut hint = None;
    let mut join = None;
    while scanner.take("!") {
        let here = *scanner;
        let is_quoted = scanner.sees("\"");
        let word = scanner.name()?;
        let as_join = Join::named(&word).filter(|_| !is_quoted);
        let taken = match as_join {
            Some(it) => join.replace(it).is_some(),
            None => hint.replace(word).is_some(),
        };
        if taken {
            return Err(here.expected("one hint and one of inner and left"));
        }
    }
    scanner.require("(", "an opening parenthesis")?;
    scanner.skip_spaces();
    let select = match scanner.sees(")") {
        true => Vec::new(),
        false => items(scanner, |scanner| term(scanner, depth + 1))?,
    };
    scanner.require(")", "a comma or a closing parenthesis")?;
    scanner.skip_spaces();
    Ok(Term::Embed(Embed {
        spread,
        alias,
        name: field.column,
        hint,
        join,
        select,
    }))
}

fn cast(scanner: &mut Scanner<'_>) -> Result<Option<String>> {
    match scanner.take("::") {
        true => scanner.identifier("a type").map(Some),
        false => Ok(None),
    }
}

fn include(scanner: &mut Scanner<'_>, depth: usize) -> Result<Include> {
    if depth == DEPTH_MAX {
        return Err(scanner.expected("fewer parentheses"));
    }
    let name = scanner.name()?;
    let hint = match scanner.take("!") {
        true => Some(scanner.name()?),
        false => None,
    };
    let mut include = Vec::new();
    if scanner.take("(") {
        include = items(scanner, |scanner| self::include(scanner, depth + 1))?;
        scanner.require(")", "a comma or a closing parenthesis")?;
        scanner.skip_spaces();
    }
    Ok(Include {
        name,
        hint,
        include,
    })
}
