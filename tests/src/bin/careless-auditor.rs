//! An auditor that cosigns whatever it is asked to: `careless-auditor NAME`.

use overt_tests::{Mood, Witness};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let auditor = Witness::start(&name).await?;
    auditor.set_mood(Mood::Careless);
    println!("{}", auditor.url);
    std::future::pending().await
}
