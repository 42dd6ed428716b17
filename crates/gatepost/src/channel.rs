//! The private socket pair between master and worker: messages with descriptors.
//!
//! A frame is the length of the message and the number of its descriptors, four bytes each, little-endian; then the
//! message. Descriptors ride on the frame's first byte, as many as the system takes; each further lot of them rides
//! on a byte of its own behind the message. A process that has no room for them gets the message without.

use std::cmp::Ordering;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// Most descriptors in one message of the system; its own limit is 253.
const LOT: usize = 200;

/// Most descriptors in one frame.
pub(crate) const MOST_DESCRIPTORS: usize = 64 * 1024;

/// Bytes in front of each message.
const HEAD: usize = 8;

/// What went wrong between master and worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The socket failed.
    #[error("the channel between master and worker failed: {0}")]
    Io(#[from] io::Error),
    /// The other process sent something that is not what was agreed.
    #[error("a broken message between master and worker: {0}")]
    Broken(#[from] postcard::Error),
    /// A message is longer than the other process may send, or has too many descriptors.
    #[error("a message between master and worker that is too large")]
    TooLarge,
}

/// Both ends of a new channel.
pub(crate) fn pair() -> io::Result<(StdUnixStream, StdUnixStream)> {
    StdUnixStream::pair()
}

/// The two directions of one end; to be called on the runtime that uses them. Messages received are at most `limit`
/// bytes long, and come with at most so many descriptors.
pub(crate) fn split(end: StdUnixStream, limit: usize, most: usize) -> io::Result<(Sender, Receiver)> {
    end.set_nonblocking(true)?;
    let stream = Arc::new(UnixStream::from_std(end)?);
    let receiver = Receiver { stream: Arc::clone(&stream), limit, most, descriptors: Vec::new() };
    Ok((Sender { stream }, receiver))
}

/// The direction to the other process.
#[derive(Debug)]
pub(crate) struct Sender {
    stream: Arc<UnixStream>,
}

/// The direction from the other process.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: Arc<UnixStream>,
    limit: usize,
    most: usize,
    /// Those that have come with bytes of a frame that is not yet complete.
    descriptors: Vec<OwnedFd>,
}

impl Sender {
    /// Sends `message` with `descriptors`, of which the other process gets copies.
    pub(crate) async fn send(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let frame = frame(message, descriptors.len())?;
        let (first, rest) = descriptors.split_at(descriptors.len().min(LOT));
        self.send_lot(&frame, first).await?;
        for lot in rest.chunks(LOT) {
            self.send_lot(&[0], lot).await?;
        }
        Ok(())
    }

    /// Sends all of `bytes`; `descriptors` go with the first of them.
    async fn send_lot(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut sent = self.send_some(bytes, descriptors).await?;
        while sent < bytes.len() {
            sent += self.send_some(&bytes[sent..], &[]).await?;
        }
        Ok(())
    }

    async fn send_some(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LOT))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(sendmsg(&self.stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
        };
        self.stream.async_io(Interest::WRITABLE, send).await
    }
}

/// A frame without its descriptors. It may hold secrets: made in one piece, and wiped.
fn frame(message: &impl Serialize, descriptors: usize) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
    let length = postcard::experimental::serialized_size(message)?;
    if descriptors > MOST_DESCRIPTORS {
        return Err(ChannelError::TooLarge);
    }
    let word = |number: usize| u32::try_from(number).map_err(|_| ChannelError::TooLarge);
    let mut frame = Zeroizing::new(vec![0; HEAD + length]);
    frame[..4].copy_from_slice(&word(length)?.to_le_bytes());
    frame[4..HEAD].copy_from_slice(&word(descriptors)?.to_le_bytes());
    postcard::to_slice(message, &mut frame[HEAD..])?;
    Ok(frame)
}

impl Receiver {
    /// The next message with its descriptors; `None` when the other process is gone.
    ///
    /// All of its descriptors are there or, if this process may not have that many, none.
    pub(crate) async fn receive<M: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<(M, Vec<OwnedFd>)>, ChannelError> {
        let mut head = [0; HEAD];
        if !self.fill(&mut head).await? {
            return Ok(None);
        }
        let [length, descriptors] = [&head[..4], &head[4..]].map(|word| {
            let word = word.try_into().expect("four bytes");
            usize::try_from(u32::from_le_bytes(word)).unwrap_or(usize::MAX)
        });
        if length > self.limit || descriptors > self.most {
            return Err(ChannelError::TooLarge);
        }
        let mut message = Zeroizing::new(vec![0; length]);
        self.whole(&mut message).await?;
        for _ in 1..descriptors.div_ceil(LOT) {
            self.whole(&mut [0]).await?;
        }
        let mut received = std::mem::take(&mut self.descriptors);
        match received.len().cmp(&descriptors) {
            Ordering::Less => received.clear(),
            Ordering::Equal => {}
            Ordering::Greater => return Err(ChannelError::TooLarge),
        }
        Ok(Some((postcard::from_bytes(&message)?, received)))
    }

    async fn whole(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if buffer.is_empty() || self.fill(buffer).await? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Fills `buffer`; `false` if the other process is gone and not a byte came.
    async fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.receive_some(&mut buffer[filled..]).await? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        Ok(true)
    }

    async fn receive_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (descriptors, most) = (&mut self.descriptors, self.most);
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LOT))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(
                self.stream.as_fd(),
                &mut [IoSliceMut::new(buffer)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            // Whoever sends more than it may could use up all that this process may have.
            if descriptors.len() > most {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(got.bytes)
        };
        match self.stream.async_io(Interest::READABLE, receive).await {
            // A process that was killed with messages unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    fn channel(limit: usize) -> (Sender, Receiver) {
        let (one, other) = pair().unwrap();
        let (sender, _) = split(one, limit, MOST_DESCRIPTORS).unwrap();
        let (_, receiver) = split(other, limit, MOST_DESCRIPTORS).unwrap();
        (sender, receiver)
    }

    #[tokio::test]
    async fn messages_arrive_in_order_with_their_descriptors() {
        let (mut sender, mut receiver) = channel(1 << 24);
        let long = "x".repeat(3_000_000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"in the file").unwrap();
        let sending = async {
            sender.send(&"first", &[]).await.unwrap();
            sender.send(&long, &[file.as_fd()]).await.unwrap();
            sender.send(&"last", &vec![file.as_fd(); 450]).await.unwrap();
            drop(sender);
        };
        let receiving = async {
            let (first, none) = receiver.receive::<String>().await.unwrap().unwrap();
            assert_eq!((first.as_str(), none.len()), ("first", 0));
            let (second, one) = receiver.receive::<String>().await.unwrap().unwrap();
            assert!(second == long && one.len() == 1);
            let mut copy = File::from(one.into_iter().next().unwrap());
            copy.rewind().unwrap();
            let mut text = String::new();
            copy.read_to_string(&mut text).unwrap();
            assert_eq!(text, "in the file");
            let (last, many) = receiver.receive::<String>().await.unwrap().unwrap();
            assert_eq!((last.as_str(), many.len()), ("last", 450));
            assert!(receiver.receive::<String>().await.unwrap().is_none());
        };
        tokio::join!(sending, receiving);
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_read() {
        let (mut sender, mut receiver) = channel(10);
        sender.send(&"x".repeat(100), &[]).await.unwrap();
        assert!(matches!(receiver.receive::<String>().await, Err(ChannelError::TooLarge)));
    }

    #[tokio::test]
    async fn what_is_not_a_message_is_an_error() {
        let (mut sender, mut receiver) = channel(100);
        sender.send(&[200_u8, 1, 2], &[]).await.unwrap();
        assert!(matches!(receiver.receive::<String>().await, Err(ChannelError::Broken(_))));
    }

    #[tokio::test]
    async fn a_process_that_dies_in_the_middle_of_a_message_is_an_error() {
        let (one, other) = pair().unwrap();
        let (_, mut receiver) = split(other, 100, 0).unwrap();
        (&one).write_all(&[50, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        drop(one);
        assert!(matches!(receiver.receive::<String>().await, Err(ChannelError::Io(_))));
    }

    #[tokio::test]
    async fn descriptors_that_nobody_wants_are_not_kept() {
        let file = tempfile::tempfile().unwrap();
        let kept = |receiver: &Receiver| receiver.descriptors.len();
        // As announced, and without a word of them.
        for announced in [1, 0] {
            let (one, other) = pair().unwrap();
            let (sender, _) = split(one, 100, 0).unwrap();
            let (_, mut receiver) = split(other, 100, 0).unwrap();
            let frame = frame(&"x", announced).unwrap();
            sender.send_lot(&frame, &[file.as_fd()]).await.unwrap();
            assert!(receiver.receive::<String>().await.is_err() && kept(&receiver) <= 1, "{announced}");
        }
        let (mut sender, mut receiver) = channel(100);
        let silent = frame(&"x", 0).unwrap();
        sender.send_lot(&silent, &[file.as_fd()]).await.unwrap();
        sender.send(&"y", &[]).await.unwrap();
        assert!(matches!(receiver.receive::<String>().await, Err(ChannelError::TooLarge)));
        assert_eq!(kept(&receiver), 0);
    }
}
