//! Recognising well-known kinds of keys, for display only: to the directory a value is bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

const LARGEST: usize = 1 << 20;

/// What a value seems to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    pub(crate) kind: &'static str,
    /// As the kind's own tools show it.
    pub(crate) fingerprint: String,
    /// Names that the key claims for itself.
    pub(crate) names: Vec<String>,
}

pub(crate) fn recognise(value: &[u8]) -> Option<Recognised> {
    if value.len() > LARGEST {
        return None;
    }
    // Values come from strangers, and these parsers are for display only: whatever goes wrong in
    // one, the value is simply not recognised.
    catch_unwind(AssertUnwindSafe(|| {
        ssh(value).or_else(|| age(value)).or_else(|| openpgp(value))
    }))
    .unwrap_or(None)
}

fn openpgp(value: &[u8]) -> Option<Recognised> {
    let armored = value.trim_ascii_start().starts_with(b"-----BEGIN PGP");
    if !armored && value.first().is_none_or(|tag| tag & 0x80 == 0) {
        return None;
    }
    let (key, _) = SignedPublicKey::from_reader_single(value).ok()?;
    let hex = hex::encode_upper(key.fingerprint().as_bytes());
    let groups: Vec<_> = hex
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    let name = |user: &pgp::types::SignedUser| printable(&String::from_utf8_lossy(user.id.id()));
    Some(Recognised {
        kind: "OpenPGP certificate",
        fingerprint: groups.join(" "),
        names: key.details.users.iter().map(name).collect(),
    })
}

fn ssh(value: &[u8]) -> Option<Recognised> {
    let text = std::str::from_utf8(value).ok()?;
    let key = ssh_key::PublicKey::from_openssh(text.trim()).ok()?;
    let comment = printable(key.comment());
    Some(Recognised {
        kind: "SSH public key",
        fingerprint: key.fingerprint(ssh_key::HashAlg::Sha256).to_string(),
        names: Some(comment)
            .filter(|c| !c.is_empty())
            .into_iter()
            .collect(),
    })
}

fn age(value: &[u8]) -> Option<Recognised> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (prefix, key) = bech32::decode(text).ok()?;
    let is_recipient = prefix.as_str() == "age" && key.len() == 32;
    is_recipient.then(|| Recognised {
        kind: "age recipient",
        fingerprint: text.to_owned(),
        names: Vec::new(),
    })
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssh_key_shows_the_fingerprint_of_ssh_keygen() {
        let key = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com\n";
        let found = recognise(key).unwrap();
        assert_eq!(found.kind, "SSH public key");
        assert_eq!(
            found.fingerprint,
            "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"
        );
        assert_eq!(found.names, ["user@example.com"]);
    }

    #[test]
    fn an_age_recipient_is_its_own_fingerprint() {
        let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let found = recognise(key.as_bytes()).unwrap();
        assert_eq!(
            (found.kind, found.fingerprint.as_str()),
            ("age recipient", key)
        );
        let typo = key.replace("ql3z", "ql3y");
        assert_eq!(recognise(typo.as_bytes()), None);
    }

    #[test]
    fn other_bytes_are_not_recognised() {
        for value in [
            &b""[..],
            b"hello",
            &[0x99; 40],
            &[0xff; 4],
            b"-----BEGIN PGP",
        ] {
            assert_eq!(recognise(value), None);
        }
    }
}
