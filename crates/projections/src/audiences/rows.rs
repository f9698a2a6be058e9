use roaring::RoaringBitmap;

/// The rows that hold one value. Of most columns either nearly every value is held by one row or
/// few values are held by many.
#[derive(Debug)]
pub(super) enum Rows {
    One(u32),
    Many(RoaringBitmap),
}

impl Rows {
    pub(super) fn insert(&mut self, row: u32) {
        match self {
            Self::One(held) if *held == row => {}
            Self::One(held) => *self = Self::Many(RoaringBitmap::from_iter([*held, row])),
            Self::Many(rows) => {
                rows.insert(row);
            }
        }
    }

    /// Takes the row out, and says whether none is left.
    pub(super) fn remove(&mut self, row: u32) -> bool {
        match self {
            Self::One(held) => *held == row,
            Self::Many(rows) => {
                rows.remove(row);
                rows.is_empty()
            }
        }
    }
}

/// Collects rows from many places, and unites them in one go.
#[derive(Default)]
pub(super) struct Union<'a> {
    single: Vec<u32>,
    many: Vec<&'a RoaringBitmap>,
}

impl<'a> Union<'a> {
    pub(super) fn add(&mut self, rows: &'a Rows) {
        match rows {
            Rows::One(row) => self.single.push(*row),
            Rows::Many(rows) => self.many.push(rows),
        }
    }

    pub(super) fn add_bitmap(&mut self, rows: &'a RoaringBitmap) {
        self.many.push(rows);
    }

    pub(super) fn finish(mut self) -> RoaringBitmap {
        use roaring::MultiOps as _;
        self.single.sort_unstable();
        let single = RoaringBitmap::from_sorted_iter(self.single).unwrap_or_default();
        self.many.into_iter().chain([&single]).union()
    }
}
