//! The operating system's user that the server runs as: PostgreSQL refuses root, so root hands over
//! to somebody without privileges. Knows nothing of what is run.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{Gid, Uid, User};

use super::failed;
use crate::error::{Error, Kind, Result};

/// Who the server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    uid: Uid,
    /// The group to change to; absent when we stay who we are.
    other: Option<Gid>,
}

impl Account {
    /// Ourselves, unless we are root: then the owner of the data that are there, or the user that
    /// PostgreSQL's packages make, or nobody.
    ///
    /// # Errors
    /// [`Kind::CommandFailed`] when the data belong to somebody whom we cannot become.
    pub(super) fn choose(data: &Path) -> Result<Self> {
        let us = nix::unistd::geteuid();
        let owner = fs::symlink_metadata(data).ok();
        let owner = owner.map(|it| (Uid::from_raw(it.uid()), Gid::from_raw(it.gid())));
        match owner {
            Some((uid, gid)) if us.is_root() && !uid.is_root() => Ok(Self {
                uid,
                other: Some(gid),
            }),
            Some((uid, _)) if !us.is_root() && uid != us => Err(Error::new(
                Kind::CommandFailed,
                format!("{} belongs to another user (id {uid})", data.display()),
            )
            .with_hint("run as that user or as root, or use another --data-dir")),
            _ if us.is_root() => ["postgres", "_postgres", "nobody"]
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .map(|user| Self {
                    uid: user.uid,
                    other: Some(user.gid),
                })
                .ok_or_else(|| {
                    Error::new(
                        Kind::CommandFailed,
                        "PostgreSQL refuses to run as root, and there is neither a user postgres \
                         nor a user nobody",
                    )
                    .with_hint("run as another user")
                }),
            _ => Ok(Self {
                uid: us,
                other: None,
            }),
        }
    }

    pub(super) fn uid(self) -> Uid {
        self.uid
    }

    /// A command that this user runs, detached from our terminal, our working folder (which may be
    /// closed to it) and the settings that our environment has for clients.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(gid) = self.other {
            command.uid(self.uid.as_raw()).gid(gid.as_raw());
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Makes this user the owner.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        let Some(gid) = self.other else {
            return Ok(());
        };
        nix::unistd::chown(path, Some(self.uid), Some(gid)).map_err(|error| {
            failed(
                format_args!("{} cannot be handed over", path.display()),
                io::Error::from(error),
            )
        })
    }

    /// Whether this user can get into the folder, past all the folders above it. Asked of the
    /// system itself, which knows of access lists and mounts what mode bits do not tell.
    pub(super) fn reaches(self, folder: &Path) -> Result<bool> {
        let status = self
            .command("/bin/sh")
            .args(["-c", "cd \"$1\"", "sh"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        Ok(status
            .map_err(|error| failed("/bin/sh does not run", error))?
            .success())
    }
}
