//! Who a client's certificate says it is: bytes as they are, and subjects of a certificate that is whole otherwise.

#![no_main]

use aggregator::serve::tls::role_of;
use aggregator::token::Role;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rustls::pki_types::CertificateDer;

fuzz_target!(|data: &[u8]| fuzz::one_of(data, &[check_bytes, check_subject, check_attributes]));

fn check_bytes(certificate: &[u8]) {
    if let Some(Role::Ingest { node, .. }) = role_of(&CertificateDer::from(certificate)) {
        assert!(!node.is_empty() && !node.contains(['*', '?']), "{node}");
    }
}

fn check_subject(subject: &[u8]) {
    check_bytes(&certificate(subject));
}

/// A role is never more than some attribute says.
fn check_attributes(data: &[u8]) {
    let Ok(attributes) = attributes(&mut Unstructured::new(data)) else {
        return;
    };
    let subject: Vec<u8> = attributes.iter().flat_map(Attribute::to_der).collect();
    let says = |kind: u8, text: &str| {
        let same = |of: &Attribute| of.kind == kind && of.value == text.as_bytes();
        attributes.iter().any(same)
    };
    match role_of(&CertificateDer::from(certificate(&subject))) {
        Some(Role::Admin) => assert!(says(ORGANISATION, "hxmlops:admin")),
        Some(Role::Read) => assert!(says(ORGANISATION, "hxmlops:read")),
        Some(Role::Ingest { cluster, node }) => {
            assert!(says(ORGANISATION, "hxmlops:ingest") && says(COMMON_NAME, &node));
            assert!(says(UNIT, &cluster) || cluster == "default");
        }
        None => {}
    }
}

// Last number of an attribute's object identifier, 2.5.4.N (RFC 4519).
const COMMON_NAME: u8 = 3;
const ORGANISATION: u8 = 10;
const UNIT: u8 = 11;

struct Attribute {
    kind: u8,
    /// UTF8String, PrintableString, IA5String, TeletexString or BMPString.
    string_type: u8,
    value: Vec<u8>,
}

impl Attribute {
    fn to_der(&self) -> Vec<u8> {
        let kind = der(0x06, &[0x55, 0x04, self.kind]);
        let value = der(self.string_type, &self.value);
        der(0x31, &der(0x30, &[kind, value].concat()))
    }
}

fn attributes(u: &mut Unstructured<'_>) -> Result<Vec<Attribute>> {
    let mut attributes = Vec::new();
    for _ in 0..u.int_in_range(0..=6)? {
        let roles: [&[u8]; 4] = [b"hxmlops:ingest", b"hxmlops:read", b"hxmlops:admin", b"*"];
        let value = match u.arbitrary()? {
            true => (*u.choose(&roles)?).to_vec(),
            false => u.arbitrary()?,
        };
        attributes.push(Attribute {
            kind: *u.choose(&[COMMON_NAME, ORGANISATION, UNIT, 6])?,
            string_type: *u.choose(&[0x0c, 0x13, 0x16, 0x14, 0x1e])?,
            value,
        });
    }
    Ok(attributes)
}

/// A certificate (RFC 5280) with this content of its subject; its key and signature are empty.
fn certificate(subject: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &der(0x06, &[0x2b, 0x65, 0x70]));
    let time = der(0x17, b"260101000000Z");
    let bits = der(0x03, &[0]);
    let to_be_signed = [
        der(0xa0, &der(0x02, &[2])),
        der(0x02, &[1]),
        algorithm.clone(),
        der(0x30, &[]),
        der(0x30, &[time.clone(), time].concat()),
        der(0x30, subject),
        der(0x30, &[algorithm.clone(), bits.clone()].concat()),
    ];
    let to_be_signed = der(0x30, &to_be_signed.concat());
    der(0x30, &[to_be_signed, algorithm, bits].concat())
}

/// Tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let head = match content.len() {
        0..128 => vec![tag, length[7]],
        _ => [&[tag, 0x84], &length[4..]].concat(),
    };
    [&head, content].concat()
}
