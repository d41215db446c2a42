//! Messages: the JSON in the frames.

use serde::{Deserialize, Serialize};

use crate::node::Node;

/// Numbers of the message types, as on the wire.
pub(crate) mod kind {
    pub(crate) const LOG: u32 = 1;
    pub(crate) const REGISTER_REQUEST: u32 = 2;
    pub(crate) const REGISTER_RESPONSE: u32 = 3;
    pub(crate) const START: u32 = 4;
    pub(crate) const TERMINATE: u32 = 5;
    pub(crate) const EXPORT_REQUEST: u32 = 6;
    pub(crate) const EXPORT_RESPONSE: u32 = 7;
    pub(crate) const CONFIGURE: u32 = 8;
    pub(crate) const VALIDATE_REQUEST: u32 = 9;
    pub(crate) const VALIDATE_RESPONSE: u32 = 10;
}

/// Messages from an agent.
#[derive(Debug)]
pub(crate) enum Incoming {
    Register { id: u32, version: String },
    Validate { id: u32, options: Node },
    Configure { options: Node, timeout_seconds: Option<f64>, source_ip: String },
    Start,
    Export(ExportRequest),
    Terminate,
}

#[derive(Debug)]
pub(crate) struct ExportRequest {
    pub(crate) id: u32,
    pub(crate) key: String,
    pub(crate) parameters: Vec<String>,
    /// Seconds. Absent before agent 6.4.
    pub(crate) timeout_seconds: Option<f64>,
}

/// The reason why a message cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("not a message: {0}")]
    NotAMessage(serde_json::Error),
    #[error("message type {0} is unknown")]
    UnknownType(u32),
    /// The type is known and requires a response, so the response can contain the error.
    #[error("malformed request: {error}")]
    Malformed { id: u32, answer: AnswerType, error: serde_json::Error },
}

/// The response that a malformed request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerType {
    Register,
    Validate,
    Export,
    Nothing,
}

#[derive(Deserialize)]
struct Header {
    id: u32,
    #[serde(rename = "type")]
    kind: u32,
}

#[derive(Deserialize)]
struct RegisterBody {
    #[serde(default)]
    version: Option<String>,
}

#[derive(Deserialize)]
struct ValidateBody {
    #[serde(default)]
    private_options: Option<Node>,
}

#[derive(Deserialize)]
struct ConfigureBody {
    #[serde(default)]
    global_options: Option<GlobalOptions>,
    #[serde(default)]
    private_options: Option<Node>,
}

#[derive(Deserialize)]
struct GlobalOptions {
    #[serde(rename = "Timeout", default)]
    timeout: Option<f64>,
    #[serde(rename = "SourceIP", default)]
    source_ip: Option<String>,
}

#[derive(Deserialize)]
struct ExportBody {
    key: String,
    #[serde(default)]
    parameters: Option<Vec<String>>,
    #[serde(default)]
    timeout: Option<f64>,
}

impl Incoming {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, MessageError> {
        let Header { id, kind } = serde_json::from_slice(json).map_err(MessageError::NotAMessage)?;
        let malformed = |answer| move |error| MessageError::Malformed { id, answer, error };
        match kind {
            kind::REGISTER_REQUEST => register(id, json).map_err(malformed(AnswerType::Register)),
            kind::VALIDATE_REQUEST => validate(id, json).map_err(malformed(AnswerType::Validate)),
            kind::CONFIGURE => configure(json).map_err(malformed(AnswerType::Nothing)),
            kind::EXPORT_REQUEST => export(id, json).map_err(malformed(AnswerType::Export)),
            kind::START => Ok(Self::Start),
            kind::TERMINATE => Ok(Self::Terminate),
            other => Err(MessageError::UnknownType(other)),
        }
    }
}

fn register(id: u32, json: &[u8]) -> serde_json::Result<Incoming> {
    let body: RegisterBody = serde_json::from_slice(json)?;
    Ok(Incoming::Register { id, version: body.version.unwrap_or_default() })
}

fn validate(id: u32, json: &[u8]) -> serde_json::Result<Incoming> {
    let body: ValidateBody = serde_json::from_slice(json)?;
    Ok(Incoming::Validate { id, options: body.private_options.unwrap_or_default() })
}

fn configure(json: &[u8]) -> serde_json::Result<Incoming> {
    let body: ConfigureBody = serde_json::from_slice(json)?;
    let (timeout_seconds, source_ip) =
        body.global_options.map_or((None, None), |global| (global.timeout, global.source_ip));
    Ok(Incoming::Configure {
        options: body.private_options.unwrap_or_default(),
        timeout_seconds,
        source_ip: source_ip.unwrap_or_default(),
    })
}

fn export(id: u32, json: &[u8]) -> serde_json::Result<Incoming> {
    let body: ExportBody = serde_json::from_slice(json)?;
    Ok(Incoming::Export(ExportRequest {
        id,
        key: body.key,
        parameters: body.parameters.unwrap_or_default(),
        timeout_seconds: body.timeout,
    }))
}

/// Messages from a plugin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outgoing<'a> {
    Log { severity: u32, message: &'a str },
    Registered { id: u32, name: &'a str, metrics: Vec<&'a str>, interfaces: u32, error: Option<&'a str> },
    Validated { id: u32, error: Option<&'a str> },
    Exported { id: u32, answer: Result<Option<&'a str>, &'a str> },
}

#[derive(Serialize)]
struct Wire<'a> {
    id: u32,
    #[serde(rename = "type")]
    kind: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interfaces: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Wire<'a> {
    fn new(id: u32, kind: u32) -> Self {
        Self {
            id,
            kind,
            severity: None,
            message: None,
            name: None,
            metrics: None,
            interfaces: None,
            value: None,
            error: None,
        }
    }

    fn with_error(self, error: Option<&'a str>) -> Self {
        Self { error, ..self }
    }
}

impl<'a> Outgoing<'a> {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.wire()).expect("strings and numbers always serialise")
    }

    fn wire(&self) -> Wire<'a> {
        match self {
            // The agent treats messages with id 0 as log lines.
            Self::Log { severity, message } => {
                Wire { severity: Some(*severity), message: Some(message), ..Wire::new(0, kind::LOG) }
            }
            Self::Registered { id, name, metrics, interfaces, error } => Wire {
                name: Some(name),
                metrics: Some(metrics.clone()),
                interfaces: Some(*interfaces),
                ..Wire::new(*id, kind::REGISTER_RESPONSE).with_error(*error)
            },
            Self::Validated { id, error } => Wire::new(*id, kind::VALIDATE_RESPONSE).with_error(*error),
            Self::Exported { id, answer } => exported(Wire::new(*id, kind::EXPORT_RESPONSE), *answer),
        }
    }
}

fn exported<'a>(wire: Wire<'a>, answer: Result<Option<&'a str>, &'a str>) -> Wire<'a> {
    match answer {
        Ok(value) => Wire { value, ..wire },
        Err(error) => wire.with_error(Some(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Incoming, MessageError> {
        Incoming::parse(json.as_bytes())
    }

    #[test]
    fn export_of_agent_6_0_has_no_timeout_and_may_have_no_parameters() {
        let Incoming::Export(request) = parse(r#"{"id":7,"type":6,"key":"echo"}"#).unwrap() else {
            panic!("not an export")
        };
        assert_eq!((request.id, request.key.as_str()), (7, "echo"));
        assert!(request.parameters.is_empty());
        assert_eq!(request.timeout_seconds, None);
    }

    #[test]
    fn export_of_agent_7_0_has_a_timeout() {
        let json = r#"{"id":7,"type":6,"key":"echo","parameters":["a",""],"timeout":3,"later":{"x":1}}"#;
        let Incoming::Export(request) = parse(json).unwrap() else { panic!("not an export") };
        assert_eq!(request.parameters, ["a", ""]);
        assert_eq!(request.timeout_seconds, Some(3.0));
    }

    #[test]
    fn absent_and_null_options_are_empty_options() {
        for json in [r#"{"id":1,"type":9}"#, r#"{"id":1,"type":9,"private_options":null}"#] {
            let Incoming::Validate { options, .. } = parse(json).unwrap() else { panic!("not a validate") };
            assert!(options.children().is_empty());
        }
    }

    #[test]
    fn malformed_request_keeps_its_id_for_the_response() {
        let error = parse(r#"{"id":9,"type":6,"key":5}"#).unwrap_err();
        assert!(
            matches!(error, MessageError::Malformed { id: 9, answer: AnswerType::Export, .. }),
            "{error}"
        );
        assert!(matches!(parse(r#"{"id":9,"type":99}"#), Err(MessageError::UnknownType(99))));
        assert!(matches!(parse("{"), Err(MessageError::NotAMessage(_))));
        assert!(matches!(parse("[]"), Err(MessageError::NotAMessage(_))));
    }

    #[test]
    fn responses_have_exactly_the_fields_that_agents_read() {
        let json = |message: Outgoing<'_>| String::from_utf8(message.to_json()).unwrap();
        assert_eq!(
            json(Outgoing::Exported { id: 3, answer: Ok(Some("1\n2")) }),
            r#"{"id":3,"type":7,"value":"1\n2"}"#
        );
        assert_eq!(json(Outgoing::Exported { id: 3, answer: Ok(None) }), r#"{"id":3,"type":7}"#);
        assert_eq!(
            json(Outgoing::Exported { id: 3, answer: Err("no") }),
            r#"{"id":3,"type":7,"error":"no"}"#
        );
        assert_eq!(json(Outgoing::Validated { id: 3, error: None }), r#"{"id":3,"type":10}"#);
        assert_eq!(
            json(Outgoing::Log { severity: 3, message: "m" }),
            r#"{"id":0,"type":1,"severity":3,"message":"m"}"#
        );
        assert_eq!(
            json(Outgoing::Registered {
                id: 1,
                name: "N",
                metrics: vec!["k", "D."],
                interfaces: 7,
                error: None
            }),
            r#"{"id":1,"type":3,"name":"N","metrics":["k","D."],"interfaces":7}"#
        );
    }
}
