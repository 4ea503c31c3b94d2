//! REPLICATION DOCTOR's text: what it found, and what it measured.

use serde::Serialize;

use crate::info::brief;

/// More findings than these are not shown; the doctor has some twenty.
const FINDINGS_MAX: usize = 50;

/// What the doctor says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Doctor {
    /// A sentence or more each, most important first.
    pub findings: Vec<String>,
    /// What the findings rest on.
    pub measured: String,
}

impl Doctor {
    /// Reads the numbered findings and the last paragraph.
    pub fn parse(text: &str) -> Doctor {
        let mut doctor = Doctor::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(measured) = line.strip_prefix("Measured:") {
                doctor.measured = brief(measured.trim());
            } else if let Some(finding) = numbered(line)
                && doctor.findings.len() < FINDINGS_MAX
            {
                doctor.findings.push(brief(finding));
            }
        }
        doctor
    }
}

/// The rest of a line that begins with a number and a dot.
fn numbered(line: &str) -> Option<&str> {
    let (number, rest) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_and_measurements() {
        let text = "2 findings of replication:\n1. It is slow. Set this to 3.5 MiB.\n2. It is far.\nMeasured: nothing; 0.0 s.\n";
        let doctor = Doctor::parse(text);
        assert_eq!(doctor.findings, ["It is slow. Set this to 3.5 MiB.", "It is far."]);
        assert_eq!(doctor.measured, "nothing; 0.0 s.");
        let well = Doctor::parse("Nothing is wrong with replication, as far as it was measured.\nMeasured: x.\n");
        assert_eq!((well.findings.len(), well.measured.as_str()), (0, "x."));
        assert_eq!(Doctor::parse("").findings.len(), 0);
    }
}
