//! The text of overlay options: lists of directories with escaped colons.

/// Splits a list of directories at its colons. A backslash takes the character after it as it is, as overlayfs has it
/// (`\:`, `\\`, `\,`).
pub(crate) fn split_list(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = list.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' => parts.push(String::new()),
            '\\' => push(&mut parts, letters.next().unwrap_or('\\')),
            other => push(&mut parts, other),
        }
    }
    parts
}

/// One directory, with the same escapes.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    plain
}

fn push(parts: &mut [String], letter: char) {
    if let Some(last) = parts.last_mut() {
        last.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_separate_unless_escaped() {
        assert_eq!(split_list("a:b"), ["a", "b"]);
        assert_eq!(split_list(r"a\:b:c\\d:e\,f"), ["a:b", r"c\d", "e,f"]);
        assert_eq!(split_list("with space:new\nline"), ["with space", "new\nline"]);
        assert_eq!(split_list(""), [""]);
        assert_eq!(split_list("a::b"), ["a", "", "b"]);
        assert_eq!(unescape(r"up\:per"), "up:per");
    }
}
