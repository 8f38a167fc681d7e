//! Where a server's data, socket and log are, and the lock that keeps a second process away. Knows
//! nothing of processes.
//!
//! ```text
//! .rowcast/lock            held as long as the server is ours; the id of the process that holds it
//! .rowcast/postgres        the data, and the socket where its path is short enough
//! .rowcast/postgres.new    the data while they are being created
//! .rowcast/postgres.log    the server's log
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha1::{Digest, Sha1};

use super::{Account, Options, Profile, failed};
use crate::error::{Error, Kind, Result};

/// What a socket's path may have in bytes, so that it fits `sun_path` with its final zero: 104 on
/// macOS, 108 on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The socket's name: PostgreSQL puts the port into it, though no port is listened on.
pub(super) const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// The file that names the process that listens on the socket.
pub(super) const SOCKET_LOCK_NAME: &str = ".s.PGSQL.5432.lock";
/// Where root keeps data whose own place is closed to the server's user.
const FALLBACK: &str = "/var/lib/rowcast";
/// A log that has grown beyond this is begun anew at the next start.
const LOG_BYTES_MAX: u64 = 10 << 20;

/// A folder that is ours as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    base: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    account: Account,
    /// Unlocked by the system when it is closed, however this process ends.
    _lock: File,
}

impl Folder {
    /// Creates the folder if need be and locks it.
    pub(super) fn claim(options: &Options) -> Result<Self> {
        let base = &options.folder;
        let is_new = !base.exists();
        fs::create_dir_all(base)
            .and_then(|()| fs::canonicalize(base))
            .map_err(|error| failed(format_args!("{} cannot be used", base.display()), error))
            .and_then(|base| Self::claim_existing(base, is_new, options.profile))
    }

    fn claim_existing(base: PathBuf, is_new: bool, profile: Profile) -> Result<Self> {
        let lock = lock(&base)?;
        if is_new {
            // Passable, whatever the umask says: the server's user has to get through.
            fs::set_permissions(&base, Permissions::from_mode(0o711))
                .map_err(|error| failed(format_args!("{}", base.display()), error))?;
        }

        let inside = base.join("postgres");
        let account = Account::choose(&inside)?;
        let data = if account.reaches(&base)? {
            inside
        } else {
            let elsewhere = Path::new(FALLBACK).join(digest(&base));
            tracing::info!(
                "the server's user cannot get to {}; its data are in {}",
                base.display(),
                elsewhere.display()
            );
            fs::create_dir_all(&elsewhere)
                .and_then(|()| {
                    fs::set_permissions(FALLBACK, Permissions::from_mode(0o755))?;
                    fs::set_permissions(&elsewhere, Permissions::from_mode(0o711))
                })
                .map_err(|error| {
                    failed(
                        format_args!("{} cannot be used", elsewhere.display()),
                        error,
                    )
                })?;
            elsewhere.join("postgres")
        };
        // The data in the other place may be of another owner.
        let account = Account::choose(&data)?;
        if profile == Profile::Throwaway {
            // The watchdog, which runs as the server's user, has to be able to remove it.
            account.give(&base)?;
        }

        let socket = if data.as_os_str().len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_BYTES_MAX {
            data.clone()
        } else {
            private_folder(&data, account)?
        };
        Ok(Self {
            log: base.join("postgres.log"),
            base,
            data,
            socket,
            account,
            _lock: lock,
        })
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of the socket, which only the server's user and root may enter.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn account(&self) -> Account {
        self.account
    }

    /// The major version of the data, or none where there are no data yet.
    pub(super) fn major(&self) -> Result<Option<u32>> {
        let file = self.data.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| {
                Error::new(
                    Kind::CommandFailed,
                    format!("{} does not hold a version", file.display()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody's files where our data would go are not ours to delete.
                if fs::read_dir(&self.data).is_ok_and(|mut it| it.next().is_some()) {
                    return Err(Error::new(
                        Kind::CommandFailed,
                        format!("{} is not a PostgreSQL data folder", self.data.display()),
                    )
                    .with_hint("move it away, or use another --data-dir"));
                }
                Ok(None)
            }
            Err(error) => Err(failed(format_args!("{}", file.display()), error)),
        }
    }

    /// Deletes the data.
    pub(super) fn clear(&self) -> Result<()> {
        // Refuses what is not ours.
        self.major()?;
        remove(&self.data)
    }

    /// An empty folder for new data, owned by the server's user.
    pub(super) fn begin(&self) -> Result<PathBuf> {
        let unfinished = self.data.with_extension("new");
        remove(&unfinished)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&unfinished)
            .map_err(|error| failed(format_args!("{}", unfinished.display()), error))?;
        self.account.give(&unfinished)?;
        Ok(unfinished)
    }

    /// Gives complete data their final name.
    pub(super) fn complete(&self, unfinished: &Path) -> Result<()> {
        remove(&self.data)?;
        fs::rename(unfinished, &self.data)
            .map_err(|error| failed(format_args!("{}", self.data.display()), error))
    }

    /// Opens the log for appending; with it the length that it has already.
    pub(super) fn open_log(&self) -> Result<(File, u64)> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let open = || {
            let file = options.open(&self.log)?;
            if file.metadata()?.len() > LOG_BYTES_MAX {
                file.set_len(0)?;
            }
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        open().map_err(|error| failed(format_args!("{}", self.log.display()), error))
    }
}

/// Locks the folder against other processes.
fn lock(base: &Path) -> Result<File> {
    let path = base.join("lock");
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).mode(0o644);
    let open = options.open(&path);
    let mut file = open.map_err(|error| failed(format_args!("{}", path.display()), error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Error::new(
                Kind::CommandFailed,
                format!(
                    "{} is in use by another rowcast (process {})",
                    base.display(),
                    holder.trim()
                ),
            )
            .with_hint("stop it, or use another --data-dir"));
        }
        Err(TryLockError::Error(error)) => {
            return Err(failed(format_args!("{}", path.display()), error));
        }
    }
    // For the message above only: that it cannot be written harms nobody.
    let _ = file.set_len(0);
    let _ = writeln!(file, "{}", std::process::id());
    Ok(file)
}

/// A short folder for the socket of data whose path is too long. Its name says whose it is, so that
/// a next process finds what this one may leave behind; that nobody else made it first, is checked.
fn private_folder(data: &Path, account: Account) -> Result<PathBuf> {
    let folder = PathBuf::from(format!("/tmp/rowcast-{}", digest(data)));
    let failure = |error| failed(format_args!("{}", folder.display()), error);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => account.give(&folder)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failure(error)),
    }
    let found = fs::symlink_metadata(&folder).map_err(failure)?;
    let is_ours = found.is_dir() && found.uid() == account.uid().as_raw();
    if !is_ours || found.mode() & 0o077 != 0 {
        return Err(Error::new(
            Kind::CommandFailed,
            format!(
                "{} would hold the socket, but is not ours",
                folder.display()
            ),
        )
        .with_hint("remove it, or use a --data-dir with a shorter path"));
    }
    Ok(folder)
}

/// A short name for a path.
fn digest(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = Sha1::digest(path.as_os_str().as_bytes());
    digest[..8].iter().map(|it| format!("{it:02x}")).collect()
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(
            format_args!("{} cannot be removed", folder.display()),
            error,
        )),
        _ => Ok(()),
    }
}
