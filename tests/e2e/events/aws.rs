//! EventBridge and SNS, as moto plays them.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::aws::Moto;
use tests::stores::Engine;

use super::{GOOD, Site, subject};

/// Leads everything of a bus that comes from one source, and all of a topic, to queues.
const SET_UP: &str = r#"
import boto3, json
sqs, events, sns = (boto3.client(name) for name in ("sqs", "events", "sns"))
def queue(name):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
events.create_event_bus(Name="ci")
pattern = {"source": ["selfhosted.codebuild"], "detail-type": ["CodeBuild Build State Change", "CodeBuild Build Phase Change"],
    "detail": {"project-name": ["demo"]}}
events.put_rule(Name="builds", EventBusName="ci", EventPattern=json.dumps(pattern))
events.put_targets(Rule="builds", EventBusName="ci", Targets=[{"Id": "1", "Arn": queue("of-bus")}])
topic = sns.create_topic(Name="builds")["TopicArn"]
subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue("of-topic"),
    Attributes={"RawMessageDelivery": "true",
                "FilterPolicy": json.dumps({"detail-type": ["CodeBuild Build State Change"]})})
"#;

/// Prints what arrives in a queue until so many messages are there, one a line.
const READ: &str = r#"
import boto3, sys
sqs = boto3.client("sqs")
url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
seen = 0
for _ in range(60):
    if seen >= COUNT: break
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", []):
        print(message["Body"].replace("\n", " "))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        seen += 1
"#;

/// A FIFO topic, and a FIFO queue that gets all of it.
const SET_UP_FIFO: &str = r#"
import boto3
sqs, sns = (boto3.client(name) for name in ("sqs", "sns"))
url = sqs.create_queue(QueueName="builds.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
topic = sns.create_topic(Name="builds.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
"#;

/// Prints what arrives in the FIFO queue with its group and its deduplication id, one a line.
const READ_FIFO: &str = r#"
import boto3, json
sqs = boto3.client("sqs")
url = sqs.get_queue_url(QueueName="builds.fifo")["QueueUrl"]
seen = 0
for _ in range(60):
    if seen >= COUNT: break
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2,
            AttributeNames=["All"]).get("Messages", []):
        attributes = message["Attributes"]
        print(json.dumps({"event": json.loads(message["Body"]), "group": attributes["MessageGroupId"],
            "deduplication": attributes["MessageDeduplicationId"]}))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        seen += 1
"#;

fn read(moto: &Moto, queue: &str, count: usize) -> Vec<Value> {
    let script = format!("QUEUE = {queue:?}\nCOUNT = {count}\n{READ}");
    let lines = moto.python(&script);
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("events are JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_and_a_topic_hear_of_builds() {
    let moto = Moto::start();
    moto.python(SET_UP);
    let config = "
        [[events]]\nname = 'bus'\nto.event-bridge = { bus = 'ci' }
        [[events]]\nname = 'topic'\nto.sns = { topic = 'arn:aws:sns:us-east-1:123456789012:builds' }
        [[events]]\nname = 'no-bus'\nto.event-bridge = { bus = 'nowhere' }\n";
    let mut site = Site::new(Engine::Sqlite, config).await;
    site.variables = moto.environment();
    let worker = site.start();
    site.submit("true");
    let of_bus = read(&moto, "of-bus", GOOD.len());
    let mut subjects: Vec<String> = of_bus.iter().map(subject).collect();
    // A queue that is not FIFO keeps no order.
    subjects.sort();
    let mut expected = GOOD.to_vec();
    expected.sort_unstable();
    assert_eq!(subjects, expected);
    let event = &of_bus[0];
    assert_eq!(event["source"], "selfhosted.codebuild");
    let arn = event["detail"]["build-id"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:codebuild:us-east-1:"), "{arn}");
    assert_eq!(event["resources"][0], arn);
    let of_topic = read(&moto, "of-topic", 2);
    let mut states: Vec<String> = of_topic.iter().map(subject).collect();
    states.sort();
    assert_eq!(states, ["IN_PROGRESS", "SUCCEEDED"]);
    for event in &of_topic {
        assert_eq!(event["source"], "aws.codebuild");
        let id = &event["id"];
        let twins = of_bus
            .iter()
            .filter(|other| other["detail"]["event-id"] == *id);
        assert_eq!(
            twins.count(),
            1,
            "the same event has the same identity everywhere"
        );
    }
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    assert_eq!(finished.exit_code, Some(0));
    assert!(
        finished.stderr.contains("nothing reaches no-bus"),
        "{}",
        finished.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_topic_keeps_the_order_of_each_build() {
    let moto = Moto::start();
    moto.python(SET_UP_FIFO);
    let topic = "arn:aws:sns:us-east-1:123456789012:builds.fifo";
    let config = format!("[[events]]\nname = 'topic'\nto.sns = {{ topic = '{topic}' }}\n");
    let mut site = Site::new(Engine::Sqlite, &config).await;
    site.variables = moto.environment();
    let worker = site.start();
    let id = site.submit("true");
    let lines = moto.python(&format!("COUNT = {}\n{READ_FIFO}", GOOD.len()));
    let told: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let subjects: Vec<String> = told.iter().map(|one| subject(&one["event"])).collect();
    assert_eq!(subjects, GOOD);
    for one in &told {
        assert_eq!(one["group"], id.uuid.to_string(), "a build is a group");
        assert_eq!(one["deduplication"], one["event"]["id"]);
    }
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.finish().exit_code, Some(0));
}
