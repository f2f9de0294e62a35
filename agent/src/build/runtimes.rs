//! The runtimes of a build: the buildspec's wishes and the image's table.

use buildspec_parser::Buildspec;
use executor::globs;
use executor::protocol::{RuntimeSelection, Variable};

use super::Abort;
use super::provision::Provisioned;
use crate::runtimes::{RuntimeTable, TABLE};

/// Selects the runtimes; `None` if the image does not support the choice.
pub(super) async fn select(
    buildspec: &Buildspec,
    environment: &[Variable],
    container: &Provisioned,
) -> Result<Option<Vec<RuntimeSelection>>, Abort> {
    let Some(install) = buildspec
        .phases
        .install
        .as_ref()
        .filter(|install| !install.runtime_versions.is_empty())
    else {
        return Ok(Some(Vec::new()));
    };
    let Some(text) = container.runtime_table().await? else {
        return Ok(None);
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        Abort::failed(
            "YAML_FILE_ERROR",
            format!("{TABLE} of the image is not a table of runtimes: {error}"),
        )
    };
    let text = String::from_utf8(text).map_err(|error| unreadable(&error))?;
    let table = RuntimeTable::parse(&text).map_err(|error| unreadable(&error))?;
    let value = |name: &str| {
        environment
            .iter()
            .rev()
            .find(|variable| variable.name == name)
            .map(|variable| variable.value.as_str())
    };
    let wishes = install.runtime_versions.iter();
    let wishes = wishes
        .map(|(name, version)| (name.value.clone(), globs::expand(&version.value, value)))
        .collect::<Vec<_>>();
    let selected = table.select(&wishes);
    selected
        .map(Some)
        .map_err(|error| Abort::failed("YAML_FILE_ERROR", error.to_string()))
}
