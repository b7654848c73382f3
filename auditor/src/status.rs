//! What people and programs see of the auditor.

use std::fmt::Write;
use std::sync::Arc;

use overt_protocol::evidence::Evidence;
use serde_json::{Value, json};

use crate::cosign::Role;
use crate::gossip::{Agreement, Gossip, Log, Verdict};
use crate::store::{Record, Store};

/// What the pages are made of.
pub struct Status {
    /// The name of the auditor's keys.
    pub name: String,
    /// Directories that the settings name.
    pub urls: Vec<String>,
    /// How peers compare.
    pub gossip: Arc<Gossip>,
    /// The memory.
    pub store: Arc<Store>,
}

impl Status {
    /// One object for each directory.
    pub fn json(&self) -> anyhow::Result<Value> {
        let mut out = Vec::new();
        let records = self.store.records()?;
        for record in &records {
            out.push(self.directory(record)?);
        }
        for url in &self.urls {
            if !records.iter().any(|record| record.url == *url) {
                out.push(json!({"url": url, "state": "not reached yet"}));
            }
        }
        for log in &self.gossip.logs {
            out.push(self.witnessed(log)?);
        }
        Ok(Value::Array(out))
    }

    /// A log that is witnessed only.
    fn witnessed(&self, log: &Log) -> anyhow::Result<Value> {
        let refused = self.store.refused(&log.subject)?;
        Ok(json!({
            "url": log.url,
            "origin": log.origin,
            "state": if refused.is_some() { "refused" } else { "witnessed" },
            "witnessed_size": self.cosigned(Role::Witness, &log.origin)?,
            "refused": refused,
            "peers": self.peers_json(&log.origin)?,
            "evidence": self.evidence_json(&log.subject)?,
        }))
    }

    fn cosigned(&self, role: Role, origin: &str) -> anyhow::Result<Option<u64>> {
        let signed = self.store.cosigned(role.name(), origin)?;
        Ok(signed.map(|signed| signed.checkpoint().tree().size))
    }

    fn peers_json(&self, origin: &str) -> anyhow::Result<serde_json::Map<String, Value>> {
        let agreements = self.gossip.agreements().into_iter();
        let ours = agreements.filter(|((_, of), _)| of == origin);
        ours.map(|((peer, _), agreement)| Ok((peer, serde_json::to_value(agreement)?)))
            .collect()
    }

    fn evidence_json(&self, subject: &str) -> anyhow::Result<Vec<Value>> {
        let evidence = self.store.evidence()?.into_iter();
        Ok(evidence
            .filter(|kept| kept.fingerprint == subject)
            .map(|kept| json!({"id": kept.id, "source": kept.source, "at_ms": kept.at}))
            .collect())
    }

    fn directory(&self, record: &Record) -> anyhow::Result<Value> {
        let origin = &record.descriptor.origin;
        Ok(json!({
            "url": record.url,
            "origin": origin,
            "state": state(record),
            "fingerprint": record.fingerprint,
            "tree_size": record.replay.size(),
            "timestamp_ms": record.replay.state.timestamp,
            "signed_size": record.head.as_ref().map(|head| head.tree_size),
            "cosigned_size": self.cosigned(Role::Auditor, origin)?,
            "witnessed_size": self.cosigned(Role::Witness, origin)?,
            "refused": record.refused,
            "suspicion": record.suspicion,
            "seen_ms_ago": self.gossip.clock.now().saturating_sub(record.seen_at),
            "peers": self.peers_json(origin)?,
            "evidence": self.evidence_json(&record.fingerprint)?,
        }))
    }

    /// The same for people, without scripts.
    pub fn html(&self) -> anyhow::Result<String> {
        let mut body = String::new();
        for record in self.store.records()? {
            self.section(&mut body, &record)?;
        }
        for url in &self.urls {
            if !self
                .store
                .records()?
                .iter()
                .any(|record| record.url == *url)
            {
                write!(body, "<section><h2>{}</h2><p>Not reached yet.", escape(url))?;
                body.push_str("</section>");
            }
        }
        for log in &self.gossip.logs {
            self.witnessed_section(&mut body, log)?;
        }
        Ok(format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title>\
             <meta name=viewport content=\"width=device-width\"><link rel=alternate \
             type=\"application/atom+xml\" href=\"feed.atom\"><style>{STYLE}</style>\
             <h1>{name}</h1><p>This auditor replays the key directories below, entry by entry, and \
             compares with others that all are shown the same.{body}",
            name = escape(&self.name)
        ))
    }

    fn section(&self, out: &mut String, record: &Record) -> anyhow::Result<()> {
        let origin = &record.descriptor.origin;
        let size = |role: Role| {
            let size = self.cosigned(role, origin)?.map(|size| size.to_string());
            anyhow::Ok(size.unwrap_or_else(|| "none yet".to_owned()))
        };
        write!(
            out,
            "<section class={state}><h2>{}</h2><p class=state>{}<dl><dt>Address<dd>{}\
             <dt>Log entries replayed<dd>{}<dt>Newest entry<dd>{} ago<dt>Cosigned as auditor, up to \
             size<dd>{}<dt>Cosigned as witness, up to size<dd>{}<dt>Last answer<dd>{} ago\
             <dt>Fingerprint<dd><code>{}</code></dl>",
            escape(origin),
            match state(record) {
                "refused" => "REFUSED: proved dishonest",
                "suspicious" => "Something is wrong",
                _ => "In order",
            },
            escape(&record.url),
            record.replay.size(),
            span(
                self.gossip
                    .clock
                    .now()
                    .saturating_sub(record.replay.state.timestamp)
            ),
            size(Role::Auditor)?,
            size(Role::Witness)?,
            span(self.gossip.clock.now().saturating_sub(record.seen_at)),
            record.fingerprint,
            state = state(record),
        )?;
        if let Some(refused) = &record.refused {
            write!(
                out,
                "<p class=alarm>REFUSED. {} Nothing more of it is signed. Do not rely on keys that \
                 it gives you; compare them in person.",
                escape(refused)
            )?;
        }
        if let Some(suspicion) = &record.suspicion {
            write!(
                out,
                "<p class=alarm>{} This is no proof.",
                escape(suspicion)
            )?;
        }
        self.peers(out, origin)?;
        self.evidence(out, &record.fingerprint)?;
        plot(out, &self.store.lags(&record.fingerprint)?)?;
        out.push_str("</section>");
        Ok(())
    }

    fn witnessed_section(&self, out: &mut String, log: &Log) -> anyhow::Result<()> {
        let refused = self.store.refused(&log.subject)?;
        let size = self.cosigned(Role::Witness, &log.origin)?;
        write!(
            out,
            "<section class={}><h2>{}</h2><p>Witnessed: that it only grows. What is in it is not \
             looked at.<dl><dt>Cosigned as witness, up to size<dd>{}</dl>",
            if refused.is_some() {
                "refused"
            } else {
                "followed"
            },
            escape(&log.origin),
            size.map_or_else(|| "none yet".to_owned(), |size| size.to_string()),
        )?;
        if let Some(refused) = refused {
            let refused = escape(&refused);
            write!(
                out,
                "<p class=alarm>REFUSED: {refused} Nothing more of it is signed."
            )?;
        }
        self.peers(out, &log.origin)?;
        self.evidence(out, &log.subject)?;
        out.push_str("</section>");
        Ok(())
    }

    fn peers(&self, out: &mut String, origin: &str) -> anyhow::Result<()> {
        let agreements = self.gossip.agreements();
        let mut rows = agreements
            .iter()
            .filter(|((_, of), _)| of == origin)
            .peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        out.push_str("<h3>Other auditors</h3><table><tr><th>Auditor<th>Size<th>Sees");
        for ((peer, _), agreement) in rows {
            let size = agreement.tree_size.map(|size| size.to_string());
            write!(
                out,
                "<tr><td>{}<td>{}<td>{}",
                escape(peer),
                size.unwrap_or_default(),
                words(agreement)
            )?;
        }
        out.push_str("</table>");
        Ok(())
    }

    fn evidence(&self, out: &mut String, subject: &str) -> anyhow::Result<()> {
        for kept in self.store.evidence()? {
            if kept.fingerprint != subject {
                continue;
            }
            let evidence = Evidence::parse(kept.json.as_bytes());
            let finding = evidence.and_then(|evidence| evidence.verify())?;
            write!(
                out,
                "<h3>Evidence</h3><p>{}<p><a href=\"gossip/evidence/{id}\">{id}</a> (found by {}). \
                 Anyone can check it: <code>overt evidence verify FILE</code>.",
                escape(&finding.explanation),
                escape(&kept.source),
                id = kept.id
            )?;
        }
        Ok(())
    }

    /// The alarms as an Atom feed (RFC 4287).
    pub fn feed(&self) -> anyhow::Result<String> {
        let alarms = self.store.alarms(false)?;
        let updated = time(alarms.first().map_or(0, |alarm| alarm.at));
        let name = escape(&self.name);
        let mut entries = String::new();
        for alarm in &alarms {
            write!(
                entries,
                "<entry><id>urn:overt:alarm:{}:{}</id><title>{}</title><updated>{}</updated>\
                 <content>{}</content></entry>",
                escape(&self.name),
                alarm.number,
                escape(&alarm.code),
                time(alarm.at),
                escape(&alarm.text)
            )?;
        }
        Ok(format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\">\
             <id>urn:overt:auditor:{name}</id><title>{name}</title><author><name>{name}</name>\
             </author><updated>{updated}</updated>{entries}</feed>"
        ))
    }
}

const STYLE: &str = "body{font-family:sans-serif;max-width:50em;margin:auto;padding:1em}\
    dt{font-weight:bold}dd,td{overflow-wrap:anywhere}section{border-left:.5em solid #080;\
    padding-left:1em;margin-top:2em}.refused{border-color:#b00}.suspicious{border-color:#c80}\
    .alarm{font-weight:bold}td,th{text-align:left;padding-right:1em}svg{width:100%;height:6em}";

fn state(record: &Record) -> &'static str {
    match (&record.refused, &record.suspicion) {
        (Some(_), _) => "refused",
        (None, Some(_)) => "suspicious",
        (None, None) => "followed",
    }
}

fn words(agreement: &Agreement) -> &'static str {
    match &agreement.verdict {
        Some(Verdict::Agrees) => "the same log",
        Some(Verdict::Later) => "entries that are not replayed here yet",
        Some(Verdict::TooOld) => "entries too long ago to compare",
        Some(Verdict::Contradicts { .. }) => "ANOTHER LOG: proved",
        Some(Verdict::Differs) => "another log; not proved",
        None => "nothing: not reached, or it does not follow this log",
    }
}

/// The lag over time.
fn plot(out: &mut String, lags: &[(u64, u64)]) -> anyhow::Result<()> {
    let (Some((first, _)), Some((last, _))) = (lags.first(), lags.last()) else {
        return Ok(());
    };
    let most = lags.iter().map(|(_, lag)| *lag).max().unwrap_or(0).max(1);
    let width = last.saturating_sub(*first).max(1);
    let mut points = String::new();
    for (at, lag) in lags {
        let x = at.saturating_sub(*first) as f64 / width as f64 * 600.0;
        let y = 60.0 - *lag as f64 / most as f64 * 60.0;
        write!(points, "{x:.0},{y:.0} ")?;
    }
    write!(
        out,
        "<h3>Age of entries when they were replayed</h3><svg viewBox=\"0 0 600 60\" \
         preserveAspectRatio=none role=img aria-label=\"lag\"><polyline fill=none stroke=#048 \
         points=\"{points}\"/></svg><p>At most {} in the last {}.",
        span(most),
        span(width)
    )?;
    Ok(())
}

/// A span of milliseconds in words.
fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        10_000..600_000 => format!("{} s", milliseconds / 1_000),
        600_000..36_000_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

/// RFC 3339.
fn time(milliseconds: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(milliseconds);
    humantime::format_rfc3339_seconds(at).to_string()
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
