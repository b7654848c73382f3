//! What a process takes, from `/proc`.

use std::time::Duration;

use anyhow::Context;
use procfs::process::{ProcState, Process};

/// What a process takes.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Resident memory in bytes.
    pub rss: u64,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Whether it ended, and was not waited for yet.
    pub ended: bool,
}

/// What a child process takes, or took.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let process = Process::new(i32::try_from(pid)?)?;
    let stat = process.stat()?;
    let ticks = stat.utime + stat.stime;
    // A process that ended has no memory.
    let rss = process.status()?.vmrss.unwrap_or_default() * 1024;
    Ok(Usage {
        rss,
        cpu: Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64),
        ended: stat.state()? == ProcState::Zombie,
    })
}

/// The CPU time of this process.
pub fn own_cpu() -> anyhow::Result<Duration> {
    Ok(usage(std::process::id()).context("/proc/self")?.cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_can_be_asked_what_it_took() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut last = usage(child.id()).unwrap();
        while !last.ended {
            last = usage(child.id()).unwrap();
        }
        assert_eq!(last.rss, 0);
        assert!(child.wait().unwrap().success());
        assert!(usage(std::process::id()).unwrap().rss > 0);
    }
}
