//! Load on a whole `overt-server`, over HTTP on loopback: how much it does, and what it takes while
//! it grows.

mod clients;
mod directory;
mod generator;
mod growth;
mod http;
mod model;
mod plot;
mod process;
mod scale;
mod table;

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Puts load on a directory of its own, which it starts on loopback and removes in the end, and
/// prints what it measured as tables.
///
/// Settings of the server in the environment (OVERT_SERVER_...) are passed on to it.
#[derive(Debug, Parser)]
#[command(name = "overt-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Http(http::Arguments),
    Growth {
        #[command(flatten)]
        arguments: growth::Arguments,
        /// Draw the curves of growth.
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
    },
    Scale(scale::Arguments),
}

/// A bar on standard error, if that is a terminal.
fn bar(bars: &MultiProgress, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = "{msg} {wide_bar} {human_pos}/{human_len} {elapsed}";
    let style = ProgressStyle::with_template(style);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bars.add(ProgressBar::new(0).with_style(style).with_message(what))
}

/// Says after each size what there is to say, so that it is not lost if it ends before the last.
fn grown(report: &growth::Report, plot: Option<&Path>, json: bool) -> anyhow::Result<()> {
    if let Some(file) = plot {
        plot::plot(&report.sizes, file)?;
    }
    if let (false, Some(size)) = (json, report.sizes.last()) {
        if report.sizes.len() == 1 {
            print!("{}", table::head(&growth::HEADER));
        }
        print!("{}", table::row(&size.row()));
    }
    Ok(std::io::stdout().flush()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, json } = Cli::parse();
    let bars = MultiProgress::new();
    match command {
        Command::Http(arguments) => {
            let report = http::measure(&arguments, &bars).await?;
            match json {
                true => println!("{}", serde_json::to_string_pretty(&report)?),
                false => print!("{report}"),
            }
        }
        Command::Growth { arguments, plot } => {
            let so_far = |report: &_| grown(report, plot.as_deref(), json);
            let report = growth::measure(&arguments, &bars, so_far).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            }
        }
        Command::Scale(arguments) => {
            let sizes = scale::predict(&arguments);
            match json {
                true => println!("{}", serde_json::to_string_pretty(&sizes)?),
                false => print!("{}", scale::print(&sizes)),
            }
        }
    }
    Ok(())
}
