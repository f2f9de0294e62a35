//! The images that CodeBuild maintains, as far as they are known here.

use serde::Serialize;
use serde_json::Value;

use super::Call;
use crate::api::error::ApiError;
use crate::images::{Catalog, Platform};

#[derive(Debug, Serialize)]
pub(super) struct ListOutput {
    platforms: Vec<Platform>,
}

/// Lists the images by platform and language.
pub(super) async fn list(_call: Call, _input: Value) -> Result<ListOutput, ApiError> {
    Ok(ListOutput {
        platforms: Catalog::platforms(),
    })
}
