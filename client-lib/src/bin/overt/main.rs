//! `overt`: the key directory's command for people.

mod alarms;
mod args;
mod batch;
mod credential;
mod evidence;
mod exchange;
mod gossip;
mod keys;
mod labels;
mod monitor;
mod recognise;
mod report;
mod session;
mod status;
mod trust;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, EvidenceCommand, ExchangeCommand, Target, WitnessCommand};
use report::Report;
use session::Session;

fn main() -> ExitCode {
    let args = Args::parse();
    let report = Report::new(args.global.json, args.global.quiet);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&args, &report)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => code,
        Err(error) => report.failure(&error),
    }
}

async fn run(args: &Args, report: &Report) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Exchange {
            command: ExchangeCommand::Verify(verify),
        } => return exchange::verify(verify, report),
        Command::Evidence {
            command: EvidenceCommand::Verify { file },
        } => return evidence::verify(file, report),
        _ => {}
    }
    let session = Session::new(&args.global)?;
    match &args.command {
        Command::Trust { command } => trust::run(command, &session, report).await?,
        Command::Register(target) => return publish(target, &session, report, true).await,
        Command::Update(target) => return publish(target, &session, report, false).await,
        Command::Lookup(lookup) => match &lookup.batch {
            Some(file) => return batch::lookup(file, &session, report).await,
            None => return labels::lookup(lookup, &session, report).await,
        },
        Command::Verify(verify) => return labels::verify(verify, &session, report).await,
        Command::History { label } => labels::history(label, &session, report).await?,
        Command::Status => status::status(&session, report).await?,
        Command::Monitor(monitor) => return monitor::run(monitor, &session, report).await,
        Command::Alarms { command } => alarms::run(command, &session, report).await?,
        Command::Credential { command } => {
            return credential::run(command, &session, report).await;
        }
        Command::Gossip { command } => return gossip::run(command, &session, report).await,
        Command::Witness {
            command: WitnessCommand::List,
        } => return witness::list(&session, report).await,
        Command::Keys { command } => keys::run(command, &session, report).await?,
        Command::Exchange { .. } | Command::Evidence { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn publish(
    target: &Target,
    session: &Session,
    report: &Report,
    register: bool,
) -> anyhow::Result<ExitCode> {
    match &target.batch {
        Some(file) => batch::publish(file, session, report, register).await,
        None => labels::publish(target, session, report, register).await,
    }
}
