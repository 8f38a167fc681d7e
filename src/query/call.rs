//! The call of a function: which one, with which arguments, and what of its result is wanted.
//!
//! Pure, like all of `query`. Whether the role may call the function is for PostgreSQL to say.

use super::{
    grammar::{self, Argument},
    read::Query,
    syntax::Syntax,
    value::Value,
};
use crate::{
    catalog::{
        Access, Allowed, Bringing, Choice, Function, Parameter, Privileges, Resource, Returns,
        TypeKind, Volatility, choose, suggest,
    },
    error::{Error, Kind, Result},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};

/// A function with what it is called with.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) function: Arc<Function>,
    /// For each parameter that is given, its place and its value.
    pub(crate) arguments: Vec<(usize, Value)>,
}

/// What a call brings along beside the query string.
#[derive(Debug, Clone, Copy)]
pub enum Brought<'a> {
    /// Nothing: the query string has the arguments.
    Query,
    /// A JSON document.
    Json(&'a [u8]),
    /// A form, as the JSON object that it stands for.
    Form(&'a [u8]),
    /// A text.
    Text(&'a [u8]),
    /// XML.
    Xml(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// What one call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Nothing,
    /// A value, or values, or a row: one of them.
    One,
    /// Any number of them.
    Many,
}

impl Call {
    /// Reads `/rpc/{function}`: the read of what the function gives. Its [`Query::call`] is the call.
    ///
    /// # Errors
    /// `FunctionUnknown`, `FunctionAmbiguous`, `BodyMalformed`, `ValueInvalid`; as [`Query::list`].
    pub fn query(
        access: &Access,
        function: &str,
        query_string: &str,
        brought: Brought<'_>,
    ) -> Result<Query> {
        let (syntax, given) = match brought {
            Brought::Query => grammar::read_call(query_string)?,
            _ => (grammar::read(query_string)?, Vec::new()),
        };
        let body = Arguments::read(brought)?;
        let mut names: Vec<&str> = match &body {
            Arguments::None => given.iter().map(|it| it.name.as_str()).collect(),
            Arguments::Members(members) => members.keys().map(String::as_str).collect(),
            Arguments::Whole(_) => Vec::new(),
        };
        if let Some(columns) = &syntax.columns {
            names.retain(|name| columns.iter().any(|it| it == name));
        }
        names.sort_unstable();
        names.dedup();
        let bringing = brought.bringing();
        let functions = access.catalog().functions(function);
        let (function, whole) = match choose(functions, names.iter().copied(), bringing) {
            Choice::One { function, whole } => (function, whole),
            Choice::None => return Err(unknown(access, function, &names, bringing)),
            Choice::Several(several) => return Err(ambiguous(&several)),
        };
        let arguments = match (&body, whole) {
            (Arguments::None, _) => from_query(function, &given)?,
            (_, true) => vec![(0, brought.whole()?)],
            (Arguments::Members(members), false) => from_body(function, members, &names)?,
            (Arguments::Whole(_), false) => Vec::new(),
        };
        let call = Self {
            function: function.clone(),
            arguments,
        };
        call.read(access, &syntax)
    }

    /// What it gives.
    pub fn shape(&self) -> Shape {
        match (&self.function.returns, self.function.is_set) {
            (Returns::Void, _) => Shape::Nothing,
            (_, true) => Shape::Many,
            (_, false) => Shape::One,
        }
    }

    /// Whether it may write.
    pub fn may_write(&self) -> bool {
        self.function.volatility == Volatility::Volatile
    }

    /// Whether it gives nothing.
    pub(crate) fn is_of_nothing(&self) -> bool {
        matches!(self.function.returns, Returns::Void)
    }

    /// Whether what it gives are values, and not rows.
    pub(crate) fn is_of_values(&self) -> bool {
        !matches!(self.function.returns, Returns::Row(_))
    }

    fn read(self, access: &Access, syntax: &Syntax) -> Result<Query> {
        let resource = match &self.function.returns {
            Returns::Void => nothing(&self.function),
            Returns::Value(resource) | Returns::Row(resource) => resource.clone(),
        };
        let all = vec![true; resource.columns.len()];
        let allowed = Allowed {
            privileges: Arc::new(Privileges {
                select: all,
                ..Privileges::default()
            }),
            resource,
        };
        let syntax = Syntax {
            columns: None,
            ..syntax.clone()
        };
        Query::called(access, &allowed, &syntax, Arc::new(self))
    }
}

impl<'a> Brought<'a> {
    fn bringing(self) -> Bringing {
        match self {
            Self::Query | Self::Form(_) => Bringing::Arguments,
            Self::Json(_) => Bringing::Json,
            Self::Text(_) => Bringing::Text,
            Self::Xml(_) => Bringing::Xml,
            Self::Bytes(_) => Bringing::Bytes,
        }
    }

    /// All of it as one value.
    fn whole(self) -> Result<Value> {
        let body = match self {
            Self::Bytes(bytes) => {
                let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                let text: String = std::iter::once("\\x".to_owned()).chain(digits).collect();
                return Ok(Value::trusted(&text));
            }
            Self::Query => &[],
            Self::Json(body) | Self::Form(body) | Self::Text(body) | Self::Xml(body) => body,
        };
        let text = std::str::from_utf8(body).ok();
        match text.filter(|it| !it.contains('\0')) {
            Some(text) => Ok(Value::trusted(text)),
            None => Err(malformed("The body is not UTF-8.")),
        }
    }
}

/// The arguments that a body has.
enum Arguments<'a> {
    /// It is none.
    None,
    /// By name.
    Members(BTreeMap<String, &'a RawValue>),
    /// It is not an object, or not JSON.
    Whole(()),
}

impl<'a> Arguments<'a> {
    fn read(brought: Brought<'a>) -> Result<Self> {
        let body = match brought {
            Brought::Query => return Ok(Self::None),
            Brought::Text(_) | Brought::Xml(_) | Brought::Bytes(_) => return Ok(Self::Whole(())),
            Brought::Json(body) | Brought::Form(body) => body,
        };
        let unreadable = |error: serde_json::Error| {
            malformed(format!("The body is not read: {error}."))
                .with_message("Empty or invalid json")
        };
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Ok(Self::Members(BTreeMap::new())),
            Some(b'{') => Ok(Self::Members(
                serde_json::from_slice(body).map_err(unreadable)?,
            )),
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(unreadable)?;
                // As PostgREST does, which once called a function for each of them.
                let first = elements.first().map(|it| it.get());
                let first = first.and_then(|it| serde_json::from_str(it).ok());
                Ok(first.map_or(Self::Whole(()), Self::Members))
            }
            Some(_) => {
                let mut reader = serde_json::Deserializer::from_slice(body);
                <&RawValue>::deserialize(&mut reader)
                    .and_then(|_| reader.end())
                    .map_err(unreadable)?;
                Ok(Self::Whole(()))
            }
        }
    }
}

fn from_query(function: &Function, given: &[Argument]) -> Result<Vec<(usize, Value)>> {
    let mut arguments = Vec::new();
    for (place, parameter) in function.parameters.iter().enumerate() {
        let Some(name) = &parameter.name else {
            continue;
        };
        let texts = given.iter().filter(|it| *it.name == **name);
        let texts: Vec<&str> = texts.map(|it| it.value.as_str()).collect();
        let value = match (texts.as_slice(), &parameter.type_.kind) {
            ([], _) => continue,
            (texts, TypeKind::Array(element)) if parameter.is_variadic => {
                Value::list(name, element, texts.iter().copied())?
            }
            (texts, _) => {
                let last = texts.last().copied().unwrap_or_default();
                Value::from_text(name, &parameter.type_, last)?
            }
        };
        arguments.push((place, value));
    }
    Ok(arguments)
}

fn from_body(
    function: &Function,
    members: &BTreeMap<String, &RawValue>,
    names: &[&str],
) -> Result<Vec<(usize, Value)>> {
    let parameters = function.parameters.iter().enumerate();
    let given = parameters.filter_map(|(place, parameter)| {
        let name = parameter.name.as_deref()?;
        let raw = members.get(name).filter(|_| names.contains(&name))?;
        Some((place, name, parameter, *raw))
    });
    given
        .map(|(place, name, parameter, raw)| Ok((place, from_json(name, parameter, raw)?)))
        .collect()
}

fn from_json(name: &str, parameter: &Parameter, raw: &RawValue) -> Result<Value> {
    let single = parameter.is_variadic && !raw.get().starts_with(['[', '"', 'n']);
    if single {
        let json = format!("[{}]", raw.get());
        let array = RawValue::from_string(json).expect("JSON in brackets is JSON");
        return Value::from_json(name, &parameter.type_, &array);
    }
    Value::from_json(name, &parameter.type_, raw)
}

/// What a function that gives nothing gives: a row of one number, which nobody is told.
fn nothing(function: &Function) -> Arc<Resource> {
    Arc::new(Resource::of_values(
        &function.schema,
        &function.name,
        vec![crate::catalog::Column::of_nothing()],
    ))
}

fn unknown(access: &Access, name: &str, names: &[&str], bringing: Bringing) -> Error {
    let catalog = access.catalog();
    let functions = catalog.functions(name);
    let schema = functions.first().map_or(catalog.schema(), |it| &it.schema);
    let whole = matches!(bringing, Bringing::Text | Bringing::Xml | Bringing::Bytes);
    let listed = names.join(", ");
    let (shown, searched) = match names.len() {
        _ if whole => (String::new(), String::new()),
        0 => (" without parameters".into(), " without parameters".into()),
        1 => (format!("({listed})"), format!(" with parameter {listed}")),
        _ => (format!("({listed})"), format!(" with parameters {listed}")),
    };
    let searched = match bringing {
        Bringing::Arguments => searched,
        Bringing::Json => format!("{searched} or with a single unnamed json/jsonb parameter"),
        Bringing::Text => " with a single unnamed text parameter".into(),
        Bringing::Xml => " with a single unnamed xml parameter".into(),
        Bringing::Bytes => " with a single unnamed bytea parameter".into(),
    };
    let error = Error::new(
        Kind::FunctionUnknown,
        format!("No function {name:?} is exposed that takes these arguments."),
    )
    .with_message(format!(
        "Could not find the function {schema}.{name}{shown} in the schema cache"
    ))
    .with_details(format!(
        "Searched for the function {schema}.{name}{searched}, but no matches were found in the schema \
         cache."
    ));
    if whole {
        return error;
    }
    let taken = |function: &Function| -> Vec<String> {
        let parameters = function.parameters.iter();
        parameters
            .filter_map(|it| it.name.as_deref().map(str::to_owned))
            .collect()
    };
    // Of several functions, the one that takes most of what was given; one that takes nothing is like
    // no call that gives something.
    let near = functions
        .iter()
        .map(|it| taken(it))
        .rev()
        .max_by_key(|taken| {
            taken
                .iter()
                .filter(|it| names.contains(&it.as_str()))
                .count()
                + taken.len().min(1)
        });
    if let Some(taken) = near.filter(|it| !it.is_empty() || names.is_empty()) {
        let taken = taken.join(", ");
        return error.with_hint(format!(
            "Perhaps you meant to call the function {schema}.{name}({taken})"
        ));
    }
    if !functions.is_empty() {
        return error;
    }
    match suggest::similar(name, catalog.function_names()) {
        Some(near) => {
            let schema = catalog
                .functions(near)
                .first()
                .map_or(schema, |it| &it.schema);
            error.with_hint(format!(
                "Perhaps you meant to call the function {schema}.{near}"
            ))
        }
        None => error,
    }
}

fn ambiguous(functions: &[&Arc<Function>]) -> Error {
    let signatures: Vec<String> = functions.iter().map(|it| it.signature()).collect();
    let signatures = signatures.join(", ");
    Error::new(
        Kind::FunctionAmbiguous,
        format!("Several functions take these arguments: {signatures}."),
    )
    .with_message(format!(
        "Could not choose the best candidate function between: {signatures}"
    ))
    .with_hint(
        "Try renaming the parameters or the function itself in the database so function overloading \
         can be resolved",
    )
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::BodyMalformed, detail)
}
