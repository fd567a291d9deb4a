//! A serializer that writes canonical JSON straight away: no tree of values is built in between.
//!
//! Members are written as they come; when their object ends, they are put in order if they were not. Maps of ours are sorted already, and
//! the fields of a struct are few.

use std::ops::Range;

use serde::ser::{self, Serialize};

use super::CanonicalError;

/// Where the text goes.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) text: Vec<u8>,
}

type Done = Result<(), CanonicalError>;

/// What serde_json calls a number of a [`serde_json::Value`] if any crate of the build asks for numbers of any precision: a struct with one
/// field, the digits.
const NUMBER: &str = "$serde_json::private::Number";

impl ser::Error for CanonicalError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Unrepresentable(ser::Error::custom(message))
    }
}

impl Writer {
    fn plain<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        Ok(serde_json::to_writer(&mut self.text, value)?)
    }

    fn fraction(value: f64) -> CanonicalError {
        match serde_json::Number::from_f64(value) {
            Some(number) => CanonicalError::NotAnInteger(number),
            None => ser::Error::custom("a number that is none"),
        }
    }

    /// `{"variant":`, as enums with a content begin.
    fn variant(&mut self, variant: &str) -> Done {
        self.text.push(b'{');
        self.plain(variant)?;
        self.text.push(b':');
        Ok(())
    }

    fn sequence(&mut self, end: &'static [u8]) -> Sequence<'_> {
        self.text.push(b'[');
        Sequence { writer: self, first: true, end }
    }

    fn object(&mut self, end: &'static [u8]) -> Object<'_> {
        self.text.push(b'{');
        let start = self.text.len();
        Object { writer: self, start, members: Vec::new(), end, is_number: false }
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty),*) => { $(fn $method(self, value: $type) -> Done { self.plain(&value) })* };
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = CanonicalError;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Sequence<'a>;
    type SerializeTupleStruct = Sequence<'a>;
    type SerializeTupleVariant = Sequence<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    plain! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8]
    }

    fn serialize_f32(self, value: f32) -> Done {
        Err(Writer::fraction(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Done {
        Err(Writer::fraction(value))
    }

    fn serialize_none(self) -> Done {
        self.plain(&())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.plain(&())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.plain(&())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.plain(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, variant: &'static str, value: &T) -> Done {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.text.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence<'a>, CanonicalError> {
        Ok(self.sequence(b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Sequence<'a>, CanonicalError> {
        Ok(self.sequence(b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Sequence<'a>, CanonicalError> {
        Ok(self.sequence(b"]"))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Sequence<'a>, CanonicalError> {
        self.variant(variant)?;
        Ok(self.sequence(b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, CanonicalError> {
        Ok(self.object(b"}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Object<'a>, CanonicalError> {
        Ok(Object { is_number: name == NUMBER, ..self.object(b"}") })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Object<'a>, CanonicalError> {
        self.variant(variant)?;
        Ok(self.object(b"}}"))
    }
}

/// An array that is being written.
pub(super) struct Sequence<'a> {
    writer: &'a mut Writer,
    first: bool,
    end: &'static [u8],
}

impl Sequence<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        if !std::mem::take(&mut self.first) {
            self.writer.text.push(b',');
        }
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Done {
        self.writer.text.extend(self.end);
        Ok(())
    }
}

macro_rules! sequence {
    ($($trait:ident: $method:ident),*) => { $(impl ser::$trait for Sequence<'_> {
        type Ok = ();
        type Error = CanonicalError;

        fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
            self.item(value)
        }

        fn end(self) -> Done {
            self.finish()
        }
    })* };
}

sequence! { SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field }

/// An object that is being written.
pub(super) struct Object<'a> {
    writer: &'a mut Writer,
    /// Where its first member begins.
    start: usize,
    members: Vec<Member>,
    end: &'static [u8],
    is_number: bool,
}

/// A member that has been written: where its key stands, quoted, and where all of it.
struct Member {
    key: Range<usize>,
    all: Range<usize>,
}

impl Object<'_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        if !self.members.is_empty() {
            self.writer.text.push(b',');
        }
        let start = self.writer.text.len();
        key.serialize(&mut *self.writer)?;
        let end = self.writer.text.len();
        if self.writer.text.get(start) != Some(&b'"') {
            return Err(ser::Error::custom("a key that is no text"));
        }
        self.members.push(Member { key: start..end, all: start..end });
        self.writer.text.push(b':');
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.writer)?;
        if let Some(member) = self.members.last_mut() {
            member.all.end = self.writer.text.len();
        }
        Ok(())
    }

    /// Puts the digits in place of the struct.
    fn finish_number(self) -> Done {
        let member = self.members.first().map_or(self.start..self.start, |member| member.key.end + 1..member.all.end);
        let number: serde_json::Number = serde_json::from_str(&serde_json::from_slice::<String>(&self.writer.text[member])?)?;
        self.writer.text.truncate(self.start - 1);
        match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => self.writer.plain(&integer),
            (None, Some(integer)) => self.writer.plain(&integer),
            (None, None) => Err(CanonicalError::NotAnInteger(number)),
        }
    }

    fn finish(mut self) -> Done {
        if self.is_number {
            return self.finish_number();
        }
        let keys = self.members.iter().map(|member| self.bytes_of(&member.key)).collect::<Result<Vec<_>, _>>()?;
        if !keys.is_sorted() {
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by(|one, other| keys[*one].cmp(&keys[*other]));
            drop(keys);
            self.reorder(&order);
        }
        self.writer.text.extend(self.end);
        Ok(())
    }

    /// The bytes of a key, without quotes and escapes.
    fn bytes_of(&self, key: &Range<usize>) -> Result<std::borrow::Cow<'_, [u8]>, CanonicalError> {
        let quoted = &self.writer.text[key.clone()];
        let bare = &quoted[1..quoted.len() - 1];
        if bare.contains(&b'\\') { Ok(serde_json::from_slice::<String>(quoted)?.into_bytes().into()) } else { Ok(bare.into()) }
    }

    fn reorder(&mut self, order: &[usize]) {
        let text = self.writer.text.split_off(self.start);
        for (place, index) in order.iter().enumerate() {
            if place > 0 {
                self.writer.text.push(b',');
            }
            let all = &self.members[*index].all;
            self.writer.text.extend(&text[all.start - self.start..all.end - self.start]);
        }
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.value(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

macro_rules! object {
    ($($trait:ident),*) => { $(impl ser::$trait for Object<'_> {
        type Ok = ();
        type Error = CanonicalError;

        fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
            self.key(key)?;
            self.value(value)
        }

        fn end(self) -> Done {
            self.finish()
        }
    })* };
}

object! { SerializeStruct, SerializeStructVariant }
