//! `overt monitor`.

use std::fmt::Write as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use overt_client::SystemClock;
use overt_client::client::Finality;
use overt_client::{Client, Clock, Event, HttpTransport, Monitoring, Pace, State};
use serde_json::{Value, json};

use crate::alarms::{deliver_open, open, state_of};
use crate::args::MonitorArgs;
use crate::labels::name;
use crate::report::{Report, state_code};
use crate::session::Session;

/// The first pause before an alarm is delivered again, and the longest.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

pub(crate) async fn run(
    args: &MonitorArgs,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let mut client = session.client(report).await?;
    if args.check_contacts {
        client = client.with_contacts_checked();
    }
    if !args.watch {
        let mut done = client.monitor().await;
        done.events.extend(client.ask_auditors().await);
        raise(&client, &done)?;
        deliver_open(client.store(), &client.directory().url, args, report).await?;
        let state = tell(&client, &done, report)?;
        return Ok(ExitCode::from(state_code(state)));
    }
    tokio::select! {
        () = stopped() => Ok(ExitCode::SUCCESS),
        error = watch(&client, args, report) => error,
    }
}

/// Goes on until something fails that is not the directory's.
async fn watch(
    client: &Client<HttpTransport>,
    args: &MonitorArgs,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let window = client.directory().config.reasonable_monitoring_window;
    let mut pace = Pace::of_window(Duration::from_millis(window));
    if let Some(every) = args.every {
        pace.every = every;
        pace.retry = pace.retry.min(every);
    }
    let mut passes = pin!(client.watch(pace));
    // Time to the next attempt to deliver what could not be delivered.
    let mut retry: Option<Duration> = None;
    loop {
        let pass = tokio::select! {
            pass = passes.next() => Some(pass.context("the watch has ended")?),
            () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => None,
        };
        if let Some(done) = &pass {
            raise(client, done)?;
        }
        let url = &client.directory().url;
        retry = match deliver_open(client.store(), url, args, report).await? {
            true => None,
            false => Some(retry.map_or(FIRST_RETRY, |retry| (retry * 2).min(LONGEST_RETRY))),
        };
        if let Some(done) = &pass {
            tell(client, done, report)?;
        }
    }
}

/// An interrupt, or the service manager's request to stop.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Raises what is new in a pass.
fn raise(client: &Client<HttpTransport>, done: &Monitoring) -> anyhow::Result<()> {
    let now = SystemClock.now();
    for alarm in done.events.iter().filter_map(|event| event.alarm(now)) {
        client.store().raise(&client.directory().url, &alarm)?;
    }
    Ok(())
}

/// Reports a pass. Returns the gravest state that nobody accepted.
fn tell(
    client: &Client<HttpTransport>,
    done: &Monitoring,
    report: &Report,
) -> anyhow::Result<State> {
    let url = &client.directory().url;
    let alarms = open(client.store(), url)?;
    let worst = alarms
        .iter()
        .map(|stored| state_of(&stored.alarm.code))
        .max();
    let state = done.state().max(worst.unwrap_or(State::Verified));
    let size = done.tree.as_ref().map(|tree| tree.tree_size());
    let events: Vec<Value> = done.events.iter().map(to_json).collect();
    let json = json!({
        "result": state.name(),
        "directory": url,
        "tree_size": size,
        "events": events,
        "open_alarms": alarms.iter().map(|stored| stored.id).collect::<Vec<_>>(),
    });
    let mut text = String::new();
    for event in &done.events {
        let _ = writeln!(text, "{}", describe(event));
    }
    if let Some(size) = size {
        let _ = writeln!(
            text,
            "the log has {size} entries and only grew since it was last seen here"
        );
    }
    for stored in &alarms {
        let about = name(&stored.alarm.label);
        let _ = writeln!(
            text,
            "OPEN ALARM {} ({}) {about}",
            stored.id, stored.alarm.code
        );
    }
    let _ = writeln!(
        text,
        "{}: {}",
        state.name().to_uppercase(),
        state.explanation()
    );
    report.result(&json, &text);
    Ok(state)
}

pub(crate) fn describe(event: &Event) -> String {
    let label = name(event.label());
    match event {
        Event::Missed { gap } => format!(
            "monitoring last went through {} ago, which is longer than it should be; what was \
             missed was made up for now",
            hours(*gap)
        ),
        Event::Owned { version: None, .. } => format!("{label}: yours, and has no version"),
        Event::Owned {
            version: Some(version),
            ..
        } => format!("{label}: yours, version {version}, proved at every distinguished entry"),
        Event::Adopted { versions, .. } => format!(
            "{label}: yours, version {}: sent from here, and in the log although no answer came",
            list(versions.iter())
        ),
        Event::Pending { version, .. } => {
            format!("{label}: version {version} was sent from here and is not in the log yet")
        }
        Event::Foreign { versions, .. } => {
            let numbers = list(versions.iter().map(|(version, _)| version));
            format!("{label}: YOUR LABEL HAS VERSIONS THAT THIS DEVICE DID NOT MAKE: {numbers}")
        }
        Event::ContactChanged { .. } => {
            let alarm = event.alarm(0).map(|alarm| alarm.detail);
            format!("{label}: KEY CHANGED: {}", alarm.unwrap_or_default())
        }
        Event::Contact { remaining: 0, .. } => {
            format!("{label}: what you looked up is in the log for good")
        }
        Event::Contact { remaining, .. } => format!(
            "{label}: what you looked up is in the log still; {remaining} to be monitored further"
        ),
        Event::Credential {
            version, finality, ..
        } => match finality {
            Finality::Final => format!("{label}: the credential for version {version} is final"),
            _ => format!("{label}: the credential for version {version} waits for its proof"),
        },
        Event::Compared { roots } => {
            format!("strangers are shown the same log: {roots} roots in common")
        }
        Event::Audited { agreed, silent } => {
            let silent = match silent.is_empty() {
                true => String::new(),
                false => format!("; no answer from {}", silent.join(", ")),
            };
            format!(
                "auditors were shown the same log: {}{silent}",
                agreed.join(", ")
            )
        }
        Event::Uncompared { since, error } => {
            let ago = hours(SystemClock.now().saturating_sub(*since));
            format!("OVERDUE, last compared with what strangers are shown {ago} ago: {error}")
        }
        Event::Overdue { since, error, .. } => {
            let label = if label.is_empty() {
                "everything"
            } else {
                &label
            };
            let ago = hours(SystemClock.now().saturating_sub(*since));
            format!("{label}: OVERDUE, last proved {ago} ago: {error}")
        }
        Event::Failed { error, .. } if label.is_empty() => error.to_string(),
        Event::Failed { error, .. } => format!("{label}: {error}"),
    }
}

fn list<'a>(versions: impl Iterator<Item = &'a u32>) -> String {
    let numbers: Vec<_> = versions.map(u32::to_string).collect();
    numbers.join(", ")
}

fn hours(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 0..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

pub(crate) fn to_json(event: &Event) -> Value {
    let kind = match event {
        Event::Missed { .. } => "missed",
        Event::Owned { .. } => "owned",
        Event::Adopted { .. } => "adopted",
        Event::Pending { .. } => "pending",
        Event::Foreign { .. } => "foreign",
        Event::Contact { .. } => "contact",
        Event::ContactChanged { .. } => "contact-changed",
        Event::Credential { .. } => "credential",
        Event::Compared { .. } => "compared",
        Event::Audited { .. } => "audited",
        Event::Uncompared { .. } => "uncompared",
        Event::Overdue { .. } => "overdue",
        Event::Failed { .. } => "failed",
    };
    let mut out = json!({
        "event": kind,
        "state": event.state().name(),
        "label": name(event.label()),
        "message": describe(event),
    });
    match event {
        Event::Owned { version, .. } => out["version"] = json!(version),
        Event::Adopted { versions, .. } => out["versions"] = json!(versions),
        Event::Pending { version, .. } => out["version"] = json!(version),
        Event::Foreign { versions, .. } => {
            out["versions"] = json!(versions.iter().map(|(v, _)| v).collect::<Vec<_>>());
        }
        Event::Contact { remaining, .. } => out["remaining"] = json!(remaining),
        Event::ContactChanged {
            from,
            version,
            standing,
            ..
        } => {
            out["seen_before"] = json!(from);
            out["version"] = json!(version);
            out["standing"] = json!(standing.name());
        }
        Event::Credential { version, .. } => out["version"] = json!(version),
        Event::Compared { roots } => out["compared"] = json!(roots),
        Event::Audited { agreed, silent } => {
            out["agreed"] = json!(agreed);
            out["silent"] = json!(silent);
        }
        Event::Overdue { since, .. } | Event::Uncompared { since, .. } => {
            out["since_ms"] = json!(since);
        }
        Event::Failed { error, .. } => out["check"] = json!(error.check()),
        Event::Missed { gap } => out["gap_ms"] = json!(gap),
    }
    out
}
