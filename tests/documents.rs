//! Documents that follow from the code: settings and error kinds. Each is rendered here and compared
//! with the file in the repository; `UPDATE_DOCUMENTS=1 cargo test --test all documents` writes them.

use rowcast::config::{Config, SHORT_VARIABLES, Setting, Shape, variable_name};
use std::{fmt::Write as _, path::Path};

#[test]
fn configuration_is_documented() {
    agrees("docs/CONFIGURATION.md", &configuration());
}

#[test]
fn the_example_names_every_setting() {
    agrees("config.example.toml", &example());
}

#[test]
fn the_example_sets_nothing_but_defaults() {
    // Every setting stands commented out with its default; taking the marks off must load, and must
    // change nothing but what has no default.
    let uncommented: String = example()
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => Some(setting),
            Some(_) => None,
            None => Some(line),
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("rowcast.toml"), uncommented).expect("written");
    let sources = rowcast::config::Sources {
        folder: folder.path().to_owned(),
        ..Default::default()
    };
    let mut config = rowcast::config::load(&sources).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.resources.len(), 1);
    assert!(config.auth.jwt_secret.is_some() && config.database.url.is_some());
    config.resources.clear();
    config.auth.jwt_secret = None;
    config.auth.audience = None;
    config.database.url = None;
    config.database.default_role = None;
    config.database.anonymous_role = None;
    assert_eq!(config, Config::default());
}

/// Fails where the file differs from what the code says, unless it was asked to write it.
fn agrees(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, expected).expect("the document can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code says; `UPDATE_DOCUMENTS=1 cargo test --test all documents` writes it",
        path.display()
    );
}

fn configuration() -> String {
    let mut text = String::from(
        "# Configuration

Flags beat environment variables, which beat `rowcast.toml`, which beats the defaults. The file is
named by `--config` or `ROWCAST_CONFIG`; otherwise `rowcast.toml` is read from the working folder, if
it is there. A setting that is unknown or does not fit is refused when the program starts, with the
file and line, the variable or the flag where it stands. [config.example.toml](../config.example.toml)
has every setting with its default.

Every setting but those of single resources has an environment variable, named in its table below.
Lists are separated by commas there; an empty variable counts as not set. These have a short name too:

| variable | setting |
| --- | --- |
",
    );
    for (variable, setting) in SHORT_VARIABLES {
        writeln!(text, "| `{variable}` | `{setting}` |").expect("text grows");
    }
    text.push_str(
        "
Names end in their unit: `_ms` milliseconds, `_s` seconds, `_bytes` bytes, `_percent` percent. This
page is written from the code by a test.
",
    );
    for section in Config::default().sections() {
        let single = section.name.starts_with("resources.");
        writeln!(text, "\n## `[{}]`\n\n{}\n", section.name, section.meaning).expect("text grows");
        text.push_str(if single {
            "| setting | default | meaning |\n| --- | --- | --- |\n"
        } else {
            "| setting and variable | default | meaning |\n| --- | --- | --- |\n"
        });
        for setting in &section.settings {
            let variable = variable_name(&format!("{}.{}", section.name, setting.name));
            let name = match single {
                true => format!("`{}`", setting.name),
                false => format!("`{}` <br> `{variable}`", setting.name),
            };
            let default = setting.value.as_ref().map(|value| format!("`{value}`"));
            let default = default.unwrap_or_else(|| "not set".to_owned());
            let meaning = format!("{}{}", setting.meaning, choices(setting)).replace('|', "\\|");
            writeln!(text, "| {name} | {default} | {meaning} |").expect("text grows");
        }
    }
    text.push_str(TOKENS_AND_TENANTS);
    text
}

const TOKENS_AND_TENANTS: &str = "
## References to what is not exposed

A reference to a table that is not exposed is left to the foreign key: rowcast knows no organization of
the rows there, and many such tables (countries, currencies) have none. Whoever may write the column can
so find out which keys exist there, and nothing else; `rowcast check` notes each such reference. If the
rows there do belong to organizations, expose the table with `organization`, and references to it are
checked like all others.

## The change log

The log is six tables that take turns, its parts, read together as `rowcast.changes`. A part is emptied when everything in
it was visible one retention ago, so the log reaches back between one retention and one and a half. When
it is larger than `feed.log_bytes_max`, its oldest part is emptied sooner, though nothing younger than a
thousandth of the retention (at most a minute) goes; who was away for longer is told to `reset` with the
reason `retention`. The server logs a warning when that begins and a line when it is over, and
`rowcast check` says how large the log is. Nothing of this makes anybody who writes wait.

A log that cannot be written (its tables were dropped or damaged, the disk is full) makes the writes fail
that would have been logged, with PostgreSQL's own error, which names the function `rowcast.log_…`;
through rowcast they are answered with a 500. Reads go on. A running server notices within 40 seconds and
makes a damaged log anew; everybody is then told to `reset`. A full disk (53100) is no damage: the log
stays as it is, writes go on as soon as there is room, and nobody has missed anything. Where no server
runs, `rowcast uninstall` takes the triggers away.

## Tokens

A token is a JSON Web Token signed with HS256 by `auth.jwt_secret`; no other algorithm is accepted, and
a secret of fewer than 32 bytes is refused (RFC 7518, section 3.2). It is sent as
`Authorization: Bearer <token>` and may have 16 KiB.

| claim | meaning |
| --- | --- |
| `org` | The organization: text or a whole number, compared in the form in which PostgreSQL writes it where all organization columns are numbers or all are uuids. |
| `sub` | The user inside the organization: text or a whole number. |
| `role` | The PostgreSQL role, which rowcast's own role must be a member of. Optional. |
| `exp`, `nbf` | Seconds since 1970 until and from which the token counts, give or take `auth.leeway_s`. Optional: a token without `exp` never expires. |
| `aud` | Looked at where `auth.audience` is set. |

`[auth.claims]` gives the first three other names. All claims reach row-level security policies as
`request.jwt.claims`. Two tokens are one identity, with the same channels and limits, if all their claims
but `exp`, `iat`, `nbf` and `jti` are equal.

## One organization

`tenancy = \"single\"`, at the top of the file or in `[tenancy]`, exposes every table of the configured
schemas, for reading and writing, as one organization: for applications with one tenant, and for trying
rowcast on a database that knows no organizations. Tokens then need no organization, and one that they
carry is not looked at.

## Callers without a token

Without `database.anonymous_role` they are refused (401). With it they run under that role, with that
`role` as their only claim, and belong to no organization: they see resources that are `shared`, and
nothing of any organization; with `tenancy = \"single\"` they belong to the one organization like everybody.
";

fn example() -> String {
    let mut text = String::from(
        "# Every setting of rowcast with its default. A line that begins with `#` and no space is a setting:
# take the `#` off and change it. docs/CONFIGURATION.md says the same as a table, with the environment
# variables, which beat this file as flags beat them.
",
    );
    for section in Config::default().sections() {
        let name = section.name.replace("<name>", "tickets");
        writeln!(text, "\n{}", comment(&section.meaning)).expect("text grows");
        let table = format!("[{name}]");
        let mark = if name.starts_with("resources.") {
            "#"
        } else {
            ""
        };
        writeln!(text, "{mark}{table}").expect("text grows");
        for setting in &section.settings {
            let meaning = format!("{}{}", setting.meaning, choices(setting));
            writeln!(text, "{}", comment(&meaning)).expect("text grows");
            let value = setting.value.clone().map(|value| value.to_string());
            let value = value.unwrap_or_else(|| sample(section.name, setting.name).to_owned());
            writeln!(text, "#{} = {value}", setting.name).expect("text grows");
        }
    }
    text
}

/// What the example shows for a setting that has no default.
fn sample(section: &str, name: &str) -> &'static str {
    match (section, name) {
        ("database", "url") => "\"postgres://app:password@localhost:5432/app\"",
        ("database", "default_role") => "\"app_user\"",
        ("database", "anonymous_role") => "\"app_anonymous\"",
        ("auth", "jwt_secret") => "\"at least 32 random bytes: openssl rand -base64 32\"",
        ("auth", "audience") => "\"https://api.example.com\"",
        ("resources.<name>", "organization") => "\"column:organization_id\"",
        ("resources.<name>", "updated_at") => "\"updated_at\"",
        _ => panic!("[{section}] {name} has no default: give it a sample here"),
    }
}

fn choices(setting: &Setting) -> String {
    match setting.shape {
        Shape::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            format!(" One of {}.", words.join(", "))
        }
        _ => String::new(),
    }
}

/// Wraps a paragraph into comment lines of at most 100 characters.
fn comment(paragraph: &str) -> String {
    let mut lines: Vec<String> = vec![String::from("#")];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        if line.len() + 1 + word.len() > 100 {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
