//! TLS over a socket, in buffers of our own.
//!
//! The TLS library decrypts in place, in the buffer that it is given; here that buffer is overwritten as soon as what was
//! in it has been handed up, which the library's own buffers are not. Nothing is read before it is asked for, and
//! nothing is taken for sending while more than [`HIGH`] bytes wait, so a slow reader slows the writer.

use super::Refusal;
use crate::server::wiped::Wiped;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use rustls_pki_types::CertificateDer;
use std::future::poll_fn;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most plain bytes of one record.
const RECORD: usize = 16 * 1024;
/// The most bytes that may wait to be understood: a message of the handshake, which may take 64 KiB, and a record.
const INCOMING: usize = 96 * 1024;
/// The least that is read at once, if it is there.
const READ: usize = 4 * 1024;
/// From so many bytes on that wait to be sent, nothing more is taken.
const HIGH: usize = 64 * 1024;
/// What a record, and what the library has to say besides, add to plain bytes. More is made room for when it is needed.
const AROUND: usize = 512;

/// What is wanted besides understanding what came.
enum Wish<'a> {
    Nothing,
    Send(&'a [u8]),
    Close,
}

/// What a step came to.
enum Step {
    /// There may be more to do.
    More,
    /// What was wanted was done, with so many bytes.
    Done(usize),
    /// Nothing more can be done before something comes.
    Blocked,
}

/// One connection with TLS, as a server.
pub struct TlsStream<S> {
    socket: S,
    session: UnbufferedServerConnection,
    /// As it came.
    incoming: Wiped,
    /// Decrypted.
    plain: Wiped,
    /// Encrypted, to be sent.
    outgoing: Wiped,
    /// The other side sends nothing more.
    ended: bool,
    /// This side has said so.
    closed: bool,
    /// TLS has failed: nothing comes and goes any more.
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Shakes hands, with HTTP/2 as the only protocol.
    pub async fn accept(socket: S, config: Arc<ServerConfig>) -> std::result::Result<Self, Refusal> {
        let protocols = !config.alpn_protocols.is_empty();
        let session = UnbufferedServerConnection::new(config).map_err(|error| Refusal::from(&error))?;
        let mut stream = Self {
            socket,
            session,
            incoming: Wiped::new(INCOMING),
            plain: Wiped::new(INCOMING),
            outgoing: Wiped::new(usize::MAX),
            ended: false,
            closed: false,
            broken: false,
        };
        if let Err(refusal) = poll_fn(|cx| stream.poll_shake(cx)).await {
            // The other side is told why.
            drop(poll_fn(|cx| stream.poll_send(cx)).await);
            return Err(refusal);
        }
        // A client that named no protocol is not told apart by the library.
        if protocols && stream.session.alpn_protocol().is_none() {
            drop(poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await);
            return Err(Refusal::Protocol);
        }
        Ok(stream)
    }

    fn poll_shake(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Refusal>> {
        loop {
            match self.step(&Wish::Nothing).map_err(|error| Refusal::from(&error))? {
                Step::More | Step::Done(_) => {}
                Step::Blocked if self.ended => return Poll::Ready(Err(Refusal::Left)),
                Step::Blocked if !self.session.is_handshaking() => {
                    // What is left to be sent goes with what is written next: nobody waits here for who does not read.
                    return Poll::Ready(match self.poll_send(cx) {
                        Poll::Ready(Err(_)) => Err(Refusal::Left),
                        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
                    });
                }
                Step::Blocked => {
                    ready!(self.poll_send(cx)).map_err(|_| Refusal::Left)?;
                    if ready!(self.poll_take_in(cx)).map_err(|_| Refusal::Left)? == 0 {
                        return Poll::Ready(Err(Refusal::Left));
                    }
                }
            }
        }
    }

    /// Sends what waits to be sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, self.outgoing.waiting()))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.outgoing.take(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what has come; how much that was, and nothing at the end.
    fn poll_take_in(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let mut room = ReadBuf::new(self.incoming.room(READ));
        if room.remaining() == 0 {
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        }
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.incoming.put(count);
        Poll::Ready(Ok(count))
    }

    /// Fails for good, and has the other side told why, as far as it listens.
    fn fail(&mut self, cx: &mut Context<'_>) -> std::io::Error {
        drop(self.poll_send(cx));
        ErrorKind::InvalidData.into()
    }
}

impl<S> TlsStream<S> {
    /// The certificate that the client showed.
    pub fn client(&self) -> Option<&CertificateDer<'static>> {
        self.session.peer_certificates().and_then(|chain| chain.first())
    }

    /// One step of the protocol. After an error only what is left to be said is sent.
    fn step(&mut self, wish: &Wish<'_>) -> std::result::Result<Step, rustls::Error> {
        if self.broken {
            return Err(rustls::Error::General("TLS has failed before".to_owned()));
        }
        let step = self.next(wish);
        if step.is_err() {
            // The alert comes out in a step of its own, before anything else.
            drop(self.next(&Wish::Nothing));
            self.broken = true;
        }
        step
    }

    fn next(&mut self, wish: &Wish<'_>) -> std::result::Result<Step, rustls::Error> {
        let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(self.incoming.waiting_mut());
        let (plain, outgoing) = (&mut self.plain, &mut self.outgoing);
        let step = match state {
            Err(error) => Err(error),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    None => break Ok(Step::More),
                    Some(Err(error)) => break Err(error),
                    Some(Ok(record)) => {
                        discard += record.discard;
                        if !put(plain, record.payload) {
                            break Err(rustls::Error::General("more came than was asked for".to_owned()));
                        }
                    }
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => write(outgoing, AROUND, |room| match data.encode(room) {
                Ok(count) => Ok(count),
                Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
                Err(EncodeError::AlreadyEncoded) => Err(None),
            })
            .map(|_| Step::More),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done(); // it waits with all else that is to be sent
                Ok(Step::More)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => match wish {
                Wish::Nothing => Ok(Step::Blocked),
                Wish::Send(bytes) => {
                    let bytes = &bytes[..bytes.len().min(RECORD)];
                    let sent = write(outgoing, bytes.len() + AROUND, |room| encrypted(traffic.encrypt(bytes, room)));
                    sent.map(|()| Step::Done(bytes.len()))
                }
                Wish::Close => {
                    write(outgoing, AROUND, |room| encrypted(traffic.queue_close_notify(room))).map(|()| Step::Done(0))
                }
            },
            Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
            Ok(ConnectionState::PeerClosed) => {
                self.ended = true;
                Ok(Step::More)
            }
            Ok(ConnectionState::Closed) => {
                self.ended = true;
                Ok(Step::Blocked)
            }
            // Early data is never offered, and no other state is known.
            Ok(_) => Err(rustls::Error::General("a state that cannot be".to_owned())),
        };
        self.incoming.take(discard);
        step
    }
}

/// Puts decrypted bytes where they wait, if there is room.
fn put(plain: &mut Wiped, bytes: &[u8]) -> bool {
    match plain.room(bytes.len()).get_mut(..bytes.len()) {
        None => false,
        Some(room) => {
            room.copy_from_slice(bytes);
            plain.put(bytes.len());
            true
        }
    }
}

fn encrypted(
    result: std::result::Result<usize, EncryptError>,
) -> std::result::Result<usize, Option<InsufficientSizeError>> {
    result.map_err(|error| match error {
        EncryptError::InsufficientSize(size) => Some(size),
        EncryptError::EncryptExhausted => None,
    })
}

/// Has something written to what is sent, with more room if it says so.
fn write(
    outgoing: &mut Wiped,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> std::result::Result<usize, Option<InsufficientSizeError>>,
) -> std::result::Result<(), rustls::Error> {
    for _ in 0..2 {
        match write(outgoing.room(room)) {
            Ok(count) => {
                outgoing.put(count);
                return Ok(());
            }
            Err(Some(InsufficientSizeError { required_size })) => room = required_size,
            Err(None) => break,
        }
    }
    Err(rustls::Error::EncryptError)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        loop {
            if !this.plain.is_empty() {
                let waiting = this.plain.waiting();
                let count = waiting.len().min(buffer.remaining());
                buffer.put_slice(&waiting[..count]);
                this.plain.take(count);
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match this.step(&Wish::Nothing) {
                Ok(Step::More | Step::Done(_)) => {}
                Ok(Step::Blocked) if this.ended => {}
                Ok(Step::Blocked) => {
                    // What the protocol has to say by itself does not wait for somebody to write.
                    if let Poll::Ready(Err(error)) = this.poll_send(cx) {
                        return Poll::Ready(Err(error));
                    }
                    if ready!(this.poll_take_in(cx))? == 0 {
                        // Cut off: without a word nobody knows whether that was all.
                        return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
                    }
                }
                Err(_) => return Poll::Ready(Err(this.fail(cx))),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if this.outgoing.waiting().len() >= HIGH {
            ready!(this.poll_send(cx))?;
        }
        loop {
            match this.step(&Wish::Send(bytes)) {
                Ok(Step::Done(count)) => return Poll::Ready(Ok(count)),
                Ok(Step::More) => {}
                Ok(Step::Blocked) => return Poll::Ready(Err(ErrorKind::NotConnected.into())),
                Err(_) => return Poll::Ready(Err(this.fail(cx))),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.closed {
            match self.step(&Wish::Close) {
                Ok(Step::More) => {}
                // After a failure there is nothing to say.
                Ok(Step::Done(_) | Step::Blocked) | Err(_) => self.closed = true,
            }
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
