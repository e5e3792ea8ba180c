//! What can be wrong with a configuration, and how it is shown: one sentence, the place, a caret.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest piece of a source line that is shown.
const SHOWN_COLUMNS_MAX: usize = 160;

/// Says why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file was read, and these things are wrong with it; never empty, in file order.
    #[error("{}", render(problems))]
    Invalid {
        /// Everything that was found.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// Everything that was found; empty only where the file could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems } => problems,
        }
    }
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// It makes no sense, now or ever.
    Wrong,
    /// It is part of the schema, and this version cannot do it yet.
    NotBuilt,
}

/// One thing that is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Why it is refused.
    pub kind: ProblemKind,
    /// One sentence with the mend in it.
    pub message: String,
    /// The key it is about, for example `cohort[0].hosts`; empty where the file is no TOML.
    pub field: String,
    /// The file it is in.
    pub file: PathBuf,
    /// Where in that file; `None` where it is about the file as a whole.
    pub place: Option<Place>,
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// Finds the place of a byte range in a text.
    #[must_use]
    pub fn of(text: &str, range: &Range<usize>) -> Self {
        // A range can end past the text (end of file) or inside a character (invalid input).
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(range.start), floor(range.end));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = text[line_start..line_end].trim_end_matches('\r');
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end.clamp(start, line_end)].chars().count().max(1),
            text: line.to_owned(),
        }
    }

    /// The part of the line that is shown, and the column of the place in it.
    fn shown(&self) -> (String, usize) {
        let skip = if self.column > SHOWN_COLUMNS_MAX { self.column - 20 } else { 0 };
        let part: String = self.text.chars().skip(skip).take(SHOWN_COLUMNS_MAX).collect();
        // A tab is as wide as the terminal likes, a blank is not: the caret has to line up.
        (part.replace(|c: char| c.is_control(), " "), self.column - skip)
    }
}

impl Problem {
    /// The problem on one line, for a log: file, line, field, sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let line = self.place.as_ref().map_or(String::new(), |p| format!("{}:", p.line));
        format!("{}:{line} {}", self.file.display(), self.headline())
    }

    fn headline(&self) -> String {
        match self.kind {
            ProblemKind::Wrong if !self.field.is_empty() => {
                format!("`{}`: {}", self.field, self.message)
            }
            _ => self.message.clone(),
        }
    }

    /// A key by which problems stand in file order.
    pub(super) fn order(&self) -> (&Path, usize, usize) {
        let place = self.place.as_ref();
        (&self.file, place.map_or(0, |p| p.line), place.map_or(0, |p| p.column))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.headline())?;
        let Some(place) = &self.place else {
            return write!(f, " --> {}", self.file.display());
        };
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        let (text, column) = place.shown();
        let width = place.width.min(SHOWN_COLUMNS_MAX.saturating_sub(column - 1)).max(1);
        let (file, line) = (self.file.display(), place.line);
        writeln!(f, "{gutter}--> {file}:{line}:{}", place.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{gutter} | {}{}", " ".repeat(column - 1), "^".repeat(width))
    }
}

fn render(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n\n")
}
