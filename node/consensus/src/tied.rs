//! A stream that ends when the session that made it does.
//!
//! A request body belongs to its connection once the call was made: hyper keeps sending it after the answer was dropped,
//! for as long as the other side reads. All sessions with a peer draw from one source, so a body that outlives its session
//! takes records out of the next one, and their acknowledgement comes where nobody listens any more: the follower has
//! them, and the leader never learns of it.
//!
//! Seen after the restart of a follower whose new process was still being asked about: it had applied everything, and
//! lacked two thousand records by its leader's word for as long as nobody wrote.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;

type Slot<S> = Arc<Mutex<Inner<S>>>;

struct Inner<S> {
    /// `None` when it has ended, or its session has.
    stream: Option<Pin<Box<S>>>,
    /// Who waits for the next item.
    waiting: Option<Waker>,
}

fn locked<S>(slot: &Slot<S>) -> MutexGuard<'_, Inner<S>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the connection holds.
pub(crate) struct Tied<S>(Slot<S>);

/// What the session holds. Dropped, it drops the stream at once, whether or not anybody asks for the next item, and whoever
/// waits for one learns that there is none.
pub(crate) struct Tie<S>(Slot<S>);

/// Ties a stream to a session.
pub(crate) fn tied<S: Stream>(stream: S) -> (Tied<S>, Tie<S>) {
    let slot = Arc::new(Mutex::new(Inner {
        stream: Some(Box::pin(stream)),
        waiting: None,
    }));
    (Tied(Arc::clone(&slot)), Tie(slot))
}

impl<S: Stream> Stream for Tied<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut inner = locked(&self.0);
        let Some(stream) = &mut inner.stream else {
            return Poll::Ready(None);
        };
        let polled = stream.as_mut().poll_next(context);
        match &polled {
            Poll::Ready(None) => inner.stream = None,
            Poll::Ready(Some(_)) => {}
            Poll::Pending => inner.waiting = Some(context.waker().clone()),
        }
        polled
    }
}

impl<S> Drop for Tie<S> {
    fn drop(&mut self) {
        let mut inner = locked(&self.0);
        let (stream, waiting) = (inner.stream.take(), inner.waiting.take());
        drop(inner);
        drop(stream);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    #[tokio::test]
    async fn it_passes_on_what_comes_and_ends_with_its_source() {
        let (tied, tie) = tied(stream::iter([1, 2, 3]));
        assert_eq!(tied.collect::<Vec<_>>().await, [1, 2, 3]);
        drop(tie);
    }

    #[tokio::test]
    async fn it_ends_with_its_session_and_takes_nothing_more() {
        let (sender, source) = mpsc::channel(8);
        let (mut tied, tie) = tied(ReceiverStream::new(source));
        sender.send(1).await.expect("open");
        assert_eq!(tied.next().await, Some(1));
        assert_eq!(tied.next().now_or_never(), None, "it waits");
        sender.send(2).await.expect("open");
        drop(tie);
        assert!(sender.is_closed(), "dropped, though nobody asked");
        assert_eq!(tied.next().await, None);
    }

    #[tokio::test]
    async fn whoever_waits_learns_that_the_session_ended() {
        let (sender, source) = mpsc::channel::<u8>(8);
        let (mut tied, tie) = tied(ReceiverStream::new(source));
        let waiting = tokio::spawn(async move { tied.next().await });
        tokio::task::yield_now().await;
        drop(tie);
        assert_eq!(waiting.await.expect("no panic"), None);
        drop(sender);
    }
}
