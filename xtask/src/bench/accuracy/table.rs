//! What the accuracy bench found, as figures and as a table.

use super::super::figure::Figure;

/// One line of the bench's output.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Row {
    usage: String,
    workload: String,
    #[serde(flatten)]
    found: Found,
}

#[derive(Clone, Debug, serde::Deserialize)]
#[serde(untagged)]
enum Found {
    Errors(Errors),
    Share { found_percent: Vec<f64> },
}

#[derive(Clone, Debug, serde::Deserialize)]
struct Errors {
    groups: u32,
    worst_group_points: f64,
    worst_group: String,
    worst_zone: String,
    all_groups_points: f64,
    rest_points: f64,
    idle_percent: f64,
    idle_origin: String,
    rest_cpu_percent: f64,
}

impl Row {
    /// What is kept.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |what: &str, unit, runs| {
            Figure::new(
                format!("{}: {}: {what}", self.usage, self.workload),
                unit,
                runs,
            )
        };
        match &self.found {
            Found::Errors(errors) => vec![
                figure("worst group", "points", vec![errors.worst_group_points]),
                figure("all groups", "points", vec![errors.all_groups_points]),
                figure("rest", "points", vec![errors.rest_points]),
                figure("idle", "%", vec![errors.idle_percent]),
                figure("other CPU", "%", vec![errors.rest_cpu_percent]),
            ],
            Found::Share { found_percent } => {
                vec![figure("found", "%", found_percent.clone())]
            }
        }
    }
}

/// A table for a reader of Markdown, or of a terminal.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = "\
| CPU time from | workload | groups | worst group | all groups | rest | idle | other CPU |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |
"
    .to_owned();
    for row in rows {
        let Row {
            usage,
            workload,
            found,
        } = row;
        text += &match found {
            Found::Errors(errors) => format!(
                "| {usage} | {workload} | {} | {:.2} ({}, {}) | {:.2} | {:.2} | {:.2} % ({}) | {:.0} % |\n",
                errors.groups,
                errors.worst_group_points,
                errors.worst_group,
                errors.worst_zone,
                errors.all_groups_points,
                errors.rest_points,
                errors.idle_percent,
                errors.idle_origin,
                errors.rest_cpu_percent,
            ),
            Found::Share { .. } => String::new(),
        };
    }
    for row in rows {
        if let Found::Share { found_percent } = &row.found {
            let figure = Figure::new("", "%", found_percent.clone());
            let runs = found_percent.iter().map(|share| format!("{share:.1}"));
            let runs: Vec<String> = runs.collect();
            text += &format!(
                "\n{}, {}: {:.1} % of the cgroup's own count is found (median of {}).\n",
                row.workload,
                row.usage,
                figure.median(),
                runs.join(", "),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_row_are_read_and_shown() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"usage":"ebpf","workload":"steady","groups":3,"worst_group_points":0.5,"worst_group":"a",
                "worst_zone":"dram-0","all_groups_points":0.25,"rest_points":1,"idle_percent":2,
                "idle_origin":"learned","rest_cpu_percent":4},
                {"usage":"ebpf","workload":"true","found_percent":[98,99,97]}]"#,
        )
        .unwrap();
        let text = markdown(&rows);
        let line =
            "| ebpf | steady | 3 | 0.50 (a, dram-0) | 0.25 | 1.00 | 2.00 % (learned) | 4 % |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("98.0 % of"), "{text}");
        let figures: Vec<Figure> = rows.iter().flat_map(Row::figures).collect();
        assert_eq!(figures.len(), 6);
    }
}
