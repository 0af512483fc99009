use super::{Bench, NOW};
use crate::seal::DataKeyRow;

pub(crate) async fn the_first_data_keys_are_added_once_among_twenty(bench: &Bench) {
    let key = |number: u8, purpose: &str| DataKeyRow {
        id: [number; 16],
        purpose: purpose.to_owned(),
        wrapped: vec![number; 60],
        check: vec![number; 16],
        created_at: NOW,
    };
    let tries: Vec<_> = (0..20)
        .map(|number| {
            let store = bench.store.clone();
            let keys = [key(number, "credentials"), key(number + 100, "logins")];
            tokio::spawn(async move { store.add_first_data_keys(&keys).await.expect("an answer") })
        })
        .collect();
    let mut added = 0;
    for attempt in tries {
        added += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(added, 1);
    let keys = bench.store.data_keys().await.expect("keys");
    let [first, second] = &keys[..] else { panic!("two keys, not {}", keys.len()) };
    assert_eq!(*first, key(first.id[0], "credentials"));
    assert_eq!(*second, key(first.id[0] + 100, "logins"));
}

pub(crate) async fn the_key_of_a_further_purpose_is_added_next_to_the_others(bench: &Bench) {
    let key = |number: u8, purpose: &str| DataKeyRow {
        id: [number; 16],
        purpose: purpose.to_owned(),
        wrapped: vec![number; 60],
        check: vec![number; 16],
        created_at: NOW,
    };
    let add = async |keys: &[DataKeyRow]| bench.store.add_first_data_keys(keys).await.expect("an answer");
    assert!(add(&[key(1, "credentials")]).await);
    assert!(add(&[key(2, "credentials"), key(3, "webhooks")]).await);
    assert!(!add(&[key(4, "webhooks")]).await);
    assert_eq!(bench.store.data_keys().await.expect("keys"), [key(1, "credentials"), key(3, "webhooks")]);
}
