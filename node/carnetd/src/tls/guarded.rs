//! A connection that is ended from beside it: by what is known of its other end, or for keeping us waiting.
//!
//! Both directions ask the guard, for HTTP/2 reads nothing while its other end does not take what is written. What ends a connection,
//! and who counts that, is the guard's: [`super::accept`] has one, [`super::connect`] the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What ends a connection. Whatever it said last, it says again.
pub trait Guard: Unpin {
    /// Why the connection ends now, if it does; asked before anything is read or written.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error>;

    /// Why it ends after a read, which brought so many bytes or waits for some.
    fn poll_came(&mut self, _cx: &mut Context<'_>, _bytes: Poll<usize>) -> Poll<io::Error> {
        Poll::Pending
    }

    /// Why it ends after a write, which is done or waits for the other end.
    fn poll_written(&mut self, _cx: &mut Context<'_>, _done: Poll<()>) -> Poll<io::Error> {
        Poll::Pending
    }
}

/// A connection and what ends it.
#[derive(Debug)]
pub struct Guarded<S, G> {
    stream: S,
    guard: G,
}

impl<S, G: Guard> Guarded<S, G> {
    pub(super) fn new(stream: S, guard: G) -> Self {
        Self { stream, guard }
    }

    pub(super) fn guard(&self) -> &G {
        &self.guard
    }

    /// Writes, unless the guard ends the connection before or for it.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut S, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(error) = self.guard.poll_over(cx) {
            return Poll::Ready(Err(error));
        }
        let polled = write(&mut self.stream, cx);
        let done = match polled {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        };
        match self.guard.poll_written(cx, done) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => polled,
        }
    }
}

impl<S: AsyncRead + Unpin, G: Guard> AsyncRead for Guarded<S, G> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(error) = this.guard.poll_over(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let bytes = match polled {
            Poll::Ready(_) => Poll::Ready(buf.filled().len() - before),
            Poll::Pending => Poll::Pending,
        };
        match this.guard.poll_came(cx, bytes) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin, G: Guard> AsyncWrite for Guarded<S, G> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.write(cx, |stream, cx| Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.write(cx, |stream, cx| Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.write(cx, |stream, cx| Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.write(cx, |stream, cx| {
            Pin::new(stream).poll_write_vectored(cx, bufs)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
