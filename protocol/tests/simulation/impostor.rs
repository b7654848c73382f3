//! The same log under another configuration, or with other keys.

use overt_protocol::suite::CipherSuite;

use crate::liar::Liar;
use crate::misdeed::Misdeed;
use crate::settings::Settings;
use crate::support::MemoryLog;

impl Liar {
    /// What the log would be if it had always been so. Who is `sly` signs heads as if the
    /// configuration was the one that users know.
    pub(crate) fn impostor(&self, sly: bool) -> MemoryLog {
        let settings = self.other_settings(sly);
        let mut log = settings.empty_log();
        let keeps_config = [Misdeed::SignatureKeyChanged, Misdeed::AuditorSwapped];
        if sly && keeps_config.contains(&self.misdeed) {
            log.config = self.logs[0].config.clone();
        }
        self.script.replay(log)
    }

    /// What makes it another log.
    pub(crate) fn other_settings(&self, sly: bool) -> Settings {
        let settings = self.settings.clone();
        let [signing, vrf, auditor] = settings.seeds;
        let seeds = match self.misdeed {
            Misdeed::Decoy if sly => [signing + 1, vrf, auditor],
            Misdeed::Decoy => [signing + 1, vrf + 1, auditor],
            Misdeed::SignatureKeyChanged => [signing + 1, vrf, auditor],
            Misdeed::VrfKeyChanged => [signing, vrf + 1, auditor],
            Misdeed::AuditorSwapped => [signing, vrf, auditor + 1],
            _ => settings.seeds,
        };
        let settings = Settings { seeds, ..settings };
        match self.misdeed {
            Misdeed::ModeDowngraded => Settings {
                auditor_lag: None,
                ..settings
            },
            Misdeed::ParametersLoosened => Settings {
                max_behind: 10 * settings.max_behind,
                rmw: 10 * settings.rmw,
                ..settings
            },
            Misdeed::SuiteChanged => Settings {
                suite: CipherSuite::Kt128Sha256P256,
                ..settings
            },
            Misdeed::OtherLogReplayed => Settings {
                max_ahead: settings.max_ahead + 1,
                ..settings
            },
            _ => settings,
        }
    }
}
