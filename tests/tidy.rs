//! The rules that no compiler checks: which way imports point, what a file begins with and how long
//! it may be, what may not be left behind. The rules are functions over texts in `rules`, each shown
//! to go red on a seeded fault; here they are held against the tree.

mod rules;

use std::path::{Path, PathBuf};

/// All files below a folder whose names end so, with their texts; names are relative to the package.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if matches!(&*name, "node_modules" | "target") {
            continue;
        }
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else if name.ends_with(ending) {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy();
            found.push((
                relative.into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are no {ending} files in {folder}");
    found
}

fn rust_files() -> Vec<(String, String)> {
    let folders = ["src", "tests", "benches"].iter();
    folders.flat_map(|folder| files(folder, ".rs")).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

fn holds(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn each(files: Vec<(String, String)>, rule: impl Fn(&str, &str) -> Vec<String>) {
    let faults = files.iter().flat_map(|(path, text)| {
        let faults = rule(path, text);
        faults
            .into_iter()
            .map(move |fault| format!("{path}: {fault}"))
    });
    holds(faults.collect());
}

#[test]
fn imports_point_down_only() {
    each(files("src", ".rs"), rules::upward_imports);
}

#[test]
fn each_library_is_used_where_it_belongs() {
    each(files("src", ".rs"), rules::misplaced_libraries);
}

#[test]
fn every_file_says_what_it_owns() {
    each(rust_files(), |_, text| rules::missing_head(text));
}

#[test]
fn files_are_not_too_long() {
    each(rust_files(), |_, text| rules::too_long(text));
}

#[test]
fn nothing_is_left_behind() {
    each(rust_files(), rules::left_behind);
    each(files("sql", ".sql"), |_, text| rules::leftover_words(text));
    each(files("docs", ".md"), |_, text| rules::leftover_words(text));
}

#[test]
fn every_file_is_a_module_of_its_parent() {
    holds(rules::orphans(
        &files("src", ".rs"),
        &["src/lib.rs", "src/main.rs"],
    ));
    holds(rules::orphans(&files("tests", ".rs"), &["tests/all.rs"]));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    holds(rules::unexplained_dependencies(&read("Cargo.toml")));
}

#[test]
fn sql_is_in_lower_case() {
    each(files("sql", ".sql"), |_, text| rules::upper_case_sql(text));
    each(files("src", ".rs"), |_, text| {
        rules::upper_case_sql_in_rust(text)
    });
}

#[test]
fn every_kind_of_error_is_documented() {
    holds(rules::undocumented_kinds(&read("docs/ERRORS.md")));
}

#[test]
fn every_setting_is_in_effect_or_says_that_it_is_not() {
    let sources = files("src", ".rs").into_iter();
    let users = sources.filter(|(path, _)| !path.starts_with("src/config/"));
    let users: Vec<String> = users.map(|(_, text)| text).collect();
    let sections = rowcast::config::Config::default().sections();
    let settings = sections.into_iter().flat_map(|section| section.settings);
    holds(rules::idle_settings(
        &users,
        settings.map(|it| (it.name, it.meaning)),
    ));
}
