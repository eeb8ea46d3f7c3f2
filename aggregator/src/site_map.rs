//! Which node belongs to which site.

use serde::{Deserialize, Serialize};

use crate::site::Site;

/// The sites of a server, the first of them for all nodes that no pattern names.
#[derive(Clone, Debug)]
pub struct SiteMap {
    sites: Vec<Site>,
    /// Patterns in order, each with its site's place.
    patterns: Vec<(NodePattern, usize)>,
}

impl SiteMap {
    /// `sites` has at least one; each pattern comes with the index of its site.
    #[must_use]
    pub fn new(sites: Vec<Site>, patterns: Vec<(NodePattern, usize)>) -> Self {
        Self { sites, patterns }
    }

    /// All sites.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The site of a node: of the first pattern that fits, else the first site.
    #[must_use]
    pub fn of_node(&self, node: &str) -> &Site {
        let fitting = self.patterns.iter().find(|(pattern, _)| pattern.fits(node));
        &self.sites[fitting.map_or(0, |(_, index)| *index)]
    }

    /// The site that a batch is booked to: the one it names, known here or not (then its grid is unknown),
    /// else its node's.
    #[must_use]
    pub fn of_batch(&self, named: &str, node: &str) -> Site {
        if named.is_empty() {
            return self.of_node(node).clone();
        }
        let known = self.sites.iter().find(|site| site.name == named);
        known.cloned().unwrap_or_else(|| Site::named(named))
    }
}

/// Names of nodes, with `*` for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct NodePattern(Vec<char>);

impl From<String> for NodePattern {
    fn from(glob: String) -> Self {
        Self::new(&glob)
    }
}

impl From<NodePattern> for String {
    fn from(pattern: NodePattern) -> Self {
        pattern.0.into_iter().collect()
    }
}

impl NodePattern {
    /// From its text.
    #[must_use]
    pub fn new(glob: &str) -> Self {
        Self(glob.chars().collect())
    }

    /// Whether the whole name fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut next) = (0, 0);
        // Where the last `*` stood, and how far the name was then: there it takes one character more.
        let mut star = None;
        while next < name.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == name[next] => {
                    at += 1;
                    next += 1;
                }
                _ => {
                    let Some((star_at, taken)) = star else {
                        return false;
                    };
                    star = Some((star_at, taken + 1));
                    (at, next) = (star_at + 1, taken + 1);
                }
            }
        }
        self.0[at..].iter().all(|&rest| rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names() {
        let check = |glob: &str, name: &str, expected: bool| {
            assert_eq!(
                NodePattern::new(glob).fits(name),
                expected,
                "{glob} on {name}"
            );
        };
        check("", "", true);
        check("*", "", true);
        check("*", "node-1", true);
        check("node-*", "node-1", true);
        check("node-*", "my-node-1", false);
        check("node-?", "node-1", true);
        check("node-?", "node-10", false);
        check("*-gpu-*", "a-gpu-gpu-b", true);
        check("*a*a*a*b", &"a".repeat(2000), false);
        check("é?", "éü", true);
        check("node", "node-1", false);
    }

    #[test]
    fn a_batch_goes_to_the_site_it_names_or_its_nodes() {
        let site = |name: &str| Site {
            intensity_zone: Some("FR".to_owned()),
            pue: 1.2,
            ..Site::named(name)
        };
        let patterns = vec![(NodePattern::new("o-*"), 1)];
        let map = SiteMap::new(vec![site("paris"), site("oslo")], patterns);
        assert_eq!(map.of_batch("", "o-1"), site("oslo"));
        assert_eq!(map.of_batch("", "x"), site("paris"));
        assert_eq!(map.of_batch("paris", "o-1"), site("paris"));
        let unknown = map.of_batch("lyon", "x");
        assert_eq!(
            (unknown.name.as_str(), unknown.intensity_zone),
            ("lyon", None)
        );
    }
}
