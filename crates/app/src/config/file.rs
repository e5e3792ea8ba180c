//! The file itself: read, parsed, and every key's place kept so that a problem can name it.

use super::error::{ConfigError, Place, Problem, ProblemKind};
use super::raw::RawConfig;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Largest configuration file; a thousand times the example.
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The schema this version reads.
pub const SCHEMA: u32 = 1;
/// How many letters may differ for a key to be taken for a slip of the pen.
const SLIP_MAX: usize = 2;

/// A TOML file whose syntax, keys and units are right.
#[derive(Debug)]
pub struct Document<T> {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) raw: T,
    pub(super) fields: Fields,
}

/// A site's configuration.
pub type ConfigFile = Document<RawConfig>;

impl<T: DeserializeOwned> Document<T> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read, is no TOML, or has an unknown key or a bad unit.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let bytes = read_bounded(path, CONFIG_BYTES_MAX).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
            let message = "this byte is not UTF-8: save the file as UTF-8".to_owned();
            invalid(path, &text, "", Some(at..at + 1), message)
        })?;
        Self::parse(path, text)
    }

    /// Takes a text as if it had been read from `path`.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no TOML, or has an unknown key or a bad unit.
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let fields = match DeTable::parse(&text) {
            Ok(table) => Fields::of(table.get_ref()),
            Err(e) => {
                let message = match e.message() {
                    "duplicate key" => "this key is given twice: take one out".to_owned(),
                    other => format!("this is not TOML: {other}"),
                };
                return Err(invalid(path, &text, "", e.span(), message));
            }
        };
        // Another schema has other keys: say so before the first of them is called unknown.
        if let Some((span, found)) = &fields.schema
            && *found != SCHEMA.to_string()
        {
            let message = format!("schema {found} is not known to this version: use {SCHEMA}");
            return Err(invalid(path, &text, "schema", Some(span.clone()), message));
        }
        match toml::from_str::<T>(&text) {
            Ok(raw) => Ok(Self { path: path.to_owned(), text, raw, fields }),
            Err(e) => {
                let span = e.span().filter(|s| *s != (0..text.len()) && !s.is_empty());
                let field = span.as_ref().map_or("", |s| fields.at(s));
                let message = mend(e.message(), field);
                Err(invalid(path, &text, field, span, message))
            }
        }
    }

    /// What it says.
    #[must_use]
    pub fn raw(&self) -> &T {
        &self.raw
    }

    /// The file it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file a path in this one names: relative paths start from this file's folder.
    #[must_use]
    pub fn resolve_path(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A problem at a place of this file.
    #[must_use]
    pub fn problem(&self, kind: ProblemKind, at: &Range<usize>, message: String) -> Problem {
        Problem {
            kind,
            message,
            field: self.fields.at(at).to_owned(),
            file: self.path.clone(),
            place: Some(Place::of(&self.text, at)),
        }
    }
}

impl ConfigFile {
    /// The market the site says it is in.
    #[must_use]
    pub fn market(&self) -> &str {
        self.raw.site.market.get_ref()
    }
}

/// Reads a file of at most so many bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("it is larger than {max} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn invalid(
    path: &Path,
    text: &str,
    field: &str,
    span: Option<Range<usize>>,
    message: String,
) -> ConfigError {
    let place = span.map(|s| Place::of(text, &s));
    let (field, file) = (field.to_owned(), path.to_owned());
    let problem = Problem { kind: ProblemKind::Wrong, message, field, file, place };
    ConfigError::Invalid { problems: vec![problem] }
}

/// Where every key and value of the file stands.
#[derive(Debug, Default)]
pub(super) struct Fields {
    places: Vec<(Range<usize>, String)>,
    schema: Option<(Range<usize>, String)>,
}

impl Fields {
    fn of(root: &DeTable<'_>) -> Self {
        let mut fields = Self::default();
        for (key, value) in root {
            if let (true, DeValue::Integer(n)) = (key.get_ref() == "schema", value.get_ref()) {
                fields.schema = Some((value.span(), n.to_string()));
            }
        }
        fields.walk_table(root, "");
        fields
    }

    fn walk_table(&mut self, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", key.get_ref());
            self.places.push((key.span(), path.clone()));
            self.walk_value(value.get_ref(), value.span(), path);
        }
    }

    fn walk_value(&mut self, value: &DeValue<'_>, span: Range<usize>, path: String) {
        match value {
            DeValue::Table(table) => self.walk_table(table, &path),
            DeValue::Array(all) => {
                for (i, one) in all.iter().enumerate() {
                    self.walk_value(one.get_ref(), one.span(), format!("{path}[{i}]"));
                }
            }
            _ => {}
        }
        self.places.push((span, path));
    }

    /// The path of the innermost key or value that contains a range; empty when there is none.
    pub(super) fn at(&self, range: &Range<usize>) -> &str {
        let contains = |r: &Range<usize>| r.start <= range.start && range.end <= r.end;
        let inside = self.places.iter().filter(|(r, _)| contains(r));
        inside.min_by_key(|(r, _)| r.len()).map_or("", |(_, path)| path)
    }
}

/// Turns the parser's message into one that says what to do. Its wording is pinned by the golden
/// files of the invalid configurations; an unknown wording is passed on as it is.
fn mend(message: &str, field: &str) -> String {
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (key, known) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        if let Some(meant) = nearest(&quoted(key), &known) {
            return format!("unknown key; did you mean `{meant}`?");
        }
        return format!("unknown key; remove it, or use one of {}", known.join(", "));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let key = quoted(rest);
        return match field {
            "" if key == "schema" => format!("`schema` is missing: begin with `schema = {SCHEMA}`"),
            "" => format!("the section `[{key}]` is missing: add it"),
            _ => format!("`{key}` is missing here: add it"),
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (found, known) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return format!("\"{}\" is not known here; use one of {}", quoted(found), known.join(", "));
    }
    if let Some((found, wanted)) = message.split_once(", expected ") {
        let found = found.trim_start_matches("invalid type: ");
        return format!("{found} stands here; write {wanted}");
    }
    message.to_owned()
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|k| (distance(word, k), *k)).min()?;
    // Two letters of three are not a slip of the pen but another word.
    (best.0 <= SLIP_MAX && best.0 * 2 < word.len()).then_some(best.1)
}

/// Edits that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
