//! The vectors of the reference tests of Certificate Transparency, and those in the texts of C2SP.

use proofs::{
    Checkpoint, Frontier, Hash, Note, Tile, TrustedKey, VerifierKey, leaf_hash, verify_consistency,
    verify_inclusion,
};

use crate::whole_tree::WholeTree;

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const A: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const B: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const C: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const D: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const E: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const F: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

/// Index, size, proof.
const INCLUSION: [(u64, u64, &[&str]); 7] = [
    (0, 1, &[]),
    (0, 2, &[A]),
    (1, 2, &[ROOTS[1]]),
    (2, 3, &[ROOTS[2]]),
    (1, 5, &[ROOTS[1], B, D]),
    (0, 8, &[A, B, C]),
    (5, 8, &[D, E, ROOTS[4]]),
];
/// Smaller size, larger size, proof.
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (1, 8, &[A, B, C]),
    (2, 5, &[B, D]),
    (6, 8, &[F, E, ROOTS[4]]),
];

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hash(digits: &str) -> Hash {
    Hash(bytes(digits).try_into().unwrap())
}

fn hashes(digits: &[&str]) -> Vec<Hash> {
    digits.iter().map(|it| hash(it)).collect()
}

fn leaves() -> impl Iterator<Item = Hash> {
    LEAVES.iter().map(|leaf| leaf_hash(&bytes(leaf)))
}

#[test]
fn the_roots_of_certificate_transparency_hold() {
    let mut frontier = Frontier::default();
    let tree = WholeTree::of(leaves());
    for (size, leaf) in (0..).zip(leaves()) {
        let root = hash(ROOTS[usize::try_from(size).unwrap()]);
        assert_eq!((frontier.root(), tree.head(size).root), (root, root));
        frontier.append(leaf);
    }
    assert_eq!(frontier.root().to_string(), ROOTS[8]);
}

#[test]
fn the_proofs_of_certificate_transparency_hold() {
    let tree = WholeTree::of(leaves());
    let leaves: Vec<Hash> = leaves().collect();
    for (index, size, proof) in INCLUSION {
        let proof = hashes(proof);
        assert_eq!(tree.inclusion(index, size), proof, "{index} in {size}");
        let leaf = leaves[usize::try_from(index).unwrap()];
        verify_inclusion(leaf, index, &tree.head(size), &proof).unwrap();
    }
    for (from, to, proof) in CONSISTENCY {
        let proof = hashes(proof);
        assert_eq!(tree.consistency(from, to), proof, "{from} to {to}");
        verify_consistency(&tree.head(from), &tree.head(to), &proof).unwrap();
    }
}

#[test]
fn the_example_of_a_signed_note_verifies() {
    let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1Y\
                Eq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let verifier: VerifierKey = key.parse().unwrap();
    assert_eq!(verifier.to_string(), key);
    let read = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(read.to_string(), note);
    assert_eq!(
        read.verify(&[verifier]).unwrap(),
        "This is an example message.\n"
    );
}

#[test]
fn the_example_of_a_checkpoint_is_read() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
                \n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4\
                URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let read = Checkpoint::read_unverified(note.as_bytes()).unwrap();
    assert_eq!(
        (read.origin.as_str(), read.head.size),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    // Whoever signed it is not known here.
    let other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let keys = [TrustedKey::always(other.parse().unwrap())];
    assert!(Checkpoint::open(note.as_bytes(), &keys).is_err());
}

#[test]
fn the_examples_of_tiles_hold() {
    assert_eq!(Tile::full(3, 1_234_067).to_string(), "tile/3/x001/x234/067");
    let partial: Vec<String> = Tile::partial_of(70_000)
        .iter()
        .map(Tile::to_string)
        .collect();
    assert_eq!(
        partial,
        ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    );
    let partial: Vec<String> = Tile::partial_of(256).iter().map(Tile::to_string).collect();
    assert_eq!(partial, ["tile/1/000.p/1"]);
}
