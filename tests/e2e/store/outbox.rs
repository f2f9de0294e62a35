//! Messages on their way: written with what they tell of, delivered in order, by one process at a time.

use std::sync::Arc;
use std::time::Duration;

use agent::model::Status;
use agent::store::{Change, Expired, Herald, Message, NewMessage, Settled};
use serde_json::json;
use tests::stores::TestStore;
use uuid::Uuid;

use super::builds::ended;

promises!(
    a_change_and_its_messages_happen_together_or_not_at_all,
    of_each_build_only_the_first_message_is_under_way,
    a_claim_that_has_run_out_is_anybodys,
    a_message_that_did_not_arrive_holds_back_its_own_build_only,
    what_a_dead_process_had_claimed_is_given_back,
    a_message_whose_time_is_over_is_forgotten,
    a_message_wakes_other_processes,
    processes_that_claim_at_the_same_time_get_different_builds,
    builds_whose_source_shows_their_status_are_heard_of_by_themselves,
);

/// How long claims of these tests hold.
const CLAIM: Duration = Duration::from_mins(1);

/// How long messages are tried.
const MESSAGE_LIFE: Duration = Duration::from_hours(1);

/// Tells two destinations of every change: which phases there were and are.
#[derive(Debug)]
struct Everybody;

impl Herald for Everybody {
    fn hears_all(&self) -> bool {
        true
    }

    fn messages(&self, change: &Change<'_>) -> Vec<NewMessage> {
        let phases = |record: &serde_json::Value| record["phases"].as_array().map_or(0, Vec::len);
        let payload = format!("{:?}->{}", change.before.map(phases), phases(change.after));
        let message = |destination: &str| NewMessage {
            id: Uuid::new_v4(),
            destination: destination.to_owned(),
            payload: payload.clone(),
            life: MESSAGE_LIFE,
        };
        vec![message("one"), message("two")]
    }
}

/// Tells only of those whose source shows their status.
#[derive(Debug)]
struct Shown;

impl Herald for Shown {
    fn hears_all(&self) -> bool {
        false
    }

    fn messages(&self, change: &Change<'_>) -> Vec<NewMessage> {
        let heard = change.before.is_some().then(|| NewMessage {
            id: Uuid::new_v4(),
            destination: "one".to_owned(),
            payload: change.request.id.project.to_string(),
            life: MESSAGE_LIFE,
        });
        heard.into_iter().collect()
    }
}

fn announced(test: &TestStore) -> &TestStore {
    test.store.set_herald(Arc::new(Everybody));
    test
}

async fn claim(test: &TestStore, destination: &str, holder: &str) -> Vec<Message> {
    let claimed = test.store.claim_messages(destination, holder, 10, CLAIM);
    claimed.await.unwrap()
}

async fn settle(test: &TestStore, holder: &str, message: &Message, settled: Settled) {
    let settled = [(message.id, settled)];
    let written = test.store.settle_messages("one", holder, &settled).await;
    written.unwrap();
}

/// Delivers everything to a destination, and gives what was told.
async fn told(test: &TestStore, destination: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let messages = claim(test, destination, "teller").await;
        if messages.is_empty() {
            return told;
        }
        let gone: Vec<_> = messages
            .iter()
            .map(|message| (message.id, Settled::Gone))
            .collect();
        let written = test
            .store
            .settle_messages(destination, "teller", &gone)
            .await;
        written.unwrap();
        told.extend(messages.into_iter().map(|message| message.payload));
    }
}

async fn a_change_and_its_messages_happen_together_or_not_at_all(test: &TestStore) {
    let test = announced(test);
    test.submit("demo").await;
    let lease = test.lease("one").await.unwrap();
    let record = json!({"phases": [1, 2, 3]});
    let written = test.store.progress(&lease.fence, record, true).await;
    written.unwrap();
    let outcome = ended(Status::Failed);
    test.store
        .finish(&lease.fence, outcome.clone())
        .await
        .unwrap();
    let late = test
        .store
        .progress(&lease.fence, json!({"phases": []}), true)
        .await;
    assert!(late.is_err(), "the lease is gone");
    assert!(test.store.finish(&lease.fence, outcome).await.is_err());
    for destination in ["one", "two"] {
        assert_eq!(
            told(test, destination).await,
            ["None->2", "Some(2)->3", "Some(3)->0"],
            "{destination}"
        );
    }
    // A build that ends without an agent.
    let waiting = test.submit("demo").await;
    for _ in 0..2 {
        test.store.stop(&waiting.id).await.unwrap();
    }
    assert_eq!(told(test, "one").await, ["None->2", "Some(2)->3"]);
}

async fn of_each_build_only_the_first_message_is_under_way(test: &TestStore) {
    let test = announced(test);
    let builds = [test.submit("demo").await, test.submit("demo").await];
    for build in &builds {
        test.store.stop(&build.id).await.unwrap();
    }
    let first = claim(test, "one", "me").await;
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(
        first
            .iter()
            .all(|message| message.payload == "None->2" && message.attempts == 1)
    );
    assert_eq!(
        claim(test, "one", "me").await,
        [],
        "the others wait for them"
    );
    assert_eq!(claim(test, "one", "you").await, []);
    assert_eq!(
        claim(test, "two", "you").await.len(),
        2,
        "elsewhere nobody waits"
    );
    settle(test, "me", &first[1], Settled::Gone).await;
    let second = claim(test, "one", "you").await;
    let second: Vec<_> = second
        .iter()
        .map(|message| (&message.build, message.payload.as_str()))
        .collect();
    assert_eq!(second, [(&first[1].build, "Some(2)->3")]);
}

async fn a_claim_that_has_run_out_is_anybodys(test: &TestStore) {
    let test = announced(test);
    test.submit("demo").await;
    let mine = claim(test, "one", "me").await;
    test.step(CLAIM + Duration::from_secs(1)).await;
    let yours = claim(test, "one", "you").await;
    assert_eq!((yours[0].id, yours[0].attempts), (mine[0].id, 2));
    // Whoever is too late changes nothing.
    settle(test, "me", &mine[0], Settled::Gone).await;
    test.step(CLAIM + Duration::from_secs(1)).await;
    assert_eq!(claim(test, "one", "you").await[0].id, mine[0].id);
    settle(test, "you", &mine[0], Settled::Gone).await;
    test.step(CLAIM + Duration::from_secs(1)).await;
    assert_eq!(claim(test, "one", "you").await, []);
}

async fn a_message_that_did_not_arrive_holds_back_its_own_build_only(test: &TestStore) {
    let test = announced(test);
    let build = test.submit("demo").await;
    let [message] = claim(test, "one", "me").await.try_into().unwrap();
    let again = Settled::Again {
        pause: Duration::from_secs(10),
        problem: "refused".to_owned(),
    };
    settle(test, "me", &message, again).await;
    test.store.stop(&build.id).await.unwrap();
    assert_eq!(claim(test, "one", "me").await, [], "it keeps its order");
    test.submit("other").await;
    let other = claim(test, "one", "me").await;
    assert_eq!(other[0].build.project.to_string(), "other");
    test.step(Duration::from_secs(11)).await;
    let due = claim(test, "one", "me").await;
    assert_eq!((due.len(), due[0].id, due[0].attempts), (1, message.id, 2));
}

async fn what_a_dead_process_had_claimed_is_given_back(test: &TestStore) {
    let test = announced(test);
    test.submit("demo").await;
    test.submit("demo").await;
    let most = test.store.claim_messages("one", "me", 1, CLAIM).await;
    assert_eq!(most.unwrap().len(), 1);
    let theirs = claim(test, "one", "you").await;
    assert_eq!(theirs.len(), 1);
    test.store.release_messages("me").await.unwrap();
    let again = claim(test, "one", "me").await;
    assert_eq!(again.len(), 1, "and not what others have");
    assert_ne!(again[0].id, theirs[0].id);
}

async fn a_message_whose_time_is_over_is_forgotten(test: &TestStore) {
    let test = announced(test);
    let build = test.submit("demo").await;
    let [message] = claim(test, "one", "me").await.try_into().unwrap();
    let again = Settled::Again {
        pause: Duration::ZERO,
        problem: "connection refused".to_owned(),
    };
    settle(test, "me", &message, again).await;
    assert_eq!(test.store.expire_messages().await.unwrap(), []);
    test.step(MESSAGE_LIFE).await;
    let mut expired = test.store.expire_messages().await.unwrap();
    expired.sort_by(|one, other| one.destination.cmp(&other.destination));
    let [tried, never] = expired.try_into().unwrap();
    assert_eq!(
        tried,
        Expired {
            id: message.id,
            destination: "one".to_owned(),
            build: build.id,
            attempts: 1,
            problem: Some("connection refused".to_owned()),
        }
    );
    assert_eq!((never.attempts, never.problem), (0, None));
    assert_eq!(claim(test, "one", "me").await, []);
}

async fn a_message_wakes_other_processes(test: &TestStore) {
    let other = test.opened_again().await;
    let mut calls = other.changes().outbox;
    calls.mark_unchanged();
    announced(test).submit("demo").await;
    calls.changed().await.unwrap();
    // Of which none tells anything by itself.
    let lease = other.lease(&tests::stores::offer("one")).await.unwrap();
    let fence = lease.unwrap().fence;
    other.finish(&fence, ended(Status::Failed)).await.unwrap();
    assert_eq!(told(test, "one").await, ["None->2"]);
}

async fn processes_that_claim_at_the_same_time_get_different_builds(test: &TestStore) {
    let test = announced(test);
    for _ in 0..12 {
        let build = test.submit("demo").await;
        test.store.stop(&build.id).await.unwrap();
    }
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = test.opened_again().await;
        claims.spawn(async move {
            let holder = number.to_string();
            let claimed = store.claim_messages("one", &holder, 3, CLAIM).await;
            claimed.unwrap()
        });
    }
    let claimed: Vec<Message> = claims.join_all().await.into_iter().flatten().collect();
    let builds: std::collections::HashSet<_> =
        claimed.iter().map(|message| message.build.uuid).collect();
    assert_eq!((claimed.len(), builds.len()), (12, 12));
    assert!(claimed.iter().all(|message| message.payload == "None->2"));
}

async fn builds_whose_source_shows_their_status_are_heard_of_by_themselves(test: &TestStore) {
    test.store.set_herald(Arc::new(Shown));
    let mut shown = tests::stores::build("shown");
    shown.request = tests::stores::request(
        "shown",
        &json!({"sourceTypeOverride": "GITHUB", "sourceLocationOverride": "https://github.com/o/r",
            "reportBuildStatusOverride": true}),
    );
    test.submit_as(shown).await;
    test.submit("silent").await;
    for _ in 0..2 {
        let lease = test.lease("one").await.unwrap();
        let record = json!({"phases": []});
        let written = test.store.progress(&lease.fence, record, true).await;
        written.unwrap();
        let finished = test.store.finish(&lease.fence, ended(Status::Failed)).await;
        finished.unwrap();
    }
    assert_eq!(told(test, "one").await, ["shown", "shown"]);
}
