//! Ends a program with the process that started it, in whatever way that ends.
//!
//! Whoever is killed can't end what it started, and a program that is deaf to the end of its input would stay for ever.
//! So Stint starts itself a second time, as the leader of the program's process group: that one starts the program,
//! hands it its own input and output, and stays. Once its parent is another process than the one that started it, it
//! kills the group. No signal is asked of the kernel for the parent's death: it would come at the death of the
//! parent's *thread*, and reach one process of the group.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::{ExitStatusExt as _, parent_id};
use std::path::Path;
use std::process::{Command, id};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

/// The first argument of Stint as a keeper; the process that starts it and the program follow.
pub const KEEP: &str = "__keep";

/// How often a keeper looks for its parent: nothing could tell it.
const LOOK: Duration = Duration::from_millis(250);

/// The arguments with which `keeper` starts this program.
pub(super) fn through(keeper: &Path, command: &[String]) -> Vec<String> {
    let head = [
        keeper.to_string_lossy().into_owned(),
        KEEP.into(),
        id().to_string(),
        "--".into(),
    ];
    head.into_iter().chain(command.iter().cloned()).collect()
}

/// Starts a program for the process `parent`, and stays until either ends: what the hidden command of the binary does.
/// It must be the leader of a process group. Returns the exit code.
pub fn keep(parent: u32, command: &[OsString]) -> u8 {
    // Unable to say it: nobody listens any more.
    let failed = |why: &dyn std::fmt::Display| {
        let _ = writeln!(std::io::stderr(), "it could not be started: {why}");
        127
    };
    let Some((first, rest)) = command.split_first() else {
        return failed(&"its command is empty");
    };
    let mut child = match Command::new(first).args(rest).spawn() {
        Ok(child) => child,
        Err(err) => return failed(&err),
    };
    // The group is asked to end as one, and this process stays until the program has. Blocked only now, for the
    // program would inherit it.
    let blocked = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    blocked.into_iter().collect::<SigSet>().thread_block().ok();
    std::thread::spawn(move || {
        while parent_id() == parent {
            std::thread::sleep(LOOK);
        }
        if let Ok(group) = i32::try_from(id()) {
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
    });
    match child.wait() {
        Ok(status) => {
            let by_signal = status.signal().map(|signal| 128 + signal);
            let code = status.code().or(by_signal).unwrap_or(1);
            u8::try_from(code).unwrap_or(u8::MAX)
        }
        Err(err) => failed(&err),
    }
}
