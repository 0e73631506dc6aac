//! Running a call: once in the reading thread, then on the runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sandkeep_fuse::Reply;
use tokio_util::sync::CancellationToken;

use super::Call;
use super::answer::Answer;
use crate::{Caller, Errno, FileSystem, Inode};

pub(super) type Outcome = Result<Answer, Errno>;

/// Who asks about what; what a call's future keeps besides its arguments.
pub(super) struct Subject {
    pub(super) filesystem: Arc<dyn FileSystem>,
    pub(super) caller: Caller,
    pub(super) inode: Inode,
}

impl Call {
    /// Runs an operation that changes nothing: an interrupt drops it and answers EINTR.
    pub(super) fn reading<F>(self, operation: impl FnOnce(Subject) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.run(operation, |reply, future, runtime| {
            runtime.spawn(interruptible(reply, future));
        });
    }

    /// Runs an operation to its end, whoever is interrupted.
    pub(super) fn changing<F>(self, operation: impl FnOnce(Subject) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.run(operation, |reply, future, runtime| {
            runtime.spawn(async move { respond(reply, future.await) });
        });
    }

    fn run<F>(
        self,
        operation: impl FnOnce(Subject) -> F,
        later: impl FnOnce(Reply, Pin<Box<F>>, &tokio::runtime::Handle),
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let Self { filesystem, runtime, caller, inode, reply, .. } = self;
        let _entered = runtime.enter();
        let mut future = Box::pin(operation(Subject { filesystem, caller, inode }));
        // Nobody is woken by this poll: a spawned future is polled again at once, with the waker of its task.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => respond(reply, outcome),
            Poll::Pending => later(reply, future, &runtime),
        }
    }
}

async fn interruptible<F: Future<Output = Outcome>>(mut reply: Reply, future: Pin<Box<F>>) {
    let interrupted = CancellationToken::new();
    let token = interrupted.clone();
    reply.on_interrupt(move || token.cancel());
    let outcome = tokio::select! {
        biased;
        outcome = future => outcome,
        () = interrupted.cancelled() => Err(Errno::EINTR),
    };
    respond(reply, outcome);
}

fn respond(reply: Reply, outcome: Outcome) {
    match outcome {
        Ok(answer) => answer.send(reply),
        Err(errno) => reply.error(errno.0),
    }
}
