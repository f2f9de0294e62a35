//! Environment variables of projects and overrides (API, `EnvironmentVariable`).

use buildspec_parser::model::SecretReference;
use serde::{Deserialize, Serialize};

/// An environment variable (API, `EnvironmentVariable`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "VariableShape", into = "VariableShape")]
pub struct EnvironmentVariable {
    /// Name, without `=`.
    pub name: String,
    /// What it is set to.
    pub value: VariableValue,
}

/// What a variable is set to (API, `EnvironmentVariable`, member `type`).
#[derive(Clone, PartialEq, Eq)]
pub enum VariableValue {
    /// This text, taken literally.
    Plaintext(String),
    /// The parameter of this name in Parameter Store.
    ParameterStore(String),
    /// A value in Secrets Manager.
    SecretsManager(SecretReference),
}

/// The API's form of a variable.
#[derive(Serialize, Deserialize)]
struct VariableShape {
    name: String,
    value: String,
    #[serde(rename = "type", default)]
    kind: VariableType,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum VariableType {
    #[default]
    Plaintext,
    ParameterStore,
    SecretsManager,
}

impl TryFrom<VariableShape> for EnvironmentVariable {
    type Error = String;

    fn try_from(shape: VariableShape) -> Result<Self, String> {
        let VariableShape { name, value, kind } = shape;
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("variable that cannot be set: `{name}`"));
        }
        let value = match kind {
            VariableType::Plaintext => VariableValue::Plaintext(value),
            VariableType::ParameterStore => VariableValue::ParameterStore(value),
            VariableType::SecretsManager => {
                let reference = value.parse();
                VariableValue::SecretsManager(
                    reference.map_err(|error| format!("variable `{name}`: {error}"))?,
                )
            }
        };
        Ok(Self { name, value })
    }
}

impl From<EnvironmentVariable> for VariableShape {
    fn from(variable: EnvironmentVariable) -> Self {
        let (kind, value) = match variable.value {
            VariableValue::Plaintext(text) => (VariableType::Plaintext, text),
            VariableValue::ParameterStore(name) => (VariableType::ParameterStore, name),
            VariableValue::SecretsManager(secret) => {
                (VariableType::SecretsManager, secret.to_string())
            }
        };
        Self {
            name: variable.name,
            value,
            kind,
        }
    }
}

/// Shows the name only: people put secrets into plain variables.
impl std::fmt::Debug for EnvironmentVariable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}=***", self.name)
    }
}

/// Shows where the value comes from only.
impl std::fmt::Debug for VariableValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plaintext(_) => "PLAINTEXT",
            Self::ParameterStore(_) => "PARAMETER_STORE",
            Self::SecretsManager(_) => "SECRETS_MANAGER",
        })
    }
}
