//! Requests and replies of one poll.

use std::fmt;
use std::time::{Duration, Instant};

/// Generation of the agent that sent a request.
///
/// The request itself shows it: agents since 6.4 send a timeout with each request, older ones do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Generation {
    /// Agents 6.0 and 6.2.
    Before6_4,
    /// Agents 6.4, 7.0 and later.
    Since6_4,
}

/// One poll of one item: the key's name, its parameters and the deadline for the reply.
#[derive(Debug, Clone)]
pub struct Request {
    key: String,
    parameters: Vec<String>,
    deadline: Instant,
    generation: Generation,
    is_age_known: bool,
}

impl Request {
    /// Creates a request like an agent's, for tests and command lines.
    #[must_use]
    pub fn new(key: &str, parameters: &[&str], timeout: Duration) -> Self {
        let parameters = parameters.iter().map(|&parameter| parameter.to_owned()).collect();
        let deadline = Instant::now() + timeout;
        Self {
            key: key.to_owned(),
            parameters,
            deadline,
            generation: Generation::Since6_4,
            is_age_known: true,
        }
    }

    pub(crate) fn from_agent(
        key: String,
        parameters: Vec<String>,
        deadline: Instant,
        generation: Generation,
        is_age_known: bool,
    ) -> Self {
        Self { key, parameters, deadline, generation, is_age_known }
    }

    /// Returns the key's name without parameters, such as `echo.text`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the parameters without quotes. No parameter and one empty parameter are different lists.
    #[must_use]
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// Returns a parameter by its index, counted from 0. A missing parameter is empty, as in agents.
    #[must_use]
    pub fn parameter(&self, place: usize) -> &str {
        self.parameters.get(place).map_or("", String::as_str)
    }

    /// Returns the deadline for writing the reply. After it the agent receives an error that the item was late.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the time left until the deadline; zero after it.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns false if the process was stopped, so that the agent may have given up this poll already. A reply with a
    /// delivery callback then becomes an error.
    pub(crate) fn is_age_known(&self) -> bool {
        self.is_age_known
    }

    /// Returns the generation of the agent.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
}

/// Outcome of sending a [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The reply was written to the agent before the deadline. With a supervisor: the agent has also read it by then.
    Written,
    /// The reply was late or could not be written: the agent did not receive it, or dropped it.
    Lost,
}

type DeliveryCallback = Box<dyn FnOnce(Delivery) + Send>;

/// The reply to a [`Request`]: one string, or no value.
///
/// One poll returns one string. Lists would lose data: all elements of a list get the same time, and a server keeps one
/// value for each time. Numbers would pass through a 64-bit float. So both are sent as text.
pub struct Reply {
    value: Option<String>,
    on_delivery: Option<DeliveryCallback>,
}

impl Reply {
    /// Creates a reply with a value.
    pub fn value(value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), on_delivery: None }
    }

    /// Creates a reply without value: the item of an active check keeps its last value and stays supported.
    ///
    /// For a passive check the agent reports that there is no data.
    #[must_use]
    pub fn none() -> Self {
        Self { value: None, on_delivery: None }
    }

    /// Calls `callback` when it is known whether the reply was written in time.
    ///
    /// Commit offsets here and not earlier, because the agent drops a late reply silently. The callback runs on the thread
    /// that writes to the agent, so it must be short; a panic in it is caught. The next poll of the same item can arrive
    /// before the callback has run. If that matters, the handler must wait for its own pending reply.
    #[must_use]
    pub fn on_delivery(self, callback: impl FnOnce(Delivery) + Send + 'static) -> Self {
        Self { on_delivery: Some(Box::new(callback)), ..self }
    }

    /// Returns the value, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Calls the callback of a reply that is not sent to an agent, such as that of a command line tool.
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

/// The reason why an item has no value: the item becomes *not supported* with this text.
///
/// Any error converts into it, so `?` works in handlers. Agents since 6.4 capitalise the text and end it with a full
/// stop. Agents 6.0 and 6.2 show it unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemError(String);

impl ItemError {
    /// Creates an error with a text for the administrator.
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
    /// Joins an error and its causes with colons.
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
