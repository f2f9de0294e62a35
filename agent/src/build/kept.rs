//! What a build's directory keeps for whoever takes the build up after its agent's death.
//!
//! Written before it matters, readable by the agent's user only, and without any value that may be a
//! secret: those live in the memory of the agent and of the executor, never on a disk.

use std::time::Duration;

use buildspec_parser::Buildspec;
use executor::protocol::Plan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::data_directory::BuildDirectory;
use crate::model::{BuildRequest, VariableValue};
use crate::state_file::{self, StateFileError};

/// The order that the executor was given, and what it came from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptOrder {
    /// The effective buildspec, as YAML.
    buildspec: String,
    /// The plan, without the build's variables and secrets.
    pub(super) plan: Plan,
    /// Whether the build has credentials of a role, which have to be renewed.
    pub(super) has_credentials: bool,
    /// Whether the plan had secrets.
    pub(super) had_secrets: bool,
    /// When the executor was given it, in milliseconds since 1970 UTC.
    given_millis: i64,
}

impl KeptOrder {
    /// The buildspec; `None` if the file was made by an agent that writes it in another way.
    pub(super) fn buildspec(&self) -> Option<Buildspec> {
        buildspec_parser::parse(&self.buildspec).buildspec
    }

    /// How long the executor has had it.
    pub(super) fn age(&self) -> Duration {
        let age = Timestamp::now().as_millisecond() - self.given_millis;
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }
}

/// Keeps the request. Plain values of variables are left out: people put secrets into them, and once
/// the executor has its order nobody asks for them.
pub(super) fn keep_request(
    directory: &BuildDirectory,
    request: &BuildRequest,
) -> Result<(), StateFileError> {
    let mut kept = request.clone();
    for variable in &mut kept.environment_variables {
        if let VariableValue::Plaintext(value) = &mut variable.value {
            value.clear();
        }
    }
    state_file::write(&directory.request(), &kept)
}

/// The request, if one was kept.
pub(super) fn request(directory: &BuildDirectory) -> Result<Option<BuildRequest>, StateFileError> {
    state_file::read(&directory.request())
}

/// Keeps the order that is about to be given.
pub(super) fn keep_order(
    directory: &BuildDirectory,
    buildspec: &Buildspec,
    plan: &Plan,
) -> Result<(), StateFileError> {
    let order = KeptOrder {
        buildspec: buildspec_parser::print(buildspec),
        plan: Plan {
            environment: Vec::new(),
            secrets: Vec::new(),
            credentials: None,
            git_credentials: Vec::new(),
            ..plan.clone()
        },
        has_credentials: plan.credentials.is_some(),
        had_secrets: !plan.secrets.is_empty(),
        given_millis: Timestamp::now().as_millisecond(),
    };
    state_file::write(&directory.order(), &order)
}

/// The order, if the build got as far.
pub(super) fn order(directory: &BuildDirectory) -> Result<Option<KeptOrder>, StateFileError> {
    state_file::read(&directory.order())
}
