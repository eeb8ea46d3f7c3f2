//! The server's configuration file, and patterns of nodes.

#![no_main]

use std::collections::HashSet;

use aggregator::config::{ServeArgs, parse, resolve};
use aggregator::site_map::NodePattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::one_of_text(data, &[check_file, check_pattern]));

fn check_file(text: &str) {
    let Ok(file) = parse(text) else {
        return;
    };
    let args = ServeArgs {
        data_dir: Some("/var/lib/hxmlops".into()),
        ..ServeArgs::default()
    };
    let Ok(config) = resolve(args, file) else {
        return;
    };
    let sites = config.sites.sites();
    let names: HashSet<&str> = sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names.len(), sites.len());
    assert!(
        sites
            .iter()
            .all(|site| site.pue.is_finite() && site.pue >= 1.0)
    );
    assert!(names.contains(config.sites.of_node("gpu-1").name.as_str()));
    assert!(config.tls.is_some() || !config.must_be_guarded);
    assert!(
        config.listen.ip().is_loopback() || config.must_be_guarded || text.contains("insecure")
    );
}

/// A pattern fits what a plain matcher says that it does.
fn check_pattern(text: &str) {
    let (glob, name) = text.split_once('\n').unwrap_or((text, ""));
    let chars = |text: &str| text.chars().take(64).collect::<Vec<char>>();
    let (glob, name) = (chars(glob), chars(name));
    let found = NodePattern::new(&String::from_iter(&glob)).fits(&String::from_iter(&name));
    assert_eq!(found, fits(&glob, &name), "{glob:?} on {name:?}");
}

/// By the table of which begin of the glob fits which begin of the name.
fn fits(glob: &[char], name: &[char]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for &wanted in glob {
        let mut next = vec![row[0] && wanted == '*'];
        for (at, &char) in name.iter().enumerate() {
            next.push(match wanted {
                '*' => row[at + 1] || next[at],
                _ => row[at] && (wanted == '?' || wanted == char),
            });
        }
        row = next;
    }
    row[name.len()]
}
