//! A disk that is so small that it is full now and then: a tmpfs, which only root may mount.

use super::node::Error;
use super::root::run;
use std::path::{Path, PathBuf};

/// A tmpfs on the directory of one node. Dropping it takes it away.
pub(super) struct Tight {
    path: PathBuf,
}

fn on(path: &Path, program: &str, arguments: &[&str]) -> Result<(), Error> {
    let path = path.to_string_lossy();
    run(program, &[arguments, &[&path]].concat(), "").map(drop)
}

impl Tight {
    /// Mounts a tmpfs of so many KiB on a directory, which is made if it is not there.
    pub(super) fn mount(path: &Path, kib: u32) -> Result<Tight, Error> {
        std::fs::create_dir_all(path).map_err(Error::io(path.display().to_string()))?;
        let size = format!("size={kib}k");
        on(path, "mount", &["-t", "tmpfs", "-o", &size, "tmpfs"])?;
        Ok(Tight { path: path.to_owned() })
    }

    /// Gives it room for everything.
    pub(super) fn grow(&self) -> Result<(), Error> {
        on(&self.path, "mount", &["-o", "remount,size=256m"])
    }
}

impl Drop for Tight {
    fn drop(&mut self) {
        if let Err(error) = on(&self.path, "umount", &["-l"]) {
            eprintln!("error: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "mounts a tmpfs, which only root may do; the continuous integration runs it"]
    fn it_is_full_and_then_has_room_and_then_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let tight = Tight::mount(&path, 64).unwrap();
        let file = path.join("file");
        let full = std::fs::write(&file, vec![1; 100 << 10]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        tight.grow().unwrap();
        std::fs::write(&file, vec![1; 100 << 10]).unwrap();
        drop(tight);
        assert!(path.exists() && !file.exists());
    }

    #[test]
    fn what_cannot_be_mounted_is_an_error_with_its_reason() {
        let error = on(Path::new("/no/such/place"), "mount", &["-o", "remount,size=1m"]);
        assert!(error.unwrap_err().to_string().contains("/no/such/place"));
    }
}
