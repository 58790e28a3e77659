//! What an image is called on the command line: the words of skopeo and podman (containers-transports(5)).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};

/// The form in which an image lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A directory: the OCI image layout.
    Oci,
    /// The same in a tar file.
    OciArchive,
    /// What `docker save` writes.
    DockerArchive,
}

impl Transport {
    const ALL: [Transport; 3] = [Transport::Oci, Transport::OciArchive, Transport::DockerArchive];

    /// The word before the first colon.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Oci => "oci",
            Transport::OciArchive => "oci-archive",
            Transport::DockerArchive => "docker-archive",
        }
    }
}

/// `oci:PATH[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:REF]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The form of what lies at `path`.
    pub transport: Transport,
    /// A directory or a file; its name holds no colon. An archive at `-` is standard input.
    pub path: PathBuf,
    /// A tag (`org.opencontainers.image.ref.name`), or of a docker-archive an entry of `RepoTags`.
    pub name: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// It has no transport, one that is not known, or no path.
    pub fn parse(text: &str) -> Result<Reference> {
        const FORMS: &str = "oci:PATH[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]";
        let wrong = |why: &str| ImageError::option(format!("image {text:?}: {why}"));
        let (word, rest) = text.split_once(':').ok_or_else(|| wrong(&format!("expected {FORMS}")))?;
        let transport =
            Transport::ALL.into_iter().find(|transport| transport.word() == word).ok_or_else(|| match word {
                "docker" | "containers-storage" | "docker-daemon" | "dir" => {
                    wrong("only images on disk are supported").hint("copy it first: skopeo copy IMAGE oci:PATH:TAG")
                }
                _ => wrong(&format!("{word:?} is not supported (expected {FORMS})")),
            })?;
        let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
        if path.is_empty() {
            return Err(wrong("the path is missing"));
        }
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Reference { transport, path: PathBuf::from(path), name })
    }

    /// The same with an absolute path, which means the same wherever it is read.
    pub fn absolute(&self) -> Reference {
        if self.is_standard_input() {
            return self.clone();
        }
        // accepts: any error; without a working directory a relative path stays.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Reference { path, ..self.clone() }
    }

    /// Whether it is an archive that comes from standard input: `docker-archive:-`.
    pub fn is_standard_input(&self) -> bool {
        self.transport != Transport::Oci && self.path.as_os_str() == "-"
    }

    /// Its file or directory, without the name in it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.path.display())?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_skopeo_reads_it() {
        for (text, transport, path, name) in [
            ("oci:web", Transport::Oci, "web", None),
            ("oci:/srv/web:1.0", Transport::Oci, "/srv/web", Some("1.0")),
            ("oci:web:", Transport::Oci, "web", None),
            ("oci-archive:web.tar:latest", Transport::OciArchive, "web.tar", Some("latest")),
            (
                "docker-archive:web.tar:example.com:5000/web:1",
                Transport::DockerArchive,
                "web.tar",
                Some("example.com:5000/web:1"),
            ),
        ] {
            let read = Reference::parse(text).unwrap();
            assert_eq!((read.transport, read.path.to_str().unwrap(), read.name.as_deref()), (transport, path, name));
            assert_eq!(read.to_string(), text.trim_end_matches(':'));
        }
    }

    #[test]
    fn standard_input_stays_what_it_is() {
        for (text, expected) in
            [("oci-archive:-", true), ("docker-archive:-:web:1", true), ("oci:-", false), ("oci-archive:./-", false)]
        {
            let read = Reference::parse(text).unwrap();
            assert_eq!(read.is_standard_input(), expected, "{text}");
            assert_eq!(read.absolute().is_standard_input(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in ["", "web", "oci:", "oci::tag", "docker://debian", "tar:web.tar"] {
            Reference::parse(text).unwrap_err();
        }
        let error = Reference::parse("docker://debian").unwrap_err().to_string();
        assert!(error.contains("skopeo copy"), "{error}");
    }
}
