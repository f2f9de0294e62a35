-- A store of the first version of the schema, with a project and two builds that wait: never changed.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(10,'first','2026-11-24 22:40:58',1,X'A27856AB2537DB997A83AD6BB7015276EB02BE6670F6EA431B332BCDB390AF576944A02F63E5088DE96C06C93B9C3A85',1446679);
INSERT INTO "_sqlx_migrations" VALUES(11,'first','2026-11-24 22:40:58',1,X'DCD606B094D08094E559C28F5AE65072012618C9CB98E67AEE9112F6A7CAD496A7D8664CFD59AF904946395071623CC0',4830158);
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    description TEXT NOT NULL
);
CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    number BIGINT NOT NULL,
    status TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    ended_at BIGINT,
    request TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (project, number)
);
INSERT INTO "builds" VALUES('d73e97d8-fdab-423b-8aa8-48d2e3f187fe','demo',1,'IN_PROGRESS',1795560058760,NULL,'{"account":"000000000000","artifacts":"none","auto_retry_limit":0,"build_number":1,"buildspec":{"Inline":"version: 0.2\nphases: {build: {commands: [date]}}"},"cache":{"type":"NO_CACHE"},"certificate":null,"compute_configuration":null,"compute_type":"BUILD_GENERAL1_SMALL","debug_session":false,"docker_server":null,"encryption_key":null,"environment_type":"LINUX_CONTAINER","environment_variables":[],"file_system_locations":[],"fleet":null,"id":"demo:d73e97d8-fdab-423b-8aa8-48d2e3f187fe","image":"image:1","image_pull_credentials_type":null,"initiator":"root","logs":{},"masked_variables":[],"patch":null,"privileged_mode":false,"queued_timeout":{"nanos":0,"secs":28800},"region":"us-east-1","registry_credential":null,"secondary_sources":[],"service_role":"arn:aws:iam::123456789012:role/demo","source":{"Project":{"buildspec":"version: 0.2\nphases: {build: {commands: [date]}}","type":"NO_SOURCE"}},"source_version":null,"timeout":{"nanos":0,"secs":3600},"vpc_config":null}','{"buildComplete":false,"buildNumber":1,"buildStatus":"IN_PROGRESS","currentPhase":"QUEUED","id":"demo:d73e97d8-fdab-423b-8aa8-48d2e3f187fe","phases":[{"durationInSeconds":0,"endTime":1795560058.76,"phaseStatus":"SUCCEEDED","phaseType":"SUBMITTED","startTime":1795560058.76},{"phaseType":"QUEUED","startTime":1795560058.76}],"startTime":1795560058.76}');
INSERT INTO "builds" VALUES('9fefe593-ff41-4249-bf8e-fdb97b7e7d88','demo',2,'IN_PROGRESS',1795560058896,NULL,'{"account":"000000000000","artifacts":"none","auto_retry_limit":0,"build_number":2,"buildspec":{"Inline":"version: 0.2\nphases: {build: {commands: [date]}}"},"cache":{"type":"NO_CACHE"},"certificate":null,"compute_configuration":null,"compute_type":"BUILD_GENERAL1_SMALL","debug_session":false,"docker_server":null,"encryption_key":null,"environment_type":"LINUX_CONTAINER","environment_variables":[],"file_system_locations":[],"fleet":null,"id":"demo:9fefe593-ff41-4249-bf8e-fdb97b7e7d88","image":"image:1","image_pull_credentials_type":null,"initiator":"root","logs":{},"masked_variables":[],"patch":null,"privileged_mode":false,"queued_timeout":{"nanos":0,"secs":28800},"region":"us-east-1","registry_credential":null,"secondary_sources":[],"service_role":"arn:aws:iam::123456789012:role/demo","source":{"Project":{"buildspec":"version: 0.2\nphases: {build: {commands: [date]}}","type":"NO_SOURCE"}},"source_version":null,"timeout":{"nanos":0,"secs":3600},"vpc_config":null}','{"buildComplete":false,"buildNumber":2,"buildStatus":"IN_PROGRESS","currentPhase":"QUEUED","id":"demo:9fefe593-ff41-4249-bf8e-fdb97b7e7d88","phases":[{"durationInSeconds":0,"endTime":1795560058.896,"phaseStatus":"SUCCEEDED","phaseType":"SUBMITTED","startTime":1795560058.896},{"phaseType":"QUEUED","startTime":1795560058.896}],"startTime":1795560058.896}');
CREATE TABLE classes (
    id TEXT PRIMARY KEY,
    environment_type TEXT NOT NULL,
    fleet TEXT NOT NULL,
    processors_milli BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL
);
INSERT INTO "classes" VALUES('LINUX_CONTAINER//2000/4096','LINUX_CONTAINER','',2000,4096);
CREATE TABLE idempotency (
    token TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    build TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE TABLE lanes (
    project TEXT PRIMARY KEY,
    last_number BIGINT NOT NULL,
    last_turn BIGINT NOT NULL,
    concurrent_limit BIGINT
);
INSERT INTO "lanes" VALUES('demo',2,1,NULL);
CREATE TABLE queue (
    build TEXT PRIMARY KEY REFERENCES builds (id),
    project TEXT NOT NULL,
    class TEXT NOT NULL REFERENCES classes (id),
    priority BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    submitted_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    is_ready BIGINT NOT NULL,
    is_stopping BIGINT NOT NULL DEFAULT 0,
    attempt BIGINT NOT NULL DEFAULT 0,
    agent TEXT,
    leased_at BIGINT,
    expires_at BIGINT,
    has_started BIGINT NOT NULL DEFAULT 0
);
INSERT INTO "queue" VALUES('d73e97d8-fdab-423b-8aa8-48d2e3f187fe','demo','LINUX_CONTAINER//2000/4096',0,0,1795560058760,1795588858760,1,0,0,NULL,NULL,NULL,0);
INSERT INTO "queue" VALUES('9fefe593-ff41-4249-bf8e-fdb97b7e7d88','demo','LINUX_CONTAINER//2000/4096',0,1,1795560058896,1795588858896,1,0,0,NULL,NULL,NULL,0);
CREATE TABLE reports (
    arn TEXT PRIMARY KEY,
    report_group TEXT NOT NULL,
    build TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    report TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE TABLE resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
INSERT INTO "resources" VALUES('PROJECT','demo',1000,2000,'{"name":"demo"}');
CREATE INDEX resources_by_creation ON resources (kind, created_at, name);
CREATE INDEX resources_by_modification ON resources (kind, modified_at, name);
CREATE INDEX lanes_by_turn ON lanes (last_turn);
CREATE INDEX builds_by_age ON builds (submitted_at, id);
CREATE INDEX queue_next ON queue (class, priority DESC, turn, submitted_at)
    WHERE agent IS NULL AND is_ready = 1;
CREATE INDEX queue_turn ON queue (turn) WHERE agent IS NULL AND is_ready = 1;
CREATE INDEX queue_lane ON queue (project, priority DESC, turn) WHERE agent IS NULL;
CREATE INDEX queue_deadline ON queue (deadline) WHERE agent IS NULL;
CREATE INDEX queue_running ON queue (project) WHERE agent IS NOT NULL;
CREATE INDEX queue_running_turn ON queue (turn) WHERE agent IS NOT NULL;
CREATE INDEX queue_expiry ON queue (expires_at) WHERE agent IS NOT NULL;
CREATE INDEX queue_agent ON queue (agent) WHERE agent IS NOT NULL;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
CREATE INDEX reports_by_age ON reports (created_at, arn);
CREATE INDEX reports_of_group ON reports (report_group, created_at, arn);
CREATE INDEX reports_of_build ON reports (build);
CREATE VIEW clock AS SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now, 0 AS up_since;
COMMIT;
