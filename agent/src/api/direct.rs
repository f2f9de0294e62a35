//! Operations carried out in this process, for a person who may open the store itself: nobody is asked
//! for a signature, and nothing goes over a network.

use std::error::Error;
use std::sync::Arc;

use serde_json::Value;

use super::Settings;
use super::auth::Caller;
use super::error::{ApiError, Code};
use super::operations::{self, Call, Tools};
use super::wire::{Protocol, Target};
use crate::data_directory::DataDirectory;
use crate::logs::KeptLogs;
use crate::store::Store;

/// The operations over a store.
#[derive(Debug)]
pub struct Direct {
    tools: Arc<Tools>,
    caller: Caller,
}

/// Why an operation gave no output.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// What was asked for cannot be.
    #[error("{code}: {message}")]
    Refused {
        /// CodeBuild's name of the error.
        code: &'static str,
        /// Why not.
        message: String,
    },
    /// The store or something else of ours failed.
    #[error("{operation} could not be carried out")]
    Fault {
        /// What was asked for.
        operation: String,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Direct {
    /// The operations as `user` carries them out.
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        data: &DataDirectory,
        user: &str,
    ) -> Self {
        Self {
            tools: Arc::new(Tools {
                settings,
                store,
                vault: None,
                logs: KeptLogs::new(data.kept_logs()),
                data: data.clone(),
                engine: None,
            }),
            caller: Caller::User(user.into()),
        }
    }

    /// Carries out an operation, such as `CodeBuild_20161006.StopBuild`.
    pub async fn call(&self, target: &str, input: &Value) -> Result<Value, DirectError> {
        self.output(target, input).await.map_err(|error| {
            let ApiError {
                code,
                message,
                cause,
            } = error;
            match cause {
                Some(source) => DirectError::Fault {
                    operation: target.to_owned(),
                    source,
                },
                None => DirectError::Refused {
                    code: code.name(),
                    message,
                },
            }
        })
    }

    async fn output(&self, name: &str, input: &Value) -> Result<Value, ApiError> {
        let unknown = || ApiError::new(Code::UnknownOperation, format!("there is no {name}"));
        let target = Target::named(Protocol::Json, name).ok_or_else(unknown)?;
        operations::access(target.service, &target.operation).ok_or_else(unknown)?;
        let call = Call {
            tools: Arc::clone(&self.tools),
            caller: self.caller.clone(),
            protocol: target.protocol,
            invocation: None,
        };
        let body = input.to_string();
        let output = operations::run(call, &target, body.as_bytes()).await?;
        serde_json::from_slice(&output).map_err(ApiError::fault)
    }
}
