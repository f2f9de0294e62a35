//! Credentials of a role, handed to the programs of the build.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use executor::protocol::{CredentialsPlan, Order, RoleCredentials, Secret, Status};

use crate::harness::{Root, wait_until};

fn credentials(number: u32) -> RoleCredentials {
    RoleCredentials {
        role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
        access_key_id: format!("KEY{number}"),
        secret_access_key: Secret::new(format!("secret-key-{number}")),
        session_token: Secret::new(format!("session-token-{number}")),
        expiration: "2026-01-31T12:34:56Z".to_owned(),
    }
}

/// Asks as AWS's SDKs do, with what the environment of a command says.
fn ask(known: &str) -> String {
    let (uri, token) = known.trim().split_once(' ').unwrap();
    let address = uri.strip_prefix("http://").unwrap();
    let (address, path) = address.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn commands_get_credentials_that_are_renewed_and_hidden() {
    let root = Root::new();
    let mut plan = root.build_plan(&[
        "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI $AWS_CONTAINER_AUTHORIZATION_TOKEN > known.new",
        "mv known.new known; until [ -e go ]; do sleep 0.01; done",
        "echo shown secret-key-1 session-token-1 secret-key-2 session-token-2 t0k3n-of-build",
    ]);
    plan.credentials = Some(CredentialsPlan {
        token: Secret::new("t0k3n-of-build"),
        credentials: credentials(1),
    });
    let mut running = root.start(plan);
    let known = wait_until(|| fs::read_to_string(root.source().join("known")).ok());
    let first = ask(&known);
    assert!(
        first.contains("KEY1") && first.contains("session-token-1"),
        "{first}"
    );
    running.order(&Order::Renew(Box::new(credentials(2))));
    wait_until(|| ask(&known).contains("KEY2").then_some(()));
    root.write("go", "");
    let outcome = running.outcome();
    assert_eq!(outcome.ended().0, Status::Succeeded, "{}", outcome.log());
    assert!(
        outcome.log().contains("shown *** *** *** *** ***\n"),
        "{}",
        outcome.log()
    );
}

#[test]
fn a_build_without_a_role_has_no_variables_for_credentials() {
    let root = Root::new();
    let plan = root.build_plan(&["! env | grep AWS_CONTAINER"]);
    assert_eq!(root.run(plan).ended().0, Status::Succeeded);
}
