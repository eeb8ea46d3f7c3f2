//! `hxmlops demo`: a server, an agent, and a small ML workflow that they measure, stage by stage.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use wire::Energy;

use self::program::Program;
use super::output::print;
use crate::cli::LedgerArgs;
use crate::demo::{Stage, WORKFLOW};
use crate::ledger::ReportQuery;
use crate::report::{IdlePolicy, Report, ZoneBalance};
use crate::source::Source;

mod program;

/// What the demo is told.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    /// Where the ledger and the workflow's files go [default: a folder in the temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Grid whose carbon intensity is applied
    #[arg(long, value_name = "ZONE", default_value = "FR")]
    intensity_zone: String,
    /// Leave the server running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Do the work of one stage
    #[command(hide = true)]
    Stage { stage: Stage, dir: PathBuf },
    /// Use a little CPU time until told to stop
    #[command(hide = true)]
    Neighbour,
}

/// Runs the demo, or one part of it.
///
/// # Errors
/// Where a program does not start, a stage fails, or the books do not balance.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    match args.part {
        Some(Part::Stage { stage, dir }) => print(&format!("{}\n", stage.run(&dir)?))?,
        Some(Part::Neighbour) => neighbour(),
        None => demo(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("hxmlops-demo"));
    let (ledger_dir, files) = (dir.join("ledger"), dir.join("files"));
    for dir in [&ledger_dir, &files] {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let hxmlops = std::env::current_exe().context("cannot find this program's own file")?;
    let run = Timestamp::now().strftime("demo-%Y%m%d-%H%M%S").to_string();

    let server = start_server(&hxmlops, &ledger_dir, &args.intensity_zone)?;
    let url = server.address().to_owned();
    let source = Source::open(&LedgerArgs {
        token_file: None,
        ca_file: None,
        server: url.clone(),
        data_dir: None,
        is_told: true,
    })?;
    let agent = start_agent(&hxmlops, &url)?;
    print(&format!(
        "server {url}, agent {}\n\nrun {run} of workflow {WORKFLOW}:\n",
        agent.address()
    ))?;
    {
        let _neighbour = start_neighbour(&hxmlops, &run)?;
        for stage in Stage::ALL {
            run_stage(&hxmlops, &run, stage, &files)?;
        }
    }
    // It measures once more and delivers everything before it ends.
    agent.stop()?;

    print("\n")?;
    let status = Command::new(&hxmlops)
        .args(["report", &run, "--server", &url])
        .status()?;
    ensure!(status.success(), "the report failed: {status}");
    let query = |idle| ReportQuery {
        run: run.clone(),
        idle,
        ..ReportQuery::default()
    };
    check_stages(&source.report(&query(IdlePolicy::Usage)).await?)?;
    print(&balance(&source.report(&query(IdlePolicy::None)).await?)?)?;
    farewell(args, &hxmlops, &ledger_dir, &url, server)
}

fn start_server(hxmlops: &Path, ledger: &Path, intensity_zone: &str) -> anyhow::Result<Program> {
    let mut command = Command::new(hxmlops);
    command
        .env("RUST_LOG", "warn")
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--intensity-zone",
            intensity_zone,
            "--data-dir",
        ])
        .arg(ledger);
    Program::start("the server", command)
}

fn start_agent(hxmlops: &Path, server: &str) -> anyhow::Result<Program> {
    let path = hxmlops.with_file_name("hxmlops-agent");
    ensure!(
        path.exists(),
        "there is no {}; build it with `cargo build --release`",
        path.display()
    );
    let mut command = Command::new(path);
    command.args([
        "--interval",
        "1s",
        "--listen",
        "127.0.0.1:0",
        "--aggregator-url",
        server,
    ]);
    Program::start("the agent", command)
}

/// Another workload on the same node, so that there is something to tell apart.
fn start_neighbour(hxmlops: &Path, run: &str) -> anyhow::Result<Program> {
    let mut command = Command::new(hxmlops);
    command.args([
        "exec",
        "--workflow",
        "neighbour",
        "--stage",
        "serve",
        "--run",
        &format!("{run}-nb"),
        "--",
    ]);
    command.arg(hxmlops).args(["demo", "neighbour"]);
    Program::start_silent("the neighbour", command)
}

/// Busy about a tenth of the time.
fn neighbour() {
    loop {
        let busy = Instant::now();
        while busy.elapsed() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(90));
    }
}

fn run_stage(hxmlops: &Path, run: &str, stage: Stage, files: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(hxmlops);
    command.args([
        "exec",
        "--workflow",
        WORKFLOW,
        "--run",
        run,
        "--stage",
        stage.name(),
        "--",
    ]);
    command
        .arg(hxmlops)
        .args(["demo", "stage", stage.name()])
        .arg(files);
    let began = Instant::now();
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(
        output.status.success(),
        "stage {} failed: {}",
        stage.name(),
        output.status
    );
    let said = String::from_utf8_lossy(&output.stdout);
    print(&format!(
        "  {:<8} {:>5.1} s  {}\n",
        stage.name(),
        began.elapsed().as_secs_f64(),
        said.trim()
    ))
}

/// What the demo promises of each stage.
fn check_stages(report: &Report) -> anyhow::Result<()> {
    for stage in Stage::ALL {
        let name = stage.name();
        let found = report.stages.iter().find(|found| found.stage == name);
        let found = found.with_context(|| format!("stage {name} is not in the report"))?;
        ensure!(found.energy_joules > 0.0, "stage {name} has no energy");
        ensure!(
            found.carbon_grams.is_some_and(|grams| grams > 0.0),
            "stage {name} has no grams"
        );
    }
    Ok(())
}

/// Where all the energy of the run's minutes went before any idle energy was shared out, to the microjoule.
///
/// # Errors
/// Where a zone's parts are not its whole.
fn balance(report: &Report) -> anyhow::Result<String> {
    let mut text = String::from(
        "\nThe node's books of these minutes, in joules, before idle is shared out:\n",
    );
    let header = ["stages", "others", "system", "idle", "in all"].map(|name| format!("{name:>13}"));
    text += &format!("{:<10}{}\n", "zone", header.concat());
    for row in &report.balance {
        let parts = parts(row);
        let sum: u64 = parts.iter().sum();
        let all = row.measured_microjoules;
        ensure!(
            sum == all,
            "zone {} does not balance: its parts are {sum} uJ, not {all} uJ",
            row.zone
        );
        let columns = parts
            .into_iter()
            .chain([all])
            .map(|part| format!("{:>13}", joules(part)));
        text += &format!("{:<10}{}\n", row.zone, columns.collect::<String>());
    }
    text += "In every zone stages + others + system + idle = all, to the microjoule.\n";
    Ok(text)
}

fn parts(row: &ZoneBalance) -> [u64; 4] {
    [
        row.run_microjoules,
        row.other_microjoules,
        row.system_microjoules,
        row.idle_microjoules,
    ]
}

fn joules(microjoules: u64) -> String {
    let text = Energy::from_microjoules(microjoules).to_string();
    text.trim_end_matches(" J").to_owned()
}

fn farewell(
    args: &DemoArgs,
    hxmlops: &Path,
    ledger: &Path,
    url: &str,
    server: Program,
) -> anyhow::Result<()> {
    if args.keep {
        print(&format!("\nDashboard: {url}/ (until Ctrl-C)\n"))?;
        return server.wait();
    }
    server.stop()?;
    let zone = &args.intensity_zone;
    print(&format!(
        "\nDashboard: http://127.0.0.1:8642/ once this runs:\n  {} serve --intensity-zone {zone} --data-dir {}\n",
        hxmlops.display(),
        ledger.display()
    ))
}
