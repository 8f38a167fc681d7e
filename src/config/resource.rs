//! The settings of one resource, `[resources.<name>]`.

use super::declare::{SettingValue, Shape, section, words};

section! {
    /// How one resource departs from what the database and `[tenancy]` say: one table per resource,
    /// `[resources.tickets]`.
    pub struct ResourceConfig {
        /// How its rows belong to an organization: `column:<name>`, a column of its own;
        /// `via:<column>`, through a reference to a resource that has an organization; `shared`,
        /// every organization reads all rows and none writes. Not set: by `tenancy.column`.
        organization: Option<OrganizationRule> = None,
        /// The column that tells when a row was last updated, for `modified_since` with a time.
        updated_at: Option<String> = None,
        /// What a change of one of its rows announces: the whole row, its key, or only that
        /// something changed (a `reset` of the resource).
        announce: Announce = Announce::default(),
        /// Whether each row has a secret key, with which clients encrypt the signals about it, and
        /// which is handed out to those who see the row. Needs `keys.master_keys`.
        key: bool = false,
        /// Tables that its row-level security reads, apart from those that PostgreSQL knows of.
        visibility_depends_on: Vec<String> = Vec::new(),
    }
}

words! {
    /// What a change of a row announces.
    pub enum Announce {
        /// The whole row.
        #[default]
        Rows = "rows",
        /// Its key only.
        Keys = "keys",
        /// Only that something changed: a `reset` of the resource.
        Resource = "resource",
    }
}

/// How the rows of a resource belong to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationRule {
    /// `column:<name>`: by a column of its own.
    Column(String),
    /// `via:<column>`: through a reference to a resource that has an organization.
    Via(String),
    /// `shared`: every organization reads all rows, none writes.
    Shared,
}

impl SettingValue for OrganizationRule {
    const SHAPE: Shape = Shape::Text;

    fn to_toml(&self) -> Option<toml::Value> {
        Some(match self {
            Self::Column(name) => format!("column:{name}").into(),
            Self::Via(column) => format!("via:{column}").into(),
            Self::Shared => "shared".into(),
        })
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let text = value.as_str().unwrap_or_default();
        match text.split_once(':') {
            Some(("column", name)) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
            Some(("via", column)) if !column.is_empty() => Ok(Self::Via(column.to_owned())),
            None if text == "shared" => Ok(Self::Shared),
            _ => Err("\"column:<name>\", \"via:<column>\" or \"shared\"".to_owned()),
        }
    }
}
