//! The size limit of requests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use agent2_plugin::{Context, Exporter, FakeAgent, ItemError, Plugin, Reply, Request};

struct Length;

#[derive(serde::Deserialize)]
struct Options {}

impl Exporter for Length {
    type Options = Options;

    fn configure(_: Options, _: Context) -> Result<Self, ItemError> {
        Ok(Self)
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        Ok(request.key().into())
    }
}

/// A frame with a poll of `length` bytes. JSON may end with blanks.
fn poll(id: u32, length: usize) -> Vec<u8> {
    let mut message = format!(r#"{{"id":{id},"type":6,"key":"length"}}"#).into_bytes();
    message.resize(length, b' ');
    [&1_u32.to_le_bytes()[..], &u32::try_from(length).unwrap().to_le_bytes(), &message].concat()
}

#[test]
fn request_of_16_mebibytes_is_served_and_a_larger_one_is_skipped() {
    let mut agent =
        FakeAgent::in_thread::<Length>(&Plugin::new("Length").metric("length", "Length.")).unwrap();
    agent.register("7.0.0").unwrap();
    agent.configure("", 3).unwrap();
    agent.send_raw(&poll(71, (16 << 20) + 1)).unwrap();
    agent.send_raw(&poll(72, 16 << 20)).unwrap();
    assert_eq!(agent.next_result().unwrap(), (72, Ok(Some("length".to_owned()))));
    assert!(agent.log().iter().any(|line| line.message.contains("16777217")), "{:?}", agent.log());
}
