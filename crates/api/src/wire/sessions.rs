//! Sessions: one persistent shell each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A session to make. All fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SessionRequest {
    /// Its id; none: `session-` and the time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it begins; none: /workspace. A directory that is missing gives $HOME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its variables; those with null are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Milliseconds after which commands without a timeout of their own are given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_timeout_ms: Option<u64>,
}

/// About a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Its id.
    pub id: String,
    /// Its shell runs: the first command starts it.
    pub running: bool,
    /// A command runs or waits.
    pub busy: bool,
    /// As given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_timeout_ms: Option<u64>,
}

/// All sessions of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionList {
    /// By id.
    pub sessions: Vec<SessionInfo>,
}

/// A session is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDeleted {
    /// Always.
    pub success: bool,
    /// Which.
    pub session_id: String,
    /// When.
    pub timestamp: Timestamp,
}

/// Variables to export; null unsets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentChanges {
    /// Names are identifiers of the shell.
    pub env: BTreeMap<String, Option<String>>,
    /// In which session; none: the default session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// In which shell a command runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionChoice {
    /// Not said: the sandbox's default session, unless that is switched off.
    #[default]
    Default,
    /// Null: a fresh shell for this command, which ends with its client.
    Fresh,
    /// That one, made if it is missing.
    Named(String),
}

impl SessionChoice {
    /// Whether the field is left out.
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

impl From<Option<String>> for SessionChoice {
    fn from(id: Option<String>) -> Self {
        id.map_or(Self::Fresh, Self::Named)
    }
}

impl Serialize for SessionChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default | Self::Fresh => serializer.serialize_none(),
            Self::Named(id) => serializer.serialize_some(id),
        }
    }
}

impl<'de> Deserialize<'de> for SessionChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<String>::deserialize(deserializer).map(Self::from)
    }
}
