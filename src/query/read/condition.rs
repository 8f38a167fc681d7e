//! Which rows: conditions whose columns exist and whose values fit.

use super::{
    After, Place,
    embed::{Embedding, Related, related},
    place::no_operator,
};
use crate::{
    catalog::{Allowed, Column, ColumnType, Resource, TypeKind, oid},
    error::{Error, Kind, Result},
    query::{
        syntax::{Filter, Logic, Operator, Quantifier, Search, State, Test, Tree, Word},
        value::Value,
    },
};

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// A value of the row passes a check.
    Check(Place, Check),
    /// There are related rows, or there are none.
    Related(Related),
    /// The condition does not hold.
    Not(Box<Condition>),
    /// All of these hold, or any; never empty.
    Several(Logic, Vec<Condition>),
    /// The row comes behind another one.
    After(After),
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// This value.
    Equal(Value),
    /// One of the elements of this array, which has so many.
    In(Value, usize),
    /// In this state.
    Is(State),
    /// In this relation to a value of its own type, or, for patterns, to a text.
    Compare(Operator, Value),
    /// In this relation to one or all elements of an array of the type that `Compare` takes.
    Quantified(Operator, Quantifier, Value),
    /// A text with these words, read in this language.
    Search(Search, Option<Value>, Value),
}

impl Condition {
    /// That a column has this value.
    pub(crate) fn equal(column: usize, value: Value) -> Self {
        Self::Check(Place::of_column(column), Check::Equal(value))
    }

    /// The column and its value, if that is the condition.
    pub(crate) fn as_equal(&self) -> Option<(usize, &Value)> {
        match self {
            Self::Check(Place { column, path }, Check::Equal(value)) if path.is_empty() => {
                Some((*column, value))
            }
            _ => None,
        }
    }

    /// How many values it leaves a column, if it names them.
    pub(super) fn values_of(&self, column: usize) -> Option<u64> {
        match self {
            Self::Check(place, check) if *place == Place::of_column(column) => match check {
                Check::Equal(_) => Some(1),
                Check::In(_, count) => Some(*count as u64),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The conditions that filters state of rows with these embeddings, their values checked.
pub(super) fn conditions(
    allowed: &Allowed,
    embeds: &[Embedding],
    filters: &[Filter],
) -> Result<Vec<Condition>> {
    filters
        .iter()
        .map(|filter| condition(allowed, embeds, filter))
        .collect()
}

fn condition(allowed: &Allowed, embeds: &[Embedding], filter: &Filter) -> Result<Condition> {
    if let Some(related) = related(embeds, filter) {
        return Ok(Condition::Related(related));
    }
    match filter {
        Filter::Test(field, test) => check(allowed, Place::find(allowed, field)?, test),
        Filter::Not(field, test) => {
            let inner = check(allowed, Place::find(allowed, field)?, test)?;
            Ok(Condition::Not(Box::new(inner)))
        }
        Filter::Tree(Tree {
            negated,
            logic,
            filters,
        }) => {
            let several = Condition::Several(*logic, conditions(allowed, embeds, filters)?);
            Ok(match negated {
                true => Condition::Not(Box::new(several)),
                false => several,
            })
        }
    }
}

fn check(allowed: &Allowed, place: Place, test: &Test) -> Result<Condition> {
    let resource = &allowed.resource;
    let type_ = place.type_(resource);
    let column = resource.at(place.column);
    let check = match test {
        Test::Compare(Operator::Eq, text) => {
            comparable(resource, &place)?;
            Check::Equal(Value::from_text(&column.name, type_, text)?)
        }
        Test::Compare(operator, text) => {
            let type_ = operand(resource, &place, *operator)?;
            let text = pattern(*operator, text);
            Check::Compare(*operator, Value::from_text(&column.name, type_, &text)?)
        }
        Test::Quantified(operator, quantifier, text) => {
            let type_ = operand(resource, &place, *operator)?;
            let text = pattern(*operator, text);
            let array = array_of(column, type_)?;
            let value = Value::from_text(&column.name, &array, &text)?;
            Check::Quantified(*operator, *quantifier, value)
        }
        Test::In(texts) => return within(resource, place, texts),
        Test::Is(state) => {
            boolean(column, type_, *state)?;
            Check::Is(*state)
        }
        Test::Search(search, language, words) => {
            let language = language.as_deref().map(Value::trusted);
            let words = Value::from_text(&column.name, ColumnType::text(), words)?;
            Check::Search(*search, language, words)
        }
    };
    Ok(Condition::Check(place, check))
}

/// One of several values.
fn within(resource: &Resource, place: Place, texts: &[String]) -> Result<Condition> {
    comparable(resource, &place)?;
    let column = resource.at(place.column);
    let type_ = place.type_(resource);
    if !matches!(type_.base().kind, TypeKind::Array(_)) {
        let elements = texts.iter().map(String::as_str);
        let list = Value::list(&column.name, type_, elements)?;
        return Ok(Condition::Check(place, Check::In(list, texts.len())));
    }
    // PostgreSQL has no arrays of arrays.
    let mut each = Vec::with_capacity(texts.len());
    for text in texts {
        let value = Value::from_text(&column.name, type_, text)?;
        each.push(Condition::Check(place.clone(), Check::Equal(value)));
    }
    match each.is_empty() {
        // Of nothing, nothing is one.
        true => {
            let null = Check::Equal(Value::null());
            Ok(Condition::Check(place, null))
        }
        false => Ok(Condition::Several(Logic::Or, each)),
    }
}

/// A value that a column is compared with.
pub(in crate::query) fn equal(column: &Column, text: &str) -> Result<Value> {
    match column.equality {
        Some(_) => Value::from_text(&column.name, &column.type_, text),
        None => Err(no_operator(column, &column.type_, "=")),
    }
}

fn comparable(resource: &Resource, place: &Place) -> Result<()> {
    match place.is_comparable(resource) {
        true => Ok(()),
        false => {
            let column = resource.at(place.column);
            Err(no_operator(column, place.type_(resource), "="))
        }
    }
}

/// The type of what an operator compares a place with.
fn operand<'a>(
    resource: &'a Resource,
    place: &Place,
    operator: Operator,
) -> Result<&'a ColumnType> {
    match operator {
        Operator::Like | Operator::Ilike | Operator::Match | Operator::Imatch => {
            Ok(ColumnType::text())
        }
        Operator::Eq | Operator::Neq | Operator::IsDistinct => {
            comparable(resource, place)?;
            Ok(place.type_(resource))
        }
        _ => Ok(place.type_(resource)),
    }
}

/// In the patterns of `like`, a star may stand for a per cent sign, which a URL would have to encode.
fn pattern(operator: Operator, text: &str) -> std::borrow::Cow<'_, str> {
    match operator {
        Operator::Like | Operator::Ilike => text.replace('*', "%").into(),
        _ => text.into(),
    }
}

fn array_of(column: &Column, type_: &ColumnType) -> Result<ColumnType> {
    if matches!(type_.base().kind, TypeKind::Array(_)) {
        return Err(Error::new(
            Kind::NotSupported,
            format!(
                "{:?} is an array, which any and all do not compare.",
                &*column.name
            ),
        ));
    }
    let element = type_.base().clone();
    Ok(ColumnType {
        oid: 0,
        name: format!("{}[]", element.name).into(),
        kind: TypeKind::Array(Box::new(element)),
    })
}

/// Every value may be null; only a boolean may be true.
fn boolean(column: &Column, type_: &ColumnType, state: State) -> Result<()> {
    let any = matches!(state, State::Null | State::NotNull);
    if any || type_.base().oid == oid::BOOL {
        return Ok(());
    }
    let (name, word) = (&column.name, state.name());
    Err(Error::new(
        Kind::ValueInvalid,
        format!("{:?} is no boolean, so it is never {word}.", &**name),
    )
    .with_code("42804")
    .with_message(format!(
        "argument of IS {} must be type boolean, not type {}",
        word.to_ascii_uppercase(),
        type_.name
    )))
}
