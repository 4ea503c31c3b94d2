//! A line of the picture: pieces of text, each with what it means. How that looks is decided when it is written.

/// What a piece of a line means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Plain,
    Title,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Style {
    /// The terminal's number for it.
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "0",
            Style::Title => "1",
            Style::Faint => "90",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
        }
    }
}

/// Pieces in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    pub fn new(style: Style, text: &str) -> Line {
        Line::default().with(style, text)
    }

    /// Adds a piece. What a server says may hold anything: a terminal must not take it for orders.
    pub fn with(mut self, style: Style, text: &str) -> Line {
        let clean = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.0.push((style, clean));
        self
    }

    /// Adds blanks up to a column; none if that is behind.
    pub fn padded(self, column: usize) -> Line {
        let blanks = column.saturating_sub(self.width());
        self.with(Style::Plain, &" ".repeat(blanks))
    }

    /// In characters.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// No more than so many characters.
    pub fn clipped(self, width: usize) -> Line {
        let mut left = width;
        let mut pieces = Vec::new();
        for (style, text) in self.0 {
            let piece: String = text.chars().take(left).collect();
            left -= piece.chars().count();
            pieces.push((style, piece));
        }
        Line(pieces)
    }

    /// Without blanks at the end.
    pub fn text(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_string()
    }

    /// With the terminal's colours.
    pub fn coloured(&self) -> String {
        let mut out = String::new();
        for (style, text) in self.0.iter().filter(|(_, text)| !text.is_empty()) {
            match style {
                Style::Plain => out += text,
                _ => out += &format!("\x1b[{}m{text}\x1b[0m", style.code()),
            }
        }
        out
    }
}

/// Words in lines of at most `width` characters; a word that is longer has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one always");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_clipped_and_cleaned() {
        let line = Line::new(Style::Good, "größe").with(Style::Bad, "\x1b[2J");
        assert_eq!(line.text(), "größe?[2J");
        let clipped = line.clipped(6);
        assert_eq!((clipped.width(), clipped.coloured().as_str()), (6, "\x1b[32mgröße\x1b[0m\x1b[31m?\x1b[0m"));
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("aa bb  ccc", 5), ["aa bb", "ccc"]);
        assert_eq!(wrapped("abcdefgh i", 3), ["abcdefgh", "i"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
