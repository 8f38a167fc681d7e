//! A program in a process of its own, so that its time and its memory can be told apart: the server as a
//! user starts it, or what it is compared with.
//!
//! Knows nothing of what it is asked. It listens on a port of its own choice, which it tells on its
//! standard error as `address=…`, as the server's log does.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A program that runs; dropping it ends it.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// The server in front of this database, with these settings in its environment.
    pub(crate) fn rowcast(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rowcast"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--database-url", database_url]);
        command.envs(settings.iter().copied());
        Self::start(command)
    }

    /// Starts a program, and waits until it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it tells where it listens").unwrap();
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
            eprintln!("{line}");
        };
        // Ends when the program does. What it says meanwhile must not fill the pipe.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{}", line.unwrap())));
        Self { child, address }
    }

    /// User and system time until now.
    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// Memory that is its own, as far as it is resident (proc(5), `statm`).
    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// User and system time of a process until now, in ticks of 10 ms (proc(5), `stat`).
#[allow(dead_code, reason = "not every bench asks")]
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks = fields.skip(11).take(2).map(|it| it.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
