-- The first schema. Times are milliseconds since 1970, of the clock of the database; yes and no are
-- 1 and 0; documents are JSON texts of which the store knows the members it names and no others.

-- What is known by a name: projects, report groups, credentials, fleets.
CREATE TABLE resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE INDEX resources_by_creation ON resources (kind, created_at, name);
CREATE INDEX resources_by_modification ON resources (kind, modified_at, name);

-- One row for each project that ever had a build, whether there is a stored project or not: its
-- numbers are never given twice. `last_turn` is the place in the fair order of its newest build.
CREATE TABLE lanes (
    project TEXT PRIMARY KEY,
    last_number BIGINT NOT NULL,
    last_turn BIGINT NOT NULL,
    concurrent_limit BIGINT
);
CREATE INDEX lanes_by_turn ON lanes (last_turn);

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
CREATE INDEX builds_by_age ON builds (submitted_at, id);

-- The different needs of builds, so that an agent finds what it can run without looking at the rest.
CREATE TABLE classes (
    id TEXT PRIMARY KEY,
    environment_type TEXT NOT NULL,
    fleet TEXT NOT NULL,
    processors_milli BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL
);

-- Builds that are not over: waiting while `agent` is NULL, leased otherwise. Only `is_ready` ones may be
-- leased: of a project with a limit no more are ready or leased than the limit allows.
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
CREATE INDEX queue_next ON queue (class, priority DESC, turn, submitted_at)
    WHERE agent IS NULL AND is_ready = 1;
CREATE INDEX queue_turn ON queue (turn) WHERE agent IS NULL AND is_ready = 1;
CREATE INDEX queue_lane ON queue (project, priority DESC, turn) WHERE agent IS NULL;
CREATE INDEX queue_deadline ON queue (deadline) WHERE agent IS NULL;
CREATE INDEX queue_running ON queue (project) WHERE agent IS NOT NULL;
CREATE INDEX queue_running_turn ON queue (turn) WHERE agent IS NOT NULL;
CREATE INDEX queue_expiry ON queue (expires_at) WHERE agent IS NOT NULL;
CREATE INDEX queue_agent ON queue (agent) WHERE agent IS NOT NULL;

CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    description TEXT NOT NULL
);

-- Tokens by which a repeated request is known; `fingerprint` is of its parameters.
CREATE TABLE idempotency (
    token TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    build TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

CREATE TABLE reports (
    arn TEXT PRIMARY KEY,
    report_group TEXT NOT NULL,
    build TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    report TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX reports_by_age ON reports (created_at, arn);
CREATE INDEX reports_of_group ON reports (report_group, created_at, arn);
CREATE INDEX reports_of_build ON reports (build);
