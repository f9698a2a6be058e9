//! Messages: their kinds, headers and checksums, and the numbers they are written in.

/// sled's `MAX_MSG_HEADER_LEN`: no message begins where fewer bytes are left in its segment.
pub(super) const MESSAGE_HEADER_BYTES_MAX: usize = 32;

/// sled's `MAX_PID_BITS`.
const PAGE_BITS: u32 = 37;

/// sled's `BATCH_MANIFEST_PID`.
const BATCH_MANIFEST_PAGE: u64 = u64::MAX - 666;

/// sled's kinds of messages (`MessageKind`), as far as they differ here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Canceled,
    Cap,
    BatchManifest,
    /// A page as a whole, or that it is free.
    Page,
    /// A change of a page.
    Link,
    /// Either, but in a file of its own.
    Blob,
}

/// A message's header as it is found: nothing is certain before the checksum was seen to be right.
pub(super) struct Header {
    pub(super) checksum: u32,
    pub(super) kind: u8,
    pub(super) number: u64,
    pub(super) page: u64,
    head_bytes: usize,
    body_bytes: usize,
}

impl Header {
    /// The header at the start of these bytes, if there is room for the body as well.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::parse_start(bytes, bytes.len())
    }

    /// The same for a header alone, where there are so many bytes from its start on.
    pub(super) fn parse_start(start: &[u8], bytes_max: usize) -> Option<Self> {
        let mut rest = start;
        let checksum = take(&mut rest, 4)?.try_into().ok()?;
        let kind = take(&mut rest, 1)?[0];
        let body_bytes = usize::try_from(take_varint(&mut rest)?).ok()?;
        let number = take_varint(&mut rest)?;
        let page = take_varint(&mut rest)?;
        let head_bytes = start.len() - rest.len();
        (body_bytes <= bytes_max.checked_sub(head_bytes)?).then_some(Self {
            checksum: u32::from_le_bytes(checksum),
            kind,
            number,
            page,
            head_bytes,
            body_bytes,
        })
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        match self.kind {
            1 => Some(Kind::Canceled),
            2 => Some(Kind::Cap),
            3 => Some(Kind::BatchManifest),
            4..=6 | 8 => Some(Kind::Page),
            10 => Some(Kind::Link),
            7 | 9 | 11 => Some(Kind::Blob),
            // 0 is what sled calls corrupted, and so is what it does not know.
            0 | 12.. => None,
        }
    }

    /// Whether sled would write such a header: most bytes that are none are told by this alone.
    pub(super) fn is_plausible(&self) -> bool {
        let is_page = self.page >> PAGE_BITS == 0;
        match self.kind() {
            Some(Kind::Cap) => self.page == u64::MAX,
            Some(Kind::BatchManifest) => self.page == BATCH_MANIFEST_PAGE && self.body_bytes == 8,
            Some(Kind::Canceled) => is_page || self.page == BATCH_MANIFEST_PAGE,
            Some(Kind::Page | Kind::Link | Kind::Blob) => is_page,
            None => false,
        }
    }

    pub(super) fn message_bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// The header's part of bytes that it was parsed from.
    pub(super) fn head<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.head_bytes]
    }

    /// The body, where the header was parsed with all these bytes.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.head_bytes..self.message_bytes()]
    }

    pub(super) fn has_checksum_of(&self, bytes: &[u8]) -> bool {
        self.checksum == checksum(self.head(bytes), self.body(bytes))
    }
}

/// sled's `calculate_message_crc32`: first the body, then the header behind its checksum.
pub(super) fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&head[4..]);
    !hasher.finalize()
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))
}

/// sled's varint (`serialization.rs`): the first byte is the value, or says how many follow.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = take(bytes, 1)?[0];
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * u64::from(first - 241) + u64::from(take(bytes, 1)?[0]),
        249 => {
            let two = take(bytes, 2)?;
            2288 + 256 * u64::from(two[0]) + u64::from(two[1])
        }
        250.. => {
            let count = usize::from(first - 247);
            let mut value = [0; 8];
            value[..count].copy_from_slice(take(bytes, count)?);
            u64::from_le_bytes(value)
        }
    })
}
