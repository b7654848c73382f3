//! What directories should take, by the model.

use serde::Serialize;

use crate::model::Directory;
use crate::table::table;

/// Prints what the model says of directories, of any size.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Label-versions in the newest prefix tree.
    #[arg(long, value_delimiter = ',', default_value = "1e4,1e5,1e6,1e7,3e9")]
    label_versions: Vec<f64>,
    /// Changes in a log entry: 255 at most where auditors follow.
    #[arg(long, default_value_t = 255.0)]
    per_entry: f64,
    /// The part of all labels that changes in a day.
    #[arg(long, default_value_t = 0.01)]
    changes: f64,
    /// The Reasonable Monitoring Window, in days.
    #[arg(long, default_value_t = 1.0)]
    window: f64,
    /// Bytes of a label.
    #[arg(long, default_value_t = 35.0)]
    label: f64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 32.0)]
    value: f64,
}

/// A size.
#[derive(Debug, Serialize)]
pub struct Size {
    label_versions: f64,
    entries_per_window: f64,
    entries_searched: f64,
    lookup_bytes: f64,
    audited_bytes: f64,
    page_bytes: f64,
    stored_bytes: f64,
}

/// All sizes.
pub fn predict(arguments: &Arguments) -> Vec<Size> {
    let size = |leaves: &f64| {
        let per_window = leaves * arguments.changes * arguments.window / arguments.per_entry;
        let directory = Directory {
            leaves: *leaves,
            per_entry: arguments.per_entry,
            entries_per_window: per_window.max(1.0),
            label: arguments.label,
            value: arguments.value,
        };
        Size {
            label_versions: *leaves,
            entries_per_window: directory.entries_per_window,
            entries_searched: directory.searched(),
            lookup_bytes: directory.lookup(),
            audited_bytes: directory.audited(),
            page_bytes: directory.pages(),
            stored_bytes: directory.stored(),
        }
    };
    arguments.label_versions.iter().map(size).collect()
}

/// As a table.
pub fn print(sizes: &[Size]) -> String {
    let header = [
        "label-versions",
        "log entries a window",
        "of these searched",
        "lookup, bytes",
        "audit, bytes a change",
        "pages, bytes a change",
        "stored, bytes each",
    ];
    let rows = sizes.iter().map(|size| {
        vec![
            format!("{:.0e}", size.label_versions),
            format!("{:.0}", size.entries_per_window),
            format!("{:.1}", size.entries_searched),
            format!("{:.0}", size.lookup_bytes),
            format!("{:.0}", size.audited_bytes),
            format!("{:.0}", size.page_bytes),
            format!("{:.0}", size.stored_bytes),
        ]
    });
    table(&header, rows)
}
