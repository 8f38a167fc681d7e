//! What the loader accepts, what it refuses, and how it says so.

use super::*;
use std::ffi::OsString;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn file(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("rowcast.toml"), text).expect("the file is written");
        let sources = Sources {
            folder: folder.path().to_owned(),
            ..Sources::default()
        };
        Self { folder, sources }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        let variable = (OsString::from(name), OsString::from(value));
        self.sources.environment.push(variable);
        self
    }

    fn flag(mut self, flag: &'static str, setting: &'static str, value: &str) -> Self {
        let value = value.to_owned();
        self.sources.flags.push(Flag {
            flag,
            setting,
            value,
        });
        self
    }

    fn loads(&self) -> Config {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The complaints, with the file's folder taken off.
    fn refused(&self) -> String {
        let error = load(&self.sources).expect_err("this should be refused");
        assert_eq!(error.kind(), Kind::ConfigurationInvalid);
        let folder = format!("{}/", self.folder.path().display());
        error.detail().replace(&folder, "")
    }
}

#[test]
fn nothing_set_gives_the_defaults() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sources = Sources {
        folder: folder.path().to_owned(),
        ..Sources::default()
    };
    assert_eq!(load(&sources).expect("loads"), Config::default());
}

#[test]
fn the_defaults_are_accepted_by_the_checks() {
    assert_eq!(Case::file("").loads(), Config::default());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let case = Case::file("[server]\nlisten = \"127.0.0.1:1\"\ndrain_ms = 7\n");
    assert_eq!(case.loads().server.listen, "127.0.0.1:1");
    let case = case.variable("ROWCAST_LISTEN", "127.0.0.1:2");
    assert_eq!(case.loads().server.listen, "127.0.0.1:2");
    let case = case.flag("--listen", "server.listen", "127.0.0.1:3");
    let config = case.loads();
    assert_eq!(config.server.listen, "127.0.0.1:3");
    assert_eq!(config.server.drain_ms, 7, "the rest of the file stands");
}

#[test]
fn the_long_name_of_a_variable_beats_the_short_one() {
    for (first, second) in [
        ("DATABASE_URL", "ROWCAST_DATABASE_URL"),
        ("ROWCAST_DATABASE_URL", "DATABASE_URL"),
    ] {
        let case = Case::file("")
            .variable(first, first)
            .variable(second, second);
        let config = case.loads();
        assert_eq!(
            config.database_url().expect("set").expose(),
            "ROWCAST_DATABASE_URL"
        );
    }
}

#[test]
fn every_section_is_read() {
    let config = Case::file(&format!(
        r#"
[server]
cors_origins = ["https://app.example.com", "*"]
[database]
url = "postgres://localhost/app"
schemas = ["app", "public"]
default_role = "agent"
[auth]
jwt_secret = "{SECRET}"
claims = {{ organization = "app.org_id" }}
[limits]
ping_ms = 1_000
[feed]
poll_ms = 5
[api]
write_answer = "minimal"
[keys]
master_keys = ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
[resources.tickets]
organization = "column:tenant"
announce = "keys"
visibility_depends_on = ["ticket_members"]
[resources.messages]
organization = "via:ticket_id"
key = true
[resources."odd.name"]
organization = "shared"
"#
    ))
    .loads();
    assert_eq!(config.database.schemas, ["app", "public"]);
    assert_eq!(config.auth.jwt_secret, Some(SECRET.into()));
    assert_eq!(config.claims.organization, "app.org_id");
    assert_eq!(config.claims.user, "sub");
    assert_eq!(config.limits.ping_ms, 1_000);
    assert_eq!(config.feed.poll_ms, 5);
    assert_eq!(config.api.write_answer, WriteAnswer::Minimal);
    assert_eq!(config.keys.master_keys.len(), 1);
    let rule = |name: &str| config.resources[name].organization.clone();
    assert_eq!(
        rule("tickets"),
        Some(OrganizationRule::Column("tenant".into()))
    );
    assert_eq!(
        rule("messages"),
        Some(OrganizationRule::Via("ticket_id".into()))
    );
    assert_eq!(rule("odd.name"), Some(OrganizationRule::Shared));
    assert_eq!(config.resources["tickets"].announce, Announce::Keys);
    assert!(config.resources["messages"].key);
}

#[test]
fn tenancy_has_a_short_form() {
    for text in ["tenancy = \"single\"", "[tenancy]\ntenancy = \"single\""] {
        let config = Case::file(text).loads();
        assert_eq!(config.tenancy.tenancy, TenancyMode::Single, "{text}");
    }
    let config = Case::file("").variable("ROWCAST_TENANCY", "single").loads();
    assert_eq!(config.tenancy.tenancy, TenancyMode::Single);
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    for (text, complaint) in [
        (
            "[limits]\n\nchanels_per_identity = 3",
            "rowcast.toml:3: unknown setting `limits.chanels_per_identity`; \
             did you mean `limits.channels_per_identity`?",
        ),
        (
            "[server]\nping_ms = 5000",
            "rowcast.toml:2: unknown setting `server.ping_ms`; did you mean `limits.ping_ms`?",
        ),
        (
            "[limit]\nping_ms = 5000",
            "rowcast.toml:1: unknown section [limit]; did you mean `limits`?",
        ),
        (
            "ping_ms = 5000",
            "rowcast.toml:1: unknown setting `ping_ms`; did you mean `limits.ping_ms`?",
        ),
        (
            "[limits]\nping_ms = \"5s\"",
            "rowcast.toml:2: `limits.ping_ms` must be a whole number that is not negative",
        ),
        (
            "[limits]\nping_ms = -5",
            "rowcast.toml:2: `limits.ping_ms` must be a whole number that is not negative",
        ),
        (
            "[limits]\nping_ms = 0",
            "rowcast.toml:2: `limits.ping_ms` is 0; it must be at least 100",
        ),
        (
            "[api]\nwrite_answer = \"none\"",
            "rowcast.toml:2: `api.write_answer` must be \"row\" or \"minimal\"",
        ),
        (
            "[server]\nlisten = 8080",
            "rowcast.toml:2: `server.listen` must be text in quotes",
        ),
        (
            "[server]\nlisten = \"8080\"",
            "rowcast.toml:2: `server.listen` must be an address and a port, \
             such as 127.0.0.1:8080, [::]:8080 or localhost:8080",
        ),
        (
            "[database]\nschemas = \"public\"",
            "rowcast.toml:2: `database.schemas` must be a list of texts",
        ),
        (
            "[database]\nschemas = [\"a\", \"a\"]",
            "rowcast.toml:2: `database.schemas` names \"a\" twice",
        ),
        (
            "limits = 3",
            "rowcast.toml:1: `limits` must be a table, [limits]",
        ),
        (
            "[auth]\nclaims = \"org\"",
            "rowcast.toml:2: `auth.claims` must be a table, [auth.claims]",
        ),
        (
            "[auth.claims]\norg = \"x\"",
            "rowcast.toml:2: unknown setting `auth.claims.org`; \
             did you mean `auth.claims.organization`?",
        ),
        (
            "[resources.tickets]\norganisation = \"shared\"",
            "rowcast.toml:2: unknown setting `organisation` of a resource; \
             did you mean `organization`?",
        ),
        (
            "[resources.tickets]\norganization = \"owner\"",
            "rowcast.toml:2: `resources.tickets.organization` must be \"column:<name>\", \
             \"via:<column>\" or \"shared\"",
        ),
        (
            "tenancy = \"single\"\n[resources.tickets]\norganization = \"via:x\"",
            "rowcast.toml:3: `resources.tickets.organization` makes no sense with \
             `tenancy = \"single\"`, where there is one organization",
        ),
        (
            "[limits]\nrequest_grace_ms = 200_000",
            "rowcast.toml:2: `limits.request_grace_ms` is 200000, longer than a channel without \
             a reader lives (`limits.channel_idle_ms`, 120000)",
        ),
        (
            "[api]\nrequest_id_header = \"Channel-Id\"",
            "rowcast.toml:2: `api.request_id_header` is a header with a meaning of its own",
        ),
        (
            "[server]\ncors_origins = [\"app.example.com\"]",
            "rowcast.toml:2: `server.cors_origins` has \"app.example.com\"; \
             an origin is `https://host` or `https://host:port`",
        ),
    ] {
        assert_eq!(Case::file(text).refused(), complaint, "{text}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_the_line_and_without_quoting_it() {
    let complaint = Case::file("[auth]\njwt_secret = hunter2\n").refused();
    assert!(complaint.starts_with("rowcast.toml:2: "), "{complaint}");
    assert!(!complaint.contains("hunter2"), "{complaint}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let case = Case::file("[limits]\nping = 1\n[feed]\npoll = 2\n").variable("ROWCAST_LISTEM", "x");
    assert_eq!(case.refused().lines().count(), 3);
}

#[test]
fn mistakes_in_the_environment_are_named_by_their_variable() {
    for (name, value, complaint) in [
        (
            "ROWCAST_LIMITS_PING_MSS",
            "1",
            "environment variable ROWCAST_LIMITS_PING_MSS: there is no such setting; \
             did you mean `ROWCAST_LIMITS_PING_MS`?",
        ),
        (
            "ROWCAST_LIMITS_PING_MS",
            "5s",
            "environment variable ROWCAST_LIMITS_PING_MS: `limits.ping_ms` must be a whole number \
             that is not negative",
        ),
        (
            "ROWCAST_RESOURCES_TICKETS_KEY",
            "true",
            "environment variable ROWCAST_RESOURCES_TICKETS_KEY: resources are configured in \
             rowcast.toml only",
        ),
        (
            "ROWCAST_JWT_SECRET",
            "hunter2",
            "environment variable ROWCAST_JWT_SECRET: `auth.jwt_secret` has 7 bytes; HS256 needs \
             at least 32 (RFC 7518, section 3.2), for example from `openssl rand -base64 32`",
        ),
    ] {
        assert_eq!(Case::file("").variable(name, value).refused(), complaint);
    }
}

#[test]
fn lists_in_the_environment_are_separated_by_commas() {
    let case = Case::file("").variable("ROWCAST_DATABASE_SCHEMAS", "app, public,");
    assert_eq!(case.loads().database.schemas, ["app", "public"]);
}

#[test]
fn an_empty_variable_is_not_set() {
    let case = Case::file("").variable("ROWCAST_JWT_SECRET", "");
    assert_eq!(case.loads(), Config::default());
}

#[test]
fn other_variables_are_left_alone() {
    let case = Case::file("").variable("PATH", "/bin").variable("ROW", "1");
    assert_eq!(case.loads(), Config::default());
}

#[test]
fn a_named_file_has_to_exist() {
    let mut case = Case::file("");
    case.sources.config = Some(case.folder.path().join("other.toml"));
    let complaint = case.refused();
    assert!(
        complaint.starts_with("other.toml: cannot be read: "),
        "{complaint}"
    );
    let case = Case::file("").variable("ROWCAST_CONFIG", "/nowhere/rowcast.toml");
    assert!(case.refused().starts_with("/nowhere/rowcast.toml: "));
}

#[test]
fn a_mistake_on_the_command_line_is_named_by_its_flag() {
    let complaint = Case::file("")
        .flag("--listen", "server.listen", "here")
        .refused();
    assert!(
        complaint.starts_with("--listen: `server.listen` must be "),
        "{complaint}"
    );
}

#[test]
fn what_serve_needs_is_asked_for_in_words() {
    let config = Config::default();
    let asked = config.database_url().expect_err("not set");
    assert!(asked.detail().contains("DATABASE_URL"));
    let asked = config.jwt_secret().expect_err("not set");
    assert!(asked.detail().contains("ROWCAST_JWT_SECRET"));
}

#[test]
fn no_secret_is_printed() {
    let case = Case::file("")
        .variable("ROWCAST_JWT_SECRET", SECRET)
        .variable("DATABASE_URL", "postgres://app:hunter2@localhost/app");
    let printed = format!("{:?} {:?}", case.loads(), case.loads().sections());
    assert!(!printed.contains(SECRET) && !printed.contains("hunter2"));
}

#[test]
fn the_names_of_variables_are_unambiguous() {
    let mut names: Vec<String> = Vec::new();
    for section in Config::default().sections() {
        for setting in section.settings {
            let name = format!("{}.{}", section.name, setting.name);
            names.push(load::variable_name(&name));
        }
    }
    for (short, setting) in load::SHORT_VARIABLES {
        assert!(!names.contains(&(*short).to_owned()), "{short}");
        assert!(names.contains(&load::variable_name(setting)), "{setting}");
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

proptest::proptest! {
    #[test]
    fn no_file_makes_the_loader_panic(text in "\\PC{0,200}") {
        let _ = load(&Case::file(&text).sources);
    }

    #[test]
    fn nearly_right_files_do_not_either(
        section in "(server|auth|auth\\.claims|limits|resources|resources\\.x|tenancy|\\PC{1,5})",
        name in "(listen|claims|ping_ms|jwt_secret|tenancy|key|[a-z_]{1,8})",
        value in "(1|-1|\"x\"|true|\\[\\]|\\[1\\]|\\{\\}|\\{a=1\\}|99999999999999999999|1979-05-27|nan)",
    ) {
        let _ = load(&Case::file(&format!("[{section}]\n{name} = {value}\n")).sources);
    }
}
