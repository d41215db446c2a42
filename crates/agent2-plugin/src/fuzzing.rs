//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Instant;

use serde::Deserialize;

use crate::frame::{self, Accepted, Frame};
use crate::link;
use crate::message::{Incoming, MessageError, Outgoing};
use crate::node::Node;

/// Small enough that inputs of a few bytes reach the limit.
const FRAME_BYTES_MAX: u32 = 1024;

/// Returns one byte at a time, so that each read is incomplete.
struct SlowStream<'a>(&'a [u8]);

impl Read for SlowStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

/// Reads a stream of frames of an agent, and of the link between supervisor and worker. The frames do not depend on the sizes of
/// the reads, and frames that are written again are equal.
pub fn frames(stream: &[u8]) {
    for accepted in [Accepted::messages(FRAME_BYTES_MAX), link::accepted(FRAME_BYTES_MAX)] {
        let frames = read_all(&mut &*stream, accepted);
        assert_eq!(frames, read_all(&mut SlowStream(stream), accepted), "one byte at a time");
        let mut batch = Vec::new();
        for frame in &frames {
            if let Frame::Whole { frame_type, body } = frame {
                assert!(accepted.permits(*frame_type, u32::try_from(body.len()).expect("it has a limit")));
                frame::append_parts(&mut batch, *frame_type, &[body]);
                link_body(body);
            }
        }
        let whole: Vec<_> = frames.into_iter().filter(|frame| matches!(frame, Frame::Whole { .. })).collect();
        assert_eq!(read_all(&mut batch.as_slice(), accepted), whole, "written again");
    }
}

fn read_all(stream: &mut impl Read, accepted: Accepted) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        match frame::read(stream, accepted).expect("memory has no read errors") {
            Frame::End => return frames,
            frame => frames.push(frame),
        }
    }
}

/// Parses the body as each type of the link.
fn link_body(body: &[u8]) {
    if let Some((head, json)) = link::parse_reply(body) {
        let mut batch = Vec::new();
        link::append_reply(&mut batch, head, json);
        assert_eq!(link::parse_reply(&batch[frame::HEADER_BYTES..]), Some((head, json)));
    }
    if let Some((arrival, json)) = link::parse_export(body) {
        assert!(arrival.time <= Instant::now() && json.len() < body.len());
    }
    let _ = link::parse_delivery(body);
}

/// Parses a message of an agent, and writes the text of the message in each kind of response.
pub fn messages(json: &[u8]) {
    match Incoming::parse(json) {
        Ok(Incoming::Validate { options, .. } | Incoming::Configure { options, .. }) => {
            wire_round_trip(&options);
        }
        Ok(_) => {}
        Err(error) => {
            let MessageError::Malformed { error, .. } = &error else { return drop(error.to_string()) };
            assert!(!error.to_string().is_empty());
        }
    }
    response(&String::from_utf8_lossy(json));
}

/// The agent reads exactly the text that was written.
fn response(text: &str) {
    let responses = [
        (Outgoing::Log { severity: 3, message: text }, "message"),
        (Outgoing::Exported { id: 1, answer: Ok(Some(text)) }, "value"),
        (Outgoing::Exported { id: 1, answer: Err(text) }, "error"),
    ];
    for (response, field) in responses {
        let read: serde_json::Value = serde_json::from_slice(&response.to_json()).expect("written as JSON");
        assert_eq!(read[field], text);
    }
}

/// A type with every kind of value that [`Node::options`] converts to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EveryKind {
    a: Option<String>,
    b: bool,
    c: i64,
    d: f64,
    e: Vec<u8>,
    f: BTreeMap<String, Vec<String>>,
    g: Option<Group>,
    h: Option<Word>,
    i: Option<char>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Group {
    a: Option<String>,
    b: bool,
    g: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    On,
    Off,
}

/// Reads the text as a configuration file and as the JSON of a node, and converts the nodes to options.
pub fn nodes(text: &[u8]) {
    let conf = Node::from_conf("Echo", &String::from_utf8_lossy(text));
    wire_round_trip(&conf);
    options(&conf);
    if let Ok(node) = serde_json::from_slice::<Node>(text) {
        wire_round_trip(&node);
        options(&node);
    }
}

fn options(node: &Node) {
    if let Err(error) = node.options::<EveryKind>() {
        assert!(!error.to_string().is_empty());
    }
}

fn wire_round_trip(node: &Node) {
    // The agent's own JSON has the same limit of 128 levels, two of which are one node.
    if depth(node) < 60 {
        let read: Node = serde_json::from_value(node.to_wire()).expect("written as an agent writes it");
        assert_eq!(&read, node);
    }
}

fn depth(node: &Node) -> usize {
    1 + node.nodes().map(depth).max().unwrap_or(0)
}
