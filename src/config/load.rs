//! Where values come from: flags beat the environment, which beats the file, which beats the
//! defaults. Whatever is unknown or wrong is named together with the place where it stands.
//!
//! Knows the names of variables and flags; what TOML looks like is [`super::file`]'s, which values
//! fit together is [`super::check`]'s.

use super::{Config, check, file};
use crate::error::{Error, Kind, Result};
use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, sync::Arc};

/// The file that is read from the working folder when no other is named.
const FILE_NAME: &str = "rowcast.toml";

/// The variable that names another file.
const FILE_VARIABLE: &str = "ROWCAST_CONFIG";

/// Variables with a name of their own, beside `ROWCAST_<SECTION>_<SETTING>`, which beats them.
pub const SHORT_VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("ROWCAST_JWT_SECRET", "auth.jwt_secret"),
    ("ROWCAST_LISTEN", "server.listen"),
    ("ROWCAST_LOG", "server.log"),
    ("ROWCAST_TENANCY", "tenancy.tenancy"),
];

/// Everything that settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named by `--config`; it has to exist.
    pub config: Option<PathBuf>,
    /// The folder in which `rowcast.toml` is looked for otherwise.
    pub folder: PathBuf,
    /// The variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Settings given on the command line.
    pub flags: Vec<Flag>,
}

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as the user knows it: `--listen`.
    pub flag: &'static str,
    /// The setting: `server.listen`.
    pub setting: &'static str,
    /// The value as it was typed.
    pub value: String,
}

impl Sources {
    /// What this process was started with.
    pub fn of_process(config: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self {
            config,
            folder: PathBuf::new(),
            environment: std::env::vars_os().collect(),
            flags,
        }
    }
}

/// Reads all settings, or says everything that is wrong with them, a line each.
///
/// # Errors
/// [`Kind::ConfigurationInvalid`], whose detail may have several lines.
pub fn load(sources: &Sources) -> Result<Config> {
    let mut loading = Loading::default();
    let environment = Environment::read(&sources.environment, &mut loading);
    if let Some((path, text)) = read_file(sources, &environment)? {
        file::read(&mut loading, &path, &text);
    }
    for (variable, setting, value) in environment.settings {
        let origin = Origin::Variable(variable.into());
        loading.set_text(&setting, &value, origin);
    }
    for flag in &sources.flags {
        loading.set_text(flag.setting, &flag.value, Origin::Flag(flag.flag));
    }
    if loading.faults.is_empty() {
        check::check(&mut loading);
    }
    match loading.faults.is_empty() {
        true => Ok(loading.config),
        false => Err(Error::new(
            Kind::ConfigurationInvalid,
            loading.faults.join("\n"),
        )),
    }
}

/// Where a value was found.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A file and a line, counted from 1.
    File(Arc<str>, usize),
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "the default"),
            Origin::File(path, line) => write!(f, "{path}:{line}"),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
            Origin::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// The settings as far as they are read, where each was found, and what was wrong.
#[derive(Debug, Default)]
pub(super) struct Loading {
    pub(super) config: Config,
    origins: BTreeMap<String, Origin>,
    faults: Vec<String>,
}

impl Loading {
    /// Sets one setting, or notes that there is none of that name or that the value does not fit.
    pub(super) fn set(&mut self, setting: &str, value: &toml::Value, origin: Origin) {
        let outcome = setting.rsplit_once('.').and_then(|(section, name)| {
            let section = self.config.section_mut(section)?;
            section.set(name, value)
        });
        match outcome {
            Some(Ok(())) => {
                self.origins.insert(setting.to_owned(), origin);
            }
            Some(Err(expected)) => {
                self.fault(&origin, format!("`{setting}` must be {expected}"));
            }
            None => {
                let hint = suggestion(setting, setting_names().iter().map(String::as_str));
                self.fault(&origin, format!("unknown setting `{setting}`{hint}"));
            }
        }
    }

    fn set_text(&mut self, setting: &str, text: &str, origin: Origin) {
        let shape = Config::default()
            .sections()
            .into_iter()
            .flat_map(|section| {
                let name = section.name;
                section.settings.into_iter().map(move |it| (name, it))
            })
            .find(|(section, it)| setting == format!("{section}.{}", it.name))
            .map(|(_, it)| it.shape)
            .expect("flags and variables were resolved to settings that exist");
        match shape.read_text(text) {
            Ok(value) => self.set(setting, &value, origin),
            Err(expected) => self.fault(&origin, format!("`{setting}` must be {expected}")),
        }
    }

    /// Where the value of this setting was found.
    pub(super) fn origin(&self, setting: &str) -> Origin {
        self.origins
            .get(setting)
            .cloned()
            .unwrap_or(Origin::Default)
    }

    /// Notes what is wrong at this place.
    pub(super) fn fault(&mut self, origin: &Origin, fault: impl fmt::Display) {
        self.faults.push(format!("{origin}: {fault}"));
    }

    /// Notes that the value of this setting does not do.
    pub(super) fn refuse(&mut self, setting: &str, fault: impl fmt::Display) {
        let origin = self.origin(setting);
        self.fault(&origin, format!("`{setting}` {fault}"));
    }
}

/// The variables that concern us.
#[derive(Debug, Default)]
struct Environment {
    /// The file named by the environment.
    config: Option<PathBuf>,
    /// Variable, setting, value; the short forms first, so that the long ones win.
    settings: Vec<(String, String, String)>,
}

impl Environment {
    fn read(variables: &[(OsString, OsString)], loading: &mut Loading) -> Self {
        let long: BTreeMap<String, String> = setting_names()
            .into_iter()
            .map(|setting| (variable_name(&setting), setting))
            .collect();
        let short = |name: &str| SHORT_VARIABLES.iter().find(|(short, _)| *short == name);
        let mut read = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let is_ours = name.starts_with("ROWCAST_") || short(name).is_some();
            // An empty variable is how many shells and containers say "not set".
            if !is_ours || value.is_empty() {
                continue;
            }
            if name == FILE_VARIABLE {
                read.config = Some(value.into());
                continue;
            }
            let origin = Origin::Variable(name.into());
            let Some(value) = value.to_str() else {
                loading.fault(&origin, "the value is not UTF-8");
                continue;
            };
            let (name, value) = (name.to_owned(), value.to_owned());
            if let Some((_, setting)) = short(&name) {
                read.settings
                    .insert(0, (name, (*setting).to_owned(), value));
            } else if let Some(setting) = long.get(&name) {
                read.settings.push((name, setting.clone(), value));
            } else if name.starts_with("ROWCAST_RESOURCES_") {
                loading.fault(&origin, "resources are configured in rowcast.toml only");
            } else {
                let known = long.keys().map(String::as_str);
                let known = known.chain(SHORT_VARIABLES.iter().map(|(short, _)| *short));
                let hint = suggestion(&name, known.chain([FILE_VARIABLE]));
                loading.fault(&origin, format!("there is no such setting{hint}"));
            }
        }
        read
    }
}

/// The variable of a setting: `ROWCAST_LIMITS_PING_MS` for `limits.ping_ms`.
pub fn variable_name(setting: &str) -> String {
    format!("ROWCAST_{}", setting.to_uppercase().replace('.', "_"))
}

/// All settings but those of single resources, as `section.name`.
fn setting_names() -> Vec<String> {
    let sections = Config::default().sections();
    let named = sections
        .iter()
        .filter(|section| !section.name.starts_with("resources."));
    named
        .flat_map(|section| {
            let names = section.settings.iter();
            names.map(|it| format!("{}.{}", section.name, it.name))
        })
        .collect()
}

/// "; did you mean `…`?" with the nearest of the names that exist, if one is near.
pub(super) fn suggestion<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let parts = |name: &'a str| name.rsplit_once('.').unwrap_or(("", name));
    let (section, last) = wrong.rsplit_once('.').unwrap_or(("", wrong));
    let nearness = |name: &'a str| match parts(name) {
        // The right name in the wrong section is as near as can be.
        (_, its_last) if its_last == last => 1.0,
        (its_section, its_last) if its_section == section => strsim::jaro_winkler(its_last, last),
        (_, its_last) => 0.9 * strsim::jaro_winkler(its_last, last),
    };
    names
        .map(|name| (nearness(name), name))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// The file's path as it is printed, and its text; `None` where no file is named and none is there.
fn read_file(sources: &Sources, environment: &Environment) -> Result<Option<(Arc<str>, String)>> {
    let named = sources.config.as_ref().or(environment.config.as_ref());
    let path = named
        .cloned()
        .unwrap_or_else(|| sources.folder.join(FILE_NAME));
    let shown: Arc<str> = path.display().to_string().into();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let detail = format!("{shown}: cannot be read: {error}");
            Err(Error::new(Kind::ConfigurationInvalid, detail).with_source(error))
        }
    }
}
