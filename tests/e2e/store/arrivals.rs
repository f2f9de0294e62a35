//! What comes in through queues and pipelines is claimed once and kept until it is answered.

use std::time::Duration;

use agent::model::Status;
use agent::store::{Became, CLAIM_LIFE, Claim, Next, StoreError, Ticket};
use tests::stores::{Engine, TestStore, build};

use super::builds::ended;

promises!(
    something_that_comes_again_is_the_build_it_has_become,
    what_was_claimed_is_found_without_a_request,
    a_claim_is_forgotten_when_no_queue_can_have_the_message,
    an_answer_is_due_when_the_build_is_over,
    what_is_noted_is_one_processs_to_deal_with,
    what_waits_is_counted_until_it_is_leased,
    what_waits_can_be_taken_back,
);

const HOLD: Duration = Duration::from_mins(1);

const INTAKE: &str = "sqs http://queue";

fn claim(token: &str, answer_to: Option<&str>) -> Claim {
    Claim {
        intake: INTAKE.to_owned(),
        token: token.to_owned(),
        fingerprint: "f".to_owned(),
        answer_to: answer_to.map(ticket),
    }
}

fn ticket(id: &str) -> Ticket {
    Ticket {
        id: id.to_owned(),
        ticket: format!("ticket of {id}"),
    }
}

async fn something_that_comes_again_is_the_build_it_has_become(test: &TestStore) {
    let claim = claim("a", None);
    let first = test.store.claim(build("demo"), &claim).await.unwrap();
    assert!(first.is_new);
    // Long after tokens of the API are forgotten, and when the build is over.
    let lease = test.lease("one").await.expect("it waits");
    let outcome = ended(Status::Succeeded);
    test.store.finish(&lease.fence, outcome).await.unwrap();
    test.step(CLAIM_LIFE / 15 * 14).await;
    test.store.sweep().await.unwrap();
    let again = test.store.claim(build("demo"), &claim).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.build.id, first.build.id);
    let other = Claim {
        fingerprint: "g".to_owned(),
        ..claim
    };
    let refused = test.store.claim(build("demo"), &other).await.unwrap_err();
    assert!(matches!(refused, StoreError::TokenMismatch), "{refused}");
    assert!(test.lease("one").await.is_none(), "there was one build");
}

async fn what_was_claimed_is_found_without_a_request(test: &TestStore) {
    let claimed = async |claim: &Claim| test.store.claimed(claim).await;
    let held = claim("a", Some("1"));
    assert_eq!(claimed(&held).await.unwrap(), None);
    let made = test.store.claim(build("demo"), &held).await.unwrap().build;
    test.store.forget_arrival(INTAKE, "1").await.unwrap();
    let found = claimed(&held).await.unwrap().expect("it is a build");
    assert_eq!(found.id, made.id);
    let due = test.store.due_arrivals(INTAKE, HOLD).await.unwrap();
    assert_eq!(due[0].ticket, ticket("1"), "it waits for its answer again");
    let other = Claim {
        fingerprint: "g".to_owned(),
        ..held.clone()
    };
    let refused = claimed(&other).await.unwrap_err();
    assert!(matches!(refused, StoreError::TokenMismatch), "{refused}");
    test.step(CLAIM_LIFE).await;
    assert_eq!(claimed(&held).await.unwrap(), None);
}

async fn a_claim_is_forgotten_when_no_queue_can_have_the_message(test: &TestStore) {
    let first = test.store.claim(build("demo"), &claim("a", None)).await;
    test.step(CLAIM_LIFE).await;
    let second = test.store.claim(build("demo"), &claim("a", None)).await;
    assert_ne!(first.unwrap().build.id, second.unwrap().build.id);
}

async fn an_answer_is_due_when_the_build_is_over(test: &TestStore) {
    let due = async || test.store.due_arrivals(INTAKE, HOLD).await.unwrap();
    let claim = claim("a", Some("1"));
    let build = test.store.claim(build("demo"), &claim).await.unwrap().build;
    let looked_at = due().await;
    assert_eq!(looked_at.len(), 1, "as soon as it is claimed");
    assert_eq!(looked_at[0].ticket, ticket("1"));
    let later = Next::Look(HOLD);
    let put_off = test.store.put_off_arrival(INTAKE, "1", later).await;
    put_off.unwrap();
    assert!(due().await.is_empty(), "nothing has happened");
    test.step(HOLD).await;
    assert_eq!(due().await.len(), 1, "from time to time");
    let put_off = test.store.put_off_arrival(INTAKE, "1", later).await;
    put_off.unwrap();
    let lease = test.lease("one").await.expect("it waits");
    let outcome = ended(Status::Failed);
    test.store.finish(&lease.fence, outcome).await.unwrap();
    let looked_at = due().await;
    let Became::Build(found) = &looked_at[0].became else {
        panic!("{looked_at:?}");
    };
    assert_eq!((&found.id, found.status.as_str()), (&build.id, "FAILED"));
    assert!(due().await.is_empty(), "somebody deals with it");
    let again = Next::Again(HOLD);
    let put_off = test.store.put_off_arrival(INTAKE, "1", again).await;
    put_off.unwrap();
    assert!(due().await.is_empty(), "not before its time");
    test.step(HOLD).await;
    let looked_at = due().await;
    assert_eq!(looked_at[0].tries, 1);
    test.store.delete_build(&build.id).await.unwrap();
    test.step(HOLD).await;
    assert_eq!(due().await[0].became, Became::Deleted);
    test.store.forget_arrival(INTAKE, "1").await.unwrap();
    test.step(HOLD).await;
    assert!(due().await.is_empty());
}

async fn what_is_noted_is_one_processs_to_deal_with(test: &TestStore) {
    let other = test.opened_again().await;
    let job = ticket("1");
    assert!(test.store.note_arrival(INTAKE, &job, HOLD).await.unwrap());
    assert!(!other.note_arrival(INTAKE, &job, HOLD).await.unwrap());
    assert!(other.due_arrivals(INTAKE, HOLD).await.unwrap().is_empty());
    // The first one died half way.
    test.step(HOLD).await;
    let due = other.due_arrivals(INTAKE, HOLD).await.unwrap();
    assert_eq!(due[0].became, Became::Nothing);
    let claim = claim("a", Some("1"));
    test.store.claim(build("demo"), &claim).await.unwrap();
    let noted = other.note_arrival(INTAKE, &job, HOLD).await.unwrap();
    assert!(!noted, "it is a build");
    let elsewhere = other.due_arrivals("another", HOLD).await.unwrap();
    assert!(elsewhere.is_empty());
}

async fn what_waits_is_counted_until_it_is_leased(test: &TestStore) {
    test.project("limited", Some(1)).await;
    let numbers = async || {
        let backlog = test.store.backlog(INTAKE).await.unwrap();
        (backlog.waiting, backlog.fresh)
    };
    test.submit("demo").await;
    assert_eq!(numbers().await, (0, 0), "it came another way");
    for (token, project) in [("a", "demo"), ("b", "limited"), ("c", "limited")] {
        let claim = claim(token, None);
        test.store.claim(build(project), &claim).await.unwrap();
    }
    assert_eq!(numbers().await, (3, 2), "the limit keeps one back");
    test.lease("one").await.expect("one waits");
    test.lease("one").await.expect("one waits");
    assert_eq!(numbers().await, (2, 1));
    test.step(Duration::from_secs(10)).await;
    assert_eq!(numbers().await, (2, 0));
}

async fn what_waits_can_be_taken_back(test: &TestStore) {
    for token in ["1", "2"] {
        let claim = claim(token, Some(token));
        test.store.claim(build("demo"), &claim).await.unwrap();
    }
    let same = Claim {
        answer_to: Some(ticket("3")),
        ..claim("2", None)
    };
    test.store.claim(build("demo"), &same).await.unwrap();
    let running = test.lease("one").await.expect("one waits");
    let taken_back = test.store.withdraw_arrivals(INTAKE).await.unwrap();
    let mut ids: Vec<_> = taken_back.iter().map(|ticket| ticket.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["2", "3"], "two messages of one build");
    assert!(test.lease("one").await.is_none());
    let again = test
        .store
        .claim(build("demo"), &claim("2", Some("2")))
        .await;
    assert!(again.unwrap().is_new, "it may come again");
    let running = test.build(&running.fence.build).await;
    assert_eq!(running.status, "IN_PROGRESS");
}

/// Both engines see the same rows from two processes at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_two_take_at_once_is_one_build() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestStore::new(engine).await;
        let other = test.opened_again().await;
        for round in 0..20 {
            let claim = claim(&round.to_string(), None);
            let (one, two) = tokio::join!(
                test.store.claim(build("demo"), &claim),
                other.claim(build("demo"), &claim),
            );
            let (one, two) = (one.unwrap(), two.unwrap());
            assert_eq!(one.build.id, two.build.id);
            assert_ne!(one.is_new, two.is_new);
        }
    }
}
