//! Functions that callers may call by name, and which one is meant by what a call says.
//!
//! Pure look-ups. Knows neither SQL text nor values.

use super::{ColumnType, Oid, Resource};
use std::sync::Arc;

/// A function of the database (`pg_proc`) that is exposed.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its object identifier.
    pub oid: Oid,
    /// The schema it lives in.
    pub schema: Arc<str>,
    /// Its name, in the schema and on the wire.
    pub name: Arc<str>,
    /// What it takes, in order.
    pub parameters: Vec<Parameter>,
    /// Whether it may write.
    pub volatility: Volatility,
    /// What it gives.
    pub returns: Returns,
    /// Whether it gives any number of them.
    pub is_set: bool,
}

/// What a function takes.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name; `None`: it has none.
    pub name: Option<Arc<str>>,
    /// Its type; of a variadic one, the array.
    pub type_: ColumnType,
    /// It has no default.
    pub is_required: bool,
    /// It takes any number of values.
    pub is_variadic: bool,
}

/// What a function may do (`pg_proc.provolatile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// Nothing but compute.
    Immutable,
    /// Read.
    Stable,
    /// Write as well.
    Volatile,
}

/// What a function gives.
#[derive(Debug, Clone)]
pub enum Returns {
    /// Nothing.
    Void,
    /// A value, as a row of one column.
    Value(Arc<Resource>),
    /// A row: of an exposed table or view, or of columns of its own.
    Row(Arc<Resource>),
}

/// What a call brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bringing {
    /// Arguments by name, and nothing else.
    Arguments,
    /// A JSON document, which may hold arguments by name or be the argument itself.
    Json,
    /// A text, which is the argument itself.
    Text,
    /// XML, which is the argument itself.
    Xml,
    /// Bytes, which are the argument itself.
    Bytes,
}

impl Function {
    /// Whether it is called with arguments of exactly these names.
    fn takes<'a>(&self, names: impl Iterator<Item = &'a str> + Clone, bringing: Bringing) -> bool {
        if self.parameters.is_empty() {
            let whole = matches!(bringing, Bringing::Text | Bringing::Xml | Bringing::Bytes);
            return !whole && names.clone().next().is_none();
        }
        let known = |name: &str| self.parameter(name).is_some();
        let given = |it: &Parameter| {
            let name = it.name.as_deref();
            name.is_some_and(|name| names.clone().any(|given| given == name))
        };
        let mut required = self.parameters.iter().filter(|it| it.is_required);
        names.clone().all(known) && required.all(given)
    }

    /// Whether what a call brings along is its one argument.
    fn takes_whole(&self, bringing: Bringing) -> bool {
        let [only] = self.parameters.as_slice() else {
            return false;
        };
        let wanted: &[&str] = match bringing {
            Bringing::Arguments => &[],
            Bringing::Json => &["json", "jsonb"],
            Bringing::Text => &["text"],
            Bringing::Xml => &["xml"],
            Bringing::Bytes => &["bytea"],
        };
        only.name.is_none() && wanted.contains(&&*only.type_.name)
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        let mut parameters = self.parameters.iter();
        parameters.find(|it| it.name.as_deref() == Some(name))
    }

    /// As a person writes it: `public.add(a => integer)`.
    pub fn signature(&self) -> String {
        let parameters = self.parameters.iter().map(|it| {
            let name = it.name.as_deref().unwrap_or_default();
            format!("{name} => {}", it.type_.name)
        });
        let parameters: Vec<String> = parameters.collect();
        format!("{}.{}({})", self.schema, self.name, parameters.join(", "))
    }
}

/// Which of the functions of one name a call means.
#[derive(Debug)]
pub enum Choice<'a> {
    /// This one; `whole` says that what the call brings along is its argument.
    One {
        /// The function.
        function: &'a Arc<Function>,
        /// Whether what the call brings along is its one argument.
        whole: bool,
    },
    /// None of them.
    None,
    /// Any of these.
    Several(Vec<&'a Arc<Function>>),
}

/// Chooses among functions of one name, as PostgREST does: those that take arguments of these names go
/// before those that take all of a body as one.
pub fn choose<'a, 'n>(
    functions: &'a [Arc<Function>],
    names: impl Iterator<Item = &'n str> + Clone,
    bringing: Bringing,
) -> Choice<'a> {
    let by_name = functions
        .iter()
        .filter(|it| it.takes(names.clone(), bringing));
    let by_name: Vec<&Arc<Function>> = by_name.collect();
    let whole = functions.iter().filter(|it| it.takes_whole(bringing));
    let whole: Vec<&Arc<Function>> = whole.collect();
    match (by_name.as_slice(), whole.as_slice()) {
        ([function], _) => Choice::One {
            function,
            whole: false,
        },
        ([], [function]) => Choice::One {
            function,
            whole: true,
        },
        ([], []) => Choice::None,
        ([], _) => Choice::Several(whole),
        _ => Choice::Several(by_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{TypeKind, oid};

    fn function(number: u32, parameters: &[(&str, &str, bool)]) -> Arc<Function> {
        let parameters = parameters
            .iter()
            .map(|(name, type_, is_required)| Parameter {
                name: (!name.is_empty()).then(|| (*name).into()),
                type_: ColumnType {
                    oid: oid::INT4,
                    name: (*type_).into(),
                    kind: TypeKind::Base,
                },
                is_required: *is_required,
                is_variadic: false,
            });
        Arc::new(Function {
            oid: number,
            schema: "public".into(),
            name: "f".into(),
            parameters: parameters.collect(),
            volatility: Volatility::Stable,
            returns: Returns::Void,
            is_set: false,
        })
    }

    fn chosen(functions: &[Arc<Function>], names: &[&str], bringing: Bringing) -> String {
        match choose(functions, names.iter().copied(), bringing) {
            Choice::One { function, whole } => {
                format!("{}{}", function.oid, if whole { " whole" } else { "" })
            }
            Choice::None => "none".into(),
            Choice::Several(several) => format!("one of {}", several.len()),
        }
    }

    #[test]
    fn the_names_of_arguments_choose() {
        let functions = [
            function(1, &[]),
            function(2, &[("a", "integer", true)]),
            function(
                3,
                &[
                    ("a", "integer", true),
                    ("b", "integer", true),
                    ("c", "text", false),
                ],
            ),
        ];
        let chosen = |names: &[&str]| chosen(&functions, names, Bringing::Arguments);
        assert_eq!(chosen(&[]), "1");
        assert_eq!(chosen(&["a"]), "2");
        assert_eq!(chosen(&["b", "a"]), "3");
        assert_eq!(chosen(&["a", "b", "c"]), "3");
        assert_eq!(chosen(&["a", "c"]), "none");
        assert_eq!(chosen(&["d"]), "none");
    }

    #[test]
    fn two_that_fit_are_one_too_many() {
        let functions = [
            function(1, &[("a", "integer", true)]),
            function(2, &[("a", "text", true)]),
        ];
        assert_eq!(chosen(&functions, &["a"], Bringing::Json), "one of 2");
        assert_eq!(functions[1].signature(), "public.f(a => text)");
    }

    #[test]
    fn a_body_may_be_the_argument() {
        let functions = [
            function(1, &[("", "jsonb", true)]),
            function(2, &[("a", "integer", true)]),
        ];
        assert_eq!(chosen(&functions, &["a"], Bringing::Json), "2");
        assert_eq!(chosen(&functions, &["b"], Bringing::Json), "1 whole");
        assert_eq!(chosen(&functions, &["b"], Bringing::Arguments), "none");
        assert_eq!(chosen(&functions, &[], Bringing::Text), "none");
        let text = [function(1, &[("", "text", true)]), function(2, &[])];
        assert_eq!(chosen(&text, &[], Bringing::Text), "1 whole");
        assert_eq!(chosen(&text, &[], Bringing::Json), "2");
    }
}
