//! Writes tar archives byte by byte, so that they can be wrong in any way, and images around them.

use std::fs;
use std::path::Path;

use minirun_image::Digest;
use serde_json::{Value, json};

/// A header and its content.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: u8,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub ids: (u32, u32),
    pub modified: u64,
    pub device: (u32, u32),
    pub content: Vec<u8>,
    /// Records of pax before it.
    pub pax: Vec<(String, Vec<u8>)>,
}

pub fn entry(kind: u8, path: impl AsRef<[u8]>) -> Entry {
    let mode = if kind == b'5' { 0o755 } else { 0o644 };
    let (path, link, content, pax) = (path.as_ref().to_vec(), Vec::new(), Vec::new(), Vec::new());
    Entry { kind, path, link, mode, ids: (0, 0), modified: 1_000_000_000, device: (0, 0), content, pax }
}

pub fn file(path: impl AsRef<[u8]>, content: &str) -> Entry {
    Entry { content: content.into(), ..entry(b'0', path) }
}

pub fn directory(path: impl AsRef<[u8]>) -> Entry {
    entry(b'5', path)
}

pub fn symlink(path: impl AsRef<[u8]>, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(b'2', path) }
}

pub fn link(path: impl AsRef<[u8]>, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(b'1', path) }
}

impl Entry {
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub fn ids(self, uid: u32, gid: u32) -> Self {
        Self { ids: (uid, gid), ..self }
    }

    pub fn modified(self, modified: u64) -> Self {
        Self { modified, ..self }
    }

    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Its bytes, those of a long path and link in extension headers of their own.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut records = self.pax.clone();
        for (key, text) in [("path", &self.path), ("linkpath", &self.link)] {
            if text.len() > 100 {
                records.push((key.to_owned(), text.clone()));
            }
        }
        if !records.is_empty() {
            let content: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            push(&mut bytes, &header(&Entry { content: content.clone(), ..entry(b'x', "pax") }), &content);
        }
        push(&mut bytes, &header(self), &self.content);
        bytes
    }
}

/// A pax record with its own length in front.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

fn push(bytes: &mut Vec<u8>, header: &[u8], content: &[u8]) {
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// A ustar header with a right checksum.
pub fn header(entry: &Entry) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &entry.path[..entry.path.len().min(100)]);
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.ids.0).as_bytes());
    put(116, format!("{:07o}", entry.ids.1).as_bytes());
    put(124, format!("{:011o}", entry.content.len()).as_bytes());
    put(136, format!("{:011o}", entry.modified).as_bytes());
    put(156, &[entry.kind]);
    put(157, &entry.link[..entry.link.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, format!("{:07o}", entry.device.0).as_bytes());
    put(337, format!("{:07o}", entry.device.1).as_bytes());
    sign(&mut block);
    block
}

/// Writes the checksum of a header.
pub fn sign(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive of these entries.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
    bytes.extend([0; 1024]);
    bytes
}

/// What the configuration of an image says, with the digests of these layers.
pub fn configuration(config: &Value, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    json!({"os": "linux", "architecture": architecture, "config": config, "rootfs": rootfs}).to_string().into_bytes()
}

/// Writes an OCI image layout of layers that are not compressed.
pub fn layout(path: &Path, config: &Value, layers: &[Vec<u8>]) {
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": bytes.len()})
    };
    let config = put("config.v1+json", &configuration(config, layers));
    let layers: Vec<_> = layers.iter().map(|layer| put("layer.v1.tar", layer)).collect();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
    let manifest = put("manifest.v1+json", manifest.as_bytes());
    fs::write(path.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}

/// Writes what `docker save` writes.
pub fn docker(path: &Path, config: &Value, layers: &[Vec<u8>]) {
    let config = configuration(config, layers);
    let name = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{"Config": name, "RepoTags": ["example:latest"], "Layers": names}]).to_string();
    let mut entries: Vec<_> =
        layers.iter().zip(&names).map(|(layer, name)| Entry { content: layer.clone(), ..entry(b'0', name) }).collect();
    entries.push(Entry { content: config, ..entry(b'0', name) });
    entries.push(file("manifest.json", &manifest));
    fs::write(path, archive(&entries)).unwrap();
}
