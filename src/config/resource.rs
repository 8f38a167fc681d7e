//! The settings of one resource, `[resources.<name>]`.

use std::str::FromStr;

/// How one resource departs from what discovery and `[tenancy]` say.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceConfig {
    /// How its rows belong to an organization.
    pub organization: Option<OrganizationRule>,
    /// The column that tells when a row was last updated, for `modified_since` with a time.
    pub updated_at: Option<String>,
    /// What a change of one of its rows announces.
    pub announce: Announce,
    /// Whether each row has a secret key that signals about it need.
    pub key: bool,
    /// Tables that its row-level security reads, apart from those that PostgreSQL knows of.
    pub visibility_depends_on: Vec<String>,
}

/// How the rows of a resource belong to an organization.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum OrganizationRule {
    /// `column:<name>`: by a column of its own.
    Column(String),
    /// `via:<column>`: through a reference to a resource that has an organization.
    Via(String),
    /// `shared`: every organization reads all rows, none writes.
    Shared,
}

impl FromStr for OrganizationRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("column", name)) if !name.is_empty() => Ok(Self::Column(name.to_owned())),
            Some(("via", name)) if !name.is_empty() => Ok(Self::Via(name.to_owned())),
            None if text == "shared" => Ok(Self::Shared),
            _ => Err(format!(
                "{text:?} is not one of `column:<name>`, `via:<column>`, `shared`"
            )),
        }
    }
}

impl TryFrom<String> for OrganizationRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What a change of a row announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announce {
    /// The whole row.
    #[default]
    Rows,
    /// Its key only.
    Keys,
    /// Only that something changed: a `reset` of the resource.
    Resource,
}
