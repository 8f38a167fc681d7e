//! `rowcast check`: what would be exposed, as a table for people, and what is wrong with it.

use super::{ConnectionArguments, Outcome, terminal};
use clap::Args;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use rowcast::{
    catalog::{Access, Catalog, Privileges, Remark, Resource, ResourceKind, Tenancy},
    config::{Config, TenancyMode},
    error::Result,
    identity::Role,
    postgres::{
        Database, MastersInUse,
        changelog::{Health, Keeper},
    },
};
use std::fmt::Write as _;

const HELP: &str = "\
Nothing is changed in the database. Lines that begin with \"wrong:\" name what does
not do what somebody meant it to: a setting that names what is not there, a policy
that is passed by, a role that cannot be used or has no rights, nothing exposed.
Lines that begin with \"note:\" are merely worth knowing.

The exit code is 0 if nothing is wrong, 1 if something is or the database cannot be
reached, 2 if the settings cannot be read.

  rowcast check --database-url postgres://app:password@localhost/app";

/// Which database.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Check {
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl Check {
    pub(super) async fn run(self) -> Result<Outcome> {
        let config = self.connection.load(None)?;
        let database = Database::connect(&config).await?;
        let mut report = report(&config, &database).await;
        change_log(&mut report, &config, &database).await;
        row_keys(&mut report, &database).await;
        verdict(&mut report, &database);
        database.close().await;
        terminal::print(&report.text);
        match report.wrong {
            0 => Ok(Outcome::Done),
            _ => Ok(Outcome::Found),
        }
    }
}

/// What is said, and how many things are wrong.
#[derive(Default)]
struct Report {
    text: String,
    wrong: usize,
}

impl Report {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    fn note(&mut self, line: impl AsRef<str>) {
        self.line(format!("note: {}", line.as_ref()));
    }

    fn wrong(&mut self, line: impl AsRef<str>) {
        self.wrong += 1;
        self.line(format!("wrong: {}", line.as_ref()));
    }
}

async fn report(config: &Config, database: &Database) -> Report {
    let mut report = Report::default();
    let catalog = database.catalog();
    let role = database.default_role();
    let access = database.access(&role).await;

    let mut resources: Vec<&Resource> = catalog.resources().map(AsRef::as_ref).collect();
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    let of = |resource: &Resource| access.as_ref().ok()?.privileges(resource.relation).cloned();
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header([
        "resource",
        "key",
        "organization",
        "relations",
        "row-level security",
        "live",
        "role may",
    ]);
    for resource in &resources {
        table.add_row([
            title(resource),
            key(resource),
            organization(&catalog, resource),
            relations(&catalog, resource),
            if resource.row_security { "yes" } else { "no" }.to_owned(),
            match &resource.not_live {
                None => "yes".to_owned(),
                Some(reason) => format!("no: {reason}"),
            },
            of(resource).map_or_else(|| "nothing".to_owned(), |it| rights(resource, &it)),
        ]);
    }
    if !resources.is_empty() {
        report.line(table.to_string());
    }
    not_exposed(&mut report, &catalog);
    report.line("");
    if config.tenancy.tenancy == TenancyMode::Single {
        report.note("tenancy = \"single\", so everybody with a token is of one organization");
    }
    if resources.is_empty() {
        report.wrong("nothing is exposed");
    }
    match &access {
        Ok(access) => unbound(&mut report, &resources, access, &role),
        Err(error) => report.wrong(format!(
            "the role {role} cannot be used: {}",
            error.detail()
        )),
    }
    for remark in &catalog.remarks {
        match remark {
            Remark::Wrong(text) => report.wrong(text),
            Remark::Note(text) => report.note(text),
        }
    }
    report
}

/// How large the change log is, where there is one.
async fn change_log(report: &mut Report, config: &Config, database: &Database) {
    let most = config.feed.log_bytes_max;
    match Keeper::log_state(database).await {
        Ok(None) => report.line("change log: none yet; `rowcast serve` makes it"),
        Ok(Some(log)) => {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            report.line(format!(
                "change log: {:.1} of {:.0} MiB, reaching back {:.1} of {} hours",
                mib(log.bytes),
                mib(most),
                log.kept.as_secs_f64() / 3600.0,
                config.feed.retention_hours,
            ));
            if log.health == Health::TooLarge {
                report.wrong(
                    "the change log is larger than feed.log_bytes_max: its oldest part is dropped as \
                     soon as a server runs, and clients that were away for longer are told to reset",
                );
            }
        }
        Err(error) => report.wrong(format!("the change log cannot be read: {}", error.detail())),
    }
}

/// Under which master keys the keys of rows are stored, where there are any.
async fn row_keys(report: &mut Report, database: &Database) {
    match database.masters_in_use().await {
        Ok(Some(keys)) if keys != MastersInUse::default() => {
            report.line(format!(
                "keys of rows: {} under the first master key, {} under others",
                keys.first, keys.others
            ));
            if keys.others > 0 {
                report.note(
                    "the first master key is not the only one in use: a running server puts all keys \
                     under it within a minute or so, and until then the others have to stay",
                );
            }
            if keys.unknown > 0 {
                report.wrong(format!(
                    "keys of rows under a master key that keys.master_keys does not have, so that \
                     nobody can read them: {}",
                    keys.unknown
                ));
            }
        }
        Ok(_) => {}
        Err(error) => report.wrong(format!(
            "the keys of rows cannot be read: {}",
            error.detail()
        )),
    }
}

fn verdict(report: &mut Report, database: &Database) {
    let (catalog, role) = (database.catalog(), database.default_role());
    let verdict = match report.wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        wrong => format!("{wrong} things are wrong"),
    };
    report.line(format!(
        "{} exposed, {} not; requests without a role of their own run as {role}; {verdict}",
        catalog.resources().count(),
        catalog.hidden.len(),
    ));
}

/// Tables whose row-level security would let the role of requests see everything.
fn unbound(report: &mut Report, resources: &[&Resource], access: &Access, role: &Role) {
    for resource in resources.iter().filter(|it| it.row_security) {
        let privileges = access.privileges(resource.relation);
        if privileges.is_some_and(|it| !it.row_security_binds) {
            report.wrong(format!(
                "{} has row-level security, which does not bind {role} (a superuser, BYPASSRLS, or \
                 its owner): requests for it are refused; set database.default_role to another role",
                resource.name
            ));
        }
    }
    let none = |resource: &&Resource| access.privileges(resource.relation).is_none();
    if !resources.is_empty() && resources.iter().all(none) {
        report.wrong(format!(
            "{role} may do nothing with any resource: grant it rights"
        ));
    }
}

fn not_exposed(report: &mut Report, catalog: &Catalog) {
    if catalog.hidden.is_empty() {
        return;
    }
    report.line("\nnot exposed:");
    let mut hidden: Vec<_> = catalog.hidden.iter().collect();
    hidden.sort_by(|a, b| a.relation.cmp(&b.relation));
    for hidden in hidden {
        report.line(format!("  {}: {}", hidden.relation, hidden.reason));
    }
}

fn title(resource: &Resource) -> String {
    let kind = match resource.kind {
        ResourceKind::Table => "",
        ResourceKind::PartitionedTable => " (partitioned)",
        ResourceKind::View { .. } => " (view)",
        ResourceKind::MaterializedView => " (materialized view)",
        ResourceKind::ForeignTable => " (foreign table)",
    };
    format!("{}{kind}", resource.name)
}

fn key(resource: &Resource) -> String {
    let columns: Vec<&str> = resource.key_columns().map(|it| &*it.name).collect();
    match columns.is_empty() {
        true => "none: read-only".to_owned(),
        false => columns.join(", "),
    }
}

fn organization(catalog: &Catalog, resource: &Resource) -> String {
    let column = |index: usize| resource.columns[index].name.to_string();
    match &resource.tenancy {
        Tenancy::Column(index) => column(*index),
        Tenancy::Via {
            column: index,
            target,
            ..
        } => {
            let target = catalog.relation(*target);
            let target = target.map_or("?", |it| &*it.name);
            format!("via {} → {target}", column(*index))
        }
        Tenancy::Shared => "shared, read-only".to_owned(),
        Tenancy::Single => "the only one".to_owned(),
    }
}

fn relations(catalog: &Catalog, resource: &Resource) -> String {
    let mut text = String::new();
    for reference in &resource.references {
        // References to what is not exposed lead nowhere for a caller.
        let Some(target) = catalog.relation(reference.target) else {
            continue;
        };
        let columns = reference.columns.iter();
        let columns: Vec<&str> = columns.map(|it| &*resource.columns[*it].name).collect();
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{separator}{} → {}", columns.join(", "), target.name);
    }
    text
}

/// What a role may do, and on how many columns where not on all of them.
fn rights(resource: &Resource, privileges: &Privileges) -> String {
    let on_columns = |name: &str, columns: &[bool]| {
        let allowed = columns.iter().filter(|it| **it).count();
        match allowed {
            0 => None,
            _ if allowed == columns.len() => Some(name.to_owned()),
            _ => Some(format!("{name} ({allowed} of {} columns)", columns.len())),
        }
    };
    let writable = resource.is_writable();
    let rights = [
        on_columns("read", &privileges.select),
        on_columns("insert", &privileges.insert).filter(|_| writable),
        on_columns("update", &privileges.update).filter(|_| writable),
        (writable && privileges.delete).then(|| "delete".to_owned()),
    ];
    let rights: Vec<String> = rights.into_iter().flatten().collect();
    match rights.is_empty() {
        true => "nothing".to_owned(),
        false => rights.join(", "),
    }
}
