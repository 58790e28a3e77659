//! Lists and maps, of which no more is kept in memory than real documents have. `null` is an empty one: Go writes it so.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most items of one. There are a few for each of 500 layers, or for each image of a layout.
const MOST: usize = 16_384;

struct Items<T>(PhantomData<T>);

pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    from.deserialize_any(Items::<Vec<T>>(PhantomData))
}

pub(super) fn map<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, T>, D::Error> {
    from.deserialize_any(Items::<BTreeMap<String, T>>(PhantomData))
}

fn check<E: Error>(length: usize) -> Result<(), E> {
    if length < MOST { Ok(()) } else { Err(E::custom(format_args!("more than {MOST} items are not expected"))) }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<Vec<T>> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            check(items.len())?;
            items.push(item);
        }
        Ok(items)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<BTreeMap<String, T>> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut items = BTreeMap::new();
        while let Some((key, item)) = from.next_entry()? {
            check(items.len())?;
            items.insert(key, item);
        }
        Ok(items)
    }
}
