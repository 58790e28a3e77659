//! Which image of a layout or an archive a name and this machine select.

use super::layout::read_blob;
use crate::archive::Files;
use crate::document::{Descriptor, DockerEntry, Index, Platform, parse};
use crate::error::{ImageError, Result};

/// How many indexes may be inside each other.
const MOST_NESTED: usize = 4;
/// How many manifests may be looked through.
const MOST_MANIFESTS: usize = 4096;

/// The one descriptor that a name means.
pub(super) fn choose(index: Index, name: Option<&str>) -> Result<Descriptor> {
    let tags: Vec<_> = index.manifests.iter().filter_map(Descriptor::name).map(str::to_owned).collect();
    let images = index.manifests.into_iter().filter(|descriptor| descriptor.is_manifest() || descriptor.is_index());
    let mut fitting: Vec<_> = images.filter(|descriptor| name.is_none() || descriptor.name() == name).collect();
    // Without a tag the list may be one image for several machines.
    if name.is_none()
        && fitting.len() > 1
        && fitting.iter().any(|descriptor| descriptor.platform.is_some())
        && tags.is_empty()
    {
        return best(fitting.iter()).cloned();
    }
    match (fitting.pop(), fitting.is_empty(), name) {
        (Some(descriptor), true, _) => Ok(descriptor),
        (Some(_), false, Some(name)) => {
            Err(ImageError::option(format!("it has more than one image with the tag {name:?}")))
        }
        (Some(_), false, None) => {
            Err(ImageError::option(format!("it has several images (tags: {}); one must be named", tags.join(", "))))
        }
        (None, _, Some(name)) if !tags.is_empty() => {
            Err(ImageError::not_found(format!("it has no image with the tag {name:?} (but {})", tags.join(", "))))
        }
        (None, _, Some(name)) => Err(ImageError::not_found(format!("it has no image with the tag {name:?}"))),
        (None, _, None) => Err(ImageError::not_found("it holds no image")),
    }
}

/// Goes down through indexes to the manifest for this machine.
pub(super) fn resolve(files: &Files, descriptor: Descriptor) -> Result<Descriptor> {
    resolve_below(files, descriptor, MOST_NESTED, &mut 0)
}

fn resolve_below(files: &Files, descriptor: Descriptor, nested: usize, seen: &mut usize) -> Result<Descriptor> {
    if !descriptor.is_index() {
        return Ok(descriptor);
    }
    if nested == 0 {
        return Err(ImageError::limit(format!("more than {MOST_NESTED} indexes inside each other")));
    }
    let index: Index = parse(&read_blob(files, &descriptor)?, "index")?;
    *seen += index.manifests.len();
    if *seen > MOST_MANIFESTS {
        return Err(ImageError::limit(format!("more than {MOST_MANIFESTS} manifests are not expected there")));
    }
    let chosen = best(index.manifests.iter())?.clone();
    resolve_below(files, chosen, nested - 1, seen)
}

/// Of several manifests the one for this machine; the first of those that fit equally well.
fn best<'a>(manifests: impl Iterator<Item = &'a Descriptor> + Clone) -> Result<&'a Descriptor> {
    let images = manifests.clone().filter(|descriptor| descriptor.is_manifest() || descriptor.is_index());
    let own = images.clone().filter(|descriptor| descriptor.platform.as_ref().is_none_or(is_own));
    // The plain architecture is the one that everybody can run.
    let rank = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) if platform.variant.is_empty() || platform.variant == "v8" => 0,
        Some(_) => 1,
        None => 2,
    };
    own.min_by_key(rank).ok_or_else(|| {
        let known: Vec<_> = images
            .filter_map(|image| image.platform.as_ref())
            .map(|p| format!("{}/{}", p.os, p.architecture))
            .collect();
        ImageError::unsupported(format!("it is not for linux/{} (but {})", own_architecture(), known.join(", ")))
    })
}

/// What Go calls the architecture of this program.
pub(super) fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

fn is_own(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == own_architecture()
}

pub(super) fn choose_docker(mut entries: Vec<DockerEntry>, name: Option<&str>) -> Result<DockerEntry> {
    let tags: Vec<_> = entries.iter().flat_map(|entry| entry.repo_tags.clone()).collect();
    let all = || if tags.is_empty() { "none".to_owned() } else { tags.join(", ") };
    let Some(name) = name else {
        return match (entries.pop(), entries.is_empty()) {
            (Some(entry), true) => Ok(entry),
            (Some(_), false) => {
                Err(ImageError::option(format!("it has several images ({}); one must be named", all())))
            }
            (None, _) => Err(ImageError::not_found("it holds no image")),
        };
    };
    let full = full_name(name);
    let fits = |entry: &DockerEntry| entry.repo_tags.iter().any(|tag| full_name(tag) == full);
    match entries.into_iter().find(fits) {
        Some(entry) => Ok(entry),
        None => Err(ImageError::not_found(format!("it has no image {name:?} (but {})", all()))),
    }
}

/// Docker's short names stand for longer ones: `web` is `docker.io/library/web:latest`.
pub(crate) fn full_name(name: &str) -> String {
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", name),
    };
    let library = if registry == "docker.io" && !rest.contains('/') { "library/" } else { "" };
    let tag = if rest.contains(':') { "" } else { ":latest" };
    format!("{registry}/{library}{rest}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_docker_are_completed() {
        for (short, full) in [
            ("web", "docker.io/library/web:latest"),
            ("me/web:1", "docker.io/me/web:1"),
            ("docker.io/library/web:latest", "docker.io/library/web:latest"),
            ("localhost:5000/web", "localhost:5000/web:latest"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }

    fn index(manifests: &str) -> Index {
        parse(format!(r#"{{"manifests": [{manifests}]}}"#).as_bytes(), "index").unwrap()
    }

    fn manifest(tag: &str, architecture: &str, size: u64) -> String {
        format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "", "size": {size},
                "platform": {{"os": "linux", "architecture": "{architecture}"}}
                {}}}"#,
            if tag.is_empty() {
                String::new()
            } else {
                format!(r#", "annotations": {{"org.opencontainers.image.ref.name": "{tag}"}}"#)
            }
        )
    }

    #[test]
    fn a_tag_or_this_machine_chooses() {
        let own = own_architecture();
        let tagged = || index(&[manifest("a", own, 1), manifest("b", own, 2)].join(","));
        assert_eq!(choose(tagged(), Some("b")).unwrap().size, 2);
        assert_eq!(
            choose(tagged(), None).unwrap_err().to_string(),
            "it has several images (tags: a, b); one must be named"
        );
        assert!(choose(tagged(), Some("c")).unwrap_err().to_string().contains("but a, b"));
        let platforms = index(&[manifest("", "s390x", 1), manifest("", own, 2)].join(","));
        assert_eq!(choose(platforms, None).unwrap().size, 2);
        let foreign = index(&[manifest("", "s390x", 1), manifest("", "mips", 2)].join(","));
        assert!(best(foreign.manifests.iter()).unwrap_err().to_string().ends_with("(but linux/s390x, linux/mips)"));
    }
}
