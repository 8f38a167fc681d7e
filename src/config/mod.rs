//! Every setting, limit and time-out, with units, and where their values come from.
//!
//! Owns the names, defaults and meanings. Knows nothing of what the settings are used for.

mod declare;
mod resource;
mod secret;
mod settings;

pub use declare::{Setting, Shape};
pub use resource::{Announce, OrganizationRule, ResourceConfig};
pub use secret::Secret;
pub use settings::{
    Api, Auth, Claims, Database, Feed, Limits, Server, Tenancy, TenancyMode, WriteAnswer,
};

use declare::{Section, paragraph};
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
    /// All sections but `[resources]`, with the values that they have here.
    pub fn sections(&self) -> Vec<SectionSettings> {
        fn of<S: Section>(name: &'static str, section: &S) -> SectionSettings {
            SectionSettings {
                name,
                meaning: paragraph(S::MEANING),
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
            of("api", &self.api),
        ]
    }
}
