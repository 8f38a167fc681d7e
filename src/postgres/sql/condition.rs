//! Conditions as SQL, and what they may tell of the values that they are evaluated on.

use super::{Writer, page};
use crate::{
    catalog::{ColumnType, Resource, oid},
    query::{
        read::{Check, Condition, Place, embed::Related},
        syntax::{Key, Logic, Operator, Quantifier, Search, State},
    },
};

/// Whether a condition can tell nothing of the values that it is evaluated on: it never fails.
pub(super) fn is_harmless(resource: &Resource, condition: &Condition) -> bool {
    match condition {
        Condition::Not(inner) => is_harmless(resource, inner),
        Condition::Several(_, all) => all.iter().all(|it| is_harmless(resource, it)),
        // It stands behind the fence by itself where it has to.
        Condition::Related(_) => true,
        Condition::After(after) => after.is_harmless(resource),
        Condition::Check(place, check) => {
            let Some(column) = place.whole(resource) else {
                return false;
            };
            match check {
                Check::Equal(_)
                | Check::In(..)
                | Check::Quantified(Operator::Eq, ..)
                | Check::Compare(Operator::IsDistinct, _) => column.leakproof_equality,
                // The columns of a view may be expressions, which can fail.
                Check::Is(_) => {
                    resource.is_stored() && resource.computed_at(place.column).is_none()
                }
                _ => false,
            }
        }
    }
}

/// Appends one condition on the row called `alias`; `related` appends one on rows related to it.
pub(super) fn condition(
    writer: &mut Writer,
    alias: &str,
    resource: &Resource,
    condition: &Condition,
    related: &dyn Fn(&mut Writer, Related),
) {
    match condition {
        Condition::Related(it) => related(writer, *it),
        Condition::Check(place, check) => self::check(writer, alias, resource, place, check),
        Condition::After(after) => page::after(writer, alias, resource, after),
        Condition::Not(inner) => {
            writer.sql("not (");
            self::condition(writer, alias, resource, inner, related);
            writer.sql(")");
        }
        Condition::Several(logic, all) => {
            let between = match logic {
                Logic::And => " and ",
                Logic::Or => " or ",
            };
            writer.sql("(");
            writer.separated(between, all, |writer, it| {
                self::condition(writer, alias, resource, it, related);
            });
            writer.sql(")");
        }
    }
}

fn check(writer: &mut Writer, alias: &str, resource: &Resource, at: &Place, check: &Check) {
    let type_ = at.type_(resource);
    if let Check::Search(search, language, words) = check {
        text(
            writer,
            alias,
            resource,
            at,
            language.is_some().then_some(check),
        );
        writer.sql(" @@ ");
        writer.sql(match search {
            Search::Fts => "to_tsquery(",
            Search::Plfts => "plainto_tsquery(",
            Search::Phfts => "phraseto_tsquery(",
            Search::Wfts => "websearch_to_tsquery(",
        });
        append_language(writer, check);
        writer.typed(ColumnType::text(), words).sql(")");
        return;
    }
    place(writer, alias, resource, at);
    match check {
        Check::Equal(value) => {
            operator(writer, resource, at, "=");
            writer.typed(type_, value);
        }
        Check::In(list, _) => {
            operator(writer, resource, at, "=");
            writer.sql("any (").typed_list(type_, list).sql(")");
        }
        Check::Is(state) => {
            writer.sql(match state {
                State::Null => " is null",
                State::NotNull => " is not null",
                State::True => " is true",
                State::False => " is false",
                State::Unknown => " is unknown",
            });
        }
        Check::Compare(Operator::IsDistinct, value) => {
            writer.sql(" is distinct from ").typed(type_, value);
        }
        Check::Compare(symbol, value) => {
            operator(writer, resource, at, self::symbol(*symbol));
            writer.typed(operand(*symbol, type_), value);
        }
        Check::Quantified(symbol, quantifier, value) => {
            operator(writer, resource, at, self::symbol(*symbol));
            writer.sql(match quantifier {
                Quantifier::Any => "any (",
                Quantifier::All => "all (",
            });
            writer.typed_list(operand(*symbol, type_), value).sql(")");
        }
        Check::Search(..) => {}
    }
}

/// Appends the text that is searched, as lexemes.
fn text(
    writer: &mut Writer,
    alias: &str,
    resource: &Resource,
    at: &Place,
    in_language: Option<&Check>,
) {
    if at.type_(resource).base().oid == oid::TSVECTOR {
        place(writer, alias, resource, at);
        return;
    }
    writer.sql("to_tsvector(");
    if let Some(check) = in_language {
        append_language(writer, check);
    }
    place(writer, alias, resource, at);
    writer.sql(")");
}

fn append_language(writer: &mut Writer, check: &Check) {
    if let Check::Search(_, Some(language), _) = check {
        writer.parameter(language, "regconfig").sql(", ");
    }
}

/// Appends a value of the row called `alias`.
pub(super) fn place(writer: &mut Writer, alias: &str, resource: &Resource, place: &Place) {
    if place.path.is_empty() {
        value(writer, alias, resource, place.column);
        return;
    }
    // In parentheses: the arrows bind less tightly than a cast.
    writer.sql("(");
    match resource.at(place.column).type_.base().oid {
        oid::JSON | oid::JSONB => value(writer, alias, resource, place.column),
        _ => {
            writer.sql("to_jsonb(");
            value(writer, alias, resource, place.column);
            writer.sql(")");
        }
    };
    for step in &place.path {
        writer.sql(if step.text { "->>" } else { "->" });
        match &step.key {
            Key::Element(index) => writer.sql(&index.to_string()),
            Key::Member(name) => writer.text(name),
        };
    }
    writer.sql(")");
}

/// Appends a column of the row called `alias`, or what a function computes of the row.
fn value(writer: &mut Writer, alias: &str, resource: &Resource, index: usize) {
    match resource.computed_at(index) {
        None => {
            writer.column(alias, resource.at(index));
        }
        Some(computed) => {
            writer
                .sql(&super::identifier(&computed.schema))
                .sql(".")
                .sql(&super::identifier(&computed.column.name))
                .sql("(")
                .row(alias, resource)
                .sql(")");
        }
    }
}

/// Appends an operator, by its schema where that of the type's equality is another than PostgreSQL's.
pub(super) fn operator(writer: &mut Writer, resource: &Resource, at: &Place, symbol: &str) {
    let equality = at.whole(resource).and_then(|it| it.equality.as_ref());
    match equality.filter(|it| &*it.schema != "pg_catalog") {
        Some(equality) => {
            let schema = super::identifier(&equality.schema);
            writer.sql(&format!(" operator({schema}.{symbol}) "));
        }
        None => {
            writer.sql(&format!(" {symbol} "));
        }
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "=",
        Operator::Neq => "<>",
        Operator::Gt => ">",
        Operator::Gte => ">=",
        Operator::Lt => "<",
        Operator::Lte => "<=",
        Operator::Like => "~~",
        Operator::Ilike => "~~*",
        Operator::Match => "~",
        Operator::Imatch => "~*",
        Operator::IsDistinct => "is distinct from",
        Operator::Cs => "@>",
        Operator::Cd => "<@",
        Operator::Ov => "&&",
        Operator::Sl => "<<",
        Operator::Sr => ">>",
        Operator::Nxr => "&<",
        Operator::Nxl => "&>",
        Operator::Adj => "-|-",
    }
}

/// The type of what an operator compares a value of this type with.
fn operand(operator: Operator, type_: &ColumnType) -> &ColumnType {
    match operator {
        Operator::Like | Operator::Ilike | Operator::Match | Operator::Imatch => ColumnType::text(),
        _ => type_,
    }
}
