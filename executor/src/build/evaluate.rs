//! Questions to the shell: values of variables and texts to expand, in the state in which the
//! last command left it.

use std::collections::HashMap;

use executor::protocol::Event;

use super::Build;
use crate::shell::{Purpose, Task, answer_path};
use crate::supervisor::{Fault, Run};
use crate::watch::Ending;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The build had to end.
    Cut(Ending),
    /// The executor cannot go on.
    Fault(Fault),
}

impl From<Fault> for Unanswered {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Build<'_> {
    /// Reports the exported variables, with secrets hidden (buildspec reference,
    /// env/exported-variables).
    pub(super) fn export_variables(&mut self) -> Result<(), Unanswered> {
        let names = std::mem::take(&mut self.plan.exported_variables);
        if names.is_empty() {
            return Ok(());
        }
        let values = self.variables(names.iter().map(String::as_str))?;
        let variables = names
            .into_iter()
            .filter_map(|name| {
                let value = self.supervisor.log.mask(values.get(&name)?);
                Some((name, value))
            })
            .collect();
        Ok(self.event(&Event::Exported { variables })?)
    }

    /// Values of those variables that are set.
    pub(super) fn variables<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, String>, Unanswered> {
        let questions: Vec<String> = names
            .filter(|name| is_name(name))
            .map(|name| format!("[ -z \"${{{name}+x}}\" ] || printf '%s\\0' \"{name}=${name}\""))
            .collect();
        if questions.is_empty() {
            return Ok(HashMap::new());
        }
        let answer = self.ask(&questions.join("\n"))?.unwrap_or_default();
        Ok(answer
            .split_inclusive(|byte| *byte == 0)
            // What has no end was cut off.
            .filter_map(|entry| entry.strip_suffix(b"\0"))
            .filter_map(|entry| {
                let entry = String::from_utf8_lossy(entry);
                let (name, value) = entry.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect())
    }

    /// A text with its variables and command substitutions replaced by the shell, its first line;
    /// none if it cannot be evaluated or is empty.
    pub(super) fn expanded(&mut self, text: &str) -> Result<Option<String>, Unanswered> {
        // In a here-document quotes are ordinary characters and nothing is split.
        let delimiter = "END_OF_THE_TEXT_TO_EXPAND";
        let question = format!(
            "IFS= read -r expanded <<{delimiter}\n{}\n{delimiter}\nprintf '%s' \"$expanded\"",
            text.lines().next().unwrap_or_default()
        );
        let answer = self.ask(&question)?.unwrap_or_default();
        let expanded = String::from_utf8_lossy(&answer).into_owned();
        Ok(Some(expanded).filter(|expanded| !expanded.is_empty()))
    }

    /// What a script prints; none if it fails. Its errors go to the log.
    fn ask(&mut self, script: &str) -> Result<Option<Vec<u8>>, Unanswered> {
        if let Some(ending) = self.supervisor.look()? {
            return Err(Unanswered::Cut(ending));
        }
        let answer = answer_path(&self.places);
        let text = format!("{{ {script}\n}} > {answer}");
        let task = Task {
            text: &text,
            purpose: Purpose::Question,
            succeeding: self.succeeding,
            identity: None,
        };
        // A state that cannot be kept leaves the question without an answer.
        let Ok(command) = self.shell.command(&task) else {
            return Ok(None);
        };
        match self.supervisor.run(command, None)? {
            Run::Ended(exit, _) if exit.is_success() => Ok(self.shell.answer().ok()),
            Run::Ended(..) | Run::NotStarted(_) => Ok(None),
            Run::Cut(ending, ..) => Err(Unanswered::Cut(ending)),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
