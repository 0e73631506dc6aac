//! `sandkeep serve`: the service.

use sandkeep_daemon::{PartialSettings, Settings, Started, Surroundings};
use serde_json::json;

use super::Result;
use crate::arguments::ServeArguments;
use crate::error::while_doing;
use crate::output::Output;

pub(crate) async fn run(arguments: ServeArguments, output: Output) -> Result<()> {
    let ServeArguments { listen, s3_listen, s3_tls_certificate, s3_tls_key, data, run, config, env } =
        arguments;
    let flags = PartialSettings {
        listen,
        s3_listen,
        s3_tls_certificate,
        s3_tls_key,
        data,
        run,
        config,
        env,
        ..PartialSettings::default()
    };
    let settled = Surroundings::of_this_process().and_then(|around| Settings::resolve(flags, &around));
    let settings = settled.map_err(while_doing("the settings cannot be used"))?;
    let failed = || while_doing("the service cannot run");
    let shutdown = sandkeep_daemon::termination().map_err(failed())?;
    sandkeep_daemon::run(settings, |started| report(started, output), shutdown).await.map_err(failed())
}

fn report(started: &Started, output: Output) {
    let Started { address, s3_address, s3_tls } = started;
    let s3 = format!("{}://{s3_address}", if *s3_tls { "https" } else { "http" });
    let value = json!({ "url": format!("http://{address}"), "s3Endpoint": s3 });
    output.result(&value, || format!("API on http://{address}, S3 on {s3}"));
}
