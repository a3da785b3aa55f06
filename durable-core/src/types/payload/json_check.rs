//! Checks for values that serde writes as JSON and cannot read back: numbers that are not finite, a `Some` that
//! holds nothing, and nesting that is too deep. They are refused when they are written.

use std::fmt;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// How deep a value may be nested: `serde_json` reads no deeper, to protect the stack.
const MAX_DEPTH: usize = 127;

/// Checks that the value, of which `text` is the JSON, can be read back as it was written.
///
/// # Errors
/// The reason why it cannot, with the path of the number.
pub(crate) fn check<T: Serialize + ?Sized>(value: &T, text: &str) -> Result<(), String> {
    let depth = depth(text);
    if depth > MAX_DEPTH {
        return Err(format!(
            "it is nested {depth} levels deep and {MAX_DEPTH} can be read back; flatten it, for example to a list"
        ));
    }
    // JSON has no form for such values, and serde writes them as `null`.
    if !text.contains("null") {
        return Ok(());
    }
    let mut track = serde_path_to_error::Track::new();
    let walk = Walk { in_some: false };
    let lost = match value.serialize(serde_path_to_error::Serializer::new(walk, &mut track)) {
        Err(lost @ (LostValue::Number(_) | LostValue::SomeOfNothing)) => lost,
        // A value that serde refuses was refused by the JSON writer, in its own words.
        Err(LostValue::Other) | Ok(()) => return Ok(()),
    };
    let place = match track.path().to_string() {
        root if root == "." => String::new(),
        path => format!(" at `{path}`"),
    };
    match lost {
        LostValue::Number(number) => {
            Err(format!("JSON has no number {number}{place}; use an `Option` or a text instead"))
        }
        _ => Err(format!(
            "a `Some` that holds nothing{place}, such as `Some(None)`, would be read back as `None`; an enum can tell the two apart"
        )),
    }
}

/// How deep a JSON text is nested.
fn depth(text: &str) -> usize {
    if text.len() <= MAX_DEPTH {
        return 0; // too short to be too deep
    }
    let (mut deepest, mut depth, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// A serializer that only visits the value.
#[derive(Clone, Copy)]
struct Walk {
    /// Whether the value is that of a `Some`.
    in_some: bool,
}

impl Walk {
    /// What JSON writes as `null`.
    fn null(self) -> Walked {
        if self.in_some { Err(LostValue::SomeOfNothing) } else { Ok(()) }
    }
}

#[derive(Debug)]
enum LostValue {
    Number(f64),
    /// `Some(None)` or `Some(())`.
    SomeOfNothing,
    Other,
}

impl fmt::Display for LostValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that would not be read back")
    }
}

impl std::error::Error for LostValue {}

impl serde::ser::Error for LostValue {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

type Walked = Result<(), LostValue>;

/// Methods for values without parts.
macro_rules! leaves {
    ($($name:ident($($argument:ty),*))*) => {
        $(fn $name(self, $(_: $argument),*) -> Walked {
            Ok(())
        })*
    };
}

/// Methods for values with parts.
macro_rules! holders {
    ($($name:ident($($argument:ty),*) -> $kind:ident;)*) => {
        $(type $kind = Self;)*
        $(fn $name(self, $(_: $argument),*) -> Result<Self, LostValue> {
            Ok(Self { in_some: false })
        })*
    };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = LostValue;

    leaves! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    holders! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_f32(self, number: f32) -> Walked {
        self.serialize_f64(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Walked {
        if number.is_finite() { Ok(()) } else { Err(LostValue::Number(number)) }
    }

    fn serialize_none(self) -> Walked {
        self.null()
    }

    fn serialize_unit(self) -> Walked {
        self.null()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Walked {
        self.null()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Walked {
        value.serialize(Self { in_some: true })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Walked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Walked {
        value.serialize(Self { in_some: false })
    }
}

/// The serializers of values with parts.
macro_rules! elements {
    ($($trait:ident: $($method:ident($($key:ty)?)),+;)*) => {
        $(impl $trait for Walk {
            type Ok = ();
            type Error = LostValue;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Walked {
                value.serialize(*self)
            })+

            fn end(self) -> Walked {
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked<T: Serialize>(value: &T) -> Result<(), String> {
        check(value, &serde_json::to_string(value).expect("it is plain data"))
    }

    #[derive(serde::Serialize)]
    struct Reading {
        name: Option<&'static str>,
        values: Vec<f32>,
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused_with_its_path() {
        let refused =
            checked(&Reading { name: None, values: vec![1.0, f32::NAN] }).expect_err("NaN would come back as nothing");
        assert!(refused.contains("NaN at `values[1]`"), "{refused}");
        assert!(checked(&f64::NEG_INFINITY).expect_err("nor has it this").contains("-inf"));
        checked(&Reading { name: None, values: vec![f32::MAX, -0.0] })
            .expect("an absent name is a null like any other");
    }

    #[derive(serde::Serialize)]
    struct Unit;

    #[derive(serde::Serialize)]
    struct Wrapped<T>(T);

    #[derive(serde::Serialize)]
    enum Answer {
        Known(Option<u8>),
    }

    #[test]
    fn a_some_that_holds_nothing_is_refused_with_its_place() {
        let refused = checked(&vec![None, Some(Some(1)), Some(None)]).expect_err("it would come back as `None`");
        assert!(refused.contains("`Some` that holds nothing at `[2]`"), "{refused}");
        checked(&Some(())).expect_err("nor does this come back");
        checked(&Some(Unit)).expect_err("nor does this");
        checked(&Some(Wrapped(None::<u8>))).expect_err("nor does this");
        checked(&Some(json!(null))).expect_err("nor does this");
        checked(&(Some(vec![None::<u8>]), Some(Answer::Known(None)), Some((None::<u8>,)), None::<Option<u8>>, ()))
            .expect("these come back");
    }

    #[test]
    fn a_value_that_is_nested_too_deep_to_be_read_is_refused() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let (deep, too_deep) = (nested(MAX_DEPTH), nested(MAX_DEPTH + 1));
        checked(&deep).expect("it can be read");
        assert!(serde_json::from_str::<serde_json::Value>(&deep.to_string()).is_ok());
        assert!(checked(&too_deep).expect_err("it cannot be read").contains("128 levels"));
        assert!(serde_json::from_str::<serde_json::Value>(&too_deep.to_string()).is_err());
        checked(&"[".repeat(1_000)).expect("brackets in a text are no nesting");
        checked(&"\\\"[".repeat(1_000)).expect("and quoted quotes do not end it");
    }
}
