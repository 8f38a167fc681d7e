//! Every setting, limit and time-out, with units, and where their values come from.
//!
//! Owns the names, defaults and meanings. Knows nothing of what the settings are used for.

mod check;
mod declare;
mod file;
mod load;
mod resource;
mod secret;
mod settings;
#[cfg(test)]
mod tests;

pub use declare::{Setting, Shape};
pub use load::{Flag, SHORT_VARIABLES, Sources, load, variable_name};
pub use resource::{Announce, OrganizationRule, ResourceConfig};
pub use secret::{MASTER_KEY_BYTES, Secret, master_key_bytes};
pub use settings::{
    Actions, Api, Auth, Claims, Database, Feed, Keys, Limits, Server, Tenancy, TenancyMode,
    WriteAnswer,
};

use crate::error::{Error, Kind, Result};
use declare::Section;
use std::collections::BTreeMap;

/// All settings, as one immutable value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[auth]`
    pub auth: Auth,
    /// `[auth.claims]`
    pub claims: Claims,
    /// `[tenancy]`
    pub tenancy: Tenancy,
    /// `[limits]`
    pub limits: Limits,
    /// `[feed]`
    pub feed: Feed,
    /// `[actions]`
    pub actions: Actions,
    /// `[keys]`
    pub keys: Keys,
    /// `[api]`
    pub api: Api,
    /// `[resources.<name>]`
    pub resources: BTreeMap<String, ResourceConfig>,
}

/// A section with what it is about and the settings in it.
#[derive(Debug, Clone, PartialEq)]
pub struct SectionSettings {
    /// The table's name in the file: `limits`, `auth.claims`.
    pub name: &'static str,
    /// What the section is about.
    pub meaning: String,
    /// Its settings in the order in which they are documented.
    pub settings: Vec<Setting>,
}

impl Config {
    /// The database to connect to, or an error that says how to name one.
    pub fn database_url(&self) -> Result<&Secret> {
        self.database.url.as_ref().ok_or_else(|| {
            Error::new(
                Kind::ConfigurationInvalid,
                "no database is named: give --database-url, set the environment variable \
                 DATABASE_URL, or set `url` in [database] of rowcast.toml",
            )
        })
    }

    /// The secret of tokens, or an error that says how to set one.
    pub fn jwt_secret(&self) -> Result<&Secret> {
        self.auth.jwt_secret.as_ref().ok_or_else(|| {
            Error::new(
                Kind::ConfigurationInvalid,
                "no secret for tokens is set: set the environment variable ROWCAST_JWT_SECRET, or \
                 `jwt_secret` in [auth] of rowcast.toml, to at least 32 random bytes \
                 (for example from `openssl rand -base64 32`)",
            )
        })
    }

    /// All sections with the values that they have here; last, as `resources.<name>`, the settings
    /// that each resource can have.
    pub fn sections(&self) -> Vec<SectionSettings> {
        fn of(name: &'static str, section: &dyn Section) -> SectionSettings {
            SectionSettings {
                name,
                meaning: section.meaning(),
                settings: section.settings(),
            }
        }
        vec![
            of("server", &self.server),
            of("database", &self.database),
            of("auth", &self.auth),
            of("auth.claims", &self.claims),
            of("tenancy", &self.tenancy),
            of("limits", &self.limits),
            of("feed", &self.feed),
            of("actions", &self.actions),
            of("keys", &self.keys),
            of("api", &self.api),
            of("resources.<name>", &ResourceConfig::default()),
        ]
    }

    /// The section of this name, to be written to; a resource's is made where it is not there yet.
    fn section_mut(&mut self, name: &str) -> Option<&mut dyn Section> {
        Some(match name {
            "server" => &mut self.server,
            "database" => &mut self.database,
            "auth" => &mut self.auth,
            "auth.claims" => &mut self.claims,
            "tenancy" => &mut self.tenancy,
            "limits" => &mut self.limits,
            "feed" => &mut self.feed,
            "actions" => &mut self.actions,
            "keys" => &mut self.keys,
            "api" => &mut self.api,
            _ => {
                let resource = name.strip_prefix("resources.")?;
                self.resources.entry(resource.to_owned()).or_default()
            }
        })
    }
}
