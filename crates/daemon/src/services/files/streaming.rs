//! Files of any size, piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use sandkeep_api::SandboxId;

use super::media::{Media, SNIFFED_BYTES};
use super::{blocking, failed};
use crate::error::ServiceError;
use crate::services::{Live, Services};

/// Most bytes of one piece, as the contract has it; a multiple of 3, so that base64 of the pieces can be joined.
const PIECE: usize = 65_535;

/// A file being read.
#[derive(Debug)]
pub(crate) struct FileReader {
    live: Arc<Live>,
    path: String,
    file: Option<File>,
    /// Bytes, as the file was when it was opened.
    pub(crate) size: u64,
    /// What it is.
    pub(crate) media: Media,
}

impl Services {
    /// Opens a file to read it piece by piece.
    pub(crate) async fn open_file(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
    ) -> Result<FileReader, ServiceError> {
        let live = self.live(id).await?;
        let opened = async { live.sandbox.open_file(path).await.map_err(|error| failed(path, error)) };
        let (file, info) = live.during(opened).await?;
        let sniffed = blocking(path.to_owned(), move || {
            let mut start = Vec::new();
            (&file).take(SNIFFED_BYTES as u64).read_to_end(&mut start)?;
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
            Ok((file, start))
        });
        let (file, start) = live.during(sniffed).await?;
        let media = Media::of(path, &start, start.len() < SNIFFED_BYTES);
        Ok(FileReader { live, path: path.to_owned(), file: Some(file), size: info.size, media })
    }
}

impl FileReader {
    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(file) = self.file.take() else { return Ok(None) };
        let read = blocking(self.path.clone(), move || {
            let piece = read_piece(&file)?;
            Ok((file, piece))
        });
        let (file, piece) = self.live.during(read).await?;
        if piece.is_empty() {
            return Ok(None);
        }
        self.file = Some(file);
        Ok(Some(piece))
    }
}

fn read_piece(file: &File) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    file.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}
