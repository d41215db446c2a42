//! The threads that run handlers, and the watch, which replies for late handlers.
//!
//! A blocked thread cannot be stopped, for example while it reads from an NFS server that is gone. So if a handler
//! misses its deadline, the watch sends an error and gives up the thread: a new thread replaces it, and the old one ends
//! if the handler ever returns. While a handler hangs, further polls of the same item are rejected at once. Otherwise an
//! item polled each second would block one more thread each second.
//!
//! A few threads serve hundreds of items: each one keeps buffers and the caches of patterns, so that more of them cost
//! memory and gain nothing. Only handlers that run for long do not count, because they would delay all others.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::export::{Delivery, ItemError, Reply, Request};
use crate::guard::guarded;
use crate::outbox::Outbox;
use crate::stats::Stats;

/// Limits for threads and queued polls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Threads that run short handlers, or wait for the next poll.
    pub(crate) threads: usize,
    /// All threads within their deadline: those above, and those whose handler runs longer than [`LONG_RUN`].
    pub(crate) all_threads: usize,
    /// Threads given up. At this limit no more are replaced.
    pub(crate) hanging: usize,
    /// Polls that wait for a thread. An agent has at most 1,000 under way, unless its Capacity says more.
    pub(crate) queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // A blocked thread costs a few pages, so the limits for blocked ones can be high.
        Self { threads: 8, all_threads: 128, hanging: 256, queued: 10_000 }
    }
}

/// Threads kept while idle. They sleep without a timeout.
const KEPT_THREADS: usize = 2;
/// Time after which further idle threads end.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// After this wait for a thread a poll gets one more. Faster handlers share the existing threads.
const PATIENCE: Duration = Duration::from_millis(10);
/// A handler that runs longer than this is probably blocked, so its thread no longer counts as one of the few.
const LONG_RUN: Duration = Duration::from_millis(100);
/// Stack of a thread: enough for deep recursion in a pattern compiler. Pages are allocated on use.
const STACK_BYTES: usize = 1024 * 1024;

pub(crate) type Handler = dyn Fn(&Request) -> Result<Reply, ItemError> + Send + Sync;

/// The item of a poll: key and parameters, because the protocol does not contain item ids.
type Item = (String, Vec<String>);

/// A poll in progress. Its thread or the watch replies, the one that claims it first.
struct Job {
    id: u32,
    request: Request,
    queued_at: Instant,
    is_answered: AtomicBool,
}

impl Job {
    fn claim(&self) -> bool {
        !self.is_answered.swap(true, Ordering::AcqRel)
    }

    fn is_open(&self) -> bool {
        !self.is_answered.load(Ordering::Acquire)
    }

    fn item(&self) -> Item {
        (self.request.key().to_owned(), self.request.parameters().to_vec())
    }
}

/// A handler that is running within its deadline.
struct Running {
    job: Arc<Job>,
    started_at: Instant,
}

/// The threads that run handlers.
pub(crate) struct HandlerThreads {
    pool: Arc<Pool>,
}

struct Pool {
    state: Mutex<State>,
    watch: Condvar,
    limits: Limits,
    handler: Box<Handler>,
    outbox: Arc<Outbox>,
    stats: Arc<Stats>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Job>>,
    running: HashMap<u64, Running>,
    /// Handlers past their deadline by thread, and their start times.
    hanging: HashMap<u64, (Item, Instant)>,
    threads: usize,
    /// Threads without a job. The last one gets the next job, so that threads beyond the need stay idle and end.
    idle: Vec<(u64, Arc<Condvar>)>,
    next_thread: u64,
    next_check: Option<Instant>,
    is_watched: bool,
    is_closed: bool,
}

impl HandlerThreads {
    pub(crate) fn start(
        limits: Limits,
        handler: Box<Handler>,
        outbox: Arc<Outbox>,
        stats: Arc<Stats>,
    ) -> Self {
        let (state, watch) = (Mutex::default(), Condvar::new());
        Self { pool: Arc::new(Pool { state, watch, limits, handler, outbox, stats }) }
    }

    /// Queues a poll. Every poll gets exactly one reply by its deadline.
    pub(crate) fn submit(&self, id: u32, request: Request) {
        if let Err(refusal) = self.pool.admit(id, request) {
            self.pool.outbox.send_error(id, &refusal);
        }
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.is_closed = true;
        state.idle.drain(..).for_each(|(_, wake)| wake.notify_one());
        self.pool.watch.notify_all();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body).map(drop)
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, id: u32, request: Request) -> Result<(), String> {
        let now = Instant::now();
        let mut state = self.lock();
        self.ensure_watch(&mut state)
            .map_err(|error| format!("cannot start a thread that watches deadlines: {error}"))?;
        if state.queue.len() >= self.limits.queued {
            return Err(format!("{} polls are waiting already", state.queue.len()));
        }
        if let Some(since) = state.hanging_since(&request) {
            let seconds = now.duration_since(since).as_secs();
            return Err(format!("an earlier poll of this item has not returned for {seconds} s"));
        }
        let deadline = request.deadline();
        let job = Arc::new(Job { id, request, queued_at: now, is_answered: AtomicBool::new(false) });
        state.queue.push_back(job);
        let mut has_to_wait = false;
        if let Some((_, wake)) = state.idle.pop() {
            wake.notify_one();
        } else if state.threads < KEPT_THREADS && state.may_grow(&self.limits, now) {
            self.grow(&mut state);
        } else {
            has_to_wait = true;
        }
        self.check_by(&mut state, if has_to_wait { deadline.min(now + PATIENCE) } else { deadline });
        Ok(())
    }

    /// Starts the watch. If no thread can be started, the poll is rejected and the next one retries.
    fn ensure_watch(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        if !state.is_watched {
            let watched = Arc::clone(self);
            spawn("watch", move || watched.keep_watch())?;
            state.is_watched = true;
        }
        Ok(())
    }

    /// Wakes the watch if its timeout is later.
    fn check_by(&self, state: &mut State, time: Instant) {
        if state.next_check.is_none_or(|next| time < next) {
            state.next_check = Some(time);
            self.watch.notify_one();
        }
    }

    /// Starts one more thread.
    fn grow(self: &Arc<Self>, state: &mut State) {
        let (thread, pool) = (state.next_thread, Arc::clone(self));
        match spawn("handler", move || pool.work(thread)) {
            Ok(()) => {
                state.next_thread += 1;
                state.threads += 1;
            }
            // The poll stays queued for another thread. At the deadline the watch sends an error and retries.
            Err(error) => log::warn!("cannot start a further thread: {error}"),
        }
    }

    fn work(&self, thread: u64) {
        let wake = Arc::new(Condvar::new());
        while let Some(job) = self.next_job(thread, &wake) {
            self.run(&job);
            let was_given_up = {
                let mut state = self.lock();
                state.running.remove(&thread);
                let was_given_up = state.hanging.remove(&thread).is_some();
                self.stats.set_hanging(state.hanging.len());
                was_given_up
            };
            if was_given_up {
                log::info!("the handler of {} returned after its deadline", job.request.key());
                return;
            }
        }
    }

    /// Returns the next poll, or `None` if this thread is no longer needed.
    fn next_job(&self, thread: u64, wake: &Arc<Condvar>) -> Option<Arc<Job>> {
        let mut state = self.lock();
        if state.short_runs(Instant::now()) > self.limits.threads {
            // More threads were started while handlers ran long. They are not needed any more.
            state.threads -= 1;
            return None;
        }
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.running.insert(thread, Running { job: Arc::clone(&job), started_at: Instant::now() });
                return Some(job);
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle.push((thread, Arc::clone(wake)));
            if state.threads <= KEPT_THREADS {
                state = wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle.retain(|&(other, _)| other != thread);
                continue;
            }
            let (guard, wait) = wake.wait_timeout(state, IDLE_TIME).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle.retain(|&(other, _)| other != thread);
            if wait.timed_out() && state.queue.is_empty() && state.threads > KEPT_THREADS {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn run(&self, job: &Job) {
        if !job.is_open() {
            return;
        }
        let outcome = guarded(&self.stats, || (self.handler)(&job.request));
        let is_mine = job.claim();
        match outcome {
            Ok(Ok(reply)) if is_mine => self.outbox.send_reply(job.id, &job.request, reply),
            Ok(Ok(reply)) => {
                // The watch has sent an error, so the agent has not received this reply.
                if guarded(&self.stats, || reply.settle(Delivery::Lost)).is_err() {
                    log::error!("a delivery callback of {} panicked", job.request.key());
                }
            }
            Ok(Err(error)) if is_mine => self.outbox.send_error(job.id, &error.to_string()),
            Err(panic) if is_mine => {
                self.outbox
                    .send_error(job.id, &format!("internal error, the item's handler panicked: {panic}"));
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Sends errors for late handlers and adds threads while polls wait.
    fn keep_watch(self: &Arc<Self>) {
        let mut state = self.lock();
        while !state.is_closed {
            let now = Instant::now();
            self.answer_late(&mut state, now);
            self.relieve(&mut state, now);
            state.next_check = state.next_check(now);
            state = match state.next_check {
                Some(time) => {
                    let pause = time.saturating_duration_since(now);
                    self.watch.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.watch.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn answer_late(self: &Arc<Self>, state: &mut State, now: Instant) {
        state.queue.retain(|job| {
            let is_late = job.request.deadline() <= now;
            if is_late && job.claim() {
                self.stats.count_timeout();
                self.outbox
                    .send_error(job.id, "the plugin is overloaded: no thread was free before the deadline");
            }
            !is_late
        });
        let late = |(&thread, running): (&u64, &Running)| {
            let job = &running.job;
            (job.request.deadline() <= now && job.claim()).then(|| (thread, Arc::clone(job)))
        };
        let late: Vec<_> = state.running.iter().filter_map(late).collect();
        for (thread, job) in late {
            self.give_up(state, thread, &job, now);
        }
    }

    fn give_up(self: &Arc<Self>, state: &mut State, thread: u64, job: &Job, now: Instant) {
        state.running.remove(&thread);
        state.hanging.insert(thread, (job.item(), job.queued_at));
        state.threads -= 1;
        let hanging = state.hanging.len();
        // Counted first, so that a poll after the reply sees the new count.
        self.stats.count_timeout();
        self.stats.set_hanging(hanging);
        let waited = now.duration_since(job.queued_at).as_secs_f64();
        self.outbox.send_error(job.id, &format!("the item's handler was not ready after {waited:.1} s"));
        log::warn!("the handler of {} is late and cannot be stopped; {hanging} hang now", job.request.key());
    }

    /// Starts one more thread if a poll has waited too long and the limits permit it.
    fn relieve(self: &Arc<Self>, state: &mut State, now: Instant) {
        let is_waiting = state.queue.front().is_some_and(|job| job.queued_at + PATIENCE <= now);
        if is_waiting && state.may_grow(&self.limits, now) {
            self.grow(state);
        }
    }
}

impl State {
    /// Returns the number of threads that are idle or run a handler that has not run long.
    fn short_runs(&self, now: Instant) -> usize {
        let long = self.running.values().filter(|running| running.started_at + LONG_RUN <= now).count();
        self.threads.saturating_sub(long)
    }

    fn may_grow(&self, limits: &Limits, now: Instant) -> bool {
        self.short_runs(now) < limits.threads
            && self.threads < limits.all_threads
            && self.hanging.len() < limits.hanging
    }

    fn hanging_since(&self, request: &Request) -> Option<Instant> {
        let is_same =
            |(key, parameters): &Item| key == request.key() && parameters.as_slice() == request.parameters();
        self.hanging.values().find(|(item, _)| is_same(item)).map(|&(_, since)| since)
    }

    fn next_check(&self, now: Instant) -> Option<Instant> {
        let running = self.running.values().map(|running| &running.job);
        let jobs = self.queue.iter().chain(running).filter(|job| job.is_open());
        let deadline = jobs.map(|job| job.request.deadline()).min();
        let relief = (!self.queue.is_empty()).then_some(now + PATIENCE);
        deadline.into_iter().chain(relief).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::frame;
    use crate::outbox::Peer;

    /// Threads whose results are read from the outbox as (id, value or error).
    struct Bench {
        threads: HandlerThreads,
        answers: mpsc::Receiver<(u64, Result<String, String>)>,
        stats: Arc<Stats>,
    }

    struct Answers {
        pending: Vec<u8>,
        sender: mpsc::Sender<(u64, Result<String, String>)>,
    }

    impl std::io::Write for Answers {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.pending.extend_from_slice(bytes);
            let mut stream = self.pending.as_slice();
            let accepted = frame::Accepted::messages(u32::MAX);
            while let frame::Frame::Whole { body, .. } = frame::read(&mut stream, accepted)? {
                let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let text = |field: &str| message[field].as_str().map(str::to_owned);
                let answer = text("error").map_or_else(|| Ok(text("value").unwrap_or_default()), Err);
                if message["type"] == 7 {
                    let _ = self.sender.send((message["id"].as_u64().unwrap(), answer));
                }
            }
            self.pending = stream.to_vec();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn bench(
        limits: Limits,
        handler: impl Fn(&Request) -> Result<Reply, ItemError> + Send + Sync + 'static,
    ) -> Bench {
        let stats = Arc::new(Stats::default());
        let outbox = Arc::new(Outbox::new(Peer::Agent, 1 << 20, Arc::clone(&stats)));
        let (sender, answers) = mpsc::channel();
        let writer = Arc::clone(&outbox);
        thread::spawn(move || writer.write_to(&mut Answers { pending: Vec::new(), sender }));
        Bench {
            threads: HandlerThreads::start(limits, Box::new(handler), outbox, Arc::clone(&stats)),
            answers,
            stats,
        }
    }

    impl Bench {
        fn poll(&self, id: u32, key: &str, timeout: Duration) {
            self.threads.submit(id, Request::new(key, &[], timeout));
        }

        fn answer(&self) -> (u64, Result<String, String>) {
            self.answers.recv_timeout(Duration::from_secs(20)).expect("every poll is answered")
        }
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(100);

    /// Handlers of "hang" wait for the sender; others return their key.
    fn hang_on(release: mpsc::Receiver<()>) -> impl Fn(&Request) -> Result<Reply, ItemError> {
        let release = Mutex::new(release);
        move |request| {
            if request.key().starts_with("hang") {
                let _ = release.lock().unwrap().recv();
            }
            Ok(Reply::value(request.key()))
        }
    }

    #[test]
    fn hanging_handler_gets_an_error_and_others_are_served() {
        let (release, gate) = mpsc::channel();
        let bench = bench(Limits::default(), hang_on(gate));
        bench.poll(1, "hang", SHORT);
        bench.poll(2, "quick", LONG);
        assert_eq!(bench.answer(), (2, Ok("quick".into())));
        let (id, answer) = bench.answer();
        assert_eq!(id, 1);
        assert!(answer.unwrap_err().starts_with("the item's handler was not ready after 0."));
        assert_eq!((bench.stats.timeouts(), bench.stats.hanging()), (1, 1));

        bench.poll(3, "hang", LONG);
        let (id, answer) = bench.answer();
        assert_eq!(id, 3);
        assert!(answer.unwrap_err().starts_with("an earlier poll of this item has not returned for"));

        drop(release);
        while bench.stats.hanging() > 0 {
            thread::yield_now();
        }
        bench.poll(4, "hang", LONG);
        assert_eq!(bench.answer(), (4, Ok("hang".into())));
    }

    #[test]
    fn more_hanging_handlers_than_threads_do_not_block_others() {
        let limits = Limits { threads: 3, all_threads: 3, hanging: 50, queued: 100 };
        let (_release, gate) = mpsc::channel();
        let bench = bench(limits, hang_on(gate));
        for id in 0..20 {
            bench.poll(id, &format!("hang{id}"), SHORT);
        }
        bench.poll(100, "quick", LONG);
        let mut served = false;
        for _ in 0..21 {
            let (id, answer) = bench.answer();
            served |= id == 100 && answer == Ok("quick".into());
            assert!(id == 100 || answer.is_err(), "poll {id}: {answer:?}");
        }
        assert!(served);
    }

    /// Handlers that run long are served by further threads, which end when they return.
    #[test]
    fn threads_beyond_the_limit_end_when_handlers_are_short_again() {
        let limits = Limits { threads: 2, ..Limits::default() };
        let (release, gate) = mpsc::channel();
        let bench = bench(limits, hang_on(gate));
        for id in 0..6 {
            bench.poll(id, &format!("hang{id}"), LONG);
        }
        bench.poll(100, "quick", LONG);
        assert_eq!(bench.answer(), (100, Ok("quick".into())));
        let threads = || bench.threads.pool.lock().threads;
        assert!(threads() > 6, "{}", threads());
        drop(release);
        for _ in 0..6 {
            bench.answer().1.unwrap();
        }
        let give_up = Instant::now() + LONG;
        while threads() > 2 {
            assert!(Instant::now() < give_up, "{} threads", threads());
            thread::yield_now();
        }
    }

    #[test]
    fn late_reply_is_reported_as_lost() {
        let (sender, receiver) = mpsc::channel();
        let bench = bench(Limits::default(), move |request| {
            let sender = sender.clone();
            while request.time_left() > Duration::ZERO {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(50));
            Ok(Reply::value("late").on_delivery(move |delivery| sender.send(delivery).unwrap()))
        });
        bench.poll(1, "late", SHORT);
        assert!(bench.answer().1.is_err());
        assert_eq!(receiver.recv_timeout(LONG), Ok(Delivery::Lost));
    }

    #[test]
    fn panic_becomes_an_error_and_the_thread_continues() {
        let bench =
            bench(Limits { threads: 1, all_threads: 1, ..Limits::default() }, |request| {
                match request.key() {
                    "panic" => panic!("on purpose"),
                    key => Ok(Reply::value(key)),
                }
            });
        for id in 0..10 {
            bench.poll(id, "panic", LONG);
            let error = bench.answer().1.unwrap_err();
            assert!(error.contains("on purpose"), "{error}");
        }
        bench.poll(10, "quick", LONG);
        assert_eq!(bench.answer(), (10, Ok("quick".into())));
        assert_eq!(bench.stats.panics(), 10);
    }

    #[test]
    fn each_of_a_thousand_polls_gets_one_reply() {
        let bench = bench(Limits::default(), |request| Ok(Reply::value(request.key())));
        for id in 0..1000 {
            bench.poll(id, &id.to_string(), LONG);
        }
        let mut ids: Vec<_> = (0..1000)
            .map(|_| {
                let (id, answer) = bench.answer();
                assert_eq!(answer, Ok(id.to_string()));
                id
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..1000).collect::<Vec<_>>());
        assert!(bench.answers.try_recv().is_err());
    }

    #[test]
    fn poll_beyond_the_queue_limit_is_rejected() {
        let (_release, gate) = mpsc::channel();
        let bench = bench(Limits { threads: 1, all_threads: 1, hanging: 1, queued: 1 }, hang_on(gate));
        for id in 0..6 {
            bench.poll(id, "hang", LONG);
        }
        let (_, answer) = bench.answer();
        assert_eq!(answer, Err("1 polls are waiting already".into()));
    }
}
