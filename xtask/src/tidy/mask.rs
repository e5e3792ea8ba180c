//! Rust source with its comments and strings blanked out, so that a rule about code is not
//! tripped by prose. Lines and columns stay where they are.

/// The code of a source file: same length in characters, comments and strings become spaces.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            for &c in &chars[at..end] {
                out.push(if c == '\n' { '\n' } else { ' ' });
            }
            at = end;
        }
    }
    out
}

/// Where the comment, string or character that starts at `at` ends; `at` when none does.
fn skipped(chars: &[char], at: usize) -> usize {
    let next = |n: usize| chars.get(at + n).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == Some('/') => {
            chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n)
        }
        '/' if next(1) == Some('*') => block_comment(chars, at),
        '"' => string(chars, at),
        'r' if !in_word => raw_string(chars, at, 1),
        'b' if !in_word && next(1) == Some('r') => raw_string(chars, at, 2),
        '\'' => character(chars, at),
        _ => at,
    }
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string(chars: &[char], start: usize, prefix: usize) -> usize {
    let hashes = chars[start + prefix..].iter().take_while(|&&c| c == '#').count();
    let open = start + prefix + hashes;
    if chars.get(open) != Some(&'"') {
        return start;
    }
    let closes = |at: usize| {
        chars[at] == '"'
            && chars.get(at + 1..=at + hashes).is_some_and(|t| t.iter().all(|&c| c == '#'))
    };
    (open + 1..chars.len()).find(|&at| closes(at)).map_or(chars.len(), |at| at + 1 + hashes)
}

/// A character literal; a lifetime is left alone.
fn character(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            let from = start + 3;
            let close = chars.get(from..).and_then(|t| t.iter().position(|&c| c == '\''));
            close.map_or(chars.len(), |n| from + n + 1)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::code;

    fn check(source: &str, expect: &str) {
        assert_eq!(code(source), expect);
        assert_eq!(code(source).chars().count(), source.chars().count());
    }

    #[test]
    fn prose_is_blanked_and_code_is_kept() {
        check("a // f64\nb", "a       \nb");
        check("a /* x /* y */ z */ b", "a                   b");
        check(r#"f("f64 \" f32") g"#, "f(            ) g");
        check(r##"f(r#"a "f64" b"#) g"##, "f(              ) g");
        check("fn f<'a>(c: &'a str) { '\"' }", "fn f<'a>(c: &'a str) {     }");
        check(r"let q = '\''; x", "let q =     ; x");
        check("for r in 0..9", "for r in 0..9");
        check("\"open", "     ");
    }
}
