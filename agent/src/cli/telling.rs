//! Telling others of builds, beside what a process does.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::credentials::Aws;
use crate::events::{Announcer, Delivery, Route, routes};
use crate::source::stored::SourceCredentials;
use crate::store::Store;

/// Whom this process tells, and how it reaches them.
pub(super) struct Telling {
    store: Arc<dyn Store>,
    aws: Aws,
    credentials: Arc<dyn SourceCredentials>,
    routes: watch::Sender<Vec<Route>>,
}

impl Telling {
    /// Tells those whom the configuration names.
    pub(super) fn new(
        config: &Config,
        store: &Arc<dyn Store>,
        aws: &Aws,
        credentials: &Arc<dyn SourceCredentials>,
    ) -> Self {
        let routes = routes(config, aws, credentials, store);
        Self {
            store: Arc::clone(store),
            aws: aws.clone(),
            credentials: Arc::clone(credentials),
            routes: watch::Sender::new(routes),
        }
    }

    /// From now on it tells those whom this configuration names.
    pub(super) fn follow(&self, config: &Config) {
        self.store.set_herald(Arc::new(Announcer::new(config)));
        let routes = routes(config, &self.aws, &self.credentials, &self.store);
        self.routes.send_replace(routes);
    }

    /// Delivers in the name of `holder`, which no other living process has.
    pub(super) async fn deliver(&self, holder: String, stop: &CancellationToken) {
        let delivery = Delivery::new(Arc::clone(&self.store), holder);
        delivery.run(self.routes.subscribe(), stop).await;
    }
}
