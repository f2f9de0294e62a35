//! Words changes of builds for everybody whom the configuration names.

use serde_json::json;

use super::build_event::{self, BuildEvent};
use super::{commit_status, size};
use crate::config::{CommitStatusConfig, Config, EventDestination};
use crate::model::BuildRequest;
use crate::store::{Change, Herald, NewMessage};

/// Words changes of builds, as the configuration wants it.
#[derive(Debug)]
pub struct Announcer {
    destinations: Vec<EventDestination>,
    statuses: CommitStatusConfig,
}

impl Announcer {
    /// Tells whom the configuration names.
    pub fn new(config: &Config) -> Self {
        Self {
            destinations: config.events.clone(),
            statuses: config.commit_status.clone(),
        }
    }

    fn events(&self, change: &Change<'_>) -> Vec<NewMessage> {
        let mut events = build_event::of_change(change);
        for event in &mut events {
            size::limit(&mut event.body);
        }
        let mut messages = Vec::new();
        for event in &events {
            let wanted = self.destinations.iter();
            for destination in wanted.filter(|one| wants(one, change.request, event)) {
                let mut body = event.body.clone();
                body["source"] = destination.to.source().into();
                messages.push(NewMessage {
                    id: event.id,
                    destination: destination.name.clone(),
                    payload: body.to_string(),
                    life: destination.life(),
                });
            }
        }
        messages
    }
}

impl Herald for Announcer {
    fn hears_all(&self) -> bool {
        !self.destinations.is_empty()
    }

    fn messages(&self, change: &Change<'_>) -> Vec<NewMessage> {
        let mut messages = if self.hears_all() {
            self.events(change)
        } else {
            Vec::new()
        };
        let status = commit_status::of_change(change, &self.statuses);
        messages.extend(status.map(|(id, status)| NewMessage {
            id,
            destination: commit_status::DESTINATION.to_owned(),
            payload: json!(status).to_string(),
            life: self.statuses.life(),
        }));
        messages
    }
}

/// Whether a destination wants an event.
fn wants(destination: &EventDestination, request: &BuildRequest, event: &BuildEvent) -> bool {
    let EventDestination {
        detail_types,
        statuses,
        projects,
        ..
    } = destination;
    let project = request.id.project.to_string();
    let is_of = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => project.starts_with(beginning),
        None => *pattern == project,
    };
    detail_types.contains(&event.kind)
        && (statuses.is_empty() || statuses.contains(&event.status))
        && (projects.is_empty() || projects.iter().any(is_of))
}
