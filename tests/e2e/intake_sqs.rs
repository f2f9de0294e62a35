//! Messages of SQS become builds.

use std::process::Command;
use std::time::Duration;

use agent::model::BuildId;
use agent::store::{Kind, Order, PageRequest, StoredBuild};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::aws::{self, Moto};
use tests::fault_proxy::{Fault, FaultProxy};
use tests::stores::{Engine, TestStore};
use tests::{Project, Running, engine};

/// A worker, its store and its queue.
struct Site {
    moto: Moto,
    test: TestStore,
    project: Project,
    queue: String,
}

impl Site {
    /// A site with a queue of these attributes; FIFO if its name says so.
    async fn new(engine: Engine, name: &str, attributes: &Value) -> Self {
        let moto = Moto::start();
        let queue = create_queue(&moto, name, attributes);
        let site = Self {
            test: TestStore::new(engine).await,
            project: Project::empty(),
            moto,
            queue,
        };
        site.configure("visibility_secs = 3\n");
        let project = project("demo");
        let stored = site
            .test
            .store
            .create_resource(Kind::Project, "demo", project);
        stored.await.expect("it is new");
        site
    }

    /// Writes the configuration, with these lines about the queue.
    fn configure(&self, sqs: &str) {
        let text = format!(
            "[worker]\nprocessors = 100\nmemory_mib = 1000000\nlease_secs = 3\n[sqs]\nwait_secs = 1\n{sqs}"
        );
        let path = self.project.root().join("config.toml");
        std::fs::write(path, text).expect("one's own directory");
    }

    fn worker(&self, arguments: &[&str]) -> Running {
        self.worker_at(&self.moto.endpoint(), arguments)
    }

    /// A worker that reaches SQS at this endpoint. Its queue's URL is the same whatever the way.
    fn worker_at(&self, endpoint: &str, arguments: &[&str]) -> Running {
        self.start(endpoint, &[&["worker"], arguments].concat())
    }

    /// Starts a command that takes messages.
    fn start(&self, endpoint: &str, arguments: &[&str]) -> Running {
        let all = [arguments, &["--sqs", &self.queue]].concat();
        let mut command = self.project.agent(&all);
        command
            .envs(aws::environment(endpoint))
            .env(
                "BUILDSPEC_AGENT_CONFIG",
                self.project.root().join("config.toml"),
            )
            .env("BUILDSPEC_AGENT_STORE", &self.test.address)
            .env("RUST_LOG", "info,sqlx=warn");
        Running::start(command)
    }

    /// Gives the queue a dead-letter queue of the same kind, for what was received so many times.
    fn dead_letters(&self, most: u32) -> String {
        let is_fifo = self.queue.contains(".fifo");
        let name = if is_fifo { "dead.fifo" } else { "dead" };
        let dead = create_queue(&self.moto, name, &json!({}));
        let redrive = json!({"deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:123456789012:{name}"),
            "maxReceiveCount": most.to_string()});
        let attributes = json!({"RedrivePolicy": redrive.to_string()});
        let input = json!({"QueueUrl": self.queue, "Attributes": attributes});
        self.moto.call("AmazonSQS.SetQueueAttributes", &input);
        dead
    }

    fn send(&self, body: &Value) -> String {
        self.send_text(&body.to_string(), &json!({}))
    }

    /// Sends a message with further members of the request; gives its id.
    fn send_text(&self, body: &str, more: &Value) -> String {
        let mut input = json!({"QueueUrl": self.queue, "MessageBody": body});
        let more = more.as_object().expect("members").clone();
        input.as_object_mut().expect("members").extend(more);
        let sent = self.moto.call("AmazonSQS.SendMessage", &input);
        sent["MessageId"].as_str().expect("an id").to_owned()
    }

    /// How many messages are in a queue: those that can be received, and those that are hidden.
    fn messages(&self, queue: &str) -> (u32, u32) {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let input = json!({"QueueUrl": queue, "AttributeNames": names});
        let found = self.moto.call("AmazonSQS.GetQueueAttributes", &input);
        let number = |name: &str| {
            let number = found["Attributes"][name].as_str().expect("a number");
            number.parse().expect("a number")
        };
        (number(names[0]), number(names[1]))
    }

    /// Waits until a queue holds so many messages.
    async fn until_messages(&self, queue: &str, expected: (u32, u32)) {
        for _ in 0..1200 {
            if self.messages(queue) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "the queue holds {:?}, not {expected:?}",
            self.messages(queue)
        );
    }

    /// All builds, the oldest first.
    async fn builds(&self) -> Vec<StoredBuild> {
        let page = PageRequest::first(Order::Ascending);
        let ids = self.test.store.list_builds(None, &page).await;
        let ids: Vec<BuildId> = ids.expect("the store answers").entries;
        self.test
            .store
            .builds(&ids)
            .await
            .expect("the store answers")
    }

    /// Waits until there are so many builds.
    async fn until_builds(&self, count: usize) -> Vec<StoredBuild> {
        for _ in 0..1200 {
            let builds = self.builds().await;
            if builds.len() >= count {
                assert_eq!(builds.len(), count, "{builds:?}");
                return builds;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there are {} builds", self.builds().await.len());
    }
}

fn create_queue(moto: &Moto, name: &str, attributes: &Value) -> String {
    let mut attributes = attributes.clone();
    if name.contains(".fifo") {
        attributes["FifoQueue"] = "true".into();
    }
    let input = json!({"QueueName": name, "Attributes": attributes});
    let made = moto.call("AmazonSQS.CreateQueue", &input);
    made["QueueUrl"].as_str().expect("a URL").to_owned()
}

fn project(name: &str) -> Value {
    json!({
        "name": name,
        "source": {"type": "NO_SOURCE", "buildspec": "{version: 0.2, phases: {build: {commands: ['true']}}}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": engine::test_image(),
            "computeType": "BUILD_GENERAL1_SMALL"},
    })
}

/// Ends a worker that has nothing to do, and gives what it said.
fn end(worker: Running) -> String {
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    finished.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_one_build_however_often_it_comes() {
    for (engine, name) in [(Engine::Sqlite, "jobs"), (Engine::Postgres, "jobs.fifo")] {
        let site = Site::new(engine, name, &json!({})).await;
        let ordered = |group: &str, id: &str| match name {
            "jobs" => json!({}),
            _ => json!({"MessageGroupId": group, "MessageDeduplicationId": id}),
        };
        let variables = json!([{"name": "A", "value": "1"}]);
        let body = json!({"projectName": "demo", "environmentVariablesOverride": variables});
        site.send_text(&body.to_string(), &ordered("g", "1"));
        // Its producer could not know whether the first one had arrived.
        let body = json!({"projectName": "demo", "idempotencyToken": "once"}).to_string();
        site.send_text(&body, &ordered("g", "2"));
        site.send_text(&body, &ordered("h", "3"));
        let worker = site.worker(&[]);
        let builds = site.until_builds(2).await;
        for build in &builds {
            let build = site.test.ended(&build.id).await;
            assert_eq!(build.status, "SUCCEEDED", "{}", build.record);
            assert_eq!(build.request.initiator, format!("sqs/{name}"));
        }
        site.until_messages(&site.queue, (0, 0)).await;
        let said = end(worker);
        assert!(said.contains("it is build demo:"), "{said}");
        assert_eq!(site.builds().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_could_not_be_deleted_comes_again_and_is_known() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let id = site.send(&json!({"projectName": "demo"}));
    let proxy = FaultProxy::start(site.moto.address());
    // The first question is answered; deleting fails as often as it is tried.
    let failures = std::iter::repeat_n(Some(Fault::INTERNAL_ERROR), 5);
    proxy.next(std::iter::once(None).chain(failures));
    let worker = site.worker_at(&proxy.endpoint(), &[]);
    let build = site.until_builds(1).await.remove(0);
    site.test.ended(&build.id).await;
    site.until_messages(&site.queue, (0, 0)).await;
    let said = end(worker);
    for words in ["cannot be deleted", "came again: it is build demo:"] {
        let is_told = |line: &str| line.contains(&id) && line.contains(words);
        assert!(said.lines().any(is_told), "{words}: {said}");
    }
    assert_eq!(site.builds().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_is_known_though_what_it_needed_is_gone() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    site.moto.create_bucket("payloads");
    let payload = json!({"projectName": "demo"}).to_string();
    let put = site.moto.s3("PUT", "/payloads/a", payload.as_bytes());
    assert_eq!(put.status, 200);
    let pointer = json!(["software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": "payloads", "s3Key": "a"}]);
    let token = json!({"projectName": "demo", "idempotencyToken": "once"});
    let ids = [
        site.send(&json!({"projectName": "demo"})),
        site.send(&token),
        site.send(&pointer),
    ];
    // Each is built, and none of them can be deleted.
    let proxy = FaultProxy::start(site.moto.address());
    proxy.only("DeleteMessage");
    proxy.set(Fault::Answer(400, "{\"__type\":\"AccessDeniedException\"}"));
    let worker = site.worker_at(&proxy.endpoint(), &[]);
    for build in site.until_builds(3).await {
        assert_eq!(site.test.ended(&build.id).await.status, "SUCCEEDED");
    }
    worker.signal(Signal::SIGKILL);
    worker.finish();
    let deleted = site.test.store.delete_resource(Kind::Project, "demo").await;
    assert!(deleted.expect("the store answers"), "it was there");
    let emptied = site.moto.s3("DELETE", "/payloads/a", b"");
    assert_eq!(emptied.status, 204);
    let worker = site.worker(&[]);
    site.until_messages(&site.queue, (0, 0)).await;
    let said = end(worker);
    for id in ids {
        let is_told = |line: &str| line.contains(&id) && line.contains("came again");
        assert!(said.lines().any(is_told), "{said}");
    }
    assert_eq!(site.builds().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_queue_keeps_its_order_behind_what_is_no_build() {
    let site = Site::new(Engine::Sqlite, "jobs.fifo", &json!({})).await;
    site.configure("visibility_secs = 5\n");
    let dead = site.dead_letters(2);
    let body = json!({"projectName": "demo"}).to_string();
    let send = |body: &str, group: &str, id: &str| {
        let order = json!({"MessageGroupId": group, "MessageDeduplicationId": id});
        site.send_text(body, &order)
    };
    let poison = send("{", "g", "1");
    let behind = send(&body, "g", "2");
    let other = send(&body, "h", "3");
    let worker = site.worker(&[]);
    for build in site.until_builds(2).await {
        assert_eq!(site.test.ended(&build.id).await.status, "SUCCEEDED");
    }
    site.until_messages(&site.queue, (0, 0)).await;
    let said = end(worker);
    assert_eq!(site.messages(&dead).0, 1, "{said}");
    // What it said of the messages, in its order.
    let about = said.lines().filter_map(|line| {
        let (_, rest) = line.split_once("message ")?;
        let (id, rest) = rest.split_once(' ')?;
        let is_no_build = rest.contains("is no build");
        Some((id.to_owned(), is_no_build))
    });
    let about: Vec<_> = about.collect();
    let expected = [
        (poison.clone(), true),
        (other, false),
        (poison, true),
        (behind, false),
    ];
    assert_eq!(about, expected, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_messages_too() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    site.send(&json!({"projectName": "demo"}));
    let arguments = ["server", "--listen", "127.0.0.1:0"];
    let server = site.start(&site.moto.endpoint(), &arguments);
    let build = site.until_builds(1).await.remove(0);
    assert_eq!(site.test.ended(&build.id).await.status, "SUCCEEDED");
    assert_eq!(build.request.initiator, "sqs/jobs");
    site.until_messages(&site.queue, (0, 0)).await;
    end(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_ends_at_once_when_it_drains() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let proxy = FaultProxy::start(site.moto.address());
    proxy.only("ReceiveMessage");
    proxy.set(Fault::Hang);
    let worker = site.worker_at(&proxy.endpoint(), &[]);
    proxy.wait_for("ReceiveMessage", 1);
    // The question is never answered.
    let said = end(worker);
    assert!(!said.contains("nothing is taken"), "{said}");
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_and_not_begun_goes_back_at_once_when_the_worker_drains() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    site.configure("visibility_secs = 600\n");
    let pointer = json!(["software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": "payloads", "s3Key": "a"}]);
    site.send(&pointer);
    site.send(&json!({"projectName": "demo"}));
    let proxy = FaultProxy::start(site.moto.address());
    proxy.only("GET /payloads");
    proxy.set(Fault::Hang);
    let worker = site.worker_at(&proxy.endpoint(), &[]);
    proxy.wait_for("GET /payloads", 1);
    assert_eq!(site.messages(&site.queue), (0, 2));
    let said = end(worker);
    assert!(!said.contains("did not come within"), "{said}");
    assert_eq!(site.messages(&site.queue), (2, 0), "{said}");
    assert!(site.builds().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_build_goes_to_the_dead_letter_queue_with_a_reason() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let dead = site.dead_letters(1);
    let elsewhere = json!({"projectName": "demo", "fleetOverride":
        {"fleetArn": "arn:aws:codebuild:us-east-1:123456789012:fleet/far:1"}});
    let poison = [
        ("{", "it is not JSON"),
        (r#"{"projectName": "none"}"#, "Project cannot be found"),
        (r#"{"projectName": "demo", "x": 1}"#, "`x` is not a member"),
        (
            r#"{"projectName": "demo", "privilegedModeOverride": true}"#,
            "privilegedMode is refused",
        ),
        (&elsewhere.to_string(), "no worker of this store"),
    ];
    let ids: Vec<_> = poison
        .iter()
        .map(|(body, _)| site.send_text(body, &json!({})))
        .collect();
    let worker = site.worker(&[]);
    // Nothing of it keeps others from being built.
    site.send(&json!({"projectName": "demo"}));
    let build = site.until_builds(1).await.remove(0);
    assert_eq!(site.test.ended(&build.id).await.status, "SUCCEEDED");
    site.until_messages(&site.queue, (0, 0)).await;
    let said = end(worker);
    assert_eq!(site.messages(&dead).0, 5);
    for (id, (body, reason)) in ids.iter().zip(poison) {
        let line = said.lines().find(|line| line.contains(id.as_str()));
        let line = line.unwrap_or_else(|| panic!("{body}: {said}"));
        assert!(
            line.contains(reason) && line.contains("received 1 times"),
            "{body}: {line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_may_lie_in_a_bucket_and_bring_its_project_along() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    site.moto.create_bucket("payloads");
    let mut definition = project("stateless");
    definition["source"]["buildspec"] =
        format!("# {}\nversion: 0.2\nphases: {{}}\n", "x".repeat(300_000)).into();
    let payload = json!({"projectDefinition": definition});
    let stored = site
        .moto
        .s3("PUT", "/payloads/a", payload.to_string().as_bytes());
    assert_eq!(stored.status, 200);
    let large = vec![b' '; 3 << 20];
    assert_eq!(site.moto.s3("PUT", "/payloads/large", &large).status, 200);
    let pointer = |key: &str| {
        json!(["software.amazon.payloadoffloading.PayloadS3Pointer",
            {"s3BucketName": "payloads", "s3Key": key}])
    };
    site.send(&pointer("none"));
    site.send(&pointer("large"));
    site.send(&pointer("a"));
    let worker = site.worker(&[]);
    let build = site.until_builds(1).await.remove(0);
    let build = site.test.ended(&build.id).await;
    assert_eq!(
        (build.status.as_str(), build.id.project.to_string().as_str()),
        ("SUCCEEDED", "stateless")
    );
    let said = end(worker);
    assert!(said.contains("NoSuchKey"), "{said}");
    assert!(said.contains("is larger than 2 MiB"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_queue_loses_nothing_and_is_no_hot_loop() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let proxy = FaultProxy::start(site.moto.address());
    let faults = [Fault::INTERNAL_ERROR, Fault::THROTTLED, Fault::Hang];
    proxy.next(faults.map(Some));
    site.send(&json!({"projectName": "demo"}));
    let worker = site.worker_at(&proxy.endpoint(), &[]);
    proxy.wait_for("POST", 3);
    let asked = proxy.seen().len();
    assert_eq!(asked, 3, "one question after the other, with pauses");
    proxy.release();
    let build = site.until_builds(1).await.remove(0);
    assert_eq!(site.test.ended(&build.id).await.status, "SUCCEEDED");
    site.until_messages(&site.queue, (0, 0)).await;
    end(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_worker_leaves_messages_to_others() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let text = "[worker]\nconcurrent_builds = 1\nlease_secs = 3\n[sqs]\nwait_secs = 1\nvisibility_secs = 60\n";
    std::fs::write(site.project.root().join("config.toml"), text).expect("one's own directory");
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 600']}}}";
    for _ in 0..4 {
        site.send(&json!({"projectName": "demo", "buildspecOverride": buildspec}));
    }
    let worker = site.worker(&[]);
    let first = site.until_builds(1).await.remove(0);
    let runs = |build: &StoredBuild| build.record["currentPhase"] == "BUILD";
    site.test.until(&first.id, runs).await;
    assert_eq!(
        site.messages(&site.queue),
        (3, 0),
        "the others can have them"
    );
    site.test.store.stop(&first.id).await.expect("it answers");
    site.test.ended(&first.id).await;
    let second = site.until_builds(2).await.remove(1);
    site.test.until(&second.id, runs).await;
    site.test.store.stop(&second.id).await.expect("it answers");
    worker.signal(Signal::SIGTERM);
    worker.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_stays_hidden_until_its_build_is_over() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 8']}}}";
    site.send(&json!({"projectName": "demo", "buildspecOverride": buildspec}));
    let worker = site.worker(&["--sqs-hold"]);
    let build = site.until_builds(1).await.remove(0);
    let runs = |build: &StoredBuild| build.record["currentPhase"] == "BUILD";
    site.test.until(&build.id, runs).await;
    assert_eq!(site.messages(&site.queue), (0, 1));
    // The next worker on this machine holds it on, for longer than it is hidden at a time.
    worker.signal(Signal::SIGKILL);
    worker.finish();
    let worker = site.worker(&["--sqs-hold"]);
    let ended = site.test.ended(&build.id).await;
    assert_eq!(ended.status, "SUCCEEDED", "{}", ended.record);
    site.until_messages(&site.queue, (0, 0)).await;
    end(worker);
    assert_eq!(site.builds().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_back_to_the_queue_when_the_worker_drains() {
    let site = Site::new(Engine::Sqlite, "jobs", &json!({})).await;
    site.configure("visibility_secs = 600\n");
    // The limit keeps the second one back.
    let mut limited = project("limited");
    limited["concurrentBuildLimit"] = 1.into();
    let stored = site
        .test
        .store
        .create_resource(Kind::Project, "limited", limited);
    stored.await.expect("it is new");
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 600']}}}";
    for _ in 0..2 {
        site.send(&json!({"projectName": "limited", "buildspecOverride": buildspec}));
    }
    let worker = site.worker(&["--sqs-hold"]);
    let builds = site.until_builds(2).await;
    let runs = |build: &StoredBuild| build.record["currentPhase"] == "BUILD";
    site.test.until(&builds[0].id, runs).await;
    assert_eq!(site.messages(&site.queue), (0, 2));
    worker.signal(Signal::SIGTERM);
    site.until_messages(&site.queue, (1, 1)).await;
    assert_eq!(site.test.ended(&builds[1].id).await.status, "STOPPED");
    site.test
        .store
        .stop(&builds[0].id)
        .await
        .expect("it answers");
    let finished = worker.finish();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    site.until_messages(&site.queue, (1, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_is_not_asked_unless_it_is_named_and_names_are_checked() {
    let proxy = FaultProxy::start("127.0.0.1:1");
    let project = Project::empty();
    let run = |arguments: &[&str]| {
        let mut command: Command = project.agent(arguments);
        command.envs(aws::environment(&proxy.endpoint()));
        Running::start(command)
    };
    for (arguments, reason) in [
        (
            &["worker", "--sqs", "builds"][..],
            "is not the URL of a queue",
        ),
        (
            &["worker", "--codepipeline", "no provider"],
            "is not a provider",
        ),
        (
            &["worker", "--codepipeline", "P:1234567890"],
            "is not a version",
        ),
        (
            &["server", "--no-worker", "--sqs", "http://127.0.0.1:1/q"],
            "cannot be used with",
        ),
    ] {
        let finished = run(arguments).finish();
        assert_eq!(finished.exit_code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{}", finished.stderr);
    }
    let test = TestStore::new(Engine::Sqlite).await;
    let build = test.submit("demo").await;
    let worker = run(&["worker", "--store", &test.address]);
    assert_eq!(test.ended(&build.id).await.status, "SUCCEEDED");
    end(worker);
    assert!(proxy.seen().is_empty(), "{:?}", proxy.seen());
}
