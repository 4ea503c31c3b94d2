//! Prometheus's text: families of samples, each with one head.

use std::collections::HashMap;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Summary,
    /// It grows, and has not the name of what does.
    Untyped,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Summary => "summary",
            Kind::Untyped => "untyped",
        }
    }
}

struct Family {
    name: String,
    kind: Kind,
    help: &'static str,
    samples: String,
}

/// Families in the order in which they began.
#[derive(Default)]
pub struct Exposition {
    families: Vec<Family>,
    places: HashMap<String, usize>,
}

impl Exposition {
    /// Adds a sample to the family of this name, which has kind and help of its first sample.
    pub fn add(&mut self, name: &str, kind: Kind, help: &'static str, labels: &[(&str, String)], value: f64) {
        self.add_part(name, "", kind, help, labels, value);
    }

    /// The same with an ending of the name, as a summary's `_sum` and `_count`.
    pub fn add_part(
        &mut self,
        name: &str,
        ending: &str,
        kind: Kind,
        help: &'static str,
        labels: &[(&str, String)],
        value: f64,
    ) {
        let place = *self.places.entry(name.to_string()).or_insert(self.families.len());
        if place == self.families.len() {
            self.families.push(Family { name: name.to_string(), kind, help, samples: String::new() });
        }
        let out = &mut self.families[place].samples;
        out.push_str(name);
        out.push_str(ending);
        for (i, (label, text)) in labels.iter().enumerate() {
            let begin = if i == 0 { '{' } else { ',' };
            // Writing to a string can't fail.
            let _ = write!(out, "{begin}{label}=\"{}\"", escaped(text));
        }
        out.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(out, "{}", number(value));
    }

    pub fn text(self) -> String {
        let mut out = String::new();
        for Family { name, kind, help, samples } in self.families {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
            out.push_str(&samples);
        }
        out
    }
}

/// A label's value: backslashes, quotes and ends of lines stand behind a backslash.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".into(),
        v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.into(),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_stand_together_and_texts_are_escaped() {
        let mut out = Exposition::default();
        out.add("a", Kind::Gauge, "What.", &[("l", "x\\y\"z\n".into()), ("m", String::new())], 1.5);
        out.add("b", Kind::Counter, "Else.", &[], 1e15);
        out.add("a", Kind::Gauge, "What.", &[], f64::INFINITY);
        out.add_part("s", "_sum", Kind::Summary, "Sum.", &[("q", "1".into())], -0.25);
        let expected = "# HELP a What.\n# TYPE a gauge\na{l=\"x\\\\y\\\"z\\n\",m=\"\"} 1.5\na +Inf\n# HELP b Else.\n# TYPE b counter\nb 1000000000000000\n# HELP s Sum.\n# TYPE s summary\ns_sum{q=\"1\"} -0.25\n";
        assert_eq!(out.text(), expected);
    }
}
