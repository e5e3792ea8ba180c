//! Thrift's compact protocol, as far as Parquet's headers need it.

/// What a field or an element of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// A struct under way; fields are put in by rising number.
#[derive(Debug, Default)]
pub struct Struct {
    out: Vec<u8>,
    last: u8,
}

/// Writes a number in groups of seven bits.
pub fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7F) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn zigzag(out: &mut Vec<u8>, n: i64) {
    varint(out, ((n << 1) ^ (n >> 63)) as u64);
}

fn binary(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

impl Struct {
    fn field(&mut self, id: u8, kind: Type) {
        let step = id - self.last;
        assert!((1..16).contains(&step), "fields rise by at most 15");
        self.out.push(step << 4 | kind as u8);
        self.last = id;
    }

    fn list(&mut self, id: u8, kind: Type, count: usize) {
        self.field(id, Type::List);
        if count < 15 {
            self.out.push((count as u8) << 4 | kind as u8);
        } else {
            self.out.push(0xF0 | kind as u8);
            varint(&mut self.out, count as u64);
        }
    }

    /// A whole number of 32 or 64 bits.
    pub fn int(&mut self, id: u8, kind: Type, n: i64) {
        self.field(id, kind);
        zigzag(&mut self.out, n);
    }

    /// Text.
    pub fn text(&mut self, id: u8, text: &str) {
        self.field(id, Type::Binary);
        binary(&mut self.out, text);
    }

    /// A struct that has ended.
    pub fn inner(&mut self, id: u8, ended: &[u8]) {
        self.field(id, Type::Struct);
        self.out.extend_from_slice(ended);
    }

    /// A list of whole numbers of 32 bits.
    pub fn ints(&mut self, id: u8, all: &[i64]) {
        self.list(id, Type::I32, all.len());
        all.iter().for_each(|n| zigzag(&mut self.out, *n));
    }

    /// A list of texts.
    pub fn texts(&mut self, id: u8, all: &[&str]) {
        self.list(id, Type::Binary, all.len());
        all.iter().for_each(|text| binary(&mut self.out, text));
    }

    /// A list of structs that have ended.
    pub fn structs(&mut self, id: u8, all: &[Vec<u8>]) {
        self.list(id, Type::Struct, all.len());
        all.iter().for_each(|ended| self.out.extend_from_slice(ended));
    }

    /// Ends it.
    pub fn end(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_thrift_has_them() {
        let bytes = |n: i64| {
            let mut out = Vec::new();
            zigzag(&mut out, n);
            out
        };
        assert_eq!([bytes(0), bytes(-1), bytes(1)], [[0], [1], [2]]);
        assert_eq!(bytes(300), [0xD8, 0x04]);
        assert_eq!(bytes(i64::MIN).len(), 10);
    }

    #[test]
    fn a_long_list_has_its_length_apart() {
        let mut s = Struct::default();
        s.ints(2, &[0; 20]);
        assert_eq!(s.end()[..3], [0x29, 0xF5, 20]);
    }
}
