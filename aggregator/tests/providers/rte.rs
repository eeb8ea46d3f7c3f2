//! RTE's shapes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fake::{Asked, World};

pub(crate) fn answer(asked: &Asked, world: &World) -> (u16, Value) {
    assert_eq!(asked.path, "/catalog/datasets/eco2mix-national-tr/records");
    let wanted = &asked.query["where"];
    assert!(wanted.ends_with(" and taux_co2 is not null"), "{wanted}");
    let time = |after: &str| -> Timestamp {
        let (_, rest) = wanted.split_once(after).unwrap();
        let text = rest.split('\'').nth(1).unwrap();
        assert!(text.ends_with('Z'), "{text}");
        text.parse().unwrap()
    };
    let record = |at: Timestamp, figure: Option<f64>| {
        // As in summer in Paris.
        let local = at + SignedDuration::from_hours(2);
        json!({"taux_co2": figure, "date_heure": local.strftime("%Y-%m-%dT%H:%M:%S+02:00").to_string()})
    };
    let mut list = world.list(time("date_heure >= "), time("date_heure < "), record);
    list.retain(|record| !record["taux_co2"].is_null());
    let total = list.len();
    list.truncate(asked.query["limit"].parse().unwrap());
    (200, json!({"total_count": total, "results": list}))
}
