//! Finds PostgreSQL's server programs among those installed. Knows nothing of folders of data but
//! their major version.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::OLDEST_MAJOR;
use crate::error::{Error, Kind, Result};

/// A folder with initdb and postgres, of a version that we work with.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    version: String,
    major: u32,
}

impl Programs {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// Folders that end in `bin`, and where `*` stands for a version.
const USUAL_FOLDERS: [&str; 9] = [
    // Debian and Ubuntu, which keep server programs off the path.
    "/usr/lib/postgresql/*/bin",
    // PostgreSQL's own packages for Red Hat and its kin.
    "/usr/pgsql-*/bin",
    // Homebrew: on Apple's processors, on Intel's, on Linux.
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    // Alpine.
    "/usr/libexec/postgresql*",
    // Built from source.
    "/usr/local/pgsql/bin",
    "/usr/bin",
];

/// The programs that can be used, best first: those of `given` alone, or else those on the path,
/// those that pg_config names, and those of the usual folders from the newest to the oldest.
///
/// # Errors
/// [`Kind::CommandFailed`] when there are none.
pub(super) async fn find(given: Option<&Path>) -> Result<Vec<Programs>> {
    if let Some(folder) = given {
        return match probe(folder).await {
            Some(programs) if programs.major >= OLDEST_MAJOR => Ok(vec![programs]),
            Some(programs) => Err(Error::new(
                Kind::CommandFailed,
                format!(
                    "{} holds PostgreSQL {}; rowcast needs {OLDEST_MAJOR} or newer",
                    folder.display(),
                    programs.version
                ),
            )),
            None => Err(Error::new(
                Kind::CommandFailed,
                format!("{} does not hold initdb and postgres", folder.display()),
            )),
        };
    }

    let mut preferred = Vec::new();
    for folder in on_path().into_iter().chain(configured().await) {
        preferred.extend(probe(&folder).await);
    }
    let mut usual = Vec::new();
    for folder in USUAL_FOLDERS.iter().flat_map(|pattern| expand(pattern)) {
        usual.extend(probe(&folder).await);
    }
    usual.sort_by_key(|it| std::cmp::Reverse(it.major));

    let (usable, too_old): (Vec<_>, Vec<_>) = preferred
        .into_iter()
        .chain(usual)
        .partition(|it| it.major >= OLDEST_MAJOR);
    if !usable.is_empty() {
        return Ok(usable);
    }
    let seen = match too_old.first() {
        Some(old) => format!("only {} in {}", old.version, old.folder.display()),
        None => "nothing on the path, by pg_config or in the usual folders".to_owned(),
    };
    Err(Error::new(
        Kind::CommandFailed,
        format!("no PostgreSQL {OLDEST_MAJOR} or newer was found: {seen}"),
    )
    .with_hint(
        "install PostgreSQL's server programs (Debian, Ubuntu: apt install postgresql; Red Hat: \
         dnf install postgresql-server; Homebrew: brew install postgresql), or name their folder \
         with --pg-bin",
    ))
}

/// The best of the programs found, or, when data exist, the best that can read them: data folders
/// belong to a major version.
///
/// # Errors
/// [`Kind::CommandFailed`] when no program can read the data.
pub(super) fn choose(found: Vec<Programs>, major: Option<u32>, data: &Path) -> Result<Programs> {
    let newest = found.iter().map(|it| it.version.clone()).next();
    found
        .into_iter()
        .find(|it| major.is_none_or(|major| it.major == major))
        .ok_or_else(|| {
            Error::new(
                Kind::CommandFailed,
                format!(
                    "the data in {} were made by PostgreSQL {}, but the programs found are of {}",
                    data.display(),
                    major.unwrap_or_default(),
                    newest.unwrap_or_default()
                ),
            )
            .with_hint(
                "install that version, or name its programs' folder with --pg-bin, or start anew \
                 with --fresh, which deletes the data",
            )
        })
}

/// The folders of the path that hold a postgres.
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute() && folder.join("postgres").exists())
        .collect()
}

async fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().await;
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

/// The folders that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

/// The programs in this folder, if both are there and postgres tells its version.
async fn probe(folder: &Path) -> Option<Programs> {
    if !folder.join("initdb").exists() {
        return None;
    }
    // The links of Homebrew and others lead to where the rest of the installation is.
    let folder = fs::canonicalize(folder.join("postgres")).ok()?;
    let folder = folder.parent()?.to_owned();
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .await
        .ok()?;
    let (version, major) = parse_version(std::str::from_utf8(&output.stdout).ok()?)?;
    Some(Programs {
        folder,
        version,
        major,
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and `18beta1` in its place.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let version = text.split_whitespace().nth(2)?;
    let digits = version.split(|it: char| !it.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(version: &str, major: u32) -> Programs {
        Programs {
            folder: PathBuf::from("/x"),
            version: version.to_owned(),
            major,
        }
    }

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some(("15.18".to_owned(), 15)));
        let beta = "postgres (PostgreSQL) 18beta1\n";
        assert_eq!(parse_version(beta), Some(("18beta1".to_owned(), 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) devel"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn data_are_read_by_their_own_version_only() {
        let found = || vec![programs("17.2", 17), programs("15.1", 15)];
        let chosen = |major| choose(found(), major, Path::new("/data"));
        assert_eq!(chosen(None).unwrap().major, 17);
        assert_eq!(chosen(Some(15)).unwrap().major, 15);
        let error = chosen(Some(16)).unwrap_err();
        assert!(error.detail().contains("PostgreSQL 16"), "{error}");
        assert!(error.hint().unwrap().contains("--fresh"));
    }

    #[tokio::test]
    async fn a_folder_without_the_programs_is_refused_by_name() {
        let error = find(Some(Path::new("/nowhere"))).await.unwrap_err();
        assert!(error.detail().contains("/nowhere"), "{error}");
    }

    #[test]
    fn patterns_expand_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pg-15", "pg-16", "other"] {
            fs::create_dir_all(folder.path().join(name).join("bin")).unwrap();
        }
        let mut found = expand(&format!("{}/pg-*/bin", folder.path().display()));
        found.sort();
        let expected = ["pg-15/bin", "pg-16/bin"].map(|it| folder.path().join(it));
        assert_eq!(found, expected);
    }
}
