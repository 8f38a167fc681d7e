//! Which table's column each column of a view shows, read from the view's definition.
//!
//! PostgreSQL writes it into each entry of the definition's outermost target list (`resorigtbl` and
//! `resorigcol` of `TargetEntry`, primnodes.h), through subqueries, but not through views.

use crate::catalog::{Oid, relations::Origin};
use std::collections::HashMap;

/// What the columns of views show, by the view and the column's number.
pub(super) type Shown = HashMap<(Oid, i16), Origin>;

/// Through how many views a column is followed down to its table.
const DEPTH_MAX: usize = 32;

/// What the columns of these views show in the tables below, however many views lie between.
pub(super) fn shown<'a>(definitions: impl IntoIterator<Item = (Oid, &'a str)>) -> Shown {
    let mut direct = Shown::new();
    for (view, definition) in definitions {
        let columns = columns(definition);
        direct.extend(columns.map(|(column, origin)| ((view, column), origin)));
    }
    let resolved = direct.iter().map(|(column, origin)| {
        let mut origin = *origin;
        for _ in 0..DEPTH_MAX {
            match direct.get(&(origin.table, origin.column)) {
                Some(below) => origin = *below,
                None => break,
            }
        }
        (*column, origin)
    });
    resolved.collect()
}

/// The columns of one view that show a column as it is.
fn columns(definition: &str) -> impl Iterator<Item = (i16, Origin)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut depth = 0_usize;
    let mut in_targets = false;
    let mut field = "";
    for token in tokens(definition) {
        match token {
            "{" => {
                depth += 1;
                if depth == ENTRY_DEPTH && in_targets {
                    entries.push(Entry::default());
                }
            }
            "}" => depth = depth.saturating_sub(1),
            _ if depth == QUERY_DEPTH && token.starts_with(':') => {
                in_targets = token == ":targetList";
            }
            _ if depth == ENTRY_DEPTH && in_targets => {
                if let Some(entry) = entries.last_mut() {
                    entry.set(field, token);
                }
                field = token;
            }
            _ => {}
        }
    }
    entries.into_iter().filter_map(Entry::origin)
}

/// How deep in braces the outermost query's own fields are, and those of its target list's entries.
const QUERY_DEPTH: usize = 1;
const ENTRY_DEPTH: usize = 2;

#[derive(Default)]
struct Entry {
    number: i16,
    table: Oid,
    column: i16,
    junk: bool,
}

impl Entry {
    fn set(&mut self, field: &str, value: &str) {
        match field {
            ":resno" => self.number = value.parse().unwrap_or_default(),
            ":resorigtbl" => self.table = value.parse().unwrap_or_default(),
            ":resorigcol" => self.column = value.parse().unwrap_or_default(),
            ":resjunk" => self.junk = value == "true",
            _ => {}
        }
    }

    fn origin(self) -> Option<(i16, Origin)> {
        let shows = !self.junk && self.table != 0 && self.column > 0;
        let origin = Origin {
            table: self.table,
            column: self.column,
        };
        shows.then_some((self.number, origin))
    }
}

/// The tokens of a node's text (outfuncs.c): braces, and what stands between blanks and parentheses.
/// A backslash makes the next character part of a token.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|it: char| it.is_ascii_whitespace() || "()".contains(it));
        let mut characters = rest.char_indices();
        let mut end = rest.len();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => {
                    characters.next();
                }
                '{' | '}' if index == 0 => {
                    end = 1;
                    break;
                }
                '{' | '}' | '(' | ')' => {
                    end = index;
                    break;
                }
                _ if character.is_ascii_whitespace() => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        let (token, after) = rest.split_at(end);
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_targets_count() {
        let definition = r"({QUERY :commandType 1 :cteList ({COMMONTABLEEXPR :ctequery {QUERY :targetList
            ({TARGETENTRY :expr {VAR} :resno 1 :resname x :resorigtbl 9 :resorigcol 9 :resjunk false})}})
            :rtable <> :targetList ({TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname odd\ \{na\)me
            :ressortgroupref 0 :resorigtbl 20 :resorigcol 3 :resjunk false} {TARGETENTRY :expr {CONST}
            :resno 2 :resname <> :resorigtbl 0 :resorigcol 0 :resjunk false} {TARGETENTRY :expr {SUBLINK
            :subselect {QUERY :targetList ({TARGETENTRY :resno 1 :resorigtbl 8 :resorigcol 8})}} :resno 3
            :resorigtbl 0 :resorigcol 0 :resjunk false} {TARGETENTRY :expr {VAR} :resno 4 :resorigtbl 20
            :resorigcol 1 :resjunk true}) :override 0 :groupClause <>})";
        let origin = |table, column| Origin { table, column };
        assert_eq!(
            columns(definition).collect::<Vec<_>>(),
            [(1, origin(20, 3))]
        );
        let above = "({QUERY :targetList ({TARGETENTRY :resno 7 :resorigtbl 10 :resorigcol 1})})";
        let shown = shown([(10, definition), (11, above)]);
        assert_eq!(shown[&(11, 7)], origin(20, 3));
    }
}
