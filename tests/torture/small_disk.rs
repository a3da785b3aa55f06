//! A disk that can be filled: a file system in memory, in a mount namespace of the run's own, so that it is gone with it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{AnyResult, NotPossible};

/// Set in the process that has the namespace.
const VARIABLE: &str = "DURABLE_TORTURE_NAMESPACE";
/// The user of the Postgres server, which owns the folder of its tablespace.
const UNPRIVILEGED_USER: u32 = 65534;

/// Runs this program again in a namespace of its own, and returns how it ended. `None` in that namespace.
pub(crate) fn run_in_namespace() -> AnyResult<Option<ExitCode>> {
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(None);
    }
    let can = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !can.as_ref().is_ok_and(|it| it.status.success()) {
        let why = can.map_or_else(|it| it.to_string(), |it| String::from_utf8_lossy(&it.stderr).trim().to_owned());
        return Err(NotPossible(format!("no file system can be mounted, which root can: {why}")).into());
    }
    let status = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        .status()?;
    let code = status.code().and_then(|it| u8::try_from(it).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// The disk, at a folder.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    /// Where its files are to be.
    pub(crate) content: PathBuf,
    filler: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount_at(folder: &Path) -> AnyResult<Self> {
        std::fs::create_dir(folder)?;
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512m", "tmpfs"]).arg(folder).status()?;
        if !status.success() {
            return Err(format!("mount: {status}").into());
        }
        let content = folder.join("content");
        std::fs::create_dir(&content)?;
        if std::fs::metadata(folder)?.uid() == 0 {
            chown(&content, Some(UNPRIVILEGED_USER), Some(UNPRIVILEGED_USER))?;
        }
        Ok(Self { content, filler: folder.join("filler") })
    }

    /// Leaves no block free.
    pub(crate) fn fill(&self) -> AnyResult<()> {
        let mut file = File::create(&self.filler)?;
        let mut block = vec![1; 1 << 20];
        while !block.is_empty() {
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2); // to the last byte
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&self) -> AnyResult<()> {
        std::fs::remove_file(&self.filler)?;
        Ok(())
    }
}
