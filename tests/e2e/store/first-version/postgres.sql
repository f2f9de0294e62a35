-- A store of the first version of the schema, with a project and two builds that wait: never changed.
CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.agents (
    id text NOT NULL,
    seen_at bigint NOT NULL,
    description text NOT NULL
);
CREATE TABLE public.builds (
    id text NOT NULL COLLATE pg_catalog."C",
    project text NOT NULL,
    number bigint NOT NULL,
    status text NOT NULL,
    submitted_at bigint NOT NULL,
    ended_at bigint,
    request text NOT NULL,
    record text NOT NULL
);
CREATE TABLE public.classes (
    id text NOT NULL,
    environment_type text NOT NULL,
    fleet text NOT NULL,
    processors_milli bigint NOT NULL,
    memory_mib bigint NOT NULL
);
CREATE VIEW public.clock AS
 SELECT ((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint AS now,
    ((EXTRACT(epoch FROM pg_postmaster_start_time()) * (1000)::numeric))::bigint AS up_since;
CREATE TABLE public.idempotency (
    token text NOT NULL,
    fingerprint text NOT NULL,
    build text NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.lanes (
    project text NOT NULL,
    last_number bigint NOT NULL,
    last_turn bigint NOT NULL,
    concurrent_limit bigint
);
CREATE TABLE public.queue (
    build text NOT NULL,
    project text NOT NULL,
    class text NOT NULL,
    priority bigint NOT NULL,
    turn bigint NOT NULL,
    submitted_at bigint NOT NULL,
    deadline bigint NOT NULL,
    is_ready bigint NOT NULL,
    is_stopping bigint DEFAULT 0 NOT NULL,
    attempt bigint DEFAULT 0 NOT NULL,
    agent text,
    leased_at bigint,
    expires_at bigint,
    has_started bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.reports (
    arn text NOT NULL COLLATE pg_catalog."C",
    report_group text NOT NULL,
    build text NOT NULL,
    status text NOT NULL,
    created_at bigint NOT NULL,
    report text NOT NULL,
    details text NOT NULL
);
CREATE TABLE public.resources (
    kind text NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    modified_at bigint NOT NULL,
    body text NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (10, 'first', '2026-11-24 22:41:09.424823+00', true, '\xa27856ab2537db997a83ad6bb7015276eb02be6670f6ea431b332bcdb390af576944a02f63e5088de96c06c93b9c3a85', 415157607);
INSERT INTO public._sqlx_migrations VALUES (11, 'first', '2026-11-24 22:41:09.867926+00', true, '\xabced5fd680a6eec8c98b24a7ad301213873384a32a59b2be5710bf94332b0f0a9c26123f02919ba0c18ffdab3fa9597', 152359473);
INSERT INTO public.builds VALUES ('2eb244ba-5145-47fa-9c0b-3a059ef0bc87', 'demo', 1, 'IN_PROGRESS', 1795560070096, NULL, '{"account":"000000000000","artifacts":"none","auto_retry_limit":0,"build_number":1,"buildspec":{"Inline":"version: 0.2\nphases: {build: {commands: [date]}}"},"cache":{"type":"NO_CACHE"},"certificate":null,"compute_configuration":null,"compute_type":"BUILD_GENERAL1_SMALL","debug_session":false,"docker_server":null,"encryption_key":null,"environment_type":"LINUX_CONTAINER","environment_variables":[],"file_system_locations":[],"fleet":null,"id":"demo:2eb244ba-5145-47fa-9c0b-3a059ef0bc87","image":"image:1","image_pull_credentials_type":null,"initiator":"root","logs":{},"masked_variables":[],"patch":null,"privileged_mode":false,"queued_timeout":{"nanos":0,"secs":28800},"region":"us-east-1","registry_credential":null,"secondary_sources":[],"service_role":"arn:aws:iam::123456789012:role/demo","source":{"Project":{"buildspec":"version: 0.2\nphases: {build: {commands: [date]}}","type":"NO_SOURCE"}},"source_version":null,"timeout":{"nanos":0,"secs":3600},"vpc_config":null}', '{"buildComplete":false,"buildNumber":1,"buildStatus":"IN_PROGRESS","currentPhase":"QUEUED","id":"demo:2eb244ba-5145-47fa-9c0b-3a059ef0bc87","phases":[{"durationInSeconds":0,"endTime":1795560070.096,"phaseStatus":"SUCCEEDED","phaseType":"SUBMITTED","startTime":1795560070.096},{"phaseType":"QUEUED","startTime":1795560070.096}],"startTime":1795560070.096}');
INSERT INTO public.builds VALUES ('5f3f9d00-3fda-44a9-8727-8b733fe4255f', 'demo', 2, 'IN_PROGRESS', 1795560070352, NULL, '{"account":"000000000000","artifacts":"none","auto_retry_limit":0,"build_number":2,"buildspec":{"Inline":"version: 0.2\nphases: {build: {commands: [date]}}"},"cache":{"type":"NO_CACHE"},"certificate":null,"compute_configuration":null,"compute_type":"BUILD_GENERAL1_SMALL","debug_session":false,"docker_server":null,"encryption_key":null,"environment_type":"LINUX_CONTAINER","environment_variables":[],"file_system_locations":[],"fleet":null,"id":"demo:5f3f9d00-3fda-44a9-8727-8b733fe4255f","image":"image:1","image_pull_credentials_type":null,"initiator":"root","logs":{},"masked_variables":[],"patch":null,"privileged_mode":false,"queued_timeout":{"nanos":0,"secs":28800},"region":"us-east-1","registry_credential":null,"secondary_sources":[],"service_role":"arn:aws:iam::123456789012:role/demo","source":{"Project":{"buildspec":"version: 0.2\nphases: {build: {commands: [date]}}","type":"NO_SOURCE"}},"source_version":null,"timeout":{"nanos":0,"secs":3600},"vpc_config":null}', '{"buildComplete":false,"buildNumber":2,"buildStatus":"IN_PROGRESS","currentPhase":"QUEUED","id":"demo:5f3f9d00-3fda-44a9-8727-8b733fe4255f","phases":[{"durationInSeconds":0,"endTime":1795560070.352,"phaseStatus":"SUCCEEDED","phaseType":"SUBMITTED","startTime":1795560070.352},{"phaseType":"QUEUED","startTime":1795560070.352}],"startTime":1795560070.352}');
INSERT INTO public.classes VALUES ('LINUX_CONTAINER//2000/4096', 'LINUX_CONTAINER', '', 2000, 4096);
INSERT INTO public.lanes VALUES ('demo', 2, 1, NULL);
INSERT INTO public.queue VALUES ('2eb244ba-5145-47fa-9c0b-3a059ef0bc87', 'demo', 'LINUX_CONTAINER//2000/4096', 0, 0, 1795560070096, 1795588870096, 1, 0, 0, NULL, NULL, NULL, 0);
INSERT INTO public.queue VALUES ('5f3f9d00-3fda-44a9-8727-8b733fe4255f', 'demo', 'LINUX_CONTAINER//2000/4096', 0, 1, 1795560070352, 1795588870352, 1, 0, 0, NULL, NULL, NULL, 0);
INSERT INTO public.resources VALUES ('PROJECT', 'demo', 1000, 2000, '{"name":"demo"}');
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.agents
    ADD CONSTRAINT agents_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.builds
    ADD CONSTRAINT builds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.builds
    ADD CONSTRAINT builds_project_number_key UNIQUE (project, number);
ALTER TABLE ONLY public.classes
    ADD CONSTRAINT classes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (token);
ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (project);
ALTER TABLE ONLY public.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (build);
ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (arn);
ALTER TABLE ONLY public.resources
    ADD CONSTRAINT resources_pkey PRIMARY KEY (kind, name);
CREATE INDEX builds_by_age ON public.builds USING btree (submitted_at, id);
CREATE INDEX idempotency_by_expiry ON public.idempotency USING btree (expires_at);
CREATE INDEX lanes_by_turn ON public.lanes USING btree (last_turn);
CREATE INDEX queue_agent ON public.queue USING btree (agent) WHERE (agent IS NOT NULL);
CREATE INDEX queue_deadline ON public.queue USING btree (deadline) WHERE (agent IS NULL);
CREATE INDEX queue_expiry ON public.queue USING btree (expires_at) WHERE (agent IS NOT NULL);
CREATE INDEX queue_lane ON public.queue USING btree (project, priority DESC, turn) WHERE (agent IS NULL);
CREATE INDEX queue_next ON public.queue USING btree (class, priority DESC, turn, submitted_at) WHERE ((agent IS NULL) AND (is_ready = 1));
CREATE INDEX queue_running ON public.queue USING btree (project) WHERE (agent IS NOT NULL);
CREATE INDEX queue_running_turn ON public.queue USING btree (turn) WHERE (agent IS NOT NULL);
CREATE INDEX queue_turn ON public.queue USING btree (turn) WHERE ((agent IS NULL) AND (is_ready = 1));
CREATE INDEX reports_by_age ON public.reports USING btree (created_at, arn);
CREATE INDEX reports_of_build ON public.reports USING btree (build);
CREATE INDEX reports_of_group ON public.reports USING btree (report_group, created_at, arn);
CREATE INDEX resources_by_creation ON public.resources USING btree (kind, created_at, name);
CREATE INDEX resources_by_modification ON public.resources USING btree (kind, modified_at, name);
ALTER TABLE ONLY public.queue
    ADD CONSTRAINT queue_build_fkey FOREIGN KEY (build) REFERENCES public.builds(id);
ALTER TABLE ONLY public.queue
    ADD CONSTRAINT queue_class_fkey FOREIGN KEY (class) REFERENCES public.classes(id);
