//! What a message is called: the names that its type has in the source, as serde sees them.

use serde::Serialize;
use serde::de::value::Error;
use serde::ser::{
    Impossible, SerializeStruct, SerializeStructVariant, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// What a value is called: for an enum its variant, and in parentheses that of the first enum in
/// it, as in `Request(Put)`; for a struct its name. Numbers, texts and collections have no name.
pub(crate) fn name_of<T: Serialize + ?Sized>(value: &T) -> String {
    value.serialize(Naming).map_or(String::new(), |named| named.text)
}

/// The name of a value, if it has one.
#[derive(Default)]
struct Named {
    text: String,
    is_variant: bool,
}

struct Naming;

/// The fields of a value that has a name: the first enum among them is told too.
struct Fields {
    name: &'static str,
    is_variant: bool,
    inner: Option<String>,
}

impl Fields {
    fn of(name: &'static str, is_variant: bool) -> Result<Fields, Error> {
        Ok(Fields { name, is_variant, inner: None })
    }

    fn take<T: Serialize + ?Sized>(&mut self, value: &T) {
        if self.inner.is_none() {
            // What is inside of a collection is not looked at, and has no name.
            let named = value.serialize(Naming).unwrap_or_default();
            self.inner = Some(named.text).filter(|_| named.is_variant);
        }
    }

    fn named(self) -> Result<Named, Error> {
        let Fields { name, is_variant, inner } = self;
        let text = inner.map_or(name.to_owned(), |inner| format!("{name}({inner})"));
        Ok(Named { text, is_variant })
    }
}

macro_rules! fields {
    ($($what:ident $method:ident ($($key:ident: $key_type:ty)?),)*) => {$(
        impl $what for Fields {
            type Ok = Named;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $key_type,)?
                value: &T,
            ) -> Result<(), Error> {
                self.take(value);
                Ok(())
            }

            fn end(self) -> Result<Named, Error> {
                self.named()
            }
        }
    )*};
}

fields! {
    SerializeStruct serialize_field (_key: &'static str),
    SerializeStructVariant serialize_field (_key: &'static str),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
}

/// What has no name.
fn nameless<T>(_: T) -> Result<Named, Error> {
    Ok(Named::default())
}

fn collection<T>() -> Result<T, Error> {
    Err(serde::ser::Error::custom("a collection has no name"))
}

impl Serializer for Naming {
    type Ok = Named;
    type Error = Error;
    type SerializeSeq = Impossible<Named, Error>;
    type SerializeTuple = Impossible<Named, Error>;
    type SerializeTupleStruct = Fields;
    type SerializeTupleVariant = Fields;
    type SerializeMap = Impossible<Named, Error>;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_i8(self, value: i8) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_i128(self, value: i128) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_u128(self, value: u128) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_f64(self, value: f64) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_char(self, value: char) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_str(self, value: &str) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Named, Error> {
        nameless(value)
    }

    fn serialize_none(self) -> Result<Named, Error> {
        nameless(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Named, Error> {
        value.serialize(Naming)
    }

    fn serialize_unit(self) -> Result<Named, Error> {
        nameless(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Named, Error> {
        Fields::of(name, false)?.named()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Named, Error> {
        Fields::of(variant, true)?.named()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Named, Error> {
        let mut fields = Fields::of(name, false)?;
        fields.take(value);
        fields.named()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Named, Error> {
        let mut fields = Fields::of(variant, true)?;
        fields.take(value);
        fields.named()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        collection()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        collection()
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Fields, Error> {
        Fields::of(name, false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Error> {
        Fields::of(variant, true)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        collection()
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields, Error> {
        Fields::of(name, false)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Error> {
        Fields::of(variant, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    enum Command {
        Put(u64),
        Nothing,
    }

    #[derive(Serialize)]
    enum Message {
        Ask { round: u32, tag: (u64, u64) },
        Both(u8, Command),
        Do { id: u64, body: Command },
        Wrapped(Result<Option<Command>, String>),
        Many(Vec<Command>),
    }

    #[derive(Serialize)]
    struct Report {
        load: BTreeMap<u8, u8>,
        last: Command,
    }

    #[derive(Serialize)]
    struct Id(u64);

    #[test]
    fn an_enum_is_called_by_its_variants_and_a_struct_by_its_name() {
        assert_eq!(name_of(&Message::Ask { round: 1, tag: (1, 2) }), "Ask");
        assert_eq!(name_of(&Message::Both(1, Command::Put(7))), "Both(Put)");
        assert_eq!(name_of(&Message::Do { id: 1, body: Command::Nothing }), "Do(Nothing)");
        let wrapped = Message::Wrapped(Ok(Some(Command::Put(1))));
        assert_eq!(name_of(&wrapped), "Wrapped(Ok(Put))");
        assert_eq!(name_of(&Message::Many(vec![Command::Nothing])), "Many");
        let load = BTreeMap::from([(1, 1)]);
        assert_eq!(name_of(&Report { load, last: Command::Nothing }), "Report(Nothing)");
        assert_eq!(name_of(&Id(3)), "Id");
    }

    #[test]
    fn what_has_no_name_gets_none() {
        assert_eq!(name_of(&7_u64), "");
        assert_eq!(name_of("text"), "");
        assert_eq!(name_of(&(1, 2)), "");
        assert_eq!(name_of(&vec![Id(1)]), "");
        assert_eq!(name_of(&None::<Id>), "");
    }
}
