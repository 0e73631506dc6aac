//! The daemon's side.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use sandkeep_sandboxes::{Sandbox, SandboxName};

use super::GrantsById;
use super::protocol::{Answer, Request};
use crate::services::ServeGrants;
use crate::volumes::channel::{self, AsyncChannel};
use crate::volumes::{VolumeError, chain};

/// Where `s3.internal` listens, so that its URL needs no port.
const PORT: u16 = 80;
/// A gateway that does not answer by then hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The way to the gateway process.
#[derive(Clone, Debug)]
pub(crate) struct SandboxEndpoints {
    /// Where it takes requests.
    pub(crate) socket: PathBuf,
    /// Requests at once, for each sandbox.
    pub(crate) requests: NonZeroUsize,
}

impl SandboxEndpoints {
    async fn ask(
        &self,
        request: &Request,
        listener: Option<&std::net::TcpListener>,
    ) -> Result<Answer, VolumeError> {
        let asked = async {
            let channel = AsyncChannel::new(channel::connect(&self.socket)?)?;
            let descriptors: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
            channel.send(request, &descriptors).await?;
            channel.receive().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        let late = |_| VolumeError::plain("the S3 endpoint does not answer");
        let lost = |error: io::Error| VolumeError::failed("cannot talk to the S3 endpoint", &error);
        match tokio::time::timeout(ANSWER_LIMIT, asked).await.map_err(late)?.map_err(lost)? {
            (Answer::Failed(what), _) => Err(VolumeError::plain(what)),
            (answer, _) => Ok(answer),
        }
    }
}

#[async_trait]
impl ServeGrants for SandboxEndpoints {
    async fn serve(&self, sandbox: &Sandbox, grants: GrantsById) -> Result<(), VolumeError> {
        let (name, requests) = (sandbox.name().as_str().to_owned(), self.requests);
        let request = Request::Serve { sandbox: name, grants, requests };
        if !matches!(self.ask(&request, None).await?, Answer::NeedsListener) {
            return Ok(());
        }
        let refused =
            |error| VolumeError::plain(format!("cannot listen on port {PORT} inside: {}", chain(&error)));
        let listener = sandbox.listen(PORT).await.map_err(refused)?;
        self.ask(&request, Some(&listener)).await.map(drop)
    }

    async fn close(&self, sandbox: &SandboxName) -> Result<(), VolumeError> {
        self.ask(&Request::Close { sandbox: sandbox.as_str().to_owned() }, None).await.map(drop)
    }

    async fn list(&self) -> Result<BTreeMap<String, GrantsById>, VolumeError> {
        match self.ask(&Request::List, None).await? {
            Answer::Served(served) => Ok(served),
            _ => Err(VolumeError::plain("the S3 endpoint gave an answer to another question")),
        }
    }
}
