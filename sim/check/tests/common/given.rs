//! Histories that are not part of the project.

use std::path::PathBuf;

/// The folder that the environment's variable `SQUALL_HISTORIES` names.
pub(crate) fn folder() -> PathBuf {
    let folder = std::env::var_os("SQUALL_HISTORIES").map(PathBuf::from);
    let folder = folder.expect("SQUALL_HISTORIES names the folder of histories");
    assert!(folder.is_dir(), "{} is not there", folder.display());
    folder
}
