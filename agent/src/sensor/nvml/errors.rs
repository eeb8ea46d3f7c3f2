//! What the driver's errors mean for a zone.

use std::fmt;

use nvml_wrapper::error::NvmlError;

use crate::sensor::SensorError;

/// Whom a call was about.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// The library or the driver behind it.
    Driver,
    /// One GPU, by its UUID or number.
    Gpu(&'a dyn fmt::Display),
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => f.write_str("NVIDIA's driver"),
            Self::Gpu(gpu) => write!(f, "GPU {gpu}"),
        }
    }
}

/// The error of a call, in words.
pub(super) fn told(asked: Asked<'_>, error: &NvmlError) -> SensorError {
    match error {
        NvmlError::LibloadingError(reason) if is_no_file(&reason.to_string()) => {
            SensorError::Absent("libnvidia-ml.so.1".to_owned())
        }
        NvmlError::DriverNotLoaded => SensorError::Absent("NVIDIA's driver".to_owned()),
        NvmlError::NotFound | NvmlError::GpuLost => SensorError::Absent(asked.to_string()),
        NvmlError::NoPermission => SensorError::NotPermitted(format!(
            "{asked} may not be read: give the agent /dev/nvidiactl and the /dev/nvidiaN of each GPU"
        )),
        error => SensorError::Failed(format!("{asked}: {error}")),
    }
}

/// By the words of glibc's and musl's dynamic linkers.
fn is_no_file(reason: &str) -> bool {
    ["No such file", "Error loading shared library"]
        .iter()
        .any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_absent_and_the_rest_failed() {
        let gpu = || Asked::Gpu(&"GPU-1");
        let kind = |asked, error| match told(asked, &error) {
            SensorError::Absent(what) => format!("absent: {what}"),
            SensorError::NotPermitted(_) => "not permitted".to_owned(),
            SensorError::Failed(why) => format!("failed: {why}"),
        };
        assert_eq!(
            kind(Asked::Driver, NvmlError::DriverNotLoaded),
            "absent: NVIDIA's driver"
        );
        assert_eq!(kind(gpu(), NvmlError::GpuLost), "absent: GPU GPU-1");
        assert_eq!(kind(gpu(), NvmlError::NotFound), "absent: GPU GPU-1");
        assert_eq!(kind(gpu(), NvmlError::NoPermission), "not permitted");
        assert!(kind(gpu(), NvmlError::Unknown).starts_with("failed: GPU GPU-1: "));
        assert!(is_no_file(
            "libnvidia-ml.so.1: cannot open shared object file: No such file or directory"
        ));
        assert!(!is_no_file("libnvidia-ml.so.1: invalid ELF header"));
    }
}
