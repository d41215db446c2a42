//! What a poll asks and what it is answered with.

use std::fmt;
use std::time::{Duration, Instant};

/// Which generation of agents asks.
///
/// Told by the request itself: an agent since 6.4 sends a timeout with each, an older one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Generation {
    /// Agents 6.0 and 6.2.
    Before6_4,
    /// Agents 6.4, 7.0 and later.
    Since6_4,
}

/// One poll of one item: the key's name, its parameters and the time by which the agent wants an answer.
#[derive(Debug, Clone)]
pub struct Request {
    key: String,
    parameters: Vec<String>,
    deadline: Instant,
    generation: Generation,
}

impl Request {
    /// A request as an agent's would be, for tests and command lines.
    #[must_use]
    pub fn new(key: &str, parameters: &[&str], timeout: Duration) -> Self {
        let parameters = parameters.iter().map(|&parameter| parameter.to_owned()).collect();
        let deadline = Instant::now() + timeout;
        Self { key: key.to_owned(), parameters, deadline, generation: Generation::Since6_4 }
    }

    pub(crate) fn from_agent(
        key: String,
        parameters: Vec<String>,
        deadline: Instant,
        generation: Generation,
    ) -> Self {
        Self { key, parameters, deadline, generation }
    }

    /// The key's name, without parameters: `echo.text`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The parameters as the agent unquoted them. None at all and one empty one are different lists.
    #[must_use]
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// A parameter by its place, counted from 0; empty where the key gives none, as agents treat it.
    #[must_use]
    pub fn parameter(&self, place: usize) -> &str {
        self.parameters.get(place).map_or("", String::as_str)
    }

    /// When the answer must have been written. After it the agent is told that the item was late.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time left until the deadline; zero after it.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Which generation of agents asks.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
}

/// What became of a [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was written to the agent before the deadline.
    Written,
    /// It came too late or could not be written: the agent has not seen it, or has dropped it.
    Lost,
}

type DeliveryCallback = Box<dyn FnOnce(Delivery) + Send>;

/// The answer to a [`Request`]: one string, or no value at all.
///
/// One poll is one string. Lists would look right and lose data, since all elements of a list get the same time and
/// a server keeps one value for each; numbers would pass through a 64-bit float. So both are sent as text.
pub struct Reply {
    value: Option<String>,
    on_delivery: Option<DeliveryCallback>,
}

impl Reply {
    /// A value.
    pub fn value(value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), on_delivery: None }
    }

    /// No value: an active check's item keeps its last one and stays supported.
    ///
    /// A passive check has no such answer: the agent says that there is no data.
    #[must_use]
    pub fn none() -> Self {
        Self { value: None, on_delivery: None }
    }

    /// Calls `callback` once it is known whether the reply was written in time.
    ///
    /// This is where a position may move: not earlier, because a reply that comes late is lost without a word.
    /// The callback runs on the thread that writes to the agent, so it has to be short; a panic in it is caught.
    /// The next poll of the same item can arrive before the callback has run: a handler for which that matters
    /// waits for its own pending reply.
    #[must_use]
    pub fn on_delivery(self, callback: impl FnOnce(Delivery) + Send + 'static) -> Self {
        Self { on_delivery: Some(Box::new(callback)), ..self }
    }

    /// The value, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Settles a reply that goes nowhere near an agent, such as a command line's: its callback learns the outcome.
    pub fn settle(self, delivery: Delivery) {
        if let Some(callback) = self.on_delivery {
            callback(delivery);
        }
    }

    pub(crate) fn into_parts(self) -> (Option<String>, Option<DeliveryCallback>) {
        (self.value, self.on_delivery)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("value", &self.value)
            .field("on_delivery", &self.on_delivery.is_some())
            .finish()
    }
}

macro_rules! reply_from {
    ($($type:ty),*) => {
        $(impl From<$type> for Reply {
            fn from(value: $type) -> Self {
                Self::value(value.to_string())
            }
        })*
    };
}

reply_from!(&str, u32, u64, usize, i64);

impl From<String> for Reply {
    fn from(value: String) -> Self {
        Self::value(value)
    }
}

/// Why an item has no value: the item becomes *not supported* with this text.
///
/// Any error converts into it, so `?` works in handlers. Agents since 6.4 capitalise the text and end it with a full
/// stop; 6.0 shows it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemError(String);

impl ItemError {
    /// An error with a text for the administrator.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for ItemError {
    /// The error with its causes, as `what: why: why`.
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}
