//! `sandkeep serve`: the service.

use sandkeep_daemon::{PartialSettings, Settings, Started, Surroundings};
use serde_json::json;

use super::Result;
use crate::arguments::ServeArguments;
use crate::error::while_doing;
use crate::output::Output;

pub(crate) async fn run(arguments: ServeArguments, output: Output) -> Result<()> {
    let ServeArguments { listen, s3_listen, data, run, config, env } = arguments;
    let flags = PartialSettings { listen, s3_listen, data, run, config, env, ..PartialSettings::default() };
    let settled = Surroundings::of_this_process().and_then(|around| Settings::resolve(flags, &around));
    let settings = settled.map_err(while_doing("the settings cannot be used"))?;
    let failed = || while_doing("the service cannot run");
    let shutdown = sandkeep_daemon::termination().map_err(failed())?;
    sandkeep_daemon::run(settings, |started| report(started, output), shutdown).await.map_err(failed())
}

fn report(started: &Started, output: Output) {
    let Started { address, s3_address } = started;
    let value = json!({ "url": format!("http://{address}"), "s3Endpoint": format!("http://{s3_address}") });
    output.result(&value, || format!("API on http://{address}, S3 on http://{s3_address}"));
}
