//! The link between supervisor and worker: a pair of connected sockets with frames of five types.
//!
//! | frame | direction | body |
//! |---|---|---|
//! | message | both | JSON of the agent's protocol, unchanged |
//! | export | to the worker | arrival (`u64`, nanoseconds of `CLOCK_MONOTONIC`), 1 if the age is known (`u8`), JSON |
//! | delivery | to the worker | request id (`u32`), 1 if the agent has read the reply in time (`u8`) |
//! | reply | to the supervisor | request id (`u32`), bits of [`ReplyHead`] (`u8`), JSON |
//! | setup | to the worker, first | JSON of [`crate::Supervision`] |
//!
//! Numbers are little-endian. Both ends are the same program, so the format has no version.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::export::Delivery;
use crate::frame::{self, Accepted};

pub(crate) const MESSAGE: u32 = frame::TYPE_JSON;
pub(crate) const EXPORT: u32 = 2;
pub(crate) const DELIVERY: u32 = 3;
pub(crate) const REPLY: u32 = 4;
pub(crate) const SETUP: u32 = 5;

/// Bytes before the JSON of an export or a reply, at most.
const HEAD_BYTES: u32 = 16;

const WANTS_DELIVERY: u8 = 1;
const IS_VALUE: u8 = 2;

/// Returns the frames that either end accepts.
pub(crate) fn accepted(max_json_bytes: u32) -> Accepted {
    Accepted { last_type: SETUP, max_bytes: max_json_bytes.saturating_add(HEAD_BYTES) }
}

/// The time of a request's arrival, as the supervisor knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The earliest time at which the agent can have sent the request, if the age is known.
    pub(crate) time: Instant,
    /// False if the supervisor was stopped and the request may be older than its timeout.
    pub(crate) is_age_known: bool,
}

impl Arrival {
    pub(crate) fn now() -> Self {
        Self { time: Instant::now(), is_age_known: true }
    }
}

/// What the supervisor must know of a reply without parsing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyHead {
    pub(crate) id: u32,
    /// The worker waits for a delivery frame with this id.
    pub(crate) wants_delivery: bool,
    /// The reply is not an error.
    pub(crate) is_value: bool,
}

pub(crate) fn append_export(batch: &mut Vec<u8>, arrival: Arrival, json: &[u8]) {
    let nanoseconds = to_nanoseconds(arrival.time).to_le_bytes();
    frame::append_parts(batch, EXPORT, &[&nanoseconds, &[u8::from(arrival.is_age_known)], json]);
}

pub(crate) fn parse_export(body: &[u8]) -> Option<(Arrival, &[u8])> {
    let (&nanoseconds, rest) = body.split_first_chunk()?;
    let (&is_age_known, json) = rest.split_first()?;
    let time = from_nanoseconds(u64::from_le_bytes(nanoseconds));
    Some((Arrival { time, is_age_known: is_age_known == 1 }, json))
}

pub(crate) fn append_delivery(batch: &mut Vec<u8>, id: u32, delivery: Delivery) {
    let is_written = u8::from(delivery == Delivery::Written);
    frame::append_parts(batch, DELIVERY, &[&id.to_le_bytes(), &[is_written]]);
}

pub(crate) fn parse_delivery(body: &[u8]) -> Option<(u32, Delivery)> {
    let (&id, rest) = body.split_first_chunk()?;
    let delivery = if rest == [1] { Delivery::Written } else { Delivery::Lost };
    Some((u32::from_le_bytes(id), delivery))
}

pub(crate) fn append_reply(batch: &mut Vec<u8>, head: ReplyHead, json: &[u8]) {
    let delivery = if head.wants_delivery { WANTS_DELIVERY } else { 0 };
    let value = if head.is_value { IS_VALUE } else { 0 };
    frame::append_parts(batch, REPLY, &[&head.id.to_le_bytes(), &[delivery | value], json]);
}

pub(crate) fn parse_reply(body: &[u8]) -> Option<(ReplyHead, &[u8])> {
    let (&id, rest) = body.split_first_chunk()?;
    let (&bits, json) = rest.split_first()?;
    let head = ReplyHead {
        id: u32::from_le_bytes(id),
        wants_delivery: bits & WANTS_DELIVERY != 0,
        is_value: bits & IS_VALUE != 0,
    };
    Some((head, json))
}

/// The clock of `Instant`, which is the same in all processes.
fn clock() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) =
        (u64::try_from(time.tv_sec).unwrap_or_default(), u64::try_from(time.tv_nsec).unwrap_or_default());
    seconds * 1_000_000_000 + nanoseconds
}

fn to_nanoseconds(time: Instant) -> u64 {
    let age = u64::try_from(time.elapsed().as_nanos()).unwrap_or(u64::MAX);
    clock().saturating_sub(age)
}

/// A time in the future, which the supervisor never sends, becomes the present.
fn from_nanoseconds(nanoseconds: u64) -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_nanos(clock().saturating_sub(nanoseconds))).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(batch: &[u8], frame_type: u32) -> &[u8] {
        assert_eq!(batch[..4], frame_type.to_le_bytes());
        &batch[frame::HEADER_BYTES..]
    }

    #[test]
    fn export_keeps_its_arrival_in_another_process() {
        let sent = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        for is_age_known in [true, false] {
            let mut batch = Vec::new();
            append_export(&mut batch, Arrival { time: sent, is_age_known }, b"{}");
            let (arrival, json) = parse_export(body(&batch, EXPORT)).unwrap();
            assert_eq!((arrival.is_age_known, json), (is_age_known, &b"{}"[..]));
            let difference = arrival.time.max(sent) - arrival.time.min(sent);
            assert!(difference < Duration::from_millis(500), "{difference:?}");
        }
    }

    #[test]
    fn reply_and_delivery_are_read_back() {
        for (wants_delivery, is_value) in [(false, false), (false, true), (true, false), (true, true)] {
            let head = ReplyHead { id: u32::MAX - 3, wants_delivery, is_value };
            let mut batch = Vec::new();
            append_reply(&mut batch, head, b"{}");
            assert_eq!(parse_reply(body(&batch, REPLY)), Some((head, &b"{}"[..])));
        }
        for delivery in [Delivery::Written, Delivery::Lost] {
            let mut batch = Vec::new();
            append_delivery(&mut batch, 7, delivery);
            assert_eq!(parse_delivery(body(&batch, DELIVERY)), Some((7, delivery)));
        }
    }

    #[test]
    fn body_that_is_too_short_is_rejected() {
        for length in 0..4 {
            let body = vec![1; length];
            assert!(parse_export(&body).is_none() && parse_reply(&body).is_none());
            assert!(parse_delivery(&body).is_none());
        }
        assert!(parse_export(&[0; 8]).is_none());
        assert!(parse_reply(&[0; 4]).is_none());
    }
}
