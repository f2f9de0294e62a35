//! What has to be true of every build when all is over.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::time::Duration;

use agent::model::BuildId;
use agent::store::StoredBuild;
use flate2::read::MultiGzDecoder;
use sqlx::{Connection, Row};
use tokio::time::sleep;

use super::{Fleet, LINES};
use crate::read_tree;

/// Writes down, in the database, every end of a build and every change after it.
pub(super) const WITNESS: &str = "
CREATE TABLE ends (build TEXT NOT NULL, kind TEXT NOT NULL);
CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL THEN
        INSERT INTO ends VALUES (NEW.id, 'end');
    ELSIF OLD.ended_at IS NOT NULL THEN
        INSERT INTO ends VALUES (NEW.id, 'change');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER witness AFTER UPDATE ON builds FOR EACH ROW EXECUTE FUNCTION witness();";

/// How long leftovers may stay: a worker that is started again looks for them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of the builds.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many ended how.
    pub statuses: BTreeMap<String, usize>,
    /// Why those ended that did not succeed.
    pub reasons: Vec<String>,
    /// What should not be.
    pub complaints: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.statuses)?;
        for reason in &self.reasons {
            writeln!(f, "  {reason}")?;
        }
        for complaint in &self.complaints {
            writeln!(f, "WRONG: {complaint}")?;
        }
        Ok(())
    }
}

impl Verdict {
    /// Judges builds that are over, and the machines.
    pub(super) async fn of(fleet: &mut Fleet, builds: &[BuildId]) -> Self {
        let mut verdict = Self::default();
        let ends = ends(fleet).await;
        let known = fleet.test.store.builds(builds).await;
        for build in known.expect("the store answers") {
            let uuid = build.id.uuid.to_string();
            let seen = ends.get(&uuid).map(Vec::as_slice).unwrap_or_default();
            if seen != ["end"] {
                verdict.complain(&build, &format!("it ended like this: {seen:?}"));
            }
            verdict.judge(fleet, &build);
        }
        verdict.look_for_leftovers(fleet).await;
        verdict
    }

    fn complain(&mut self, build: &StoredBuild, what: &str) {
        self.complaints
            .push(format!("build {} ({}): {what}", build.id, build.status));
    }

    fn judge(&mut self, fleet: &Fleet, build: &StoredBuild) {
        *self.statuses.entry(build.status.clone()).or_default() += 1;
        let record = &build.record;
        let phases = record["phases"].as_array().cloned().unwrap_or_default();
        let completed = phases
            .iter()
            .filter(|phase| phase["phaseType"] == "COMPLETED");
        let is_whole = record["buildComplete"] == true
            && record["buildStatus"] == build.status.as_str()
            && completed.count() == 1;
        if !is_whole {
            self.complain(build, &format!("its record is not whole: {record}"));
        }
        if build.status == "SUCCEEDED" {
            for wrong in [artifact(fleet, build), log(fleet, build)]
                .into_iter()
                .flatten()
            {
                self.complain(build, &wrong);
            }
            return;
        }
        let contexts = phases
            .iter()
            .filter_map(|phase| phase["contexts"].as_array());
        let messages = contexts
            .flatten()
            .filter_map(|context| context["message"].as_str());
        let reason: Vec<&str> = messages.filter(|message| !message.is_empty()).collect();
        let reason = reason.join("; ");
        if reason.is_empty() {
            self.complain(build, &format!("nobody says why: {record}"));
        }
        self.reasons
            .push(format!("{} {}: {reason}", build.id, build.status));
    }

    /// Workers that were away longer than their builds waited for them have to clean up, too.
    async fn look_for_leftovers(&mut self, fleet: &mut Fleet) {
        for machine in &mut fleet.machines {
            machine.start();
        }
        for (number, machine) in fleet.machines.iter_mut().enumerate() {
            let is_clean =
                || machine.containers().is_empty() && machine.build_directories().is_empty();
            let waited = tokio::time::timeout(PATIENCE, async {
                while !is_clean() {
                    sleep(super::LOOK).await;
                }
            });
            if waited.await.is_err() {
                self.complaints.push(format!(
                    "machine {number} keeps containers {:?} and directories {:?}; it said:\n{}",
                    machine.containers(),
                    machine.build_directories(),
                    machine.log()
                ));
            }
            if !machine.networks().is_empty() {
                let networks = machine.networks();
                self.complaints
                    .push(format!("machine {number} keeps networks {networks:?}"));
            }
            machine.drain();
        }
    }
}

/// What the witness saw of each build.
async fn ends(fleet: &Fleet) -> BTreeMap<String, Vec<String>> {
    let connected = sqlx::PgConnection::connect(&fleet.test.address).await;
    let mut connection = connected.expect("the server answers");
    let rows = sqlx::query("SELECT build, kind FROM ends").fetch_all(&mut connection);
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.await.expect("the witness is there") {
        ends.entry(row.get(0)).or_default().push(row.get(1));
    }
    ends
}

/// What is wrong with the artifact of a build.
fn artifact(fleet: &Fleet, build: &StoredBuild) -> Option<String> {
    let uuid = build.id.uuid.to_string();
    let objects = read_tree(&fleet.s3.bucket("artifacts").join(&uuid));
    let objects = objects.into_iter();
    let own: BTreeMap<String, Vec<u8>> = objects
        .filter(|(path, _)| !path.rsplit('/').next().unwrap_or_default().starts_with('.'))
        .collect();
    let is_right = own.len() == 1
        && own
            .values()
            .all(|content| *content == build.id.to_string().into_bytes());
    (!is_right).then(|| format!("its artifacts are {own:?}"))
}

/// What is wrong with the log of a build.
fn log(fleet: &Fleet, build: &StoredBuild) -> Option<String> {
    let object = fleet
        .s3
        .bucket("logs")
        .join(format!("{}.gz", build.id.uuid));
    let packed = match fs::read(&object) {
        Ok(packed) => packed,
        Err(error) => return Some(format!("it has no log: {error}")),
    };
    let mut log = String::new();
    if let Err(error) = MultiGzDecoder::new(packed.as_slice()).read_to_string(&mut log) {
        return Some(format!("its log cannot be read: {error}"));
    }
    let is_of_build = |line: &&str| line.starts_with("line ") || *line == "the end";
    let lines: Vec<&str> = log.lines().filter(is_of_build).collect();
    let mut expected: Vec<String> = (1..=LINES)
        .map(|number| format!("line {number} of {}", build.id))
        .collect();
    expected.push("the end".to_owned());
    (lines != expected).then(|| format!("its log is not whole, or has more than it said:\n{log}"))
}
