//! `create --dry-run`: the manifests that would be applied, without the secrets in them.

use serde::Serialize;
use serde_json::Value;

use super::create::objects;
use super::place::Place;
use crate::deploy::files::UserValues;
use crate::deploy::manifest;
use crate::deploy::needs::Planned;
use crate::format;

/// What would be applied of a module, for programs.
#[derive(Serialize)]
struct Preview<'p> {
    module: String,
    release: &'p str,
    domain: &'p str,
    namespace: &'p str,
    /// Who would give what it needs, as (need, release).
    uses: &'p [(String, String)],
    objects: Vec<Value>,
}

/// As JSON, or as documents of YAML.
pub(super) async fn preview(
    place: &Place,
    steps: &[(&Planned<'_>, UserValues)],
    json: bool,
) -> anyhow::Result<String> {
    let mut previews = Vec::new();
    for (planned, user) in steps {
        let objects = objects(place, planned, user).await?;
        previews.push(Preview {
            module: planned.module.full_name(),
            release: &planned.release,
            domain: &place.name,
            namespace: &place.cluster.namespace,
            uses: &planned.uses,
            objects,
        });
    }
    if json {
        let objects = previews.iter_mut().flat_map(|one| &mut one.objects);
        objects.for_each(manifest::hide_secrets);
        return Ok(format::json(&previews)?);
    }
    let objects = previews.iter().flat_map(|preview| &preview.objects);
    let documents = objects.map(|object| format!("---\n{}", manifest::shown(object)));
    Ok(documents.collect())
}
