//! Drivers that are not there, go away, are loaded anew, or hang.

use std::fs;

use e2e::nvml::{FakeNvml, gpu};
use e2e::poll;
use serde_json::json;

use crate::site::{Site, nested, outcomes, parts};

/// Codes of nvmlReturn_t.
const NO_PERMISSION: u32 = 4;
const DRIVER_NOT_LOADED: u32 = 9;
const UNKNOWN: u32 = 999;

const FLAGS: [&str; 2] = ["--usage", "accounting"];

#[test]
fn check_names_every_gpu() {
    let mut driver = FakeNvml::new(&[gpu("GPU-a"), gpu("GPU-b")]).unwrap();
    driver.tell_gpu(1, "energy_mj", json!(null)).unwrap();
    driver.tell_gpu(1, "power_mw", json!(70_000)).unwrap();
    let output = driver
        .command("hxmlops-agent", &["--check", "--power", "nvml"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "power nvml: found",
        "  gpu-0: GPU-a (Fake 9000), driver 999.1, energy counter",
        "  gpu-1: GPU-b (Fake 9000), driver 999.1, power over time",
        "ready to run",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    // One that may not be read, and why the package is modelled.
    driver.tell_gpu(0, "error", NO_PERMISSION.into()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let root = e2e::text(empty.path());
    let output = driver
        .command("hxmlops-agent", &["--check", "--sys-root", root])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "  left out: GPU 0 may not be read: ",
        "    because rapl is not there, perf is not there",
    ] {
        assert!(
            text.lines().any(|other| other.starts_with(line)),
            "{line}: {text}"
        );
    }
}

#[test]
fn fault_10_a_machine_without_nvidia_s_driver_is_measured_all_the_same() {
    let mut driver = FakeNvml::new(&[gpu("GPU-a")]).unwrap();
    driver.tell("error", DRIVER_NOT_LOADED.into()).unwrap();
    let text = driver
        .command("hxmlops-agent", &["--check"])
        .output()
        .unwrap()
        .stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("power nvml: absent: NVIDIA's driver is not there"),
        "{text}"
    );
    assert!(text.contains("ready to run"), "{text}");
}

#[test]
fn a_gpu_that_hangs_at_the_start_is_read_later_and_the_others_at_once() {
    let mut driver = FakeNvml::new(&[gpu("GPU-a"), gpu("GPU-b")]).unwrap();
    driver.tell_gpu(0, "hangs", json!(true)).unwrap();
    let flags = ["--power", "nvml", "--usage", "accounting"];
    let mut site = Site::of(driver, &flags);
    site.driver.use_energy(1, 300_000).unwrap();
    let text = site.at("gpu-1", 300_000);
    assert!(!text.contains("gpu-0"), "{text}");
    site.driver.tell_gpu(0, "hangs", json!(false)).unwrap();
    site.outcome("gpu-0", "first");
    site.driver.use_energy(0, 200_000).unwrap();
    site.at("gpu-0", 200_000);
}

/// A meter of the whole machine sees the GPU before it is a zone of its own, and is not to count it twice after.
#[test]
fn a_gpu_that_comes_later_is_no_part_of_other_any_more() {
    let mut driver = FakeNvml::new(&[gpu("GPU-a")]).unwrap();
    driver.tell("error", DRIVER_NOT_LOADED.into()).unwrap();
    let sys_root = tempfile::tempdir().unwrap();
    let meter = sys_root.path().join("class/hwmon/hwmon0");
    fs::create_dir_all(&meter).unwrap();
    fs::write(meter.join("name"), "power_meter\n").unwrap();
    fs::write(meter.join("power1_average"), "5000000000\n").unwrap();
    let flags = [
        "--power",
        "nvml,model,acpi",
        "--usage",
        "accounting",
        "--sys-root",
        e2e::text(sys_root.path()),
    ];
    let mut site = Site::of(driver, &flags);
    site.driver.tell("error", json!(0)).unwrap();
    site.outcome("gpu-0", "first");
    // What came before is told by now.
    let before = site.after_ticks(2);
    site.driver.use_energy(0, 150_000).unwrap();
    site.at("gpu-0", 150_000);
    let after = site.after_ticks(2);
    let of = |text: &str| {
        let parts =
            ["package-0", "dram-0", "gpu-0", "other"].map(|zone| parts(text, zone).measured);
        (nested(text, "platform"), parts.iter().sum::<u64>())
    };
    let ((platform, sum), (platform_after, sum_after)) = (of(&before), of(&after));
    assert_eq!(platform_after - platform, sum_after - sum, "{after}");
    let source = "platform - package-0 - dram-0 - gpu-0";
    assert!(after.contains(source), "{after}");
}

#[test]
fn gpus_that_come_after_the_agent_has_started_are_read_under_names_of_their_own() {
    let mut driver = FakeNvml::new(&[gpu("GPU-a")]).unwrap();
    driver.tell("error", DRIVER_NOT_LOADED.into()).unwrap();
    let flags = ["--power", "nvml,model", "--usage", "accounting"];
    let flags = [&flags[..], &["--idle-watts", "gpu-0=10"]].concat();
    let mut site = Site::of(driver, &flags);
    // The driver comes; what its GPU has used before is not this node's.
    site.driver.tell("error", json!(0)).unwrap();
    let text = site.outcome("gpu-0", "first");
    assert!(
        text.contains("it came after the agent had started"),
        "{text}"
    );
    site.driver.use_energy(0, 500_000).unwrap();
    let text = site.at("gpu-0", 500_000);
    assert!(parts(&text, "gpu-0").idle > 0, "{text}");
    // Another is put in, and is the first by number.
    let both = ["GPU-b", "GPU-a"].map(gpu);
    site.driver.tell("gpus", json!(both)).unwrap();
    site.driver
        .tell_gpu(1, "energy_mj", json!(1_500_000))
        .unwrap();
    site.outcome("gpu-1", "first");
    site.driver.use_energy(0, 300_000).unwrap();
    site.driver.use_energy(1, 200_000).unwrap();
    site.at("gpu-1", 300_000);
    site.at("gpu-0", 700_000);
}

#[test]
fn fault_13_and_17_a_driver_that_is_loaded_anew_is_read_again_and_makes_no_energy() {
    let mut site = Site::new(&[gpu("GPU-a"), gpu("GPU-b")], &FLAGS);
    for gpu in [0, 1] {
        site.driver.use_energy(gpu, 500_000).unwrap();
    }
    site.at("gpu-0", 500_000);
    site.at("gpu-1", 500_000);
    // Gone for some time.
    site.driver.tell("error", DRIVER_NOT_LOADED.into()).unwrap();
    site.outcome("gpu-0", "absent");
    site.outcome("gpu-1", "absent");
    // Back, with counters that begin again; the GPUs have changed places.
    let fresh = ["GPU-b", "GPU-a"].map(gpu);
    site.driver.tell("gpus", json!(fresh)).unwrap();
    site.driver.tell_gpu(0, "energy_mj", json!(1)).unwrap();
    site.driver.tell_gpu(1, "energy_mj", json!(2)).unwrap();
    site.driver.tell("load", json!(1)).unwrap();
    site.driver.tell("error", json!(0)).unwrap();
    for zone in ["gpu-0", "gpu-1"] {
        let text = site.until("a reset", |text| outcomes(text, zone, "reset") > 0.0);
        assert_eq!(parts(&text, zone).measured, 500_000_000, "{zone}");
    }
    site.driver.use_energy(1, 7).unwrap();
    site.at("gpu-0", 500_007);
    site.driver.use_energy(0, 9).unwrap();
    let text = site.at("gpu-1", 500_009);
    assert_eq!(parts(&text, "gpu-0").measured, 500_007_000);
    // Loaded anew between two readings: found out by the error alone.
    for gpu in [0, 1] {
        site.driver.tell_gpu(gpu, "energy_mj", json!(3)).unwrap();
    }
    site.driver.tell("load", json!(2)).unwrap();
    for zone in ["gpu-0", "gpu-1"] {
        site.until("another reset", |text| outcomes(text, zone, "reset") > 1.0);
    }
    site.driver.use_energy(0, 11).unwrap();
    site.at("gpu-1", 500_020);
}

#[test]
fn a_gpu_that_hangs_or_is_lost_costs_its_own_zone_and_loses_nothing() {
    let mut site = Site::new(&[gpu("GPU-a"), gpu("GPU-b")], &FLAGS);
    let mut used = [0, 0];
    let cases = [("hangs", "failed"), ("lost", "absent")];
    for (fault, outcome) in cases {
        site.driver.tell_gpu(0, fault, json!(true)).unwrap();
        site.outcome("gpu-0", outcome);
        for gpu in [0, 1] {
            used[gpu] += 600_001;
            site.driver.use_energy(gpu, 600_001).unwrap();
        }
        let text = site.at("gpu-1", used[1]);
        assert!(
            parts(&text, "gpu-0").measured < used[0] * 1_000,
            "{fault}: it is not read"
        );
        let failures =
            |text: &str| outcomes(text, "gpu-1", "failed") + outcomes(text, "gpu-1", "absent");
        assert_eq!(failures(&text), 0.0, "{fault}: {text}");
        site.driver.tell_gpu(0, fault, json!(false)).unwrap();
        site.at("gpu-0", used[0]);
    }
}

#[test]
fn a_gpu_without_a_counter_is_measured_by_its_power() {
    let mut slow = gpu("GPU-a");
    slow["energy_mj"] = json!(null);
    slow["power_mw"] = json!(40_000);
    let mut site = Site::new(&[slow, gpu("GPU-b")], &FLAGS);
    let text = site.until("energy", |text| parts(text, "gpu-0").measured > 10_000_000);
    assert!(text.contains("driver 999.1, power over time"), "{text}");
    // One that learns to count goes on as it was.
    site.driver
        .tell_gpu(0, "energy_mj", json!(u64::MAX / 1_000))
        .unwrap();
    let before = parts(&site.after_ticks(1), "gpu-0").measured;
    let after = parts(&site.after_ticks(2), "gpu-0").measured;
    assert!(
        before < after && after < before + 1_000_000_000,
        "{before} uJ, {after} uJ"
    );
}

#[test]
fn fault_17_garbage_gives_no_energy() {
    let mut site = Site::new(&[gpu("GPU-a"), gpu("GPU-b")], &FLAGS);
    site.driver
        .tell_gpu(
            0,
            "samples",
            json!([[0, 50], [7, 4_000_000_000_u32], [u32::MAX, 100]]),
        )
        .unwrap();
    site.driver.tell_gpu(0, "percent", json!(u32::MAX)).unwrap();
    site.driver
        .tell_gpu(0, "energy_mj", json!(u64::MAX))
        .unwrap();
    let text = site.outcome("gpu-0", "reset");
    assert_eq!(parts(&text, "gpu-0").measured, 0);
    site.driver.tell_gpu(0, "energy_mj", json!(5)).unwrap();
    site.outcome("gpu-0", "reset");
    site.driver.tell_gpu(0, "error", UNKNOWN.into()).unwrap();
    site.outcome("gpu-0", "failed");
    site.driver.tell_gpu(0, "error", json!(0)).unwrap();
    site.driver.use_energy(0, 1_000).unwrap();
    site.at("gpu-0", 1_000);
    let health = poll("healthz", || {
        Ok(Some(e2e::get(&format!("{}/healthz", site.agent.url()))?))
    });
    assert_eq!(health.unwrap().0, 200);
}
