//! Credentials of git hosts: taken in, kept sealed, and never given out.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{Call, arn, input};
use crate::api::error::{ApiError, Code};
use crate::store::{Kind, Order, PageRequest, Resource, ResourceSort, StoreError};

/// The git hosts there are credentials for (API, `ServerType`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ServerType {
    Github,
    Bitbucket,
    GithubEnterprise,
    Gitlab,
    GitlabSelfManaged,
}

/// What a token is (API, `AuthType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum AuthType {
    Oauth,
    BasicAuth,
    PersonalAccessToken,
    Codeconnections,
    SecretsManager,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportInput {
    #[serde(default, deserialize_with = "secret")]
    token: Option<SecretString>,
    server_type: Option<ServerType>,
    auth_type: Option<AuthType>,
    username: Option<String>,
    should_overwrite: Option<bool>,
}

/// A text that is never shown.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

#[derive(Debug, Serialize)]
pub(super) struct ArnOutput {
    arn: String,
}

/// Takes credentials in; there is one of each host.
pub(super) async fn import(call: Call, input: ImportInput) -> Result<ArnOutput, ApiError> {
    let token = input::required("token", input.token)?;
    let server_type = input::required("serverType", input.server_type)?;
    let auth_type = input::required("authType", input.auth_type)?;
    if matches!(auth_type, AuthType::Oauth | AuthType::Codeconnections) {
        return Err(ApiError::invalid(
            "Invalid authType: OAUTH and CODECONNECTIONS are made in AWS's console; import a PERSONAL_ACCESS_TOKEN, BASIC_AUTH or SECRETS_MANAGER",
        ));
    }
    if auth_type == AuthType::BasicAuth && input.username.is_none() {
        return Err(ApiError::invalid(
            "Invalid input: username is required for BASIC_AUTH",
        ));
    }
    let name = name_of(server_type);
    let vault = call.tools.vault.as_ref();
    let vault = vault.ok_or_else(|| ApiError::invalid("credentials are imported by a server"))?;
    let mut body = json!({
        "serverType": server_type,
        "authType": auth_type,
        "username": input.username,
        "token": vault.seal(&purpose(&name), &token).map_err(ApiError::fault)?,
    });
    if auth_type == AuthType::SecretsManager {
        // The token is the ARN of a secret, and no secret itself.
        body["resource"] = token.expose_secret().into();
    }
    let store = call.store();
    let created = store
        .create_resource(Kind::SourceCredential, &name, body.clone())
        .await;
    match created {
        Ok(_) => {}
        Err(StoreError::AlreadyExists { .. }) if input.should_overwrite != Some(false) => {
            store
                .update_resource(Kind::SourceCredential, &name, body)
                .await?;
        }
        Err(StoreError::AlreadyExists { .. }) => {
            return Err(ApiError::new(
                Code::ResourceAlreadyExists,
                format!("Access token for server type {name} already exists"),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ArnOutput {
        arn: arn_of(&call, &name),
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct ArnInput {
    arn: Option<String>,
}

/// Forgets credentials.
pub(super) async fn delete(call: Call, input: ArnInput) -> Result<ArnOutput, ApiError> {
    let arn = input::required("arn", input.arn)?;
    let name = arn::short(&arn, "token");
    if call
        .store()
        .delete_resource(Kind::SourceCredential, name)
        .await?
    {
        return Ok(ArnOutput { arn });
    }
    Err(ApiError::not_found(format!(
        "Could not find credentials {arn}"
    )))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOutput {
    source_credentials_infos: Vec<Value>,
}

/// Lists for which hosts there are credentials.
pub(super) async fn list(call: Call, _input: Value) -> Result<ListOutput, ApiError> {
    let page = PageRequest::first(Order::Ascending);
    let store = call.store();
    // There are fewer hosts than a page has entries.
    let names = store
        .list_resources(Kind::SourceCredential, ResourceSort::Name, &page)
        .await?;
    let found = store
        .resources(Kind::SourceCredential, &names.entries)
        .await?;
    let shown = |Resource { name, body, .. }: Resource| {
        let mut info = json!({
            "arn": arn_of(&call, &name),
            "serverType": body["serverType"],
            "authType": body["authType"],
        });
        if let Some(resource) = body.get("resource") {
            info["resource"] = resource.clone();
        }
        info
    };
    Ok(ListOutput {
        source_credentials_infos: found.into_iter().map(shown).collect(),
    })
}

/// The name under which credentials are kept: the host in lower case, as in their ARN.
fn name_of(server_type: ServerType) -> String {
    let name = serde_json::to_value(server_type).unwrap_or_default();
    name.as_str().unwrap_or_default().to_lowercase()
}

/// For what the token of a host is sealed.
pub(in crate::api) fn purpose(name: &str) -> String {
    format!("source credential {name}")
}

fn arn_of(call: &Call, name: &str) -> String {
    arn::of(call.settings(), &format!("token/{name}"))
}
