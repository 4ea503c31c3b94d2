//! What is sent to who watches: the newest picture, the same bytes to all.
//!
//! A reader holds a place in a `watch` channel, which keeps one value. So a slow reader misses pictures and never has more than one waiting.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use rivulet_topology::watcher::Plan;
use rivulet_topology::{Now, Topology, Watcher};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::Settings;
use crate::peers::Net;
use crate::threads;

/// Between two pictures, and between two questions to a node.
const PERIOD: Duration = Duration::from_millis(250);
/// The same for each reader when there are many: the machine has other things to do.
const PERIOD_FOR_MANY: Duration = Duration::from_secs(1);
const MANY: usize = 100;
/// Who is not sent anything for so long is sent the same picture again, so that both ends know that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Nodes are asked on for so long after somebody looked.
const WANT_MS: u64 = 1500;

/// The pictures.
pub struct Feed {
    watcher: Watcher,
    /// A node has answered.
    answered: Arc<Notify>,
    /// The first reader has come.
    came: Notify,
    event: watch::Sender<Bytes>,
}

pub fn now() -> Now {
    Now { ms: rivulet_host::time::monotonic_ms(), unix_ms: rivulet_host::time::unix_ms() }
}

impl Feed {
    pub fn new(settings: &Settings) -> Arc<Feed> {
        let answered = Arc::new(Notify::new());
        let told = answered.clone();
        let watcher = Watcher::new(Plan {
            first: settings.own.clone(),
            is_own: true,
            nodes_max: settings.nodes_max,
            connect: Box::new(Net::new(settings)),
            spawn: threads::spawn,
            period: PERIOD,
            now,
            changed: Box::new(move || told.notify_waiters()),
        });
        Arc::new(Feed { watcher, answered, came: Notify::new(), event: watch::Sender::new(Bytes::new()) })
    }

    /// Draws pictures while there are readers.
    pub fn publish_in_background(self: Arc<Self>) {
        tokio::spawn(async move {
            let mut last = (None, now().ms);
            loop {
                let readers = self.event.receiver_count();
                if readers == 0 {
                    last.0 = None;
                    // The next reader is not shown what is old by then.
                    self.event.send_replace(Bytes::new());
                    self.came.notified().await;
                    continue;
                }
                self.watcher.want(WANT_MS);
                let picture = self.watcher.topology();
                let is_due = now().ms.saturating_sub(last.1) >= HEARTBEAT.as_millis() as u64;
                let still = without_ages(&picture);
                if !picture.nodes.is_empty() && (is_due || last.0.as_ref() != Some(&still)) {
                    last = (Some(still), now().ms);
                    self.event.send_replace(event(&picture));
                }
                sleep(if readers > MANY { PERIOD_FOR_MANY } else { PERIOD }).await;
            }
        });
    }

    /// The events from now on.
    pub fn events(self: &Arc<Self>) -> Events {
        let mut receiver = self.event.subscribe();
        // What was drawn last for others is this one's first picture.
        receiver.mark_changed();
        self.came.notify_one();
        Events { next: None, receiver: Some(receiver) }
    }

    /// A picture of which the own node's part, and that of others if they answer within `patience`, is newer than this call.
    pub async fn topology(&self, patience: Duration) -> Topology {
        let asked_ms = now().ms;
        let settled = async {
            loop {
                let answered = self.answered.notified();
                self.watcher.want(WANT_MS);
                if self.watcher.is_settled(asked_ms) {
                    return;
                }
                answered.await;
            }
        };
        // Who does not answer is shown as silent.
        let _ = timeout(patience, settled).await;
        self.watcher.topology()
    }
}

/// A picture without what changes by itself.
fn without_ages(picture: &Topology) -> Topology {
    let mut still = Topology { time_ms: 0, ..picture.clone() };
    for node in &mut still.nodes {
        node.age_ms = None;
        node.load.uptime_seconds = 0;
        // The questions of the page itself are commands, too.
        node.load.commands_per_second /= 20;
    }
    still
}

fn event(picture: &Topology) -> Bytes {
    // The picture has only texts, numbers and lists of those, which JSON has, too.
    let json = serde_json::to_string(picture).unwrap_or_default();
    format!("data: {json}\n\n").into()
}

type Next = Pin<Box<dyn Future<Output = Option<watch::Receiver<Bytes>>> + Send + Sync>>;

/// The body of an answer that goes on.
pub struct Events {
    /// The next change, when it is waited for.
    next: Option<Next>,
    receiver: Option<watch::Receiver<Bytes>>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(mut receiver) = self.receiver.take() {
                self.next = Some(Box::pin(async move { receiver.changed().await.ok().map(|()| receiver) }));
            }
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            let Poll::Ready(changed) = next.as_mut().poll(cx) else { return Poll::Pending };
            self.next = None;
            let Some(mut receiver) = changed else { return Poll::Ready(None) };
            let bytes = receiver.borrow_and_update().clone();
            self.receiver = Some(receiver);
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}
