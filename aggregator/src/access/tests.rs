//! Who is let in.

use std::fs;

use super::*;
use crate::store::{NodeKey, SqliteStore};
use crate::token::Need;

struct Door {
    directory: tempfile::TempDir,
    store: Arc<dyn Store>,
}

impl Door {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        Self { directory, store }
    }

    fn open(&self) -> Access {
        Access::open(self.store.clone(), TokenFiles::default(), false).unwrap()
    }

    fn add(&self, byte: u8, role: Role, expires: Option<Timestamp>) -> Token {
        let token = Token::new([byte; crate::token::RANDOM_BYTES]);
        let record = TokenRecord {
            id: token.id().to_owned(),
            sha256: token.sha256(),
            role,
            note: String::new(),
            created: at(0),
            expires,
            revoked: None,
        };
        self.store.put_token(&record).unwrap();
        token
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn without_tokens_it_is_open_and_with_the_first_it_is_not_ever_again() {
    let door = Door::new();
    let access = door.open();
    assert!(!access.is_guarded());
    assert_eq!(
        access.identify(None, None, at(1)).unwrap().role,
        Role::Admin
    );

    let token = door.add(1, Role::Read, Some(at(100)));
    access.refresh().unwrap();
    assert_eq!(
        access.identify(None, None, at(1)).unwrap_err(),
        Denied::Missing
    );
    let identify = |second| access.identify(Some(token.reveal()), None, at(second));
    assert_eq!(identify(99).unwrap().role, Role::Read);
    assert_eq!(identify(100).unwrap_err(), Denied::Expired);

    assert!(door.store.revoke_token(token.id(), at(50)).unwrap());
    assert!(!door.store.revoke_token("ffffffff", at(50)).unwrap());
    access.refresh().unwrap();
    assert_eq!(identify(60).unwrap_err(), Denied::Revoked);
    assert_eq!(
        access.identify(None, None, at(60)).unwrap_err(),
        Denied::Missing
    );
}

#[test]
fn a_token_that_is_nearly_right_is_unknown() {
    let door = Door::new();
    let token = door.add(1, Role::Admin, None);
    let access = door.open();
    let text = token.reveal();
    let other_secret = format!("{}ff", &text[..text.len() - 2]);
    for wrong in [&other_secret, &text[1..], "", "hxm"] {
        let denied = access.identify(Some(wrong), None, at(1)).unwrap_err();
        assert_eq!(denied, Denied::Unknown, "{wrong}");
    }
}

#[test]
fn each_of_the_operator_s_files_is_good_for_its_role() {
    let door = Door::new();
    let file = |name: &str, secret: &str| {
        let path = door.directory.path().join(name);
        fs::write(&path, secret.repeat(32)).unwrap();
        Some(path)
    };
    let files = TokenFiles {
        admin: file("admin", "a"),
        ingest: file("ingest", "i"),
        read: file("read", "r"),
    };
    let access = Access::open(door.store.clone(), files, false).unwrap();
    let role = |secret: &str| {
        access
            .identify(Some(&secret.repeat(32)), None, at(1))
            .unwrap()
            .role
    };
    assert_eq!((role("a"), role("r")), (Role::Admin, Role::Read));
    let ingest = role("i");
    assert!(ingest.allows(Need::Ingest) && !ingest.allows(Need::Read));
    // A file that is gone keeps no other from being read, and its secret good.
    fs::remove_file(door.directory.path().join("ingest")).unwrap();
    let token = door.add(9, Role::Read, None);
    assert!(access.refresh().is_err());
    assert_eq!((role("a"), role("i")), (Role::Admin, ingest.clone()));
    assert!(access.identify(Some(token.reveal()), None, at(1)).is_ok());
    let node = NodeKey {
        cluster: "edge".to_owned(),
        node: "n7".to_owned(),
    };
    assert!(ingest.may_write(&node) && !role("r").may_write(&node));
}

#[test]
fn the_operator_s_file_is_a_token_of_its_own_and_may_change() {
    let door = Door::new();
    let path = door.directory.path().join("token");
    let write = |secret: &str| fs::write(&path, format!("{secret}\n")).unwrap();
    let files = || TokenFiles {
        admin: Some(path.clone()),
        ..TokenFiles::default()
    };
    let open = || Access::open(door.store.clone(), files(), false);
    assert!(matches!(
        open(),
        Err(AccessError::File(SecretFileError::Unreadable(..)))
    ));
    for none in ["", "short", &"with space ".repeat(9), &"x".repeat(5000)] {
        write(none);
        assert!(
            matches!(open(), Err(AccessError::File(SecretFileError::NoSecret(_)))),
            "{none}"
        );
    }
    let (old, new) = ("a".repeat(32), "b".repeat(32));
    write(&old);
    let access = open().unwrap();
    assert!(access.is_guarded());
    assert_eq!(
        access.identify(Some(&old), None, at(1)).unwrap().role,
        Role::Admin
    );
    write(&new);
    access.refresh().unwrap();
    assert_eq!(
        access.identify(Some(&old), None, at(1)).unwrap_err(),
        Denied::Unknown
    );
    assert_eq!(
        access.identify(Some(&new), None, at(1)).unwrap().role,
        Role::Admin
    );
}

#[test]
fn a_certificate_is_as_good_as_a_token() {
    let door = Door::new();
    let access = Access::open(door.store.clone(), TokenFiles::default(), true).unwrap();
    let peer = |role| Peer {
        address: "10.0.0.1".parse().unwrap(),
        role,
    };
    let identify = |role| access.identify(None, Some(&peer(role)), at(1));
    assert_eq!(identify(None).unwrap_err(), Denied::Missing);
    assert_eq!(identify(Some(Role::Read)).unwrap().role, Role::Read);
}
