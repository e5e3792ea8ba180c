//! Writes JSON without floats and without a tree in between: a reply costs about a microsecond.

use std::fmt::Write as _;

/// A JSON text under construction.
#[derive(Debug, Default)]
pub(crate) struct Json {
    out: String,
}

impl Json {
    /// An empty text with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes) }
    }

    /// The text so far.
    pub(crate) fn text(self) -> String {
        self.out
    }

    fn comma(&mut self) {
        if !matches!(self.out.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.quoted(key);
        self.out.push(':');
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        // Nearly every text is plain, and then it is copied whole.
        if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.out.push_str(text);
            self.out.push('"');
            return;
        }
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                c if u32::from(c) < 0x20 => {
                    write!(self.out, "\\u{:04x}", u32::from(c)).expect("a string takes any text");
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    /// Begins an object as the next item of a list, or the whole text.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.comma();
        self.out.push('{');
        self
    }

    /// Ends an object.
    pub(crate) fn close(&mut self) -> &mut Self {
        self.out.push('}');
        self
    }

    /// Begins an object under a key.
    pub(crate) fn object(&mut self, key: &str) -> &mut Self {
        self.key(key);
        self.out.push('{');
        self
    }

    /// Begins a list under a key.
    pub(crate) fn list(&mut self, key: &str) -> &mut Self {
        self.key(key);
        self.out.push('[');
        self
    }

    /// Ends a list.
    pub(crate) fn end(&mut self) -> &mut Self {
        self.out.push(']');
        self
    }

    /// A text.
    pub(crate) fn str(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        self.quoted(value);
        self
    }

    /// A whole number.
    pub(crate) fn int(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        self.key(key);
        write!(self.out, "{}", value.into()).expect("a string takes any text");
        self
    }

    /// A number with a decimal point, given as a count of its last digit.
    pub(crate) fn fixed(&mut self, key: &str, value: i64, digits: u32) -> &mut Self {
        self.key(key);
        self.out.push_str(&fixed(value, digits));
        self
    }

    /// A truth value.
    pub(crate) fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
        self
    }

    /// A list whose items are JSON already.
    pub(crate) fn raw_list(&mut self, key: &str, items: &str) -> &mut Self {
        self.key(key);
        self.out.push('[');
        self.out.push_str(items);
        self.out.push(']');
        self
    }

    /// The next item of a list, JSON already.
    pub(crate) fn item(&mut self, json: &str) -> &mut Self {
        self.comma();
        self.out.push_str(json);
        self
    }
}

/// An integer count of `10^-digits` as a decimal text.
pub(crate) fn fixed(value: i64, digits: u32) -> String {
    let scale = 10u64.pow(digits);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    format!("{sign}{whole}.{part:0width$}", width = digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut j = Json::default();
        j.open().str("a\"b", "c\\\n\u{7}é").int("n", -3i64).fixed("f", -1205, 2).bool("t", true);
        j.list("l").open().close().item("7").end().object("o").close().close();
        let text = j.text();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a\"b"], "c\\\n\u{7}é");
        assert_eq!(value["l"][1], 7);
        insta::assert_snapshot!(
            text,
            @r#"{"a\"b":"c\\\u000a\u0007é","n":-3,"f":-12.05,"t":true,"l":[{},7],"o":{}}"#
        );
    }
}
