//! The disk of one node: ext4 in a file, which can be shut down as if the machine lost its power.
//! Only root may mount it.
//!
//! The kernel is told to let nothing more reach the disk (the ioctl `EXT4_IOC_SHUTDOWN`, without
//! flushing the journal of the file system), so what no sync has covered is lost, as far as it was
//! only in memory: contents of files, lengths and names.

use super::node::Error;
use super::root::run;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How large the disk is. The file takes only what is written to it.
const BYTES: u64 = 128 << 20;

/// How often it is tried to take the file system away, which somebody may still hold, and how long
/// it is waited in between.
const TRIES: (u32, Duration) = (50, Duration::from_millis(20));

/// A disk of one node. Dropping it takes it away, and leaves the file.
pub(super) struct Ext4 {
    image: PathBuf,
    path: PathBuf,
    is_mounted: bool,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(path.display().to_string())
}

impl Ext4 {
    /// Makes one in a file beside the directory, which has that name and an ending, and mounts it
    /// on the directory. There is an empty directory in it that is durable.
    ///
    /// # Errors
    /// If this is not root, or the kernel has no loop devices or no ext4, or one of the programs
    /// `mkfs.ext4`, `mount` and `umount` is not there.
    pub(super) fn make(path: &Path, inside: &str) -> Result<Ext4, Error> {
        let image = path.with_extension("ext4");
        let made = File::create(&image).and_then(|file| file.set_len(BYTES));
        made.map_err(failed(&image))?;
        run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()], "")?;
        fs::create_dir_all(path).map_err(failed(path))?;
        let mut disk = Ext4 { image, path: path.to_owned(), is_mounted: false };
        disk.mount()?;
        fs::create_dir(path.join(inside)).map_err(failed(path))?;
        File::open(path).and_then(|directory| directory.sync_all()).map_err(failed(path))?;
        Ok(disk)
    }

    fn mount(&mut self) -> Result<(), Error> {
        let (image, path) = (self.image.to_string_lossy(), self.path.to_string_lossy());
        run("mount", &["-t", "ext4", "-o", "loop", &image, &path], "")?;
        self.is_mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), Error> {
        if !self.is_mounted {
            return Ok(());
        }
        let path = self.path.to_string_lossy();
        let (tries, pause) = TRIES;
        let mut done = run("umount", &[&path], "");
        for _ in 1..tries {
            if done.is_ok() {
                break;
            }
            sleep(pause);
            done = run("umount", &[&path], "");
        }
        self.is_mounted = done.is_err();
        done.map(drop)
    }

    /// Lets nothing more reach the disk.
    ///
    /// # Errors
    /// If the program `xfs_io` is not there, or the kernel refuses.
    pub(super) fn shut_down(&self) -> Result<(), Error> {
        run("xfs_io", &["-x", "-c", "shutdown", &self.path.to_string_lossy()], "").map(drop)
    }

    /// Mounts it anew with what has reached the disk. Nobody may have a file of it open.
    ///
    /// # Errors
    /// If it cannot be taken away or mounted.
    pub(super) fn come_back(&mut self) -> Result<(), Error> {
        self.unmount()?;
        self.mount()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("error: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    #[test]
    #[ignore = "mounts ext4, which only root may do; the continuous integration runs it"]
    fn what_was_not_synced_is_lost_and_the_disk_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("node");
        let mut disk = Ext4::make(&path, "data").unwrap();
        let (synced, not) = (path.join("data/synced"), path.join("data/not"));
        fs::write(&synced, "one").unwrap();
        File::open(&synced).unwrap().sync_all().unwrap();
        fs::write(&not, "two").unwrap();
        let mut more = OpenOptions::new().append(true).open(&synced).unwrap();
        more.write_all(b" and more").unwrap();
        drop(more);
        disk.shut_down().unwrap();
        assert!(fs::write(&not, "three").is_err(), "nothing can be written any more");
        disk.come_back().unwrap();
        assert_eq!(fs::read_to_string(&synced).unwrap(), "one");
        assert!(!not.exists());
        // Without a shutdown nothing is lost.
        fs::write(&not, "two").unwrap();
        disk.come_back().unwrap();
        assert_eq!(fs::read_to_string(&not).unwrap(), "two");
        let mounts = || fs::read_to_string("/proc/mounts").unwrap();
        assert!(mounts().contains(&*path.to_string_lossy()));
        drop(disk);
        assert!(!mounts().contains(&*path.to_string_lossy()));
        let devices = run("losetup", &["-a"], "").unwrap();
        assert!(!devices.contains(&*root.path().to_string_lossy()), "{devices}");
    }
}
