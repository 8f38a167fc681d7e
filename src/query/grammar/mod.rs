//! The grammar: decoded parameters → syntax tree. PostgREST's, and what rowcast adds to it; nothing is
//! ignored.

mod filter;
mod order;
mod select;

use super::{
    parameters::{self, Parameter},
    scanner::Scanner,
    syntax::{Filter, Logic, ROWS, Rows, Syntax, WHOLE, Word},
};
use crate::error::{Error, Kind, Result};

/// How deep parentheses may be nested.
const DEPTH_MAX: usize = 24;
/// How many items a list may have, of values aside: PostgreSQL's tables have at most 1,600 columns.
const ITEMS_MAX: usize = 1_600;

/// A parameter that is no filter: an argument of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Reads a query string, percent-encoded as it came.
pub(crate) fn read(query_string: &str) -> Result<Syntax> {
    let mut reader = Reader::default();
    for parameter in &parameters::read(query_string)? {
        if !reader.take(parameter)? {
            let (path, filter) = filter::parameter(parameter)?;
            reader.rows_at(path)?.filters.push(filter);
        }
    }
    Ok(reader.syntax)
}

/// Reads the query string of a call: what does not look like a filter is an argument.
pub(crate) fn read_call(query_string: &str) -> Result<(Syntax, Vec<Argument>)> {
    let mut reader = Reader::default();
    let mut arguments = Vec::new();
    for parameter in parameters::read(query_string)? {
        if reader.take(&parameter)? {
            continue;
        }
        match filter::parameter(&parameter) {
            Ok((path, filter)) => reader.rows_at(path)?.filters.push(filter),
            Err(_) => {
                let Parameter { name, value } = parameter;
                arguments.push(Argument { name, value });
            }
        }
    }
    Ok((reader.syntax, arguments))
}

#[derive(Default)]
struct Reader {
    syntax: Syntax,
}

impl Reader {
    /// Reads a parameter that is reserved; `false`: it is a filter.
    fn take(&mut self, parameter: &Parameter) -> Result<bool> {
        let Parameter { name, value } = parameter;
        let name = name.as_str();
        let last = name.rsplit('.').next().unwrap_or_default();
        if ROWS.contains(&last) {
            self.rows(parameter, last)?;
            return Ok(true);
        }
        if !WHOLE.contains(&name) {
            return Ok(false);
        }
        let syntax = &mut self.syntax;
        match name {
            "select" => {
                let mut scanner = Scanner::new(name, "select parameter", value);
                let terms = select::terms(&mut scanner)?;
                once(&mut syntax.select, terms, name)?;
            }
            "columns" => once(&mut syntax.columns, names(name, value)?, name)?,
            "on_conflict" => once(&mut syntax.on_conflict, names(name, value)?, name)?,
            "include" => {
                let mut include = None;
                let mut scanner = Scanner::new(name, "include parameter", value);
                once(&mut include, select::includes(&mut scanner)?, name)?;
                if !syntax.include.is_empty() {
                    return Err(twice(name));
                }
                syntax.include = include.unwrap_or_default();
            }
            "after" => once(&mut syntax.after, value.clone(), name)?,
            _ => once(&mut syntax.modified_since, value.clone(), name)?,
        }
        Ok(true)
    }

    /// Reads `path.order`, `path.limit`, `path.offset`, `path.and`, `path.or`.
    fn rows(&mut self, parameter: &Parameter, last: &str) -> Result<()> {
        let Parameter { name, value } = parameter;
        let path = name[..name.len() - last.len()].trim_end_matches('.');
        let logic = Logic::named(last);
        let outer = match logic {
            Some(_) => path
                .strip_suffix("not")
                .filter(|it| it.is_empty() || it.ends_with('.')),
            None => None,
        };
        let negated = outer.is_some();
        let path = path_of(outer.unwrap_or(path).trim_end_matches('.'))?;
        if logic.is_some() {
            let not = if negated { "not." } else { "" };
            let text = format!("{not}{last}{value}");
            let mut scanner = Scanner::new(name, "logic tree", &text).showing(value);
            let tree = filter::tree(&mut scanner)?;
            self.rows_at(path)?.filters.push(Filter::Tree(tree));
            return Ok(());
        }
        let rows = self.rows_at(path)?;
        match last {
            "order" => {
                if !rows.order.is_empty() {
                    return Err(twice(name));
                }
                rows.order = order::terms(&mut Scanner::new(name, "order", value))?;
            }
            "limit" => once(&mut rows.limit, number(name, value)?, name)?,
            _ => once(&mut rows.offset, number(name, value)?, name)?,
        }
        Ok(())
    }

    fn rows_at(&mut self, path: Vec<String>) -> Result<&mut Rows> {
        if path.len() > DEPTH_MAX {
            let detail = "A parameter names rows that are embedded too deep.";
            return Err(Error::new(Kind::QueryMalformed, detail));
        }
        Ok(self.syntax.rows_at(path))
    }
}

/// The names before the last part of a parameter's name.
fn path_of(text: &str) -> Result<Vec<String>> {
    let mut path = Vec::new();
    if text.is_empty() {
        return Ok(path);
    }
    let mut scanner = Scanner::new("a parameter's name", "tree path", text);
    loop {
        path.push(scanner.name()?);
        if scanner.is_at_end() {
            return Ok(path);
        }
        scanner.require(".", "a dot")?;
    }
}

/// `a,b,"c,d"`
fn names(parameter: &str, text: &str) -> Result<Vec<String>> {
    let mut scanner = Scanner::new(parameter, "columns parameter", text);
    let names = items(&mut scanner, |scanner| scanner.name())?;
    scanner.end("a comma")?;
    Ok(names)
}

/// Items with commas between.
fn items<'a, T>(
    scanner: &mut Scanner<'a>,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    loop {
        if items.len() == ITEMS_MAX {
            return Err(scanner.expected("fewer items"));
        }
        items.push(item(scanner)?);
        if !scanner.take(",") {
            return Ok(items);
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T, parameter: &str) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(parameter)),
    }
}

fn twice(parameter: &str) -> Error {
    let parameter = super::scanner::excerpt(parameter);
    Error::new(
        Kind::QueryMalformed,
        format!("{parameter:?} is given twice."),
    )
}

/// A number of rows, as far as PostgreSQL's `bigint` goes.
fn number(parameter: &str, text: &str) -> Result<u64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    match text.parse::<i64>() {
        // Less than no rows are none to pass over, as for PostgREST; less than no rows are not answered.
        Ok(number) if is_number && (number >= 0 || parameter.ends_with("offset")) => {
            Ok(u64::try_from(number).unwrap_or_default())
        }
        Ok(_) if is_number => Err(Error::new(
            Kind::RangeInvalid,
            format!("{parameter:?} is less than zero."),
        )
        .with_message("Requested range not satisfiable")
        .with_details("Limit should be greater than or equal to zero.")),
        _ => Err(Scanner::new(parameter, "number", text).expected("a number of rows")),
    }
}

#[cfg(test)]
mod tests;
