//! `overt register`, `update`, `lookup`, `verify` and `history`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use overt_client::client::{History, Witnessed};
use overt_client::keys::to_phrase;
use overt_client::{
    ClientError, Clock, Lookup, Published, Standing, State, SystemClock, VerificationCode,
};
use serde_json::{Value, json};

use crate::args::{LookupArgs, Target, VerifyArgs};
use crate::recognise::recognise;
use crate::report::{NOT_VERIFIED, Report, UsageError, qr, state_code};
use crate::session::{Session, read};

/// A label as people read it. It came from them or from the directory: no control characters.
pub(crate) fn name(label: &[u8]) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    String::from_utf8_lossy(label).chars().map(clean).collect()
}

pub(crate) async fn publish(
    target: &Target,
    session: &Session,
    report: &Report,
    register: bool,
) -> anyhow::Result<ExitCode> {
    let missing = || UsageError("a label and a file are needed".into());
    let label = target.label.as_deref().ok_or_else(missing)?;
    let value = read(target.file.as_deref().ok_or_else(missing)?)?;
    if register && target.no_wait {
        let waits = "a registration shows a recovery phrase, which is worth the wait";
        return Err(UsageError(waits.into()).into());
    }
    let mut client = session.client(report).await?;
    if target.no_wait {
        client = client.with_receipts();
    }
    let (done, what) = match register {
        true => (client.register(label, &value).await, "registered"),
        false => (client.update(label, &value).await, "updated"),
    };
    if let Err(ClientError::Promised { version, deadline }) = done {
        show_promised(label, version, deadline, report);
        return Ok(ExitCode::SUCCESS);
    }
    show_published(&done?, what, report, target.qr)?;
    Ok(ExitCode::SUCCESS)
}

fn show_promised(label: &str, version: u32, deadline: u64, report: &Report) {
    let seconds = deadline.saturating_sub(SystemClock.now()) / 1000;
    report.result(
        &json!({
            "result": "promised",
            "label": label,
            "version": version,
            "deadline_ms": deadline,
        }),
        &format!(
            "{label}: version {version} is promised, and not in the log yet\n\
             The directory signed that it will be within {seconds} seconds. `overt monitor` holds \
             it to that."
        ),
    );
}

/// What was published, and the recovery phrase if it is new.
pub(crate) fn show_published(
    done: &Published,
    what: &str,
    report: &Report,
    as_qr: bool,
) -> anyhow::Result<()> {
    let label = name(&done.label);
    // New recovery keys come with a registration and with a recovery, and only then.
    let phrase = match (&done.recovery, done.position) {
        (Some(seed), Some(_)) => Some(to_phrase(seed)?),
        _ => None,
    };
    let json = json!({
        "result": "verified",
        "label": label,
        "version": done.version,
        "unchanged": done.position.is_none(),
        "position": done.position,
        "tree_size": done.tree_size,
        "standing": done.standing.name(),
        "code": done.code.to_string(),
        "adopted": done.adopted,
        "recovery_phrase": phrase.as_ref().map(|words| words.as_str()),
    });
    let adopted = done.adopted.iter().map(|version| {
        format!("{label}: version {version} was sent earlier and its answer got lost; it is in the log\n")
    });
    let mut text: String = adopted.collect();
    text += &match done.position {
        None => format!(
            "{label}: this value is published already, as version {}\n",
            done.version
        ),
        Some(position) => format!(
            "{label}: {what}, version {} in log entry {position}\n\
             checked: the log's signature, that the log only grew since it was last seen here, that this\n\
             version is the newest, and that no version was added without this device.\n",
            done.version
        ),
    };
    let _ = writeln!(text, "verification code:\n  {}", done.code);
    if as_qr {
        let _ = writeln!(text, "{}", qr(&done.code.to_string()));
    }
    if let Some(words) = &phrase {
        let _ = writeln!(
            text,
            "\nRECOVERY PHRASE. Write it down and keep it away from this device; whoever has it can\n\
             take the label over. It is shown now only (see also: overt keys export --phrase).\n  {}",
            words.as_str()
        );
        if as_qr {
            let _ = writeln!(text, "{}", qr(words));
        }
    }
    report.result(&json, &text);
    Ok(())
}

pub(crate) async fn lookup(
    args: &LookupArgs,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let label = args.label.as_deref();
    let label = label.ok_or_else(|| UsageError("a label is needed".into()))?;
    let client = session.client(report).await?;
    let found = match args.version {
        None => client.lookup(label).await?,
        Some(version) => client.lookup_version(label, version).await?,
    };
    match &args.output {
        Some(path) if path.as_os_str() == "-" => {
            std::io::stdout().write_all(found.value())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(path) => std::fs::write(path, found.value())?,
        None => {}
    }
    let mut text = describe(&found, args.version.is_none());
    let mut json = to_json(&found);
    add_witnesses(client.witnessed()?, &mut json, &mut text);
    if args.qr {
        let _ = writeln!(text, "{}", qr(&found.code().to_string()));
    }
    report.result(&json, &text);
    // A key that changed since it was last seen here, and nobody but the directory vouches for it.
    let changed = found
        .seen_before()
        .is_some_and(|seen| seen < found.version());
    Ok(match changed && found.standing() == Standing::Unchecked {
        true => ExitCode::from(state_code(State::ContactKeyChanged)),
        false => ExitCode::SUCCESS,
    })
}

pub(crate) async fn verify(
    args: &VerifyArgs,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let code = args
        .code
        .as_ref()
        .map(|text| text.parse::<VerificationCode>())
        .transpose()
        .map_err(|error| UsageError(error.to_string()))?;
    let key = args.key.as_ref().map(|path| read(path)).transpose()?;
    let client = session.client(report).await?;
    let found = client.lookup(&args.label).await?;
    let matches = match (&code, &key) {
        (Some(code), _) => *code == found.code(),
        (None, Some(key)) => same_key(key, found.value()),
        (None, None) => false,
    };
    let mut json = to_json(&found);
    json["result"] = json!(if matches { "verified" } else { "not-verified" });
    json["matches"] = json!(matches);
    if matches {
        let mut text = format!("MATCHES.\n{}", describe(&found, true));
        add_witnesses(client.witnessed()?, &mut json, &mut text);
        report.result(&json, &text);
        Ok(ExitCode::SUCCESS)
    } else {
        json["check"] = json!("comparison");
        let text = format!(
            "DOES NOT MATCH: the directory shows everybody another key for this label.\n{}",
            describe(&found, true)
        );
        report.result(&json, &text);
        Ok(ExitCode::from(NOT_VERIFIED))
    }
}

/// Who vouches for the head that the answer is from.
pub(crate) fn add_witnesses(witnessed: Option<Witnessed>, json: &mut Value, text: &mut String) {
    let Some(witnessed) = witnessed else { return };
    let (some, others) = (&witnessed.cosigned, &witnessed.missing);
    let of = some.len().saturating_add(others.len());
    let names = some.join(", ");
    let _ = write!(text, "\ncosigned by {} of {of}: {names}", some.len());
    json["cosigned"] = json!(some);
    json["not_cosigned"] = json!(others);
}

/// The same bytes, but for the white space that text files end with. A certificate with the same
/// fingerprint is not enough: it may hold other subkeys.
fn same_key(mine: &[u8], published: &[u8]) -> bool {
    mine == published
        || (std::str::from_utf8(mine).is_ok() && mine.trim_ascii() == published.trim_ascii())
}

pub(crate) async fn history(label: &str, session: &Session, report: &Report) -> anyhow::Result<()> {
    let History { versions, skipped } = session.client(report).await?.history(label).await?;
    let list: Vec<_> = versions.iter().map(to_json).collect();
    let shown = versions.iter().map(|found| (found.version(), row(found)));
    let none = "skipped             no value: never published, says the directory";
    let skips = skipped.iter().map(|version| (*version, none.to_owned()));
    let rows: BTreeMap<u32, String> = shown.chain(skips).collect();
    let mut text = String::new();
    for (version, row) in rows {
        let _ = writeln!(text, "version {version:>3}  {row}");
    }
    if let Some(last) = versions.last() {
        let _ = writeln!(
            text,
            "Each was proved in a log of {} entries; version {} is the newest.",
            last.tree_size(),
            last.version()
        );
    }
    let json = json!({"result": "verified", "versions": list, "skipped": skipped});
    report.result(&json, &text);
    Ok(())
}

fn row(found: &Lookup) -> String {
    let kind = recognise(found.value()).map_or_else(String::new, |found| {
        format!("{} {}", found.kind, found.fingerprint)
    });
    let (standing, bytes) = (standing(found.standing()), found.value().len());
    format!("{standing:<18}  {bytes} bytes  {kind}")
}

pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Unsigned => "not signed",
        Standing::FirstRegistration => "first registration",
        Standing::Signed => "signed",
        Standing::Recovered => "RECOVERED",
        Standing::Unchecked => "NOT CHECKED",
    }
}

pub(crate) fn to_json(found: &Lookup) -> Value {
    use base64::Engine as _;
    let recognised = recognise(found.value())
        .map(|key| json!({"kind": key.kind, "fingerprint": key.fingerprint, "names": key.names}));
    json!({
        "result": "verified",
        "label": name(found.label()),
        "version": found.version(),
        "value": base64::engine::general_purpose::STANDARD.encode(found.value()),
        "standing": found.standing().name(),
        "recoveries": found.recoveries(),
        "unchecked_below": found.unchecked_below(),
        "seen_before": found.seen_before(),
        "recognised": recognised,
        "code": found.code().to_string(),
        "tree_size": found.tree_size(),
        "timestamp_ms": found.timestamp(),
        "response_bytes": found.cost().bytes,
        "verify_us": u64::try_from(found.cost().verify.as_micros()).unwrap_or(u64::MAX),
    })
}

fn describe(found: &Lookup, greatest: bool) -> String {
    let which = if greatest { "the newest" } else { "as asked" };
    let mut text = format!(
        "{}, version {} ({which})\n",
        name(found.label()),
        found.version()
    );
    match recognise(found.value()) {
        None => {
            let _ = writeln!(text, "  value     {} bytes", found.value().len());
        }
        Some(key) => {
            let (kind, bytes) = (key.kind, found.value().len());
            let _ = writeln!(
                text,
                "  value     {kind}, {bytes} bytes\n            {}",
                key.fingerprint
            );
            for name in key.names.iter().take(5) {
                let _ = writeln!(text, "            {name}");
            }
        }
    }
    let _ = writeln!(text, "  code      {}", found.code());
    let authority = match found.standing() {
        Standing::Unsigned => "this directory does not require signed values",
        Standing::FirstRegistration => {
            "FIRST REGISTRATION: nobody vouches for it; compare the code with its owner"
        }
        Standing::Signed => "signed with the key of the version before",
        Standing::Recovered => "RECOVERED: signed with the recovery key; ask its owner why",
        Standing::Unchecked => {
            "NOT CHECKED: nobody but the directory vouches for it; compare the code with its owner"
        }
    };
    let _ = writeln!(text, "  standing  {authority}");
    if found.standing() != Standing::Recovered && !found.recoveries().is_empty() {
        let _ = writeln!(
            text,
            "            recovered at version {:?}",
            found.recoveries()
        );
    }
    if let Some(version) = found.unchecked_below() {
        let _ = writeln!(
            text,
            "            who signed version {version} and older ones is not checked: what came before has\n            expired or was deleted, says the directory"
        );
    }
    match found.seen_before() {
        Some(seen) if greatest && seen < found.version() => {
            let _ = writeln!(
                text,
                "  CHANGED   version {seen} was the newest when last looked up here"
            );
        }
        _ => {}
    }
    let _ = write!(
        text,
        "Checked: the log's signature, that it only grew since it was last seen here, and the proof of\n\
         this value in a log of {} entries that last changed {}.",
        found.tree_size(),
        time(found.timestamp())
    );
    text
}

/// How long ago, which people grasp faster than a date.
pub(crate) fn time(timestamp: u64) -> String {
    use overt_client::Clock;
    let now = overt_client::SystemClock.now();
    let seconds = now.saturating_sub(timestamp) / 1000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
