//! Certificates for the processes of one run, signed by an authority that lives as long as it.

use super::node::Error;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// Who signs the certificates. Its key is on no disk.
pub(super) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

fn made<T>(what: impl Display, made: Result<T, rcgen::Error>) -> Result<T, Error> {
    made.map_err(|error| Error::io(what.to_string())(io::Error::other(error)))
}

fn write(path: &Path, text: String) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(path.display().to_string()))
}

impl Authority {
    /// Makes one, and a file with its own certificate.
    pub(super) fn new(dir: &Path) -> Result<Authority, Error> {
        let what = "the authority's certificate";
        let mut params = made(what, CertificateParams::new(Vec::new()))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = made(what, KeyPair::generate())?;
        let root = made(what, params.self_signed(&key))?;
        write(&dir.join("roots.pem"), root.pem())?;
        Ok(Authority { dir: dir.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Makes a certificate for a process of a cluster, and says where the files are that its
    /// configuration names.
    pub(super) fn certify(&self, name: &str, cluster: &str) -> Result<Value, Error> {
        let what = format!("the certificate of {name}");
        let params = made(&what, CertificateParams::new(vec![format!("{name}.{cluster}")]))?;
        let key = made(&what, KeyPair::generate())?;
        let certificate = made(&what, params.signed_by(&key, &self.issuer))?;
        let file = |ending: &str| self.dir.join(format!("{name}.{ending}"));
        write(&file("pem"), certificate.pem())?;
        write(&file("key"), key.serialize_pem())?;
        let roots = self.dir.join("roots.pem");
        Ok(json!({ "certificates": file("pem"), "key": file("key"), "roots": roots }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path()).unwrap();
        let [one, two] = ["member-1", "client-1"].map(|n| authority.certify(n, "demo").unwrap());
        assert_ne!(one, two);
        for files in [one, two] {
            let files: squall_real::Tls = serde_json::from_value(files).unwrap();
            let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
            assert!(text(files.certificates).contains("BEGIN CERTIFICATE"));
            assert!(text(files.key).contains("PRIVATE KEY"));
            assert!(text(files.roots).contains("BEGIN CERTIFICATE"));
        }
        assert!(Authority::new(Path::new("/no/such/place")).is_err());
    }
}
