//! `sandkeep sandbox`.

mod copy;
mod exec;
mod grant;
mod mount;
mod shell;

use std::process::ExitCode;

use sandkeep_api::{SandboxInfo, SandboxOptions};
use serde_json::json;

use super::{Result, service};
use crate::arguments::{SandboxCommand, ServiceArguments};
use crate::output::Output;

pub(crate) async fn run(command: SandboxCommand, output: Output) -> Result<ExitCode> {
    match command {
        SandboxCommand::Exec(arguments) => return exec::run(arguments, output).await,
        SandboxCommand::Shell(arguments) => return shell::run(arguments).await,
        SandboxCommand::Create { id, service } => create(id, &service, output).await?,
        SandboxCommand::Ls { service } => list(&service, output).await?,
        SandboxCommand::Rm { ids, service } => remove(&ids, &service, output).await?,
        SandboxCommand::Mount(arguments) => mount::mount(arguments, output).await?,
        SandboxCommand::Unmount { id, path, service } => mount::unmount(&id, &path, &service, output).await?,
        SandboxCommand::Grant(arguments) => grant::grant(arguments, output).await?,
        SandboxCommand::Grants { id, service } => grant::list(&id, &service, output).await?,
        SandboxCommand::Revoke { id, grant, service } => {
            grant::revoke(&id, &grant, &service, output).await?;
        }
        SandboxCommand::Cp { from, to, service } => copy::run(&from, &to, &service, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(id: Option<String>, arguments: &ServiceArguments, output: Output) -> Result<()> {
    let client = service::client(arguments)?;
    let options = SandboxOptions::default();
    let sandbox = match id {
        Some(id) => client.put_sandbox(&id, &options).await?,
        None => client.create_sandbox(&options).await?,
    };
    output.result(&sandbox, || sandbox.id.clone());
    Ok(())
}

async fn list(arguments: &ServiceArguments, output: Output) -> Result<()> {
    let list = service::client(arguments)?.sandboxes().await?;
    output.list(&list.sandboxes, &["id", "created", "mounts", "restores"], row);
    Ok(())
}

fn row(sandbox: &SandboxInfo) -> Vec<String> {
    let mounts: Vec<_> = sandbox.mounts.iter().map(|mount| mount.mount_path.clone()).collect();
    let restores: Vec<_> = sandbox.restores.iter().map(|restore| restore.dir.clone()).collect();
    vec![sandbox.id.clone(), sandbox.created_at.to_string(), mounts.join(" "), restores.join(" ")]
}

async fn remove(ids: &[String], arguments: &ServiceArguments, output: Output) -> Result<()> {
    let client = service::client(arguments)?;
    for id in ids {
        client.destroy_sandbox(id).await?;
        output.result(&json!({ "id": id, "destroyed": true }), || format!("destroyed {id}"));
    }
    Ok(())
}
