//! The texts: what is read is what was written, what is not in its form is refused, and no bytes make a
//! parser panic.

use proofs::{
    BundleReader, BundleRecord, Checkpoint, ConsistencyProof, Hash, InclusionProof,
    InvalidCheckpoint, InvalidHistory, InvalidKey, KeyHistory, Note, SignerKey, Tile, TreeHead,
    TrustedKey, Unverified, VerifierKey, bundle_end, bundle_head,
};
use proptest::prelude::*;

use crate::whole_tree::WholeTree;

fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed("example.com/log", &[seed; 32]).unwrap()
}

fn trusted(key: &SignerKey) -> [TrustedKey; 1] {
    [TrustedKey::always(key.verifier().clone())]
}

fn head(size: u64) -> TreeHead {
    WholeTree::of_size(size).head(size)
}

fn checkpoint(size: u64, key: &SignerKey) -> String {
    let origin = "example.com/log".to_owned();
    let checkpoint = Checkpoint {
        origin,
        head: head(size),
    };
    checkpoint.sign(key).unwrap()
}

#[test]
fn keys_read_back_and_others_do_not() {
    let signer = key(1);
    let again: SignerKey = signer.reveal().parse().unwrap();
    assert_eq!(again.verifier(), signer.verifier());
    let text = signer.verifier().to_string();
    assert_eq!(text.parse::<VerifierKey>().unwrap(), *signer.verifier());
    assert!(!format!("{signer:?}").contains("PRIVATE"));
    // Another name has another id.
    let renamed = text.replace("example.com", "example.org");
    assert_eq!(renamed.parse::<VerifierKey>(), Err(InvalidKey::Id));
    for wrong in ["", "a", "a+b+c", "a+0000000G+AQ==", "a+00000000+AQ=="] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
    for name in ["", "a b", "a+b", "a\nb", &"n".repeat(300)] {
        assert!(SignerKey::from_seed(name, &[1; 32]).is_err(), "{name}");
    }
}

#[test]
fn a_checkpoint_is_believed_only_of_its_log_and_by_its_key() {
    let (ours, theirs) = (key(1), key(2));
    let note = checkpoint(9, &ours);
    let read = Checkpoint::open(note.as_bytes(), &trusted(&ours)).unwrap();
    assert_eq!(read.head, head(9));
    let by_others = Checkpoint::open(note.as_bytes(), &trusted(&theirs));
    assert_eq!(
        by_others,
        Err(InvalidCheckpoint::Unverified(Unverified::UnknownKeys))
    );
    // Who has another name speaks of another log.
    let other = SignerKey::from_seed("example.com/other", &[1; 32]).unwrap();
    let of_other = Checkpoint::open(note.as_bytes(), &trusted(&other));
    assert_eq!(
        of_other,
        Err(InvalidCheckpoint::OtherLog("example.com/log".to_owned()))
    );
    // Signatures by others do no harm; a wrong one by ours does.
    let (text, signatures) = note.split_once("\n\n").unwrap();
    let foreign = Note::sign(format!("{text}\n"), &[&theirs, &ours]).unwrap();
    assert!(Checkpoint::open(foreign.to_string().as_bytes(), &trusted(&ours)).is_ok());
    let moved = format!("{}\n\n{signatures}", text.replace("\n9\n", "\n8\n"));
    let moved = Checkpoint::open(moved.as_bytes(), &trusted(&ours));
    assert_eq!(
        moved,
        Err(InvalidCheckpoint::Unverified(Unverified::BadSignature))
    );
}

#[test]
fn what_is_not_in_its_form_is_refused() {
    let signer = key(1);
    let root = head(1).root.to_base64();
    for text in [
        "example.com/log\n01\nROOT\n",
        "example.com/log\n-1\nROOT\n",
        "example.com/log\n18446744073709551616\nROOT\n",
        "example.com/log\n1\n\nROOT\n",
        "\n1\nROOT\n",
        "example.com/log\n1\nxROOT\n",
        "example.com/log\n1\n",
        "example.com/log\n1\nROOT\n\nmore\n",
    ] {
        let text = text.replace("ROOT", &root);
        let note = Note::sign(text.clone(), &[&signer]).unwrap().to_string();
        let read = Checkpoint::open(note.as_bytes(), &trusted(&signer));
        assert!(
            matches!(read, Err(InvalidCheckpoint::Text(_))),
            "{text}: {read:?}"
        );
    }
    let note = checkpoint(1, &signer);
    for (old, new) in [
        ("\n\n", "\n"),
        ("\u{2014} ", "- "),
        ("\n1\n", "\r\n1\r\n"),
        ("example.com/log ", "example.com/log+ "),
    ] {
        let altered = note.replace(old, new);
        assert!(Note::parse(altered.as_bytes()).is_err(), "{altered}");
    }
    assert!(Note::parse(note.trim_end().as_bytes()).is_err());
    for path in [
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/64/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/entries/000",
        "tile/0/000/",
        "tile/0/../0",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(path.parse::<Tile>().is_err(), "{path}");
    }
}

#[test]
fn a_log_is_followed_from_key_to_key() {
    let (first, second, third) = (key(1), key(2), key(3));
    let mut history = KeyHistory::beginning_with(first.verifier().clone());
    history.rotate(&first, &second, head(10)).unwrap();
    history.rotate(&second, &third, head(20)).unwrap();
    let text = history.to_string();
    assert_eq!(KeyHistory::parse(&text).unwrap(), history);
    assert_eq!(history.current(), third.verifier());
    // Whoever knew the first believes the later ones, each as long as it signed.
    let keys = history.followed_from(first.verifier()).unwrap();
    for (size, signer, good) in [
        (10, &first, true),
        (11, &first, false),
        (20, &second, true),
        (21, &second, false),
        (3, &third, true),
        (99, &third, true),
    ] {
        let opened = Checkpoint::open(checkpoint(size, signer).as_bytes(), &keys);
        assert_eq!(opened.is_ok(), good, "{size}: {opened:?}");
    }
    // Whoever knows only the third is not led back.
    let keys = history.followed_from(third.verifier()).unwrap();
    assert!(Checkpoint::open(checkpoint(10, &first).as_bytes(), &keys).is_err());
    assert!(history.followed_from(key(9).verifier()).is_none());
    // Nobody else can name the next key, nor can one be left out.
    assert_eq!(
        history.rotate(&second, &key(4), head(30)),
        Err(InvalidHistory::OtherKeys)
    );
    assert_eq!(
        history.rotate(&third, &key(4), head(19)),
        Err(InvalidHistory::Order)
    );
    for (old, new) in [("\n10\n", "\n11\n"), ("\n20\n", "\n21\n")] {
        assert!(KeyHistory::parse(&text.replace(old, new)).is_err());
    }
    let lines: Vec<&str> = text.lines().collect();
    for left_out in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(left_out);
        let fewer = fewer.join("\n") + "\n";
        let read = KeyHistory::parse(&fewer);
        assert!(
            read.as_ref() != Ok(&history) || fewer == text,
            "line {left_out}"
        );
    }
}

#[test]
fn a_consistency_proof_reads_back_and_knows_from_where() {
    let (tree, signer) = (WholeTree::of_size(30), key(1));
    let proof = ConsistencyProof {
        from: 7,
        hashes: tree.consistency(7, 30),
        checkpoint: checkpoint(30, &signer),
    };
    let read = ConsistencyProof::parse(&proof.to_string()).unwrap();
    assert_eq!(read, proof);
    assert_eq!(
        read.verify(&tree.head(7), &trusted(&signer)).unwrap().head,
        tree.head(30)
    );
    assert!(read.verify(&tree.head(8), &trusted(&signer)).is_err());
    let forked = TreeHead {
        size: 7,
        root: Hash([1; 32]),
    };
    assert!(read.verify(&forked, &trusted(&signer)).is_err());
}

fn bundle(size: u64, positions: &[u64], key: &SignerKey) -> String {
    let tree = WholeTree::of_size(size);
    let mut text = bundle_head("type=*", &checkpoint(size, key));
    for position in positions {
        let record = BundleRecord {
            position: *position,
            record: (position - 1).to_be_bytes().to_vec(),
            hashes: tree.inclusion(position - 1, size),
        };
        text.push_str(&record.to_string());
    }
    text + &bundle_end(positions.len() as u64)
}

/// The positions that a bundle proves, if it is read to its end.
fn read_bundle(text: &[u8], keys: &[TrustedKey]) -> Option<Vec<u64>> {
    let mut reader = BundleReader::open(text, keys).ok()?;
    let mut positions = Vec::new();
    while let Some(record) = reader.next_record().ok()? {
        positions.push(record.position);
    }
    Some(positions)
}

#[test]
fn of_a_bundle_no_bit_can_be_altered_and_nothing_left_out() {
    let signer = key(1);
    let keys = trusted(&signer);
    let text = bundle(9, &[2, 3, 9], &signer);
    assert_eq!(read_bundle(text.as_bytes(), &keys), Some(vec![2, 3, 9]));
    let after_filter = text.find("\n\n").unwrap();
    for bit in 0..8 * text.len() {
        let mut altered = text.clone().into_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        // What was asked for is claimed and not proven.
        let is_claim = bit / 8 < after_filter && bit / 8 > "muster-bundle@v1".len();
        assert!(
            is_claim || read_bundle(&altered, &keys).is_none(),
            "bit {bit}"
        );
    }
    for end in 0..text.len() {
        assert_eq!(read_bundle(&text.as_bytes()[..end], &keys), None, "{end}");
    }
    for positions in [&[3, 2][..], &[2, 2]] {
        assert_eq!(
            read_bundle(bundle(9, positions, &signer).as_bytes(), &keys),
            None
        );
    }
    let more = format!("{text}\n");
    assert_eq!(read_bundle(more.as_bytes(), &keys), None);
    assert_eq!(
        read_bundle(bundle(9, &[], &signer).as_bytes(), &keys),
        Some(vec![])
    );
}

/// Pieces of which texts are made, so that chance gets past the first line.
fn piece() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "c2sp.org/tlog-proof@v1\n",
        "extra AAAA\n",
        "index 0\n",
        "index 5\n",
        "old 3\n",
        "\n",
        "0\n",
        "7\n",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "example.com/log\n",
        "\u{2014} example.com/log AAAAAAAA\n",
        "\u{2014} a b\n",
        "muster-key-rotation@v1\n",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        "tile/0/x001/000.p/5",
    ]);
    prop_oneof![4 => line.prop_map(str::to_owned), 1 => ".{0,12}", 1 => Just("\n\n".to_owned())]
}

fn read_all(bytes: &[u8]) {
    let keys = trusted(&key(1));
    let _ = Note::parse(bytes);
    let _ = Checkpoint::open(bytes, &keys);
    if let Ok(mut bundle) = BundleReader::open(bytes, &keys) {
        while let Ok(Some(_)) = bundle.next_record() {}
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = text.parse::<VerifierKey>();
    let _ = text.parse::<SignerKey>();
    let _ = text.parse::<Tile>();
    let _ = KeyHistory::parse(&text);
    if let Ok(proof) = InclusionProof::parse(&text) {
        assert!(proof.verify(Hash([0; 32]), &keys).is_err());
        assert_eq!(
            InclusionProof::parse(&proof.to_string()).as_ref(),
            Ok(&proof)
        );
    }
    if let Ok(proof) = ConsistencyProof::parse(&text) {
        assert!(proof.verify(&head(1), &keys).is_err());
        assert_eq!(
            ConsistencyProof::parse(&proof.to_string()).as_ref(),
            Ok(&proof)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn no_lines_make_a_parser_panic(pieces in prop::collection::vec(piece(), 0..12)) {
        read_all(pieces.concat().as_bytes());
    }
}
