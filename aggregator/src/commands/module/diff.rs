//! `diff`: what create would change, as helm's record of the release has it. What was changed by hand is not seen.

use std::process::ExitCode;

use anyhow::Context as _;

use super::DiffArgs;
use super::create::{objects, plan, wanted};
use super::place::Place;
use crate::commands::output::{print, tell};
use crate::deploy::catalogue::module::Kind;
use crate::deploy::files::UserValues;
use crate::deploy::manifest;
use crate::deploy::needs::Planned;

/// Something differs.
pub(super) const DIFFERS: u8 = 3;

pub(super) async fn run(
    kind: Kind,
    group: Option<&str>,
    args: &DiffArgs,
) -> anyhow::Result<ExitCode> {
    let user = args.values.read()?;
    let catalogue = args.catalogue.read()?;
    let wanted = wanted(&catalogue, (kind, group), &args.name, &args.needs, &user)?;
    let place = Place::find(&args.place).await?;
    let plan = plan(&place, &catalogue, wanted, args.needs.with_dependencies).await?;
    let mut differs = String::new();
    for (number, planned) in plan.iter().enumerate() {
        let own = if number + 1 == plan.len() {
            user.clone()
        } else {
            UserValues::default()
        };
        differs += &one(&place, planned, &own).await?;
    }
    if differs.is_empty() {
        tell("nothing would change");
        return Ok(ExitCode::SUCCESS);
    }
    print(&differs)?;
    Ok(ExitCode::from(DIFFERS))
}

/// What one module would change.
async fn one(place: &Place, planned: &Planned<'_>, user: &UserValues) -> anyhow::Result<String> {
    let after = objects(place, planned, user).await?;
    if planned.module.file.steps.is_some() {
        return place.kubectl().await?.diff(&after).await;
    }
    let before = place.helm().await?.manifest(&planned.release).await?;
    let before = manifest::objects(&before.unwrap_or_default());
    let before = before
        .map_err(anyhow::Error::msg)
        .context("helm get manifest")?;
    Ok(manifest::diff(&before, &after))
}
