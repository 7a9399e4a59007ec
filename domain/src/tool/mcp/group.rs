//! A program with everything that it starts: one process group, ended as one.

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// The group of a program that leads it. Ends with it, in whatever way it is dropped.
pub(super) struct Group {
    pid: Pid,
    child: Option<Child>,
    tasks: TaskTracker,
}

impl Group {
    /// The group of `child`, which must have been started as its leader; `tasks` waits for its end.
    pub(super) fn led_by(child: Child, tasks: TaskTracker) -> Option<Self> {
        let pid = child.id().and_then(|id| i32::try_from(id).ok())?;
        Some(Self {
            pid: Pid::from_raw(pid),
            child: Some(child),
            tasks,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else {
            return;
        };
        // None of these can fail but for a group that is gone.
        killpg(self.pid, Signal::SIGTERM).ok();
        let ending = Ending {
            pid: self.pid,
            child,
        };
        match Handle::try_current() {
            Ok(runtime) => drop(self.tasks.spawn_on(ending.end(), &runtime)),
            Err(_) => drop(ending),
        }
    }
}

/// A program that was asked to end.
struct Ending {
    pid: Pid,
    child: Child,
}

impl Ending {
    async fn end(mut self) {
        let ended = tokio::time::timeout(GRACE, self.child.wait()).await;
        // What it started may outlive it.
        killpg(self.pid, Signal::SIGKILL).ok();
        if ended.is_err() {
            self.child.wait().await.ok();
        }
    }
}

impl Drop for Ending {
    /// Also where the task is dropped before it is done.
    fn drop(&mut self) {
        killpg(self.pid, Signal::SIGKILL).ok();
    }
}
