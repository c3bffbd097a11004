//! JSON-RPC 2.0 messages (jsonrpc.org/specification): one a line, no batches.

use serde::Serialize;
use serde_json::{Value, json};

use crate::command::error::{CommandError, ErrorKind};

/// A request as it stands on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its id; `None` for a notification, which gets no answer.
    pub id: Option<Value>,
    /// The method.
    pub method: String,
    /// Its parameters; null where there are none.
    pub parameters: Value,
}

/// Reads one line.
///
/// # Errors
///
/// The id as far as it could be read (null otherwise) and why the line is no request.
pub fn read(line: &[u8]) -> Result<Call, (Value, CommandError)> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let message = format!("the line is no JSON: {error}");
        (Value::Null, CommandError::new(ErrorKind::ParseError, message))
    })?;
    let Value::Object(mut members) = value else {
        let what = if value.is_array() { "batches are not served: send one request a line" } else { "not an object" };
        return Err((Value::Null, CommandError::new(ErrorKind::InvalidRequest, what)));
    };
    let id = members.remove("id");
    let shown_id = match &id {
        Some(id) if id.is_string() || id.is_number() => id.clone(),
        _ => Value::Null,
    };
    let refuse = |message: &str| (shown_id.clone(), CommandError::new(ErrorKind::InvalidRequest, message));
    if members.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some(VERSION) {
        return Err(refuse("the member 'jsonrpc' must be \"2.0\""));
    }
    if id.as_ref().is_some_and(|id| !id.is_string() && !id.is_number() && !id.is_null()) {
        return Err(refuse("the member 'id' must be a string or a number"));
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err(refuse("the member 'method' must be a string"));
    };
    let parameters = members.remove("params").unwrap_or(Value::Null);
    match members.keys().next() {
        Some(unknown) => Err(refuse(&format!("there is no member '{}' in a request", unknown.escape_debug()))),
        None => Ok(Call { id, method, parameters }),
    }
}

/// Line that answers the request `id`.
pub fn reply(id: &Value, outcome: &Result<Value, CommandError>) -> Vec<u8> {
    match outcome {
        // Written as it is: a copy of a long list would cost as much as all else.
        Ok(result) => line(&Answer { id, jsonrpc: VERSION, result }),
        Err(error) => {
            let error = json!({"code": error.kind.code(), "message": error.message, "data": error});
            line(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
        }
    }
}

/// The version of the protocol.
const VERSION: &str = "2.0";

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    jsonrpc: &'static str,
    result: &'a Value,
}

#[derive(Serialize)]
struct Notification<'a, T> {
    jsonrpc: &'static str,
    method: &'a str,
    params: &'a T,
}

/// Line that notifies of something.
pub fn notification(method: &str, parameters: &impl Serialize) -> Vec<u8> {
    line(&Notification { jsonrpc: VERSION, method, params: parameters })
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Only values with text as keys are sent, which can always be written; a line without a message says nothing.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    // JSON text never holds a raw newline, so that one ends the message.
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::server::jsonrpc::{Call, read};

    #[test]
    fn a_request_is_read() {
        let call = read(br#"{"jsonrpc":"2.0","id":7,"method":"GetDaqStatus","params":{"id":"a"}}"#);
        let expected = Call { id: Some(json!(7)), method: "GetDaqStatus".to_owned(), parameters: json!({"id": "a"}) };
        assert_eq!(call, Ok(expected));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_id() {
        let cases: [(&str, Value, i64, &str); 7] = [
            ("{", Value::Null, -32700, "no JSON"),
            ("[]", Value::Null, -32600, "batches"),
            ("5", Value::Null, -32600, "object"),
            (r#"{"id":1,"method":"Exit"}"#, json!(1), -32600, "jsonrpc"),
            (r#"{"jsonrpc":"2.0","id":"x"}"#, json!("x"), -32600, "method"),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"Exit"}"#, Value::Null, -32600, "'id'"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"Exit","parms":{}}"#, json!(1), -32600, "parms"),
        ];
        for (line, id, code, part) in cases {
            let (found_id, error) = read(line.as_bytes()).expect_err(line);
            assert_eq!((found_id, error.kind.code()), (id, code), "{line}");
            assert!(error.message.contains(part), "{line}: {}", error.message);
        }
    }
}
