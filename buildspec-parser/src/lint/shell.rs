//! Splits shell text into simple commands, well enough for the rules and no further.
//!
//! It knows quotes, substitutions, comments, here documents, pipelines, subshells, compound commands
//! and function definitions. Where it is not sure it gives nothing, and the rules stay silent.

use std::collections::VecDeque;

use super::word::word_length;

/// The simple commands of one command text.
#[derive(Debug, Default)]
pub(super) struct Script<'c> {
    /// In the order of the text.
    pub(super) commands: Vec<Simple<'c>>,
    /// Names of the functions it defines.
    pub(super) functions: Vec<&'c str>,
}

/// A command word with its arguments.
#[derive(Debug, Default, Clone)]
pub(super) struct Simple<'c> {
    /// Words as they are written, quotes and all; redirections are left out.
    pub(super) words: Vec<&'c str>,
    /// What stands before it.
    pub(super) before: Separator,
    /// What stands after it.
    pub(super) after: Separator,
    /// Number of subshells around it.
    pub(super) subshells: usize,
    /// Number of `if`, loops, `case` and `{` around it.
    pub(super) compounds: usize,
}

/// What separates two simple commands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// Beginning or end of the text, a line break, `;`, or a keyword.
    #[default]
    Sequence,
    /// `&&` or `||`.
    Condition,
    /// `|`.
    Pipe,
    /// `&`.
    Background,
    /// The end of a subshell.
    Close,
}

impl<'c> Simple<'c> {
    /// The words without the assignments in front.
    pub(super) fn call(&self) -> &[&'c str] {
        let first = self
            .words
            .iter()
            .position(|word| !is_assignment(word))
            .unwrap_or(self.words.len());
        &self.words[first..]
    }

    /// The name of the command, if there is one.
    pub(super) fn name(&self) -> Option<&'c str> {
        self.call().first().copied()
    }

    /// Whether the command is `name` with these arguments first, options between them left out.
    pub(super) fn is_call(&self, expected: &[&str]) -> bool {
        let mut words = self.call().iter().filter(|word| !word.starts_with('-'));
        expected
            .iter()
            .all(|expected| words.next() == Some(expected))
    }

    /// Whether it is part of a pipeline.
    pub(super) fn is_piped(&self) -> bool {
        self.before == Separator::Pipe || self.after == Separator::Pipe
    }
}

/// Whether a word is `NAME=…`.
pub(super) fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else {
        return false;
    };
    let name = name.strip_suffix('+').unwrap_or(name);
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Scans a command; `None` where the text is not understood.
pub(super) fn scan(text: &str) -> Option<Script<'_>> {
    let mut scanner = Scanner::new(text);
    while scanner.at < text.len() {
        scanner.step()?;
    }
    scanner.end(Separator::Sequence);
    (scanner.subshells == 0 && scanner.here.is_empty()).then_some(scanner.script)
}

struct Scanner<'c> {
    text: &'c str,
    at: usize,
    script: Script<'c>,
    current: Simple<'c>,
    subshells: usize,
    compounds: usize,
    cases: usize,
    /// Whether the next word is where output goes, and no argument.
    redirects: bool,
    /// Delimiters of the here documents whose bodies follow the next line break.
    here: VecDeque<String>,
}

impl<'c> Scanner<'c> {
    fn new(text: &'c str) -> Self {
        Self {
            text,
            at: 0,
            script: Script::default(),
            current: Simple::default(),
            subshells: 0,
            compounds: 0,
            cases: 0,
            redirects: false,
            here: VecDeque::new(),
        }
    }

    fn rest(&self) -> &'c str {
        &self.text[self.at..]
    }

    fn step(&mut self) -> Option<()> {
        let rest = self.rest();
        let one = rest.chars().next()?;
        match one {
            '\n' => {
                self.at += 1;
                self.end(Separator::Sequence);
                self.skip_here_documents()?;
            }
            _ if rest.starts_with("\\\n") => self.at += 2,
            _ if one.is_whitespace() => self.at += one.len_utf8(),
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            ';' => {
                self.at += rest.len() - rest.trim_start_matches(';').len();
                self.end(Separator::Sequence);
            }
            '&' if rest.starts_with("&&") => self.operator(2, Separator::Condition),
            '&' if rest.starts_with("&>") => self.redirect("&>")?,
            '&' => self.operator(1, Separator::Background),
            '|' if rest.starts_with("||") => self.operator(2, Separator::Condition),
            '|' if rest.starts_with("|&") => self.operator(2, Separator::Pipe),
            '|' => self.operator(1, Separator::Pipe),
            '(' => self.open()?,
            ')' => self.close()?,
            '<' | '>' => {
                let length = rest
                    .find(|c| !matches!(c, '<' | '>' | '&' | '|' | '-'))
                    .unwrap_or(rest.len());
                self.redirect(&rest[..length])?;
            }
            _ => self.word()?,
        }
        Some(())
    }

    fn operator(&mut self, length: usize, separator: Separator) {
        self.at += length;
        self.end(separator);
    }

    /// Takes the simple command that ends here into the list.
    fn end(&mut self, separator: Separator) {
        let mut command = std::mem::take(&mut self.current);
        self.redirects = false;
        if !command.words.is_empty() {
            command.after = separator;
            command.subshells = self.subshells;
            command.compounds = self.compounds;
            self.script.commands.push(command);
        } else if let (Some(last), Separator::Pipe | Separator::Background) =
            (self.script.commands.last_mut(), separator)
        {
            // After `)` or `}`: the separator belongs to the group, and to its last command too.
            last.after = separator;
        }
        self.current.before = separator;
    }

    fn open(&mut self) -> Option<()> {
        if self.rest().starts_with("((") && self.current.words.is_empty() {
            self.at += self.rest().find("))")? + 2;
            return Some(());
        }
        let after = self.rest()[1..].trim_start_matches(' ');
        if let (Some(tail), [name]) = (after.strip_prefix(')'), self.current.words.as_slice()) {
            self.script.functions.push(name);
            self.at = self.text.len() - tail.len();
            self.current.words.clear();
            return Some(());
        }
        if !self.current.words.is_empty() {
            return None;
        }
        self.at += 1;
        if self.cases == 0 {
            self.subshells += 1;
        }
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        self.at += 1;
        if self.cases > 0 {
            // The pattern of a `case` branch is no command.
            self.current.words.clear();
            return Some(());
        }
        self.end(Separator::Close);
        self.subshells = self.subshells.checked_sub(1)?;
        Some(())
    }

    fn redirect(&mut self, operator: &str) -> Option<()> {
        // A number right before it is a file descriptor.
        let number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let adjacent = self.text[..self.at].ends_with(|c: char| c.is_ascii_digit());
        if adjacent && self.current.words.last().is_some_and(number) {
            self.current.words.pop();
        }
        self.at += operator.len();
        if operator == "<<" || operator == "<<-" {
            let rest = self.rest().trim_start_matches(' ');
            let start = self.text.len() - rest.len();
            let end = rest
                .find(|c: char| c.is_whitespace() || ";|&)".contains(c))
                .unwrap_or(rest.len());
            self.here.push_back(
                rest[..end]
                    .trim_matches(['\'', '"'])
                    .trim_start_matches('\\')
                    .to_owned(),
            );
            self.at = start + end;
            return (end > 0).then_some(());
        }
        self.redirects = !self
            .rest()
            .starts_with(|c: char| c.is_ascii_digit() || c == '-')
            || !operator.ends_with('&');
        if !self.redirects {
            self.at += self
                .rest()
                .find(|c: char| !c.is_ascii_digit() && c != '-')
                .unwrap_or(self.rest().len());
        }
        Some(())
    }

    fn skip_here_documents(&mut self) -> Option<()> {
        while let Some(delimiter) = self.here.pop_front() {
            loop {
                let rest = self.rest();
                if rest.is_empty() {
                    return None;
                }
                let line = rest.split('\n').next().unwrap_or(rest);
                self.at = (self.at + line.len() + 1).min(self.text.len());
                if line.trim_start_matches('\t').trim_end_matches('\r') == delimiter {
                    break;
                }
            }
        }
        Some(())
    }

    fn word(&mut self) -> Option<()> {
        let length = word_length(self.rest(), 0)?;
        let word = &self.rest()[..length];
        self.at += length;
        if std::mem::take(&mut self.redirects) {
            return Some(());
        }
        if self.current.words.is_empty() && self.keyword(word)? {
            return Some(());
        }
        self.current.words.push(word);
        Some(())
    }

    /// Handles a word that structures the text; whether it was one.
    fn keyword(&mut self, word: &str) -> Option<bool> {
        match word {
            "if" | "while" | "until" | "{" => self.compounds += 1,
            "for" | "select" => {
                self.compounds += 1;
                self.at += self.rest().find(['\n', ';'])?;
            }
            "case" => {
                self.compounds += 1;
                self.cases += 1;
                self.at += self.rest().find(" in")? + " in".len();
            }
            "then" | "else" | "elif" | "do" | "time" => {}
            // Its failure is what the author wants: like after `||`.
            "!" => self.current.before = Separator::Condition,
            "fi" | "done" | "}" | "esac" => {
                self.compounds = self.compounds.checked_sub(1)?;
                if word == "esac" {
                    self.cases = self.cases.checked_sub(1)?;
                }
            }
            "function" => {
                let rest = self.rest().trim_start();
                let end =
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')?;
                self.script.functions.push(&rest[..end]);
                self.at = self.text.len() - rest[end..].trim_start_matches([' ', '(', ')']).len();
            }
            "[[" => self.at += self.rest().find("]]")? + "]]".len(),
            _ => return Some(false),
        }
        if word == "[[" {
            self.current.words.push("[[");
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<String> {
        scan(text)
            .unwrap()
            .commands
            .iter()
            .map(|command| command.words.join(" "))
            .collect()
    }

    #[test]
    fn simple_commands_are_found() {
        for (text, expected) in [
            ("a b; c && d || e | f", vec!["a b", "c", "d", "e", "f"]),
            (
                "a 'x; y' \"$(b | c)\" `d` # e",
                vec!["a 'x; y' \"$(b | c)\" `d`"],
            ),
            ("a >out 2>&1 <in b &>all", vec!["a b"]),
            (
                "if a; then b; elif c; then d; fi; e",
                vec!["a", "b", "c", "d", "e"],
            ),
            ("for x in 1 2; do a $x; done", vec!["a $x"]),
            ("case $x in a) b;; *) c;; esac; d", vec!["b", "c", "d"]),
            ("cat <<EOF >x\nnot; a command\nEOF\na", vec!["cat", "a"]),
            ("(a; b) && { c; }", vec!["a", "b", "c"]),
            ("A=1 B=(x y) c", vec!["A=1 B=(x y) c"]),
            ("a \\\n  b", vec!["a b"]),
            ("[[ $x && $y ]] || a", vec!["[[", "a"]),
            ("f() { a; }; f", vec!["a", "f"]),
        ] {
            assert_eq!(calls(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_gives_nothing() {
        for text in ["a 'b", "a \"b", "a $(b", "(a", "a)", "cat <<EOF\nb"] {
            assert!(scan(text).is_none(), "{text}");
        }
    }

    #[test]
    fn places_are_known() {
        let script = scan("f() { a; }\n(b; export X=1) | c &\nd").unwrap();
        assert_eq!(script.functions, ["f"]);
        let export = &script.commands[2];
        assert_eq!(
            (export.name(), export.subshells, export.after),
            (Some("export"), 1, Separator::Pipe)
        );
        assert_eq!(script.commands[3].after, Separator::Background);
        assert!(script.commands[3].is_piped());
    }
}
