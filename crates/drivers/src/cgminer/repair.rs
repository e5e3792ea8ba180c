//! Mends the ways in which machines in the field break JSON, in one bounded pass: missing commas
//! (`}{`), stray ones (`,}` `[,{`), raw line breaks in text, `inf` and `nan`, a tail cut off.
//!
//! A tail that was cut off is dropped back to the last value known to be whole: of `"Watts":1051`
//! cut to `"Watts":10` nothing may be kept, for ten watts would read as a sleeping machine.

/// Deepest nesting that is mended; replies have four levels.
const DEPTH_MAX: usize = 64;

/// Mends what it can; the result is no longer than a small multiple of what came.
pub(super) fn repair(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut pass = Pass::default();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let Some(length) = pass.string(&text[at + 1..]) else { break };
                let end = at + 1 + length;
                while chars.next_if(|(i, _)| *i < end).is_some() {}
            }
            '{' | '[' => {
                if !pass.open(c) {
                    break;
                }
            }
            '}' | ']' => {
                if !pass.close(c) {
                    break;
                }
            }
            ',' => pass.comma(),
            ':' => pass.out.push(':'),
            c if c.is_whitespace() || c.is_control() => {}
            _ => {
                let rest = &text[at..];
                let length = rest.find(delimits).unwrap_or(rest.len());
                if length == rest.len() {
                    // The end of a bare word is only known once something follows it.
                    break;
                }
                pass.word(&rest[..length]);
                while chars.next_if(|(i, _)| *i < at + length).is_some() {}
            }
        }
        if pass.done {
            break;
        }
    }
    pass.finish()
}

fn delimits(c: char) -> bool {
    matches!(c, ',' | ':' | '{' | '}' | '[' | ']' | '"') || c.is_whitespace() || c.is_control()
}

#[derive(Default)]
struct Pass {
    out: String,
    /// Closing brackets that are due, innermost last.
    stack: Vec<char>,
    /// Length of `out` up to which every value is whole.
    safe: usize,
    /// The outermost bracket is closed; what follows is not ours.
    done: bool,
}

impl Pass {
    /// Copies a string up to its closing quote; tells how much of the input that was, or `None`
    /// when it is never closed.
    fn string(&mut self, rest: &str) -> Option<usize> {
        self.separate();
        self.out.push('"');
        let mut escaped = false;
        for (i, c) in rest.char_indices() {
            match c {
                _ if escaped => {
                    escaped = false;
                    self.out.push(if c.is_control() { ' ' } else { c });
                }
                '\\' => {
                    escaped = true;
                    self.out.push(c);
                }
                '"' => {
                    self.out.push(c);
                    return Some(i + 1);
                }
                c if c.is_control() => self.out.push(' '),
                c => self.out.push(c),
            }
        }
        None
    }

    fn open(&mut self, c: char) -> bool {
        if self.stack.len() == DEPTH_MAX {
            return false;
        }
        self.separate();
        self.out.push(c);
        self.stack.push(if c == '{' { '}' } else { ']' });
        self.safe = self.out.len();
        true
    }

    fn close(&mut self, c: char) -> bool {
        if self.stack.last() != Some(&c) {
            return false;
        }
        self.stack.pop();
        self.drop_comma();
        if self.out.ends_with(':') {
            self.out.push_str("null");
        }
        self.out.push(c);
        self.safe = self.out.len();
        self.done = self.stack.is_empty();
        true
    }

    fn comma(&mut self) {
        self.drop_comma();
        if self.out.ends_with(':') {
            self.out.push_str("null");
        }
        if !self.out.ends_with(['{', '[']) {
            self.safe = self.out.len();
            self.out.push(',');
        }
    }

    /// Copies a bare word when it is one JSON knows; infinities and the like become null.
    fn word(&mut self, word: &str) {
        self.separate();
        let known = matches!(word, "true" | "false" | "null") || is_number(word);
        self.out.push_str(if known { word } else { "null" });
    }

    /// Puts the comma that is missing between two values.
    fn separate(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(['{', '[', ',', ':']) {
            self.safe = self.out.len();
            self.out.push(',');
        }
    }

    fn drop_comma(&mut self) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
    }

    fn finish(mut self) -> String {
        if !self.done {
            self.out.truncate(self.safe);
            while let Some(c) = self.stack.pop() {
                self.out.push(c);
            }
        }
        self.out
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && word.parse::<f64>().is_ok_and(f64::is_finite)
        && serde_json::from_str::<serde_json::Number>(word).is_ok()
}
