//! Stores to test, one of each engine, and the clock that goes with each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::model::{BuildId, BuildRequest, EnvironmentType, Overrides, Project, Start};
use agent::store::{
    self, AgentDescription, AtLimit, Kind, Lease, NewBuild, Offer, Resources, Store, StoredBuild,
};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::postgres::{Postgres, shared_postgres};

/// How long leases of these tests hold.
pub const LIFE: Duration = Duration::from_secs(30);

/// How long large builds of these tests let others overtake.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// An engine.
#[derive(Debug, Clone, Copy)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A store of a test's own.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its address, by which other processes open it.
    pub address: String,
    _directory: Option<TempDir>,
}

impl TestStore {
    /// An empty store.
    pub async fn new(engine: Engine) -> Self {
        let (address, directory) = empty_database(engine).await;
        let store = store::open(&address).await.expect("the store opens");
        run(&address, stepping_clock(engine)).await;
        Self {
            store,
            address,
            _directory: directory,
        }
    }

    /// A store in a database that was made by these statements.
    pub async fn holding(engine: Engine, statements: &str) -> Self {
        let (address, directory) = empty_database(engine).await;
        run(&address, statements).await;
        Self {
            store: store::open(&address).await.expect("the store opens"),
            address,
            _directory: directory,
        }
    }

    /// An empty store on a server.
    pub async fn on(server: &Postgres) -> Self {
        let address = server.database().await;
        let store = store::open(&address).await.expect("the store opens");
        run(&address, stepping_clock(Engine::Postgres)).await;
        Self {
            store,
            address,
            _directory: None,
        }
    }

    /// The address of a store on a server, by which it is reached through a socket in another directory.
    pub fn address_through(&self, directory: &Path) -> String {
        let database = self.address.split("?host=").next().unwrap_or_default();
        format!("{database}?host={}", directory.display())
    }

    /// Another process's view of the same store.
    pub async fn opened_again(&self) -> Arc<dyn Store> {
        store::open(&self.address).await.expect("the store opens")
    }

    /// Steps the database's clock forward for good.
    pub async fn step(&self, by: Duration) {
        let millis = by.as_millis();
        self.run(&format!(
            "UPDATE clock_steps SET millis = millis + {millis}"
        ))
        .await;
    }

    /// Runs statements on the database itself.
    pub async fn run(&self, statements: &str) {
        run(&self.address, statements).await;
    }

    /// Stores a project with a limit on its concurrent builds.
    pub async fn project(&self, name: &str, limit: Option<u32>) {
        let mut body = json!({"name": name});
        if let Some(limit) = limit {
            body["concurrentBuildLimit"] = limit.into();
        }
        self.store
            .create_resource(Kind::Project, name, body)
            .await
            .expect("the project is new");
    }

    /// Queues a build of a project.
    pub async fn submit(&self, project: &str) -> StoredBuild {
        self.submit_as(build(project)).await
    }

    /// Queues a build.
    pub async fn submit_as(&self, build: NewBuild) -> StoredBuild {
        let submitted = self.store.submit(build, None).await;
        submitted.expect("it is queued").build
    }

    /// Leases the next build to an agent with much room.
    pub async fn lease(&self, agent: &str) -> Option<Lease> {
        self.store
            .lease(&offer(agent))
            .await
            .expect("the store answers")
    }

    /// Waits until a build is so, and gives it.
    pub async fn until(&self, id: &BuildId, is: impl Fn(&StoredBuild) -> bool) -> StoredBuild {
        for _ in 0..3000 {
            let build = self.build(id).await;
            if is(&build) {
                return build;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not become so: {:?}", self.build(id).await.record);
    }

    /// Waits until a build is over.
    pub async fn ended(&self, id: &BuildId) -> StoredBuild {
        self.until(id, |build| build.ended_at.is_some()).await
    }

    /// Looks a build up that is there.
    pub async fn build(&self, id: &BuildId) -> StoredBuild {
        let mut found = self
            .store
            .builds(std::slice::from_ref(id))
            .await
            .expect("the store answers");
        found.pop().expect("the build is there")
    }
}

/// Puts a clock that can be stepped in the place of the store's.
fn stepping_clock(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "CREATE TABLE clock_steps (millis BIGINT NOT NULL);
            INSERT INTO clock_steps VALUES (0);
            DROP VIEW clock;
            CREATE VIEW clock AS
            SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) + millis AS now, 0 AS up_since
            FROM clock_steps;"
        }
        Engine::Postgres => {
            "CREATE TABLE clock_steps (millis BIGINT NOT NULL);
            INSERT INTO clock_steps VALUES (0);
            CREATE OR REPLACE VIEW clock AS
            SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + millis AS now,
                CAST(0 AS BIGINT) AS up_since
            FROM clock_steps;"
        }
    }
}

/// An empty database, with what has to outlive its use.
async fn empty_database(engine: Engine) -> (String, Option<TempDir>) {
    match engine {
        Engine::Sqlite => {
            let directory = tempfile::tempdir().expect("a directory can be made");
            let file = directory.path().join("store.db");
            (format!("sqlite:{}", file.display()), Some(directory))
        }
        Engine::Postgres => (shared_postgres().database().await, None),
    }
}

/// Runs statements on a database that may be empty.
pub async fn run(address: &str, statements: &str) {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    let ran = if let Some(path) = address.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::new()
            .filename(PathBuf::from(path))
            .create_if_missing(true);
        let mut connection = options.connect().await.expect("the file opens");
        statements.execute(&mut connection).await.map(drop)
    } else {
        let connected = sqlx::PgConnection::connect(address).await;
        let mut connection = connected.expect("the server answers");
        statements.execute(&mut connection).await.map(drop)
    };
    ran.expect("the statements are right");
}

/// An ordinary build of a project.
pub fn build(project: &str) -> NewBuild {
    NewBuild {
        request: request(project, &json!({})),
        priority: 0,
        at_limit: AtLimit::Queue,
    }
}

/// The request for a build of a project without source, with these overrides.
pub fn request(project: &str, overrides: &Value) -> BuildRequest {
    let definition = json!({
        "name": project,
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [date]}}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "logsConfig": {"cloudWatchLogs": {"status": "DISABLED"}},
        "environment": {"type": "LINUX_CONTAINER", "image": crate::engine::test_image(),
            "computeType": "BUILD_GENERAL1_SMALL"},
    });
    let project: Project = serde_json::from_value(definition).expect("it is a project");
    let overrides = Overrides::parse(&overrides.to_string()).expect("they are overrides");
    let start = Start {
        id: BuildId::new(project.name.clone()),
        project: &project,
        overrides: &overrides,
        build_number: 0,
        initiator: "tests".to_owned(),
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        directory: None,
        artifact_directory: None,
    };
    BuildRequest::new(start).expect("it can be asked for")
}

/// An agent with much room that runs ordinary builds.
pub fn agent(id: &str) -> AgentDescription {
    AgentDescription {
        id: id.to_owned(),
        host: "host".to_owned(),
        version: "1".to_owned(),
        environment_types: vec![EnvironmentType::LinuxContainer],
        fleets: Vec::new(),
        on_demand: true,
        capacity: resources(1000, 1000),
        shrinks: false,
        closed: None,
    }
}

/// The offer of an agent on which nothing runs.
pub fn offer(id: &str) -> Offer {
    let agent = agent(id);
    Offer {
        free: agent.capacity,
        agent,
        life: LIFE,
        patience: PATIENCE,
    }
}

/// So many processors and GiB.
pub fn resources(processors: u32, memory_gib: u32) -> Resources {
    Resources {
        processors_milli: processors * 1000,
        memory_mib: memory_gib * 1024,
    }
}
