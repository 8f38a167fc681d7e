//! What a query's rows consist of: the items of `select`, with their names.

use super::Place;
use crate::{
    catalog::{Allowed, Catalog, Resource},
    error::{Error, Kind, Result},
    query::syntax::{Aggregate, Key, Selected, Term, Word},
};
use std::sync::Arc;

/// One member of the rows of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// Its name in the answer.
    pub(crate) name: Arc<str>,
    pub(crate) source: Source,
}

/// Where the value of a member comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A value of the row, as it is.
    Place(Place),
    /// A value of the row as another type: the name of a type, which is not known to exist.
    Cast(Place, TypeName),
    /// A function over the values of a group of rows, itself cast where that is asked for.
    Aggregate {
        function: Aggregate,
        /// What it is over; `None`: over the rows themselves.
        of: Option<(Place, Option<TypeName>)>,
        cast: Option<TypeName>,
    },
}

/// The name of a type as a caller wrote it, which is SQL text: letters, digits, underscores and spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeName(String);

impl TypeName {
    /// # Errors
    /// `QueryMalformed` for what is no type's name by its characters.
    fn read(text: &str) -> Result<Self> {
        let plain = |it: char| it.is_alphanumeric() || matches!(it, '_' | ' ');
        match text.chars().all(plain) && !text.is_empty() {
            true => Ok(Self(text.to_owned())),
            false => {
                let detail = format!("{text:?} cannot be the name of a type.");
                Err(Error::new(Kind::QueryMalformed, detail))
            }
        }
    }

    /// The name, as it may stand in SQL.
    pub(crate) fn sql(&self) -> &str {
        &self.0
    }
}

impl Output {
    /// A column under its own name.
    pub(crate) fn of_column(resource: &Resource, column: usize) -> Self {
        Self {
            name: resource.at(column).name.clone(),
            source: Source::Place(Place::of_column(column)),
        }
    }

    /// The column that this is, whole and under its own name.
    pub(crate) fn as_column(&self, resource: &Resource) -> Option<usize> {
        match &self.source {
            Source::Place(place) => place
                .whole(resource)
                .filter(|it| it.name == self.name)
                .map(|_| place.column)
                .filter(|it| *it < resource.columns.len()),
            _ => None,
        }
    }

    /// Whether it is over a group of rows.
    pub(crate) fn is_aggregate(&self) -> bool {
        matches!(self.source, Source::Aggregate { .. })
    }
}

/// What `select` asks for; `readable` are the columns that the role may read.
///
/// Of two members of one name the last one counts, as it does for whoever reads JSON.
pub(crate) fn outputs(
    catalog: &Catalog,
    allowed: &Allowed,
    terms: &[Term],
    readable: &[usize],
) -> Result<Vec<Output>> {
    let resource = &allowed.resource;
    let mut outputs: Vec<Output> = Vec::new();
    let mut add = |output: Output| match outputs.iter_mut().find(|it| it.name == output.name) {
        Some(same) => *same = output,
        None => outputs.push(output),
    };
    for term in terms {
        match term {
            Term::All => readable
                .iter()
                .for_each(|index| add(Output::of_column(resource, *index))),
            Term::Field(selected) => add(output(catalog, allowed, selected)?),
            Term::Count { alias, cast } => {
                aggregates_allowed(catalog)?;
                let cast = cast.as_deref().map(TypeName::read).transpose()?;
                add(Output {
                    name: alias.as_deref().unwrap_or("count").into(),
                    source: Source::Aggregate {
                        function: Aggregate::Count,
                        of: None,
                        cast,
                    },
                });
            }
            // Behind the row's own values, see `embed`.
            Term::Embed(_) => {}
        }
    }
    Ok(outputs)
}

/// `count` of a resource that has no such column is how many rows there are, whether aggregates are
/// enabled or not: so PostgreSQL reads it, and PostgREST with it.
fn is_count(resource: &Resource, selected: &Selected) -> bool {
    let Selected {
        field, aggregate, ..
    } = selected;
    aggregate.is_none()
        && field.path.is_empty()
        && field.column == "count"
        && resource.column("count").is_none()
}

fn output(catalog: &Catalog, allowed: &Allowed, selected: &Selected) -> Result<Output> {
    if is_count(&allowed.resource, selected) {
        let cast = selected.cast.as_deref().map(TypeName::read).transpose()?;
        return Ok(Output {
            name: selected.alias.as_deref().unwrap_or("count").into(),
            source: Source::Aggregate {
                function: Aggregate::Count,
                of: None,
                cast,
            },
        });
    }
    if selected.aggregate.is_some() {
        aggregates_allowed(catalog)?;
    }
    let place = Place::find(allowed, &selected.field)?;
    let type_name = |it: &Option<String>| it.as_deref().map(TypeName::read).transpose();
    let cast = type_name(&selected.cast)?;
    let name = match (&selected.alias, selected.aggregate) {
        (Some(alias), _) => alias.as_str().into(),
        (None, Some(function)) => function.name().into(),
        (None, None) => name_of(&allowed.resource, &place),
    };
    let source = match (selected.aggregate, cast) {
        (Some(function), cast) => Source::Aggregate {
            function,
            of: Some((place, cast)),
            cast: type_name(&selected.aggregate_cast)?,
        },
        (None, Some(cast)) => Source::Cast(place, cast),
        (None, None) => Source::Place(place),
    };
    Ok(Output { name, source })
}

/// A value inside of JSON is called by the last member on the way to it.
fn name_of(resource: &Resource, place: &Place) -> Arc<str> {
    let members = place.path.iter().rev().find_map(|step| match &step.key {
        Key::Member(name) => Some(name.as_str()),
        Key::Element(_) => None,
    });
    match members {
        Some(name) => name.into(),
        None => resource.at(place.column).name.clone(),
    }
}

fn aggregates_allowed(catalog: &Catalog) -> Result<()> {
    match catalog.aggregates_enabled {
        true => Ok(()),
        false => Err(Error::new(
            Kind::AggregatesDisabled,
            "Aggregates are not enabled on this server.",
        )
        .with_message("Use of aggregate functions is not allowed")),
    }
}
