//! `rowcast.toml`: from its text to settings, each with its line.

use super::{
    Config,
    load::{Loading, Origin, suggestion},
};
use serde::Deserialize;
use std::{ops::Range, sync::Arc};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

/// Reads the settings of a file; `path` is only for messages.
pub(super) fn read(loading: &mut Loading, path: &Arc<str>, text: &str) {
    let file = File { path, text };
    match DeTable::parse(text) {
        // The parser's own rendering would quote the line, which may hold a secret.
        Err(error) => {
            let origin = file.origin(&error.span().unwrap_or(0..0));
            loading.fault(&origin, error.message());
        }
        Ok(document) => file.section(loading, "", document.get_ref()),
    }
}

struct File<'a> {
    path: &'a Arc<str>,
    text: &'a str,
}

impl File<'_> {
    fn section(&self, loading: &mut Loading, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let setting = match section {
                "" => key.get_ref().to_string(),
                _ => format!("{section}.{}", key.get_ref()),
            };
            let origin = self.origin(&key.span());
            match (section, &*setting, value.get_ref()) {
                // The short form of `tenancy = "single"` in [tenancy].
                ("", "tenancy", DeValue::String(_)) => {
                    self.setting(loading, "tenancy.tenancy", value, origin);
                }
                ("", "resources", DeValue::Table(resources)) => {
                    self.resources(loading, resources);
                }
                ("", _, DeValue::Table(settings)) if is_section(&setting) => {
                    self.section(loading, &setting, settings);
                }
                ("auth", "auth.claims", DeValue::Table(claims)) => {
                    self.section(loading, &setting, claims);
                }
                ("", _, _) if is_section(&setting) || setting == "resources" => {
                    loading.fault(&origin, format!("`{setting}` must be a table, [{setting}]"));
                }
                ("auth", "auth.claims", _) => {
                    loading.fault(&origin, "`auth.claims` must be a table, [auth.claims]");
                }
                ("", _, DeValue::Table(_)) => {
                    let sections = Config::default().sections();
                    let names = sections.iter().map(|it| it.name);
                    let hint = suggestion(&setting, names.chain(["resources"]));
                    loading.fault(&origin, format!("unknown section [{setting}]{hint}"));
                }
                _ => self.setting(loading, &setting, value, origin),
            }
        }
    }

    fn resources(&self, loading: &mut Loading, resources: &DeTable<'_>) {
        for (key, value) in resources {
            let (name, origin) = (key.get_ref(), self.origin(&key.span()));
            let DeValue::Table(settings) = value.get_ref() else {
                let fault = format!("`resources.{name}` must be a table, [resources.{name}]");
                loading.fault(&origin, fault);
                continue;
            };
            // Made even when it is empty, so that a name without a table in the database is noticed.
            loading
                .config
                .resources
                .entry(name.to_string())
                .or_default();
            for (key, value) in settings {
                self.resource_setting(loading, name, key, value);
            }
        }
    }

    fn resource_setting(
        &self,
        loading: &mut Loading,
        resource: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let (name, origin) = (key.get_ref(), self.origin(&key.span()));
        let sections = Config::default().sections();
        let known = sections.last().expect("the section of single resources");
        if known.settings.iter().any(|it| it.name == name) {
            self.setting(
                loading,
                &format!("resources.{resource}.{name}"),
                value,
                origin,
            );
        } else {
            let hint = suggestion(name, known.settings.iter().map(|it| it.name));
            let fault = format!("unknown setting `{name}` of a resource{hint}");
            loading.fault(&origin, fault);
        }
    }

    fn setting(
        &self,
        loading: &mut Loading,
        setting: &str,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) {
        match toml::Value::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(value) => loading.set(setting, &value, origin),
            // A number of more than 64 bits, for one.
            Err(error) => loading.fault(&origin, format!("`{setting}`: {}", error.message())),
        }
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File(self.path.clone(), line)
    }
}

fn is_section(name: &str) -> bool {
    let sections = Config::default().sections();
    sections.iter().any(|section| section.name == name)
}
