//! Stored values in AWS: Parameter Store and Secrets Manager.

use std::collections::HashMap;

use aws_sdk_ssm::types::Parameter;
use buildspec_parser::model::SecretReference;
use futures_util::StreamExt;
use futures_util::stream;

use super::{LookUpError, Reference, SecretValue, part};
use crate::credentials::{Session, describe, is_transient};

/// Most names of one request (`GetParameters`, member `Names`).
const NAMES_OF_A_REQUEST: usize = 10;

/// Requests at a time.
const REQUESTS_AT_A_TIME: usize = 8;

/// Looks stored values up with the credentials of a session.
#[derive(Debug, Clone)]
pub struct AwsSecrets {
    session: Session,
}

/// What one request asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request {
    /// Parameters of a Region; none for the session's.
    Parameters(Option<String>, Vec<String>),
    /// A secret: its id, stage and version.
    Secret(String, Option<String>, Option<String>),
}

/// What a request found: the values of parameters by the names they were asked for, or the whole text of a secret.
type Found = HashMap<String, Result<SecretValue, LookUpError>>;

impl AwsSecrets {
    /// Nobody is asked before there is something to look up.
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// Looks values up, each parameter and each version of a secret once: one answer a reference, in their order.
    pub(super) async fn look_up(
        &self,
        references: &[&Reference],
    ) -> Vec<Result<SecretValue, LookUpError>> {
        let asked = stream::iter(requests(references))
            .map(|request| async move {
                let found = Box::pin(self.ask(&request)).await;
                (request, found)
            })
            .buffer_unordered(REQUESTS_AT_A_TIME);
        let found: Vec<(Request, Found)> = asked.collect().await;
        let answer = |reference: &&Reference| match reference {
            Reference::Parameter(name) => {
                let mut batches = found.iter();
                let batch = batches.find(|(request, _)| {
                    matches!(request, Request::Parameters(_, names) if names.contains(name))
                });
                let value = batch.and_then(|(_, found)| found.get(name));
                value
                    .cloned()
                    .unwrap_or_else(|| Err(LookUpError::NoParameter(name.clone())))
            }
            Reference::Secret(reference) => {
                let wanted = of_secret(reference);
                let mut whole = found.iter().filter(|(request, _)| *request == wanted);
                let whole = whole.find_map(|(_, found)| found.get(&reference.id).cloned());
                match whole {
                    Some(Ok(text)) => part(text.expose(), reference),
                    Some(Err(error)) => Err(error),
                    None => Err(LookUpError::NoSecret(reference.id.clone())),
                }
            }
        };
        references.iter().map(answer).collect()
    }

    async fn ask(&self, request: &Request) -> Found {
        match request {
            Request::Parameters(region, names) => {
                let found = self.parameters(region.as_deref(), names).await;
                found.unwrap_or_else(|error| {
                    let failed = |name: &String| (name.clone(), Err(error.clone()));
                    names.iter().map(failed).collect()
                })
            }
            Request::Secret(id, stage, version) => {
                let found = self.secret(id, stage.as_ref(), version.as_ref()).await;
                HashMap::from([(id.clone(), found)])
            }
        }
    }

    async fn parameters(
        &self,
        region: Option<&str>,
        names: &[String],
    ) -> Result<Found, LookUpError> {
        let client = self.session.ssm(region).await;
        let asked = client
            .get_parameters()
            .set_names(Some(names.to_vec()))
            .with_decryption(true)
            .send()
            .await;
        let answer = asked.map_err(|error| {
            refused(
                describe(&error),
                is_transient(&error),
                error.as_service_error().is_some(),
            )
        })?;
        // No two names of a request are of one parameter, so that the version or label that was asked for does
        // not matter here.
        let found = names.iter().filter_map(|name| {
            let mut parameters = answer.parameters().iter();
            let is_asked = |found: &&Parameter| found.name().map(base_of) == Some(base_of(name));
            let value = parameters.find(is_asked)?.value()?;
            Some((name.clone(), Ok(SecretValue(value.to_owned()))))
        });
        Ok(found.collect())
    }

    async fn secret(
        &self,
        id: &str,
        stage: Option<&String>,
        version: Option<&String>,
    ) -> Result<SecretValue, LookUpError> {
        let client = self.session.secrets_manager(region_of(id)).await;
        let asked = client
            .get_secret_value()
            .secret_id(id)
            .set_version_stage(stage.cloned())
            .set_version_id(version.cloned())
            .send()
            .await;
        let answer = asked.map_err(|error| {
            refused(
                describe(&error),
                is_transient(&error),
                error.as_service_error().is_some(),
            )
        })?;
        match answer.secret_string {
            Some(text) => Ok(SecretValue(text)),
            None => Err(LookUpError::Binary(id.to_owned())),
        }
    }
}

/// Tells what AWS refused from what it was never asked.
fn refused(reason: String, is_transient: bool, is_answer: bool) -> LookUpError {
    if is_answer && !is_transient {
        LookUpError::Refused(reason)
    } else {
        LookUpError::OutOfReach(reason)
    }
}

/// The requests that ask for all references: parameters ten at a time, those of one Region together, and never two
/// versions of a parameter in one request.
fn requests(references: &[&Reference]) -> Vec<Request> {
    let mut requests = Vec::new();
    for reference in references {
        match reference {
            Reference::Parameter(name) => add_parameter(&mut requests, name),
            Reference::Secret(reference) => {
                let request = of_secret(reference);
                if !requests.contains(&request) {
                    requests.push(request);
                }
            }
        }
    }
    requests
}

fn add_parameter(requests: &mut Vec<Request>, name: &str) {
    let region = region_of(name);
    for request in &mut *requests {
        let Request::Parameters(known, names) = request else {
            continue;
        };
        if names.iter().any(|known| known == name) {
            return;
        }
        let is_full = names.len() == NAMES_OF_A_REQUEST;
        let has_other = names.iter().any(|known| base_of(known) == base_of(name));
        if known.as_deref() == region && !is_full && !has_other {
            names.push(name.to_owned());
            return;
        }
    }
    requests.push(Request::Parameters(
        region.map(str::to_owned),
        vec![name.to_owned()],
    ));
}

/// A parameter's name without version, label and the slash before it, which its ARN does not tell.
fn base_of(name: &str) -> &str {
    let name = match name.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":parameter").map_or(arn, |(_, name)| name),
        None => name,
    };
    let name = name.split(':').next().unwrap_or_default();
    name.trim_start_matches('/')
}

fn of_secret(reference: &SecretReference) -> Request {
    Request::Secret(
        reference.id.clone(),
        reference.version_stage.clone(),
        reference.version_id.clone(),
    )
}

/// The Region in an ARN: a value of another Region has to be asked for there.
fn region_of(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    match (parts.next(), parts.nth(2)) {
        (Some("arn"), Some(region)) if !region.is_empty() => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_asked_for_ten_at_a_time_and_each_value_once() {
        let mut references: Vec<Reference> = (0..12)
            .map(|number| Reference::Parameter(format!("/p{number}")))
            .collect();
        references.push(Reference::Parameter("/p3".to_owned()));
        for name in ["/p3:1", "arn:aws:ssm:eu-west-1:123456789012:parameter/x"] {
            references.push(Reference::Parameter(name.to_owned()));
        }
        for text in ["db:user", "db:password", "db:user:AWSPREVIOUS"] {
            references.push(Reference::Secret(text.parse().unwrap()));
        }
        let references: Vec<&Reference> = references.iter().collect();
        let all = requests(&references);
        let sizes = all.iter().filter_map(|request| match request {
            Request::Parameters(region, names) => Some((region.as_deref(), names.len())),
            Request::Secret(..) => None,
        });
        let sizes: Vec<_> = sizes.collect();
        assert_eq!(sizes, [(None, 10), (None, 3), (Some("eu-west-1"), 1)]);
        assert_eq!(all.len(), sizes.len() + 2);
    }

    #[test]
    fn versions_and_labels_are_not_part_of_a_parameters_name() {
        for (name, base) in [
            ("/a/b", "a/b"),
            ("/a/b:prod", "a/b"),
            ("a", "a"),
            ("arn:aws:ssm:eu-west-1:1:parameter/a/b:2", "a/b"),
            ("arn:aws:ssm:eu-west-1:1:parameter/a", "a"),
        ] {
            assert_eq!(base_of(name), base, "{name}");
        }
    }

    #[test]
    fn the_region_stands_in_an_arn_only() {
        for (name, region) in [
            ("/a/b", None),
            ("name:3", None),
            ("arn:aws:ssm:eu-west-1:1:parameter/x:2", Some("eu-west-1")),
            ("arn:aws:s3:::b", None),
        ] {
            assert_eq!(region_of(name), region, "{name}");
        }
    }
}
