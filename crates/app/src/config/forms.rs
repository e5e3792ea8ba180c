//! Forms that many keys share: two values in brackets, tables of what the owner names.

use super::raw::Spanned;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::marker::PhantomData;

/// Two things in brackets; the parser alone would pass over a third.
#[derive(Debug)]
pub struct Pair<A, B>(pub A, pub B);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Pair<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<A, B>(PhantomData<(A, B)>);
        impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> de::Visitor<'de> for Reader<A, B> {
            type Value = Pair<A, B>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two values in brackets")
            }

            fn visit_seq<S: de::SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let wrong = || de::Error::custom("two values are wanted here, no more, no less");
                let first = seq.next_element()?.ok_or_else(wrong)?;
                let second = seq.next_element()?.ok_or_else(wrong)?;
                match seq.next_element::<de::IgnoredAny>()? {
                    None => Ok(Pair(first, second)),
                    Some(_) => Err(wrong()),
                }
            }
        }
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// A table of things the owner names, in the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Reader<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of named entries")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut all: Vec<(Spanned<String>, T)> = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                // The parser hands keys over in alphabetical order; ids follow the file's.
                all.sort_by_key(|(name, _)| name.span().start);
                Ok(Named(all))
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}
