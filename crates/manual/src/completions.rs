//! Completions of bash, zsh and fish.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::keep;

/// The completions of a program: a file for each shell, by the name that the shell looks for.
pub struct Completions {
    pub files: Vec<(String, String)>,
}

impl Completions {
    /// Of a program of that name.
    pub fn of(mut command: Command, name: &str) -> Completions {
        let shells = [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Zsh, format!("zsh/_{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
        ];
        let mut files = Vec::new();
        for (shell, file) in shells {
            let mut text = Vec::new();
            generate(shell, &mut command, name, &mut text);
            let text = String::from_utf8_lossy(&text);
            // Blanks at the end of a line mean nothing, and tools complain of them.
            let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
            files.push((file, lines.join("\n") + "\n"));
        }
        Completions { files }
    }
}

/// Compares the completions of a program with the files in `packaging/completions`, or writes them ([`keep`]).
///
/// # Panics
/// A file is not up to date.
pub fn keep_completions(command: Command, name: &str) {
    for (file, text) in Completions::of(command, name).files {
        keep(&format!("packaging/completions/{file}"), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_has_a_file_that_names_the_option() {
        let command = Command::new("x").arg(clap::Arg::new("fix").long("fix").num_args(0).help("Mend it."));
        let completions = Completions::of(command, "x");
        let names: Vec<&str> = completions.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["bash/x", "zsh/_x", "fish/x.fish"]);
        for (name, text) in completions.files {
            assert!(text.contains("fix"), "{name}: {text}");
        }
    }
}
