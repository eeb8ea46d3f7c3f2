//! Slurm's jobs and steps by their cgroups. Pure.
//!
//! Forms: `/slurm[_NODE]/uid_U/job_J/step_S/...` on cgroup v1 and `.../[NODE_]slurmstepd.scope/job_J/step_S/...` on v2, as
//! Slurm's documentation has them (cgroup.conf, "Control Group v2 plugin").

/// A step of a job, or what of the job is in no step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlurmStep {
    /// The job's number.
    pub job: String,
    /// The step's number, or batch, extern, interactive; empty outside the steps.
    pub step: String,
}

impl SlurmStep {
    /// The step that a cgroup path lies in, at any depth below it.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        parts.find(|part| is_slurms(part))?;
        let job = parts.find_map(|part| number(part.strip_prefix("job_")?))?;
        let step = parts.next().and_then(|part| part.strip_prefix("step_"));
        Some(Self {
            job: job.to_owned(),
            step: step
                .filter(|step| is_plain(step))
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

fn is_slurms(part: &str) -> bool {
    part == "slurm" || part.starts_with("slurm_") || part.ends_with("slurmstepd.scope")
}

fn is_plain(step: &str) -> bool {
    step.len() <= 20 && step.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn number(text: &str) -> Option<&str> {
    let is_number =
        (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_steps_in_both_layouts() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let found = SlurmStep::from_path(path);
            let found = found.as_ref().map(|found| (&*found.job, &*found.step));
            assert_eq!(found, expected, "{path}");
        };
        check("/slurm/uid_1000/job_42/step_0/task_0", Some(("42", "0")));
        check("/slurm_n1/uid_0/job_7/step_batch", Some(("7", "batch")));
        let scope = "/system.slice/slurmstepd.scope";
        check(
            &format!("{scope}/job_42/step_extern/user/task_special"),
            Some(("42", "extern")),
        );
        check(
            &format!("{scope}/job_42/step_0/user/job_1/step_9"),
            Some(("42", "0")),
        );
        check(
            "/system.slice/n1_slurmstepd.scope/job_3/step_1",
            Some(("3", "1")),
        );
        check(&format!("{scope}/job_42"), Some(("42", "")));
        check(&format!("{scope}/system"), None);
        check(&format!("{scope}/job_x/step_1"), None);
        check(&format!("{scope}/job_42/step_-;x"), Some(("42", "")));
        check("/user.slice/job_42/step_0", None);
        check("", None);
    }
}
