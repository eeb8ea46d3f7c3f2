//! `load aggregator|query`: one of the aggregator's benches, its figures as JSON; see `e2e::load`.

use anyhow::Context;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bench = std::env::args().nth(1);
    let bench = bench.context("usage: load aggregator|query")?;
    let own = std::env::current_exe()?;
    let directory = own.parent().context("a program lies in a folder")?;
    println!("{}", e2e::load::run(&bench, directory).await?);
    Ok(())
}
