use std::fs;
use std::path::{Path, PathBuf};

use aes_gcm_siv::Nonce;
use parking_lot::{Mutex, RwLock};
use types::SubjectId;

use crate::cipher::{Forged, Label, open, open_with, seal, seal_with};
use crate::file::{Contents, VaultError, VaultFile};
use crate::key_tree::{KeyTree, Secret};
use crate::master_key::{MasterKey, random};

/// Under whose key a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Person(SubjectId),
    /// Several people, or somebody who is not known, at the time of this epoch. Erasing anybody ends the
    /// epoch and its key.
    Several {
        epoch: u32,
    },
}

impl Owner {
    fn leaf(self) -> u64 {
        match self {
            Self::Person(subject) => u64::from(subject.0),
            Self::Several { epoch } => 1 << 32 | u64::from(epoch),
        }
    }
}

/// Seals, opens, and forgets.
pub struct Vault {
    contents: RwLock<Contents>,
    /// Held while the file is replaced. None in memory only.
    file: Option<Mutex<VaultFile>>,
}

impl Vault {
    /// The file's name in a data directory.
    pub const FILE: &str = "vault";

    /// Keys that end with the process, for a log that does too.
    pub fn ephemeral() -> Self {
        Self {
            contents: RwLock::new(Contents::generate()),
            file: None,
        }
    }

    /// Keys that are the same each time. What they seal is open to everybody.
    pub fn of_seed(seed: [u8; 32]) -> Self {
        let contents = Contents {
            epoch: 0,
            snapshot_key: seed,
            tree: KeyTree::new(seed),
        };
        Self {
            contents: RwLock::new(contents),
            file: None,
        }
    }

    /// The vault of a data directory; `None` if it has none.
    pub fn open(data: &Path, master_key: MasterKey) -> Result<Option<Self>, VaultError> {
        let file = VaultFile {
            path: data.join(Self::FILE),
            master_key,
        };
        let contents = file.read()?;
        if contents.is_some() {
            file.clear_leftovers()?;
        }
        Ok(contents.map(|contents| Self {
            contents: RwLock::new(contents),
            file: Some(Mutex::new(file)),
        }))
    }

    /// A new vault in the place of any that is there. A log that holds events has one already, and is
    /// lost with it.
    pub fn create(data: &Path, master_key: MasterKey) -> Result<Self, VaultError> {
        let file = VaultFile {
            path: data.join(Self::FILE),
            master_key,
        };
        let contents = Contents::generate();
        file.write(&contents)?;
        Ok(Self {
            contents: RwLock::new(contents),
            file: Some(Mutex::new(file)),
        })
    }

    /// Of the key of values that are of several people, for what is sealed from now on.
    pub fn epoch(&self) -> u32 {
        self.contents.read().epoch
    }

    /// `None` if the key has been destroyed: nothing can be sealed under it any more.
    pub fn seal(&self, owner: Owner, label: Label, plain: &[u8]) -> Option<Vec<u8>> {
        self.key(owner).map(|key| seal(&key, label, plain))
    }

    /// `None` if the key has been destroyed.
    pub fn open_sealed(
        &self,
        owner: Owner,
        label: Label,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, Forged> {
        let key = self.key(owner);
        key.map(|key| open(&key, label, sealed)).transpose()
    }

    pub fn is_erased(&self, subject: SubjectId) -> bool {
        let contents = self.contents.read();
        contents.tree.key(Owner::Person(subject).leaf()).is_none()
    }

    /// Destroys the keys of these people, the key of what is of several people, and that of snapshots.
    /// Once it returns no file holds them. Those who have none any more change nothing; whether there
    /// was anybody else.
    pub fn erase(&self, subjects: &[SubjectId]) -> Result<bool, VaultError> {
        // Nobody else replaces the file meanwhile; those who only read keys wait for the write, which
        // is small.
        let file = self.file.as_ref().map(|file| file.lock());
        let mut contents = self.contents.write();
        let mut any = false;
        for subject in subjects {
            any |= contents.tree.puncture(Owner::Person(*subject).leaf());
        }
        if !any {
            return Ok(false);
        }
        let several = Owner::Several {
            epoch: contents.epoch,
        };
        contents.tree.puncture(several.leaf());
        contents.epoch += 1;
        contents.snapshot_key = random();
        if let Some(file) = file {
            file.write(&contents)?;
        }
        Ok(true)
    }

    /// Gives those who are not registered yet other keys, or keys at all where they were erased by another
    /// history of the same log: `first` is the number that the next new person gets. For a log that goes
    /// on from a moment before.
    pub fn renew_from(&self, first: SubjectId) -> Result<(), VaultError> {
        let file = self.file.as_ref().map(|file| file.lock());
        let mut contents = self.contents.write();
        let (first, end) = (Owner::Person(first).leaf(), 1 << 32);
        contents.tree.renew(first, end, random);
        match file {
            Some(file) => file.write(&contents),
            None => Ok(()),
        }
    }

    /// The file as it is now, for a copy of the data directory; nothing if there is none. Nobody replaces
    /// it meanwhile.
    pub fn sealed_bytes(&self) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let file = file.lock();
        let bytes = fs::read(&file.path);
        bytes.map(Some).map_err(|error| VaultError::Io {
            path: file.path.clone(),
            error,
        })
    }

    /// Seals the file with another master key from now on.
    pub fn rotate_master_key(&self, master_key: MasterKey) -> Result<(), VaultError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut file = file.lock();
        let contents = self.contents.read();
        let rotated = VaultFile {
            path: file.path.clone(),
            master_key,
        };
        rotated.write(&contents)?;
        *file = rotated;
        Ok(())
    }

    /// Where the file is, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|file| file.lock().path.clone())
    }

    /// The key of snapshots. It ends when anybody is erased, and all snapshots with it.
    pub fn snapshot_key(&self) -> SnapshotKey {
        SnapshotKey(self.contents.read().snapshot_key)
    }

    fn key(&self, owner: Owner) -> Option<Secret> {
        let leaf = owner.leaf();
        let contents = self.contents.read();
        if contents.tree.is_remembered(leaf) {
            return contents.tree.key(leaf);
        }
        drop(contents);
        let mut contents = self.contents.write();
        contents.tree.remember(leaf);
        contents.tree.key(leaf)
    }
}

impl Contents {
    fn generate() -> Self {
        Self {
            epoch: 0,
            snapshot_key: random(),
            tree: KeyTree::new(random()),
        }
    }
}

/// Under which snapshots are written, piece by piece.
#[derive(Clone)]
pub struct SnapshotKey(Secret);

impl SnapshotKey {
    /// Seals one piece of a file. No two files may have the same `salt`.
    pub fn seal(&self, salt: [u8; 16], piece: u32, is_last: bool, plain: &[u8]) -> Vec<u8> {
        let (nonce, aad) = Self::place(salt, piece, is_last);
        seal_with(&self.0, nonce, &aad, plain)
    }

    /// `None` if it is not that piece of that file, or the key has ended.
    pub fn open(
        &self,
        salt: [u8; 16],
        piece: u32,
        is_last: bool,
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let (nonce, aad) = Self::place(salt, piece, is_last);
        open_with(&self.0, nonce, &aad, sealed).ok()
    }

    fn place(salt: [u8; 16], piece: u32, is_last: bool) -> (Nonce, [u8; 21]) {
        let mut aad = [0; 21];
        aad[..16].copy_from_slice(&salt);
        aad[16..20].copy_from_slice(&piece.to_be_bytes());
        aad[20] = u8::from(is_last);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&salt[..8]);
        nonce[8..].copy_from_slice(&piece.to_be_bytes());
        (nonce.into(), aad)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ADA: SubjectId = SubjectId(0);
    const BOB: SubjectId = SubjectId(1);
    const LABEL: Label = Label { event: 1, field: 0 };

    fn sealed(vault: &Vault, owner: Owner) -> Vec<u8> {
        vault.seal(owner, LABEL, b"value").expect("there is a key")
    }

    #[test]
    fn erasing_ends_what_is_theirs_and_what_is_of_several_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let master_key = MasterKey::generate();
        let vault = Vault::create(data.path(), master_key.clone()).unwrap();
        let (of_ada, of_bob) = (Owner::Person(ADA), Owner::Person(BOB));
        let several = Owner::Several {
            epoch: vault.epoch(),
        };
        let values = [of_ada, of_bob, several].map(|owner| (owner, sealed(&vault, owner)));
        let snapshot = vault.snapshot_key().seal([1; 16], 0, true, b"all");
        assert!(vault.erase(&[ADA]).unwrap());
        assert!(!vault.erase(&[ADA]).unwrap());
        drop(vault);
        let vault = Vault::open(data.path(), master_key).unwrap().unwrap();
        assert!(vault.is_erased(ADA) && !vault.is_erased(BOB));
        let opened = values.map(|(owner, it)| vault.open_sealed(owner, LABEL, &it).unwrap());
        assert_eq!(opened, [None, Some(b"value".to_vec()), None]);
        assert_eq!(vault.seal(of_ada, LABEL, b"more"), None);
        let next = Owner::Several {
            epoch: vault.epoch(),
        };
        assert!(vault.seal(next, LABEL, b"more").is_some());
        let piece = vault.snapshot_key().open([1; 16], 0, true, &snapshot);
        assert_eq!(piece, None);
    }

    #[test]
    fn only_the_right_master_key_opens_it_and_it_can_be_changed() {
        let data = tempfile::tempdir().unwrap();
        let (first, second) = (MasterKey::generate(), MasterKey::generate());
        let opened = |key: &MasterKey| Vault::open(data.path(), key.clone());
        assert!(opened(&first).unwrap().is_none());
        let vault = Vault::create(data.path(), first.clone()).unwrap();
        let value = sealed(&vault, Owner::Person(ADA));
        let refused = opened(&second).err();
        assert!(matches!(refused, Some(VaultError::OtherMasterKey(_))));
        vault.rotate_master_key(second.clone()).unwrap();
        vault.erase(&[BOB]).unwrap();
        let refused = opened(&first).err();
        assert!(matches!(refused, Some(VaultError::OtherMasterKey(_))));
        let vault = opened(&second).unwrap().unwrap();
        let value = vault.open_sealed(Owner::Person(ADA), LABEL, &value);
        assert_eq!(value, Ok(Some(b"value".to_vec())));
        assert!(vault.is_erased(BOB));
    }

    #[test]
    fn a_file_of_which_any_bit_is_another_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let key = MasterKey::generate();
        drop(Vault::create(data.path(), key.clone()).unwrap());
        let path = data.path().join(Vault::FILE);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let whole = fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, altered).unwrap();
            assert!(Vault::open(data.path(), key.clone()).is_err(), "{bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(Vault::open(data.path(), key.clone()).is_err());
        }
    }

    #[test]
    fn what_is_written_over_leaves_nothing_behind() {
        let data = tempfile::tempdir().unwrap();
        let vault = Vault::create(data.path(), MasterKey::generate()).unwrap();
        // Another name for the file that is about to be replaced.
        let kept = data.path().join("kept");
        fs::hard_link(data.path().join(Vault::FILE), &kept).unwrap();
        vault.erase(&[ADA]).unwrap();
        assert!(fs::read(kept).unwrap().iter().all(|byte| *byte == 0));
    }
}
