//! The running server: spawned, watched over, stopped; and the one that an earlier process left
//! behind. Knows nothing of databases.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Folder, LOOK_INTERVAL, Profile, Programs, failed,
    folder::{SOCKET_LOCK_NAME, SOCKET_NAME, remove},
};
use crate::error::{Error, Kind, Result};

/// A fast shutdown ends the sessions and writes a checkpoint; a disk may be slow at that.
const FAST_TIMEOUT: Duration = Duration::from_secs(30);
/// An immediate shutdown writes nothing.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Dropping blocks its thread, so it has less patience.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Outlives us, whatever happens to us: it reads our end of a pipe until that closes. Then it stops
/// the server, if it is still the one of that id, and removes what is to be removed.
const WATCHDOG: &str = r#"
pid=$1 data=$2 signal=$3 folder=$4
cat >/dev/null
looks=0
while [ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = "$pid" ]; do
    [ $looks -gt 0 ] || kill -s "$signal" "$pid"
    [ $looks -lt 300 ] || { kill -s KILL "$pid"; break; }
    looks=$((looks + 1))
    sleep 0.1
done
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A server that is a child of ours.
#[derive(Debug)]
pub(super) struct Process {
    server: Child,
    watchdog: Child,
    profile: Profile,
    log: PathBuf,
    /// Where in the log our server's messages begin, in bytes.
    log_start: u64,
    /// The folder that goes with the server.
    throwaway: Option<PathBuf>,
    /// The folder of the socket, where it is a separate one.
    socket: Option<PathBuf>,
    is_stopped: bool,
}

impl Process {
    pub(super) fn spawn(programs: &Programs, folder: &Folder, profile: Profile) -> Result<Self> {
        // No server is at work here, see `make_way`, yet PostgreSQL would hesitate if the process id
        // in the socket's lock file is some other process's by now.
        for name in [SOCKET_NAME, SOCKET_LOCK_NAME] {
            let _ = fs::remove_file(folder.socket().join(name));
        }

        let (log, log_start) = folder.open_log()?;
        let mut command = folder.account().command(programs.postgres());
        command.arg("-D").arg(folder.data());
        for setting in settings(folder.socket(), profile) {
            command.args(["-c", &setting]);
        }
        let server = command
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C on our terminal is for us; the server is stopped after what needs it.
            .process_group(0)
            .spawn()
            .map_err(|error| failed("postgres does not run", error))?;

        let throwaway = (profile == Profile::Throwaway).then(|| folder.base().to_owned());
        let watchdog = watch(&server, folder, profile, throwaway.as_deref());
        let mut server = server;
        let watchdog = watchdog.inspect_err(|_| {
            let _ = server.kill();
            let _ = server.wait();
        })?;
        Ok(Self {
            server,
            watchdog,
            profile,
            log: folder.log().to_owned(),
            log_start,
            throwaway,
            socket: (folder.socket() != folder.data()).then(|| folder.socket().to_owned()),
            is_stopped: false,
        })
    }

    /// Whether the server is gone.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.server.try_wait(), Ok(None))
    }

    /// What the server said since we started it.
    pub(super) fn log_since_start(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Stops the server, first politely.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for (signal, timeout) in self.stages(FAST_TIMEOUT) {
            self.signal(signal);
            let deadline = Instant::now() + timeout;
            while !self.has_ended() && Instant::now() < deadline {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            if self.has_ended() {
                break;
            }
        }
        let is_killed = !self.has_ended();
        self.clear()?;
        if is_killed {
            return Err(Error::new(
                Kind::CommandFailed,
                "PostgreSQL did not stop and was killed",
            ));
        }
        Ok(())
    }

    /// How to stop, from the politest: each signal with the time that it gets.
    fn stages(&self, patience: Duration) -> impl Iterator<Item = (Signal, Duration)> + use<> {
        let fast = (self.profile == Profile::Durable).then_some((Signal::SIGINT, patience));
        fast.into_iter()
            .chain([(Signal::SIGQUIT, IMMEDIATE_TIMEOUT)])
    }

    fn signal(&mut self, signal: Signal) {
        // A child that was not waited for keeps its id, so that nobody else is hit.
        if !self.has_ended() {
            let _ = kill(pid_of(&self.server), signal);
        }
    }

    /// Reaps both children; kills the server if it still runs.
    fn clear(&mut self) -> Result<()> {
        self.is_stopped = true;
        let _ = self.server.kill();
        let _ = self.server.wait();
        // Its work is done, and the id that it knows may become another process's.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if let Some(folder) = &self.socket {
            // Only if it is empty, as a stopped server leaves it; the next start copes with the rest.
            let _ = fs::remove_dir(folder);
        }
        self.throwaway.take().map_or(Ok(()), |it| remove(&it))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_stopped {
            return;
        }
        for (signal, timeout) in self.stages(DROP_TIMEOUT) {
            self.signal(signal);
            let deadline = Instant::now() + timeout;
            while !self.has_ended() && Instant::now() < deadline {
                thread::sleep(LOOK_INTERVAL);
            }
        }
        if let Err(error) = self.clear() {
            tracing::warn!(%error, "the local PostgreSQL's folder stays behind");
        }
    }
}

fn settings(socket: &Path, profile: Profile) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        // A list of folders, in which quotes protect commas and blanks.
        format!(
            "unix_socket_directories=\"{}\"",
            socket.display().to_string().replace('"', "\"\"")
        ),
        "unix_socket_permissions=0700".to_owned(),
        // For short statements it costs more than it gains.
        "jit=off".to_owned(),
        // Whatever the folder's own configuration was changed to say, the log is ours to keep.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    let of_profile: &[&str] = match profile {
        Profile::Durable => &["max_connections=200", "shared_buffers=128MB"],
        Profile::Throwaway => &[
            "max_connections=500",
            "shared_buffers=256MB",
            "fsync=off",
            "full_page_writes=off",
            "max_wal_size=4GB",
            "max_prepared_transactions=8",
        ],
    };
    settings.extend(of_profile.iter().map(|&it| it.to_owned()));
    settings
}

fn watch(
    server: &Child,
    folder: &Folder,
    profile: Profile,
    throwaway: Option<&Path>,
) -> Result<Child> {
    let signal = match profile {
        Profile::Durable => "INT",
        Profile::Throwaway => "QUIT",
    };
    folder
        .account()
        .command("/bin/sh")
        .args(["-c", WATCHDOG, "sh", &server.id().to_string()])
        .arg(folder.data())
        .arg(signal)
        .arg(throwaway.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| failed("/bin/sh does not run", error))
}

/// Sees to it that no server runs on the data: stops one that no rowcast owns any more (its owner
/// was killed, and the watchdog with it), and removes a lock file that names some other process.
///
/// # Errors
/// [`Kind::CommandFailed`] when there is a server that cannot be stopped, or a process that may be
/// one: two servers on the same data would destroy them.
pub(super) async fn make_way(folder: &Folder) -> Result<()> {
    let stages = [
        (Signal::SIGINT, FAST_TIMEOUT),
        (Signal::SIGQUIT, IMMEDIATE_TIMEOUT),
        (Signal::SIGKILL, IMMEDIATE_TIMEOUT),
    ];
    let lock_file = folder.data().join("postmaster.pid");
    for (signal, timeout) in stages {
        let deadline = Instant::now() + timeout;
        let mut is_told = false;
        while Instant::now() < deadline {
            match occupant(&lock_file, folder.data()).await {
                Occupant::Nobody => return Ok(()),
                Occupant::Stranger => {
                    return fs::remove_file(&lock_file)
                        .map_err(|error| failed(lock_file.display(), error));
                }
                Occupant::Unknown(pid) => {
                    return Err(Error::new(
                        Kind::CommandFailed,
                        format!(
                            "process {pid} may be a PostgreSQL that runs on {}",
                            folder.data().display()
                        ),
                    )
                    .with_hint(format!(
                        "stop it, or, if it is something else, remove {}",
                        lock_file.display()
                    )));
                }
                Occupant::Server(pid) if !is_told => {
                    is_told = true;
                    tracing::info!(%pid, "stopping a PostgreSQL that was left behind");
                    kill(pid, signal).map_err(|error| {
                        let what = "the PostgreSQL that was left behind cannot be stopped";
                        failed(format_args!("{what} (process {pid})"), error.into())
                    })?;
                }
                Occupant::Server(_) => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    }
    Err(Error::new(
        Kind::CommandFailed,
        format!(
            "a PostgreSQL that was left behind on {} does not stop",
            folder.data().display()
        ),
    ))
}

/// What became of the process that a data folder's lock file names.
#[derive(Debug, PartialEq)]
enum Occupant {
    /// There is no such process, or no file.
    Nobody,
    /// Another program has the id by now.
    Stranger,
    /// The server of these data.
    Server(Pid),
    /// A PostgreSQL, but whose cannot be told.
    Unknown(Pid),
}

async fn occupant(lock_file: &Path, data: &Path) -> Occupant {
    let text = fs::read_to_string(lock_file).unwrap_or_default();
    let pid = text.lines().next().and_then(|it| it.trim().parse().ok());
    let Some(pid) = pid.filter(|&it: &i32| it > 0).map(Pid::from_raw) else {
        return Occupant::Nobody;
    };
    match kill(pid, None) {
        // Somebody else's process is not our server.
        Err(nix::errno::Errno::EPERM) => return Occupant::Stranger,
        Err(_) => return Occupant::Nobody,
        Ok(()) => {}
    }
    // A server works in its data folder. Not even root may always read that of another user's
    // process; everybody may read the command line, which names the folder if we started it.
    if let Ok(folder) = fs::read_link(format!("/proc/{pid}/cwd")) {
        return if folder == data {
            Occupant::Server(pid)
        } else {
            Occupant::Stranger
        };
    }
    match command_line(pid).await {
        // A dead process that nobody has waited for has no command line.
        None => Occupant::Nobody,
        Some(line) if line.contains(&*data.to_string_lossy()) => Occupant::Server(pid),
        Some(line) if line.contains("postgres") || line.contains("postmaster") => {
            Occupant::Unknown(pid)
        }
        Some(_) => Occupant::Stranger,
    }
}

async fn command_line(pid: Pid) -> Option<String> {
    let bytes = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) => {
            let pid = pid.to_string();
            let mut ps = tokio::process::Command::new("ps");
            ps.args(["-o", "command=", "-p", &pid]);
            ps.output().await.ok()?.stdout
        }
    };
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("the system's process ids are positive i32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_file_is_not_believed_blindly() {
        let folder = tempfile::tempdir().unwrap();
        let lock_file = folder.path().join("postmaster.pid");
        let ask = async || occupant(&lock_file, folder.path()).await;
        assert_eq!(ask().await, Occupant::Nobody);
        for (text, expected) in [
            ("", Occupant::Nobody),
            ("-1\n", Occupant::Nobody),
            ("nonsense\n", Occupant::Nobody),
            // This test is a process, but no server.
            (&*format!("{}\n", std::process::id()), Occupant::Stranger),
        ] {
            fs::write(&lock_file, text).unwrap();
            assert_eq!(ask().await, expected, "{text}");
        }

        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        fs::write(&lock_file, child.id().to_string()).unwrap();
        let there = ask().await;
        child.kill().unwrap();
        child.wait().unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(there, Occupant::Server(pid_of(&child)));
        assert_eq!(ask().await, Occupant::Nobody, "{there:?}");
    }
}
