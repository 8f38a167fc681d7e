//! `rowcast types`: the types of what is exposed, for callers in another language.
//!
//! Owns how a column looks there. Knows the catalog only; what a role may do is not part of a type.

use super::{ConnectionArguments, Outcome, terminal};
use clap::{Args, ValueEnum};
use rowcast::{
    catalog::{Catalog, Column, ColumnType, Resource, ResourceKind, Tenancy, TypeKind, oid},
    error::Result,
    postgres::Database,
};
use std::fmt::Write as _;

const HELP: &str = "\
Nothing is changed in the database. The types are of whole rows as they come over
the wire; write them to a file and give them to the client:

  rowcast types --lang ts --database-url postgres://app:password@localhost/app > schema.ts

  import { createClient } from \"rowcast\";
  import { keys, type Schema } from \"./schema.ts\";
  const client = createClient<Schema>({ url, token, keys });";

/// The languages that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// TypeScript
    Ts,
}

/// Which database, and for whom.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Types {
    /// The language
    #[arg(long, value_enum, default_value = "ts")]
    lang: Language,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl Types {
    pub(super) async fn run(self) -> Result<Outcome> {
        let config = self.connection.load(None)?;
        let database = Database::connect(&config).await?;
        let text = match self.lang {
            Language::Ts => typescript(&database.catalog()),
        };
        database.close().await;
        terminal::print(&text);
        Ok(Outcome::Done)
    }
}

fn typescript(catalog: &Catalog) -> String {
    let mut resources: Vec<&Resource> = catalog.resources().map(AsRef::as_ref).collect();
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::from(
        "/** The rows of each resource. Written by `rowcast types --lang ts`. */\n\
         export type Schema = {\n",
    );
    for resource in &resources {
        let _ = writeln!(text, "  {}: {{", property(&resource.name));
        shape(&mut text, "Row", resource, |column| {
            Some((false, value_type(resource, column)))
        });
        shape(&mut text, "Insert", resource, |column| {
            let optional =
                column.has_default || !column.not_null || is_organization(resource, column);
            (!column.generated).then(|| (optional, value_type(resource, column)))
        });
        shape(&mut text, "Update", resource, |column| {
            (!column.generated).then(|| (true, value_type(resource, column)))
        });
        text.push_str("  };\n");
    }
    text.push_str("};\n\n/** The key of each resource. */\nexport const keys = {\n");
    for resource in &resources {
        let columns = resource.key_columns().map(|column| quoted(&column.name));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {}: [{columns}],", property(&resource.name));
    }
    text.push_str("};\n");
    text
}

/// One of a resource's three shapes; of each column, whether it may be left out, and its type.
fn shape(
    text: &mut String,
    name: &str,
    resource: &Resource,
    of: impl Fn(&Column) -> Option<(bool, String)>,
) {
    let _ = writeln!(text, "    {name}: {{");
    for column in &resource.columns {
        if let Some((optional, type_)) = of(column) {
            let mark = if optional { "?" } else { "" };
            let _ = writeln!(text, "      {}{mark}: {type_};", property(&column.name));
        }
    }
    text.push_str("    };\n");
}

/// The caller's own organization need not be said.
fn is_organization(resource: &Resource, column: &Column) -> bool {
    match resource.tenancy {
        Tenancy::Column(index) => resource.columns[index].name == column.name,
        _ => false,
    }
}

fn value_type(resource: &Resource, column: &Column) -> String {
    let type_ = typescript_type(&column.type_);
    // Of a view's columns PostgreSQL does not know whether they may be null.
    let is_view = matches!(
        resource.kind,
        ResourceKind::View { .. } | ResourceKind::MaterializedView
    );
    match column.not_null && !is_view {
        true => type_,
        false => format!("{type_} | null"),
    }
}

fn typescript_type(type_: &ColumnType) -> String {
    match &type_.kind {
        TypeKind::Domain(over) => typescript_type(over),
        TypeKind::Enum(labels) if !labels.is_empty() => {
            let labels = labels.iter().map(|label| quoted(label));
            labels.collect::<Vec<_>>().join(" | ")
        }
        TypeKind::Array(element) => match typescript_type(element) {
            simple if simple.chars().all(char::is_alphanumeric) => format!("{simple}[]"),
            // The elements of an array may be null, and the array may have several dimensions.
            union => format!("({union})[]"),
        },
        TypeKind::Base => match type_.oid {
            oid::BOOL => "boolean",
            oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => "number",
            oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => "number",
            oid::JSON | oid::JSONB => "unknown",
            _ => "string",
        }
        .to_owned(),
        TypeKind::Other => "unknown".to_owned(),
        _ => "string".to_owned(),
    }
}

/// A name as a property is written.
fn property(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_');
    match plain {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// JSON's strings are TypeScript's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(oid: u32) -> ColumnType {
        ColumnType {
            oid,
            name: "it".into(),
            kind: TypeKind::Base,
        }
    }

    fn made(kind: TypeKind) -> ColumnType {
        ColumnType {
            oid: 1,
            name: "it".into(),
            kind,
        }
    }

    #[test]
    fn types_are_those_of_the_json_that_is_sent() {
        for (type_, expected) in [
            (base(oid::INT8), "number"),
            (base(oid::NUMERIC), "number"),
            (base(oid::BOOL), "boolean"),
            (base(oid::TIMESTAMPTZ), "string"),
            (base(oid::JSONB), "unknown"),
            (made(TypeKind::Array(base(oid::TEXT).into())), "string[]"),
            (made(TypeKind::Domain(base(oid::INT4).into())), "number"),
            (
                made(TypeKind::Enum(vec!["a".into(), "b\"c".into()])),
                r#""a" | "b\"c""#,
            ),
            (
                made(TypeKind::Array(
                    made(TypeKind::Enum(vec!["a".into(), "b".into()])).into(),
                )),
                r#"("a" | "b")[]"#,
            ),
            (made(TypeKind::Range(base(oid::INT4).into())), "string"),
            (made(TypeKind::Other), "unknown"),
        ] {
            assert_eq!(typescript_type(&type_), expected, "{type_:?}");
        }
    }

    #[test]
    fn names_that_are_no_words_are_quoted() {
        assert_eq!(property("ticket_id"), "ticket_id");
        assert_eq!(property("2nd"), "\"2nd\"");
        assert_eq!(property("größe"), "\"größe\"");
        assert_eq!(property("a\"b"), r#""a\"b""#);
    }
}
