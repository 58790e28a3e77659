//! A deserializer without input: it gives every type what it asks for, and writes down what that was.

use std::cell::RefCell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::{KEY, Kind, Member};

/// The place that is being read.
#[derive(Clone)]
pub struct Tracer<'t> {
    found: &'t RefCell<Vec<Member>>,
    path: String,
    /// The member that is not given.
    without: Option<&'t str>,
}

impl<'t> Tracer<'t> {
    pub fn new(found: &'t RefCell<Vec<Member>>, without: Option<&'t str>) -> Self {
        Tracer { found, path: String::new(), without }
    }

    fn note(&self, kind: Kind) {
        if !self.path.is_empty() {
            self.found.borrow_mut().push(Member { path: self.path.clone(), kind, required: false });
        }
    }

    fn at(&self, path: String) -> Self {
        Tracer { path, ..self.clone() }
    }
}

macro_rules! numbers {
    ($($method:ident $typ:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.note(Kind::Number(<$typ>::MIN.into(), <$typ>::MAX.into()));
            visitor.visit_u64(1)
        }
    )*};
}

macro_rules! unused {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom(format!("{}: {} tells nothing about the type", self.path, stringify!($method))))
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.note(Kind::Text);
            visitor.visit_str("")
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    numbers! {
        deserialize_i8 i8, deserialize_i16 i16, deserialize_i32 i32, deserialize_i64 i64,
        deserialize_u8 u8, deserialize_u16 u16, deserialize_u32 u32, deserialize_u64 u64,
    }
    texts! { deserialize_str deserialize_string }
    unused! {
        deserialize_any deserialize_ignored_any deserialize_f32 deserialize_f64 deserialize_char deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Kind::Bool);
        visitor.visit_bool(false)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Kind::List);
        visitor.visit_seq(Inner { steps: vec![(0.to_string(), format!("{}[0]", self.path))], tracer: self })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Kind::Map);
        visitor.visit_map(Inner { steps: vec![(KEY.into(), format!("{}[{KEY:?}]", self.path))], tracer: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(Kind::Object(fields));
        let path = |field: &str| match self.path.as_str() {
            "" => field.to_owned(),
            path => format!("{path}.{field}"),
        };
        let mut steps: Vec<_> = fields.iter().map(|field| ((*field).to_owned(), path(field))).collect();
        steps.retain(|(_, path)| self.without != Some(path));
        steps.reverse();
        visitor.visit_map(Inner { steps, tracer: self })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(Kind::Word(variants));
        let first: StrDeserializer<'_, Error> = variants[0].into_deserializer();
        visitor.visit_enum(first)
    }
}

/// What is in an object, a map or a list: the keys with their places, the next one last.
struct Inner<'t> {
    steps: Vec<(String, String)>,
    tracer: Tracer<'t>,
}

impl<'de> MapAccess<'de> for Inner<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, _)) = self.steps.last() else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (_, path) = self.steps.pop().unwrap_or_default();
        seed.deserialize(self.tracer.at(path))
    }
}

impl<'de> SeqAccess<'de> for Inner<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((_, path)) = self.steps.pop() else { return Ok(None) };
        seed.deserialize(self.tracer.at(path)).map(Some)
    }
}
