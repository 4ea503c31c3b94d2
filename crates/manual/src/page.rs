//! A page of the manual, in the language of `man`.

use roff::{Inline, Roff, bold, italic, roman};

use crate::keep;

/// A run of text in one face.
#[derive(Clone, Copy)]
pub enum Text<'a> {
    Plain(&'a str),
    /// What is typed as it stands.
    Typed(&'a str),
    /// What something is to be put in the place of.
    Meant(&'a str),
}

impl Text<'_> {
    fn inline(&self) -> Inline {
        match *self {
            Text::Plain(text) => roman(text),
            Text::Typed(text) => bold(text),
            Text::Meant(text) => italic(text),
        }
    }
}

/// A page that is being written.
pub struct Page {
    name: &'static str,
    section: u8,
    roff: Roff,
}

impl Page {
    /// A page of a section of the manual, with its name and what that is in a few words.
    pub fn new(name: &'static str, section: u8, summary: &str) -> Page {
        let version = concat!("Rivulet ", env!("CARGO_PKG_VERSION"));
        let manual = if section == 5 { "File formats" } else { "User commands" };
        let mut roff = Roff::new();
        // A blank for the date: the page is the same until what it says changes.
        roff.control("TH", [name.to_uppercase().as_str(), &section.to_string(), " ", version, manual]);
        let mut page = Page { name, section, roff };
        page.head("NAME");
        page.roff.text([roman(format!("{name} - {summary}"))]);
        page
    }

    pub fn head(&mut self, title: &str) -> &mut Page {
        self.roff.control("SH", [title]);
        self
    }

    pub fn subhead(&mut self, title: &str) -> &mut Page {
        self.roff.control("SS", [title]);
        self
    }

    pub fn paragraph(&mut self, text: &str) -> &mut Page {
        self.roff.control("PP", []);
        self.roff.text([roman(text)]);
        self
    }

    /// One way to call the program.
    pub fn call(&mut self, words: &[Text<'_>]) -> &mut Page {
        self.roff.control("PP", []);
        self.roff.text(words.iter().map(Text::inline).collect::<Vec<_>>());
        self
    }

    /// A term, and what it means.
    pub fn term(&mut self, term: &[Text<'_>], meaning: &str) -> &mut Page {
        self.roff.control("TP", []);
        self.roff.text(term.iter().map(Text::inline).collect::<Vec<_>>());
        self.roff.text([roman(meaning)]);
        self
    }

    /// Lines as they are.
    pub fn lines(&mut self, text: &str) -> &mut Page {
        self.roff.control("PP", []);
        self.roff.control("nf", []);
        self.roff.control("RS", ["4"]);
        for line in text.lines() {
            self.roff.text([roman(line)]);
        }
        self.roff.control("RE", []);
        self.roff.control("fi", []);
        self
    }

    /// Other pages.
    pub fn see_also(&mut self, pages: &[(&str, u8)]) -> &mut Page {
        self.head("SEE ALSO");
        let others = pages.iter().filter(|page| **page != (self.name, self.section));
        let mut words = Vec::new();
        for (i, (name, section)) in others.enumerate() {
            words.extend((i > 0).then(|| roman(", ")));
            words.extend([bold(*name), roman(format!("({section})"))]);
        }
        self.roff.text(words);
        self
    }

    pub fn text(&self) -> String {
        self.roff.render()
    }

    /// Compares it with the file in `packaging/man`, or writes that ([`keep`]).
    ///
    /// # Panics
    /// The file is not up to date.
    pub fn keep(&self) {
        keep(&format!("packaging/man/{}.{}", self.name, self.section), &self.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_roff_is_only_text() {
        let mut page = Page::new("x", 1, "does it");
        page.head("OPTIONS").term(&[Text::Typed("--fix"), Text::Meant(" file")], ".TH is text, and \\n is, too");
        let text = page.text();
        assert!(text.contains(".TH X 1 \" \" \"Rivulet "), "each part of the head has its place: {text}");
        assert!(text.contains("\n.TP\n\\fB\\-\\-fix\\fR\\fI file\\fR\n\\&.TH is text, and \\\\n is, too"), "{text}");
    }

    #[test]
    fn other_pages_are_named_and_this_one_is_not() {
        let mut page = Page::new("x", 1, "does it");
        let text = page.see_also(&[("a", 1), ("b", 5), ("x", 1)]).text();
        assert!(text.ends_with("\\fBa\\fR(1), \\fBb\\fR(5)\n"), "{text}");
    }
}
