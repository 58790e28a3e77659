//! The index of an image layout that gets another image.

use serde_json::Value;

use crate::document::parse;
use crate::error::{ImageError, Result};

/// How large an index may be, in bytes.
pub(super) const MOST: u64 = 4 << 20;

/// What an index says, and the manifests that it lists.
pub(super) fn manifests_of(text: &[u8]) -> Result<(Value, Vec<Value>)> {
    let mut index: Value = parse(text, "index.json")?;
    let manifests = match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(manifests)) => manifests,
        Some(Value::Null) | None if index.is_object() => Vec::new(),
        _ => return Err(ImageError::new("index.json: manifests is not a list")),
    };
    Ok((index, manifests))
}
