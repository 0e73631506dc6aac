//! Archives as files: out of the service, and into a bucket.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use futures::StreamExt;
use sandkeep_daemon::standalone::{self, ImportOptions};
use serde_json::json;

use super::{DEFAULT_TTL, Result, locate, service};
use crate::arguments::{BackupExportArguments, BackupImportArguments, ExportFormat};
use crate::error::{Error, while_doing};
use crate::output::Output;

pub(super) async fn export(arguments: BackupExportArguments, output: Output) -> Result<()> {
    let BackupExportArguments { id, file, format, service: from } = arguments;
    let by_name =
        if file.extension().is_some_and(|end| end == "tar") { ExportFormat::Tar } else { ExportFormat::Sqsh };
    let format = match format.unwrap_or(by_name) {
        ExportFormat::Sqsh => "sqsh",
        ExportFormat::Tar => "tar",
    };
    let mut stream = service::client(&from)?.export_backup(&id, format).await?;
    if file == Path::new("-") {
        let mut out = std::io::stdout().lock();
        while let Some(piece) = stream.next().await {
            out.write_all(&piece?).map_err(while_doing("cannot write to standard output"))?;
        }
        return Ok(());
    }
    let failed = format!("cannot write {}", file.display());
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Half an archive must not look like one.
    let mut part = tempfile::NamedTempFile::new_in(directory).map_err(while_doing(&failed))?;
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        part.write_all(&piece).map_err(while_doing(&failed))?;
    }
    part.persist(&file).map_err(|error| while_doing(&failed)(error.error))?;
    output.result(&json!({ "id": id, "file": file, "format": format, "bytes": bytes }), || {
        format!("wrote {bytes} bytes to {}", file.display())
    });
    Ok(())
}

pub(super) async fn import(arguments: BackupImportArguments, output: Output) -> Result<()> {
    let place = locate(&arguments.to, &arguments.store)?;
    let file = File::open(&arguments.file)
        .map_err(while_doing(&format!("cannot read {}", arguments.file.display())))?;
    let ttl = arguments.ttl.unwrap_or(DEFAULT_TTL);
    if ttl <= 0.0 || !ttl.is_finite() {
        return Err(Error::new("--ttl must be a positive number of seconds"));
    }
    let options = ImportOptions {
        id: standalone::new_backup_id(),
        now: SystemTime::now(),
        key_prefix: String::new(),
        dir: arguments.dir,
        name: arguments.name,
        ttl,
    };
    let manifest = standalone::import_backup(place, file, options).await?;
    output.result(&manifest, || manifest.id.to_string());
    Ok(())
}
