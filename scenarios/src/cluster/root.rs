//! Commands of the system that only root may give.

use super::node::Error;
use std::io::{Error as IoError, Write};
use std::process::{Command, Stdio};

/// Runs a command on an input, and gives what it wrote.
///
/// # Errors
/// If it cannot be run or fails, with what it said about that.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::io(what()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read it says why, or needs none.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::io(what()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::io(what())(IoError::other(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_its_input_and_says_what_went_wrong() {
        assert_eq!(run("cat", &[], "some words").unwrap(), "some words");
        let error = run("cat", &["/no/such/place"], "").unwrap_err().to_string();
        assert!(error.starts_with("cat /no/such/place: "), "{error}");
        assert!(run("no-such-program", &[], "").is_err());
    }
}
