//! Telling others of builds, beside what a process does.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::credentials::Aws;
use crate::events::{Delivery, Route, routes};
use crate::source::stored::SourceCredentials;
use crate::store::Store;

/// Whom this process tells, and how it reaches them.
pub(super) struct Telling {
    store: Arc<dyn Store>,
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
            routes: watch::Sender::new(routes),
        }
    }

    /// Delivers in the name of `holder`, which no other living process has.
    pub(super) async fn deliver(&self, holder: String, stop: &CancellationToken) {
        let delivery = Delivery::new(Arc::clone(&self.store), holder);
        delivery.run(self.routes.subscribe(), stop).await;
    }
}
