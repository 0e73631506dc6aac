//! `sandkeep sandbox shell`: this terminal becomes one of the sandbox.

use std::io::{IsTerminal, Read, Stdin, Write, stdin, stdout};
use std::process::ExitCode;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sandkeep_api::TerminalNotice;
use sandkeep_api::client::{TerminalConnection, TerminalFrame};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::super::{Result, service};
use crate::arguments::ShellArguments;
use crate::error::{Error, while_doing};

/// Ctrl-], as telnet has it: no shell or editor needs it.
const DETACH: u8 = 0x1d;

/// Of one key or pasted text.
const CHUNK: usize = 4096;

/// Chunks that wait for the connection.
const KEYS: usize = 16;

pub(super) async fn run(arguments: ShellArguments) -> Result<ExitCode> {
    let input = stdin();
    if !input.is_terminal() || !stdout().is_terminal() {
        let hint = "without a terminal, `sandkeep sandbox exec` runs programs and lines";
        return Err(Error::new("this is not a terminal").hint(hint));
    }
    let client = service::client(&arguments.service)?;
    let (session, shell) = (arguments.session.as_deref(), arguments.shell.as_deref());
    let connection = client.terminal(&arguments.id, session, shell, size()?).await?;
    let raw = RawMode::enter(input)?;
    let end = Shell { connection, keys: keys() }.show().await;
    drop(raw);
    match end? {
        End::Exit(code) => Ok(ExitCode::from(code as u8)),
        End::Detached => {
            let mut errors = anstream::stderr();
            let again = format!("sandkeep sandbox shell {}", arguments.id);
            // Nobody is left to tell if it cannot be said.
            let _ = writeln!(errors, "\r\ndetached; the shell goes on, `{again}` shows it again");
            Ok(ExitCode::SUCCESS)
        }
    }
}

enum End {
    Exit(i32),
    Detached,
}

struct Shell {
    connection: TerminalConnection,
    keys: Receiver<Vec<u8>>,
}

impl Shell {
    async fn show(mut self) -> Result<End> {
        let mut resized =
            signal(SignalKind::window_change()).map_err(while_doing("cannot watch the window"))?;
        loop {
            tokio::select! {
                frame = self.connection.next() => match frame.transpose()? {
                    Some(TerminalFrame::Output(bytes)) => write(&bytes)?,
                    Some(TerminalFrame::Notice(TerminalNotice::Ready)) => {}
                    Some(TerminalFrame::Notice(TerminalNotice::Exit { code, .. })) => return Ok(End::Exit(code)),
                    Some(TerminalFrame::Notice(TerminalNotice::Error { message })) => return Err(Error::new(message)),
                    None => return Err(Error::new("the connection broke").hint("the shell goes on: open it again")),
                },
                typed = self.keys.recv() => {
                    let typed = typed.unwrap_or_default();
                    if typed.is_empty() || typed.contains(&DETACH) {
                        return Ok(End::Detached);
                    }
                    self.connection.write(typed.into()).await?;
                }
                _ = resized.recv() => {
                    let (columns, rows) = size()?;
                    self.connection.resize(columns, rows).await?;
                }
            }
        }
    }
}

/// What is typed. A thread reads it, since a terminal cannot be read without blocking while others use it, too; the
/// thread ends with the process.
fn keys() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel(KEYS);
    std::thread::spawn(move || {
        let mut buffer = [0; CHUNK];
        while let Ok(length) = stdin().lock().read(&mut buffer) {
            let is_end = length == 0;
            if sender.blocking_send(buffer[..length].to_vec()).is_err() || is_end {
                return;
            }
        }
    });
    receiver
}

fn write(bytes: &[u8]) -> Result<()> {
    let mut output = stdout();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(while_doing("cannot write to the terminal"))
}

/// Columns and rows of this terminal; one that does not know is as terminals used to be.
fn size() -> Result<(u16, u16)> {
    let size = tcgetwinsize(stdout()).map_err(std::io::Error::from);
    let size = size.map_err(while_doing("cannot ask the terminal for its size"))?;
    Ok(if size.ws_col == 0 || size.ws_row == 0 { (80, 24) } else { (size.ws_col, size.ws_row) })
}

/// Every key goes to the sandbox. Dropping it gives the terminal back as it was.
struct RawMode {
    input: Stdin,
    before: Termios,
}

impl RawMode {
    fn enter(input: Stdin) -> Result<Self> {
        let unusable = while_doing("cannot use the terminal");
        let before = tcgetattr(&input).map_err(std::io::Error::from).map_err(unusable)?;
        let mut raw = before.clone();
        raw.make_raw();
        let changed = tcsetattr(&input, OptionalActions::Now, &raw).map_err(std::io::Error::from);
        changed.map_err(while_doing("cannot use the terminal"))?;
        Ok(Self { input, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // What we cannot give back, `reset` can.
        let _ = tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}
