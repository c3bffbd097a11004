//! Methods and their parameters, typed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::command::error::{CommandError, ErrorKind};
use crate::status::{DaqState, SubState};

/// Names of all methods that this build serves, as on the wire.
pub const METHODS: [&str; 12] = [
    "QueueDaq",
    "AbortDaq",
    "RetryMergeDaq",
    "GetDaqStatus",
    "GetActiveDaqs",
    "GetInternalDaqStatus",
    "QueryStorageStatus",
    "Exit",
    "Subscribe",
    "AwaitDaqState",
    "GetHistory",
    "GetServerStatus",
];

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// `QueueDaq`: durable on reply.
    QueueDaq(QueueDaq),
    /// `AbortDaq`: stopped and removed on reply.
    AbortDaq(DaqParameters),
    /// `RetryMergeDaq`: lets a parked DAQ try again.
    RetryMergeDaq(DaqParameters),
    /// `GetDaqStatus` of an unfinished DAQ.
    GetDaqStatus(DaqParameters),
    /// `GetActiveDaqs`: all that have not ended.
    GetActiveDaqs,
    /// `GetInternalDaqStatus`: with journal, receivers, timings.
    GetInternalDaqStatus(DaqParameters),
    /// `QueryStorageStatus` of the workspace.
    QueryStorageStatus,
    /// `Exit`: orderly end; the reply is sent first.
    Exit,
    /// `Subscribe`: the reply, then notifications on the same connection.
    Subscribe(Subscribe),
    /// `AwaitDaqState`: replies when the DAQ has come so far, or in time.
    AwaitDaqState(AwaitDaqState),
    /// `GetHistory`: ended DAQs, newest first.
    GetHistory(GetHistory),
    /// `GetServerStatus`.
    GetServerStatus,
}

/// Parameters of `QueueDaq`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueDaq {
    /// The Data Product Specification, as JSON text (as the ELT sends it) or as an object.
    pub specification: Value,
    /// Absolute folder against which relative locations resolve; without it they are refused.
    pub root: Option<String>,
    /// Who queues.
    pub user: Option<String>,
    /// Key of the lock, where somebody holds it.
    pub lock_key: Option<String>,
}

/// Parameters of commands on one DAQ.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaqParameters {
    /// Its id.
    pub id: String,
    /// Who asks.
    pub user: Option<String>,
    /// Key of the lock, where somebody holds it.
    pub lock_key: Option<String>,
}

/// Parameters of `Subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscribe {
    /// Which notifications; all where it is not given.
    #[serde(default = "all_topics")]
    pub topics: Vec<Topic>,
    /// Who asks.
    pub user: Option<String>,
    /// Key of the lock; never needed to look.
    pub lock_key: Option<String>,
}

/// Kinds of notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Topic {
    /// `daq/status`: each change of a DAQ.
    #[serde(rename = "daq/status")]
    DaqStatus,
    /// `dpm/storage`: the workspace's space, at intervals.
    #[serde(rename = "dpm/storage")]
    Storage,
}

impl Topic {
    /// Name on the wire; also the method of the notifications.
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::DaqStatus => "daq/status",
            Topic::Storage => "dpm/storage",
        }
    }
}

fn all_topics() -> Vec<Topic> {
    vec![Topic::DaqStatus, Topic::Storage]
}

/// Parameters of `AwaitDaqState`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwaitDaqState {
    /// The DAQ.
    pub id: String,
    /// The state to wait for; any where it is not given.
    pub state: Option<DaqState>,
    /// The sub-state to wait for, or any later one; any where it is not given.
    pub sub_state: Option<SubState>,
    /// How long to wait, 10 s where it is not given.
    #[serde(default = "await_seconds")]
    pub timeout_seconds: f64,
    /// Who asks.
    pub user: Option<String>,
    /// Key of the lock; never needed to look.
    pub lock_key: Option<String>,
}

fn await_seconds() -> f64 {
    10.0
}

/// Parameters of `GetHistory`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetHistory {
    /// At most so many entries, 100 where it is not given.
    pub limit: Option<usize>,
    /// Only entries before this one (`sequence` of the last entry of the page before).
    pub before: Option<i64>,
    /// Who asks.
    pub user: Option<String>,
    /// Key of the lock; never needed to look.
    pub lock_key: Option<String>,
}

/// Parameters of commands that have none of their own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NoParameters {
    #[serde(rename = "user")]
    _user: Option<String>,
    #[serde(rename = "lockKey")]
    _lock_key: Option<String>,
}

impl Request {
    /// Gives `method` and its `parameters` (an object, or null for none) their type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownMethod`] with a suggestion, [`ErrorKind::InvalidParameters`] naming the parameter.
    pub fn parse(method: &str, parameters: Value) -> Result<Request, CommandError> {
        Ok(match method {
            "QueueDaq" => Request::QueueDaq(read(method, parameters)?),
            "AbortDaq" => Request::AbortDaq(read(method, parameters)?),
            "RetryMergeDaq" => Request::RetryMergeDaq(read(method, parameters)?),
            "GetDaqStatus" => Request::GetDaqStatus(read(method, parameters)?),
            "GetActiveDaqs" => without(method, parameters, Request::GetActiveDaqs)?,
            "GetInternalDaqStatus" => Request::GetInternalDaqStatus(read(method, parameters)?),
            "QueryStorageStatus" => without(method, parameters, Request::QueryStorageStatus)?,
            "Exit" => without(method, parameters, Request::Exit)?,
            "Subscribe" => Request::Subscribe(read(method, parameters)?),
            "AwaitDaqState" => Request::AwaitDaqState(read(method, parameters)?),
            "GetHistory" => Request::GetHistory(read(method, parameters)?),
            "GetServerStatus" => without(method, parameters, Request::GetServerStatus)?,
            _ => return Err(unknown_method(method)),
        })
    }
}

fn read<T: DeserializeOwned>(method: &str, parameters: Value) -> Result<T, CommandError> {
    let parameters = if parameters.is_null() { Value::Object(serde_json::Map::new()) } else { parameters };
    if !parameters.is_object() {
        let message = format!("the parameters of {method} are an object with names, such as {{\"id\": ...}}");
        return Err(CommandError::new(ErrorKind::InvalidParameters, message));
    }
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(" at '{path}'") };
        CommandError::new(ErrorKind::InvalidParameters, format!("{method}{place}: {}", error.into_inner()))
    })
}

fn without(method: &str, parameters: Value, request: Request) -> Result<Request, CommandError> {
    read::<NoParameters>(method, parameters).map(|_| request)
}

fn unknown_method(method: &str) -> CommandError {
    let shown: String = method.chars().take(64).collect();
    let known = METHODS.iter().find(|known| known.eq_ignore_ascii_case(method));
    let suggestion = known.map(|known| format!(", did you mean '{known}'?")).unwrap_or_default();
    CommandError::new(ErrorKind::UnknownMethod, format!("there is no method '{}'{suggestion}", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::command::error::ErrorKind;
    use crate::command::request::{METHODS, Request};

    fn check(method: &str, parameters: Value, expected: Result<(), (ErrorKind, &str)>) {
        match (Request::parse(method, parameters.clone()), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err((kind, part))) => {
                assert_eq!(error.kind, kind, "{method} {parameters}");
                assert!(error.message.contains(part), "{method} {parameters}: {}", error.message);
            }
            (outcome, _) => panic!("{method} {parameters}: {outcome:?}"),
        }
    }

    #[test]
    fn every_served_method_is_known() {
        for method in METHODS {
            let parameters = json!({"id": "a", "specification": "{}"});
            let kind = Request::parse(method, parameters).err().map(|error| error.kind);
            assert_ne!(kind, Some(ErrorKind::UnknownMethod), "{method}");
        }
    }

    #[test]
    fn parameters_are_checked_by_name_and_type() {
        check("GetDaqStatus", json!({"id": "a"}), Ok(()));
        check("GetDaqStatus", json!({"id": 5}), Err((ErrorKind::InvalidParameters, "at 'id'")));
        check("GetDaqStatus", json!({"idd": "a"}), Err((ErrorKind::InvalidParameters, "idd")));
        check("GetDaqStatus", json!({}), Err((ErrorKind::InvalidParameters, "id")));
        check("GetDaqStatus", json!(["a"]), Err((ErrorKind::InvalidParameters, "object")));
        check("GetActiveDaqs", Value::Null, Ok(()));
        check("GetActiveDaqs", json!({"id": "a"}), Err((ErrorKind::InvalidParameters, "id")));
        check("getactivedaqs", Value::Null, Err((ErrorKind::UnknownMethod, "did you mean 'GetActiveDaqs'")));
        check("Subscribe", json!({"topics": ["daq/nothing"]}), Err((ErrorKind::InvalidParameters, "topics[0]")));
    }
}
